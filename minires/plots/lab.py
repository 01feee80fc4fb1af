"""The figure of an experiment of the lab, from its report.json: each is drawn in a file of its own, lab_NAME.py."""

import importlib
from pathlib import Path

from minires.plots.style import save, save_svg
from minires.runs import read


def experiment(folder: str | Path) -> list[Path]:
    """Draw the report of an experiment into NAME.png and NAME.svg in its folder; return their paths.

    ValueError where the folder holds no such report, or one without what the figure shows.
    """
    report = read(folder, "report.json")
    path = Path(folder) / "report.json"
    if "experiment" not in report:
        raise ValueError(f"{path} is not the report of an experiment; minires lab makes one")
    name = report["experiment"]
    try:
        module = importlib.import_module(f"minires.plots.lab_{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        raise ValueError(f"{path} is of an experiment {name!r} that this MiniRes does not know") from error
    try:
        figure = module.draw(report)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        words = f"{path} does not hold what the figure of {name} shows ({type(error).__name__}: {error})"
        raise ValueError(f"{words}; minires lab {name} makes another") from error
    return [save(figure, Path(folder) / f"{name}.png"), save_svg(figure, Path(folder) / f"{name}.svg")]
