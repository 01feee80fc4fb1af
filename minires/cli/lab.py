"""`minires lab`: the experiments, each a claim about residual networks with a verdict that is computed."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minires.cli import lab_all
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
        return lab_all.run(args.options)
    experiment = experiments.find(args.experiment)
    parser = parser_of(experiment.name)
    add_settings(parser, experiment)
    options = vars(parser.parse_args(args.options))
    options.pop("traceback")
    return carry_out(experiment, options)


def carry_out(experiment: "Experiment", options: dict[str, Any]) -> int:
    """Carry an experiment out and print what it found; return the exit code."""
    from minires.lab.experiment import lines_of
    from minires.lab.progress import Progress

    start = time.perf_counter()
    report = experiment(**options, progress=Progress(shown=True))
    print("\n".join(lines_of(report)))
    if report["folder"] is not None:  # it had begun
        print_files(report, time.perf_counter() - start)
    if report["interrupted"]:
        print(f"minires lab {experiment.name}: interrupted; what was finished is in its folder", file=sys.stderr)
        return 130
    return 0


def print_files(report: "Report", seconds: float) -> None:
    names = sorted(path.name for path in Path(report["folder"]).iterdir())
    print(f"{report['folder']}: {', '.join(names)} ({seconds:.0f} s)")
