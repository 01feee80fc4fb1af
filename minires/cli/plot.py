"""`minires plot`: the figures of trainings, from what their runs left on disk."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minires.cli.as_json import add_json, print_json

if TYPE_CHECKING:
    from minires.kernels import Array
    from minires.runs import Recipe


EXAMPLES = [
    ("minires plot runs/20260102-030405-train-resnet20", "the figures of a run"),
    ("minires plot runs/*", "the curves of several, together"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folders", nargs="+", metavar="RUN", help="runs' folders; their curves are drawn together")
    parser.add_argument("--out", metavar="FOLDER",
                        help="where the curves of several runs are drawn (.); a run's own figures go into its folder")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best, last, or a step's number (best)")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (where they were)")
    add_json(parser, "print the figures' paths as JSON")


def run(args: argparse.Namespace) -> int:
    figures = []
    for path in drawn(args):
        figures.append(str(path))
        if not args.json:
            print(path)
    if args.json:
        print_json({"figures": figures})
    return 0


def drawn(args: argparse.Namespace) -> Iterator[Path]:
    """Draw the figures, one after the other."""
    from minires import plots

    folders = [Path(folder) for folder in args.run_folders]
    for folder in folders:
        if is_of_lab(folder):
            if len(folders) > 1:
                raise ValueError(f"plot: {folder} is no training, so it is drawn alone: minires plot {folder}")
            yield from figures_of_lab(folder)
            return
    out = Path(args.out) if args.out else folders[0] if len(folders) == 1 else Path()
    if args.out and not out.is_dir():
        raise ValueError(f"--out: there is no folder {out}")
    curves = out / "curves.png"
    yield plots.training_curves(folders, curves if len(folders) == 1 else free(curves))
    for folder in folders:
        yield from own_figures(folder, args.checkpoint, args.data_dir)


def free(path: Path) -> Path:
    """Return this path, or curves-2.png, curves-3.png, … where there is a file already: it may be of other runs."""
    number, chosen = 1, path
    while chosen.exists():
        number += 1
        chosen = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return chosen


def is_of_lab(folder: Path) -> bool:
    """Whether a folder is that of a comparison or an experiment, which is drawn from its report alone."""
    from minires import runs

    if not (folder / "config.json").exists():
        return False
    return runs.read(folder, "config.json").get("command") in ("compare", "lab")


def figures_of_lab(folder: Path) -> list[Path]:
    from minires import plots, runs

    if "experiment" in runs.read(folder, "report.json"):
        return plots.experiment(folder)
    return plots.gradient_flow(folder)


def own_figures(folder: Path, checkpoint: str, data_dir: str | None) -> list[Path]:
    """Draw what is of one run alone: its filters and, where it was evaluated, what it got right and wrong."""
    from minires import plots, runs
    from minires.runs.folder import as_configured

    model, recipe, step = runs.load_model(folder, checkpoint)
    name = recipe.model.name
    paths = [
        plots.first_layer(
            model.state_dict()["conv1.weight"], folder / "filters.png", f"First layer of {name} after {step} steps"
        )
    ]
    if not (folder / "predictions.csv").exists():
        print(f"{folder}: not evaluated, so no confusion matrix and no errors; minires evaluate {folder}",
              file=sys.stderr)  # fmt: skip
        return paths
    rows = runs.read(folder, "predictions.csv")
    with as_configured(folder):
        images = test_images(recipe, data_dir)
    try:
        paths.append(plots.confusion_matrix(rows, recipe.dataset.classes, folder / "confusion.png"))
        wrong = plots.misclassified(rows, images, folder / "misclassified.png")
    except ValueError as error:
        error.add_note(f"they are those of {folder / 'predictions.csv'}; minires evaluate {folder} writes it anew")
        raise
    return paths + ([wrong] if wrong else [])


def test_images(recipe: "Recipe", data_dir: str | None) -> "Array":
    """Load the images that `minires evaluate` looks at."""
    from minires.runs.building import load_data

    if data_dir:
        recipe.data.dir = data_dir
    return load_data(replace(recipe, validation=0)).test_images
