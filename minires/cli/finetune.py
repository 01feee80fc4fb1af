"""`minires finetune`: train a trained network further, on other classes or other pictures."""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minires.cli.as_json import add_json, print_json

if TYPE_CHECKING:
    from minires.interop import About
    from minires.nn import Module
    from minires.runs.recipe import Recipe


EXAMPLES = [
    ("minires finetune runs/20260102-030405-train-resnet20 --data pictures", "on a folder of pictures"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN|NAME|FILE",
                        help="a run's folder, a name of minires pretrained list, a file of weights: .safetensors, .pth")
    parser.add_argument("--data", required=True, metavar="NAME", help="a folder of classes of pictures, or digits, …")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="of the data set, these classes alone")
    parser.add_argument("--freeze", nargs="+", default=[], metavar="PATTERN",
                        help="parameters to keep: 'layer1.*' '*bn?.*', or '[!f]*', all but fc (none)")
    parser.add_argument("--head-factor", type=float, default=10.0, metavar="X",
                        help="the new head learns so much faster than the rest (10)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="of the run: best, last or a step (best)")
    parser.add_argument("--model", metavar="NAME", help="of a file that does not say it: resnet18, resnet50, …")
    parser.add_argument("--recipe", default="finetune", metavar="NAME", help="as for minires train (finetune)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="override any value of the recipe: epochs=5 optimizer.lr=0.001")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (the usual place)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out pictures that cannot be read")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the new head, batches and augmentation (0)")
    add_json(parser, "print the run's report as JSON")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return train_on(args)


def train_on(args: argparse.Namespace) -> int:
    """Take over the source's weights, all but the head, and train."""
    from minires import runs
    from minires.runs.recipe import FinetuneSection

    if args.head_factor < 0:
        raise ValueError(f"--head-factor must be at least 0, got {args.head_factor}")
    source, about = read_source(args)
    options = {name: value for name, value in about.options.items() if name != "num_classes"}
    recipe = runs.resolve(args.recipe, args.set, model=about.model, data=args.data, seed=args.seed)
    recipe.model.options = {**options, **recipe.model.options}
    complete_data(args, recipe, about.shape)
    recipe.finetune = FinetuneSection(
        source=args.source,
        freeze=args.freeze,
        head_factor=args.head_factor,
        mean=about.mean or None,
        std=about.std or None,
    )
    trainer = runs.build(recipe, source.state_dict())
    trained = sum([parameter.size for group in trainer.optimizer.param_groups for parameter in group["params"]])
    total = sum([parameter.size for parameter in trainer.model.parameters()])
    if not args.json:
        print(f"{args.source}: all but the head taken over; {trained:,} of {total:,} parameters are trained on")

    def print_report(run: runs.Run) -> None:
        print_json({"folder": str(run.folder), "source": args.source, "trained_parameters": trained, **run.report})

    tell = print_report if args.json else None
    folder = runs.new_run(args.out, "finetune", recipe.model.name, recipe.to_dict())
    with runs.lock(folder):
        return runs.Run(folder, recipe, trainer, "finetune", tell).carry_out()


def read_source(args: argparse.Namespace) -> tuple["Module", "About"]:
    """Return the trained network and what is known of it and its images."""
    from minires import interop, runs
    from minires.interop.trained import about_recipe
    from minires.runs.settings import parsed

    path = Path(args.source)
    if path.is_dir() and args.source not in interop.PRETRAINED:
        if args.model is not None:
            raise ValueError(f"--model is for files of weights; what {path} trained stands in its config.json")
        model, recipe, _ = runs.load_model(path, args.checkpoint)
        return model, about_recipe(recipe)
    if args.source not in interop.PRETRAINED and not path.exists():
        known = ", ".join(interop.PRETRAINED)
        raise ValueError(f"there is no {path}: the source is a run's folder, a file of weights, or one of {known}")
    weights = interop.weights_of(args.source)
    if args.model is None and not interop.read_about(weights).model:
        raise ValueError("a file of weights does not say which model they are of: add --model, such as resnet18")
    settings = {keys[1]: value for keys, value in map(parsed, args.set) if keys[0] == "model" and len(keys) == 2}
    model, about, loaded = interop.load_network(weights, args.model, settings)
    if not args.json:
        print(loaded)
    side = 224 if about.options["stem"] == "imagenet" else 32
    return model, replace(about, shape=about.shape or [about.options["in_channels"], side, side])


def complete_data(args: argparse.Namespace, recipe: "Recipe", shape: list[int]) -> None:
    """Say which classes are meant, and for a folder of pictures the size and channels that the network knows."""
    from minires.data.registry import NAMES

    recipe.data.classes = args.classes or recipe.data.classes
    if args.data_dir:
        recipe.data.dir = str(Path(args.data_dir).resolve())
    if args.data not in NAMES and Path(args.data).is_dir():
        recipe.data.name = str(Path(args.data).resolve())
        recipe.data.options |= {"channels": shape[0], "skip_bad": args.skip_bad}
        recipe.data.options.setdefault("image_size", shape[1])
