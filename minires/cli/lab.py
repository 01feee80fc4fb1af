"""`minires lab`: the experiments, each a claim about residual networks with a verdict that is computed."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minires.lab.experiment import Experiment, Report

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
    parser.add_argument("experiment", metavar="NAME", help="an experiment, list, or all")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="the experiment's own options")


def run(args: argparse.Namespace) -> int:
    from minires.lab import experiments

    if args.experiment == "list":
        parser_of("list").parse_args(args.options)
        for name in (*experiments.NAMES, *experiments.APART):
            experiment = experiments.find(name)
            print(f"{name:20} {duration(experiment.seconds):>8}   {experiment.claim}")
        return 0
    if args.experiment == "all":
        from minires.cli import lab_all

        return lab_all.run(args.options)
    experiment = experiments.find(args.experiment)
    parser = parser_of(experiment.name)
    add_settings(parser, experiment)
    options = vars(parser.parse_args(args.options))
    options.pop("traceback")
    return carry_out(experiment, options)


def parser_of(name: str) -> argparse.ArgumentParser:
    from minires.cli.main import Parser

    parser = Parser(prog=f"minires lab {name}")
    parser.add_argument("--traceback", action="store_true", help="on an error, show where it was raised")
    return parser


def add_settings(parser: argparse.ArgumentParser, experiment: "Experiment") -> None:
    """Make an option of every setting of an experiment; left out, an option is not in the namespace."""
    parser.description = experiment.claim
    parser.add_argument("--full", action="store_true", help="at the paper's size: hours")
    if experiment.data:
        parser.add_argument("--data", choices=experiment.data, help=f"the images ({experiment.data[0]})")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    for name, default in {"seed": 0, **experiment.settings}.items():
        options: dict[str, Any] = {"default": argparse.SUPPRESS}
        first = default[0] if isinstance(default, tuple) else default
        options["type"] = switch if isinstance(first, bool) else type(first)
        if isinstance(default, tuple):
            options["nargs"] = "+"
        shown = " ".join([said(value) for value in default]) if isinstance(default, tuple) else said(default)
        what = {"seeds": "how many random seeds", "seed": "the first random seed"}.get(name, name.replace("_", " "))
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="X", help=f"{what} ({shown})", **options)


def switch(word: str) -> bool:
    """Read "on" or "off"."""
    if word not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"must be on or off, not {word!r}")
    return word == "on"


def said(value: Any) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else str(value)


def carry_out(experiment: "Experiment", options: dict[str, Any]) -> int:
    """Carry an experiment out and print what it found; return the exit code."""
    from minires.lab.experiment import lines_of
    from minires.lab.progress import Progress

    start = time.perf_counter()
    report = experiment(**options, progress=Progress(shown=True))
    print("\n".join(lines_of(report)))
    print_files(report, time.perf_counter() - start)
    if report["interrupted"]:
        print(f"minires lab {experiment.name}: interrupted; what was finished is in that folder", file=sys.stderr)
        return 130
    return 0


def print_files(report: "Report", seconds: float) -> None:
    names = sorted(path.name for path in Path(report["folder"]).iterdir())
    print(f"{report['folder']}: {', '.join(names)} ({seconds:.0f} s)")


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else "hours"
