"""`minires lab all`: every experiment in turn, in one folder; stopped, the same command goes on with it."""

from collections.abc import Sequence

from minires.cli.lab import carry_out, parser_of


def run(arguments: Sequence[str]) -> int:
    from minires.lab import experiments

    parser = parser_of("all")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    options = vars(parser.parse_args(arguments))
    return max([carry_out(experiment, {"out": options["out"]}) for experiment in experiments.all_of()])
