"""`minires train`: train a network by a recipe, with records and checkpoints of every run; or go on with a run."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minires.cli.as_json import add_json, print_json
from minires.parallel.processes import started_by_mpiexec

if TYPE_CHECKING:
    from minires.runs import Recipe, Run


EXAMPLES = [
    ("minires train", "ResNet-20 on the digits"),
    ("minires train --recipe cifar10-coffee --data cifar10", "nine tenths of CIFAR-10, in minutes"),
    ("minires train --set epochs=3 optimizer.lr=0.05 model.skip=false", "any value of the recipe"),
    ("minires train --resume runs/20260102-030405-train-resnet20", "go on"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", help="resnet20, preact_resnet56, resnet18, … (resnet20)")
    parser.add_argument("--data", metavar="NAME", help="digits, cifar10, …; see minires data list (digits)")
    parser.add_argument("--recipe", metavar="NAME",
                        help="he2015, cifar10-lunch, cifar10-coffee, digits, sgd-0.01, adam, finetune or a .toml "
                        "file (he2015 for CIFAR, else digits)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="override any value of the recipe: steps=300 optimizer.lr=0.05 model.skip=false")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, from its last checkpoint")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (the usual place)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out pictures of a folder that cannot be read")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, …; see minires doctor (cpu)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba, on the CPU (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--seed", type=int, metavar="N", help="of weights, batches and augmentation (0)")
    add_json(parser, "print the run's report as JSON")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        if started_by_mpiexec():
            return run_in_parallel(args)
        return resume(args) if args.resume else start(args)


def start(args: argparse.Namespace) -> int:
    """Begin a new run."""
    from minires import runs

    recipe = new_recipe(args)
    trainer = runs.build(recipe)
    folder = runs.new_run(args.out, "train", recipe.model.name, recipe.to_dict())
    with runs.lock(folder):
        return runs.Run(folder, recipe, trainer, tell=teller(args)).carry_out()


def teller(args: argparse.Namespace) -> "Callable[[Run], None] | None":
    """Return what says at the end what a training came to: None, which prints lines, or the report as JSON."""
    return print_report if args.json else None


def print_report(run: "Run") -> None:
    print_json({"folder": str(run.folder), **run.report})


def new_recipe(args: argparse.Namespace) -> "Recipe":
    """Return the recipe of a new run."""
    from minires import runs

    name = args.recipe or ("he2015" if args.data in ("cifar10", "cifar100") else "digits")
    given = {"model": args.model, "data": args.data, "seed": args.seed, "device": args.device}
    recipe = runs.resolve(name, args.set, **given)
    check_size(recipe.model.name, recipe.model.options)
    if args.skip_bad:
        recipe.data.options["skip_bad"] = True
    if args.data_dir:
        recipe.data.dir = str(Path(args.data_dir).resolve())
    return recipe


def check_size(name: str, options: dict[str, Any]) -> None:
    """Refuse a wide_resnet whose size is not said."""
    if name == "wide_resnet" and not {"depth", "width"} <= options.keys():
        raise ValueError("wide_resnet has no size of its own: add --set model.depth=16 model.width=4")


def resume(args: argparse.Namespace) -> int:
    """Go on with a run from its newest checkpoint."""
    from minires import runs
    from minires.runs import checkpoint
    from minires.runs.folder import as_configured, check_configuration

    folder = Path(args.resume)
    recipe = recipe_to_resume(args)
    with runs.lock(folder):
        newest = checkpoint.newest(folder / "checkpoints")
        check_configuration(folder, recipe, newest, checkpoint.load(newest)[0])  # before anything of that size is made
        with as_configured(folder):
            trainer = runs.build(recipe)
        training = runs.Run(folder, recipe, trainer, tell=teller(args))
        for difference in training.restore():
            print(f"minires train: {difference}", file=sys.stderr)
        if trainer.step > recipe.steps:
            raise ValueError(f"{folder} has done {trainer.step} steps already, more than {recipe.steps}")
        write_config(folder, recipe)
        print(f"{folder}: goes on after step {trainer.step}", file=sys.stderr)
        return training.carry_out()


def recipe_to_resume(args: argparse.Namespace) -> "Recipe":
    """Return the recipe of a run that goes on."""
    from minires.runs.folder import read_recipe

    for name in ("model", "data", "recipe", "seed", "device"):
        if getattr(args, name) is not None:
            raise ValueError(f"--resume goes on as the run began: leave out --{name}, or start a new run")
    recipe = changed(read_recipe(args.resume), args.set)
    if args.data_dir:
        recipe.data.dir = str(Path(args.data_dir).resolve())
    return recipe


def write_config(folder: Path, recipe: "Recipe") -> None:
    """Write down in the run's folder what was changed in its recipe."""
    from minires.runs import records

    config = records.read_json(folder / "config.json")
    records.write_json(folder / "config.json", {**config, "arguments": recipe.to_dict()})


def run_in_parallel(args: argparse.Namespace) -> int:
    """Train, or go on, together with the other processes that mpiexec started."""
    from minires.parallel import run

    if not args.resume:
        return run.start(lambda: new_recipe(args), args.out, teller(args))
    folder = Path(args.resume)
    return run.resume(folder, lambda: recipe_to_resume(args), lambda recipe: write_config(folder, recipe), teller(args))


def changed(recipe: "Recipe", settings: Sequence[str]) -> "Recipe":
    """Return the recipe of a run with other values for some of CHANGEABLE."""
    from minires.runs.folder import CHANGEABLE
    from minires.runs.recipe import Recipe
    from minires.runs.settings import lay_over, parsed

    values = recipe.to_dict()
    for setting in settings:
        keys, value = parsed(setting)
        if len(keys) > 1 or keys[0] not in CHANGEABLE:
            raise ValueError(f"--resume can change {', '.join(CHANGEABLE)} only, not {'.'.join(keys)}")
        lay_over(values, {keys[0]: value})
    return Recipe.from_dict(values)
