"""The options of `minires lab NAME`: one for every setting of the experiment."""

import argparse
from typing import TYPE_CHECKING, Any

from minires.cli.as_json import add_json

if TYPE_CHECKING:
    from minires.lab.experiment import Experiment


def parser_of(name: str) -> argparse.ArgumentParser:
    from minires.cli.main import Parser

    parser = Parser(prog=f"minires lab {name}")
    parser.add_argument("--traceback", action="store_true", help="on an error, show where it was raised")
    add_json(parser)
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


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else "hours"
