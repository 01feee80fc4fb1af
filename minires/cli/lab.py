"""`minires lab`: the experiments, each a claim about residual networks with a verdict that is computed."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minires.cli import lab_all
from minires.cli.as_json import add_json, print_json
from minires.cli.lab_options import add_settings, duration, parser_of

if TYPE_CHECKING:
    from minires.lab.experiment import Experiment
    from minires.lab.report import Report

HELP = """\
minires lab list                  every experiment, its claim and how long it takes
minires lab twin                  carry one out: claim, source, expected, measured, verdict
minires lab twin --help           its own options
minires lab all                   all of them; stopped, the same command goes on with it
"""


EXAMPLES = [
    ("minires lab list", "the experiments, and what each asks"),
    ("minires lab shattered-gradients", "one of them"),
    ("minires lab all", "all of them, which can be stopped and gone on with"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    add_json(parser, "print the list, the report or the verdicts as JSON")
    parser.add_argument("experiment", metavar="NAME", help="an experiment, list, or all")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="the experiment's own options")


def run(args: argparse.Namespace) -> int:
    from minires.lab import experiments

    if args.experiment == "list":
        as_json = parser_of("list").parse_args(args.options).json or args.json
        return show_list([experiments.find(name) for name in (*experiments.NAMES, *experiments.APART)], as_json)
    if args.experiment == "all":
        return lab_all.run(args.options, args.json)
    experiment = experiments.find(args.experiment)
    parser = parser_of(experiment.name)
    add_settings(parser, experiment)
    options = vars(parser.parse_args(args.options))
    options.pop("traceback")
    as_json = options.pop("json") or args.json
    return carry_out(experiment, options, as_json)


def show_list(experiments: Sequence["Experiment"], as_json: bool) -> int:
    """Print the experiments, and about how long each takes."""
    if as_json:
        keys = ("name", "claim", "source", "expected", "settings")
        print_json([{**{key: getattr(one, key) for key in keys}, "about_s": one.seconds} for one in experiments])
        return 0
    for one in experiments:
        print(f"{one.name:20} {duration(one.seconds):>8}   {one.claim}")
    return 0


def carry_out(experiment: "Experiment", options: dict[str, Any], as_json: bool) -> int:
    """Carry an experiment out and print what it found; return the exit code."""
    from minires.lab.experiment import lines_of
    from minires.lab.progress import Progress

    start = time.perf_counter()
    report = experiment(**options, progress=Progress(shown=True))
    if as_json:
        print_json(report)
    else:
        print("\n".join(lines_of(report)))
    if not as_json and report["folder"] is not None:  # it had begun
        print_files(report, time.perf_counter() - start)
    if report["interrupted"]:
        print(f"minires lab {experiment.name}: interrupted; what was finished is in its folder", file=sys.stderr)
        return 130
    return 0


def print_files(report: "Report", seconds: float) -> None:
    names = sorted(path.name for path in Path(report["folder"]).iterdir())
    print(f"{report['folder']}: {', '.join(names)} ({seconds:.0f} s)")
