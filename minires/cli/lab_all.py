"""`minires lab all`: every experiment in turn, in one folder; stopped, the same command goes on with it.

An experiment is done when its folder holds a whole report with the settings that it would be carried out with now.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minires.cli.as_json import print_json
from minires.cli.lab_options import duration, parser_of

if TYPE_CHECKING:
    from minires.lab.experiment import Experiment
    from minires.lab.report import Report


def run(arguments: Sequence[str], as_json: bool) -> int:
    parser = parser_of("all")
    parser.description = "Carry out every experiment of `minires lab list`, or go on with what was stopped."
    parser.add_argument("--full", action="store_true", help="at the papers' sizes: days")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--again", action="store_true", help="begin anew, whatever there is")
    args = parser.parse_args(arguments)
    from minires.lab import experiments
    from minires.lab.experiment import kernels_in_use

    with kernels_in_use(args.kernels):
        return carry_out_all(experiments.all_of(), Path(args.out), args.full, args.again, args.json or as_json)


def carry_out_all(
    experiments: Sequence["Experiment"], out: Path, full: bool, again: bool, as_json: bool = False
) -> int:
    """Begin a folder, or find the one to go on with, and do what is left in it; return the exit code."""
    from minires import runs

    folder = None if again else unfinished(out, full, experiments)
    if folder is None:
        names = [experiment.name for experiment in experiments]
        folder = runs.new_run(out, "lab", "all", {"experiment": "all", "full": full, "experiments": names})
    else:
        print(f"minires lab all: goes on with {folder}", file=sys.stderr)
    with runs.lock(folder):
        return carry_out_rest(experiments, folder, full, as_json)


def carry_out_rest(experiments: Sequence["Experiment"], folder: Path, full: bool, as_json: bool) -> int:
    """Carry out what is not done yet, one after the other, and list all verdicts; return the exit code."""
    begun = time.perf_counter()
    waiting = [experiment for experiment in experiments if done(folder, experiment, full) is None]
    passed, expected = 0.0, 0.0  # seconds of those carried out now, without compiling, and what they were said to take
    failed = []
    for number, experiment in enumerate(waiting):
        left = sum([other.seconds for other in waiting[number:]]) * (passed / expected if expected else 1.0)
        print(f"{len(experiments) - len(waiting) + number + 1} of {len(experiments)}, {experiment.name}: "
              f"about {duration(left)} to the end", file=sys.stderr, flush=True)  # fmt: skip
        try:
            made, compiling = one(experiment, folder, full)
        except (ValueError, RuntimeError, OSError, FloatingPointError) as error:
            print(f"{experiment.name}: failed: {error}", file=sys.stderr)
            failed.append(experiment.name)
            continue
        if made["interrupted"]:
            print(f"minires lab all: interrupted; the same command goes on with {folder}", file=sys.stderr)
            return 130
        passed, expected = passed + made["seconds"] - compiling, expected + experiment.seconds
    reports = [report for experiment in experiments if (report := done(folder, experiment, full)) is not None]
    if as_json:
        verdicts = [{key: report[key] for key in KEYS} for report in reports]
        print_json({"folder": str(folder), "verdicts": verdicts, "failed": failed})
    else:
        for report in reports:
            print(line_of(report))
    keep_verdicts(folder, reports)
    if not as_json:
        print(f"{folder}: verdicts.csv and a folder for each ({duration(time.perf_counter() - begun)})")
    if failed:
        print(f"minires lab all: failed: {', '.join(failed)}; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def one(experiment: "Experiment", folder: Path, full: bool) -> tuple["Report", float]:
    """Carry out one; return its report, and the seconds that went into compiling."""
    from minires.lab.progress import Progress

    place = folder / experiment.name
    place.mkdir(exist_ok=True)
    progress = Progress(shown=True, prefix=f"{experiment.name}: ")
    report = experiment(full=full, folder=place, progress=progress)
    return report, progress.untimed


def unfinished(out: Path, full: bool, experiments: Sequence["Experiment"]) -> Path | None:
    """Find the newest folder of the same command in which something is still to do."""
    from minires import runs

    for folder in sorted(out.glob("*-lab-all*"), reverse=True):
        try:
            arguments = runs.read(folder, "config.json")["arguments"]
        except (ValueError, OSError):
            continue
        if arguments.get("full") == full and any(done(folder, experiment, full) is None for experiment in experiments):
            return folder
        return None  # the newest one is whole
    return None


def done(folder: Path, experiment: "Experiment", full: bool) -> "Report | None":
    """Return the report of an experiment that needs not be carried out again."""
    from minires import runs
    from minires.lab.report import Report
    from minires.runs import records

    try:
        report = Report(runs.read(folder / experiment.name, "report.json"))
    except (ValueError, OSError):
        return None
    settings = records.finite(experiment.resolve(full, None, {}))
    same = report.get("settings") == settings and report.get("interrupted") is False
    return report if same else None


def line_of(report: "Report") -> str:
    return f"{report['experiment']:20} {report['answer'].upper()}. {report['verdict']} ({report['seconds']:.0f} s)"


KEYS = ("experiment", "claim", "answer", "verdict", "open", "seconds")


def keep_verdicts(folder: Path, reports: Sequence["Report"]) -> None:
    from minires.runs import records

    records.write_csv(folder / "verdicts.csv", [{key: report[key] for key in KEYS} for report in reports])
