"""`minires finetune`: train a trained network further, on other classes or other pictures."""

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minires.nn import Module


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN|FILE", help="a run's folder, or a .safetensors file of weights")
    parser.add_argument("--data", required=True, metavar="NAME", help="a folder of classes of pictures, or digits, …")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="of the data set, these classes alone")
    parser.add_argument("--freeze", nargs="+", default=[], metavar="PATTERN",
                        help="parameters to keep: 'layer1.*' '*bn?.*', or '[!f]*', all but fc (none)")
    parser.add_argument("--head-factor", type=float, default=10.0, metavar="X",
                        help="the new head learns so much faster than the rest (10)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="of the run: best, last or a step (best)")
    parser.add_argument("--model", metavar="NAME", help="of a file of weights: resnet18, resnet50, resnet20, …")
    parser.add_argument("--recipe", default="finetune", metavar="NAME", help="as for minires train (finetune)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="override any value of the recipe: epochs=5 optimizer.lr=0.001")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (the usual place)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out pictures that cannot be read")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the new head, batches and augmentation (0)")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return train_on(args)


def train_on(args: argparse.Namespace) -> int:
    """Take over the source's weights, all but the head, and train."""
    from minires import runs
    from minires.runs import recipe as recipes
    from minires.runs import records

    if args.head_factor < 0:
        raise ValueError(f"--head-factor must be at least 0, got {args.head_factor}")
    source, options, known = read_source(args)
    configuration = recipes.resolve(args.recipe, args.set, model=options["name"], data=args.data, seed=args.seed)
    configuration["model"] = {**options, **configuration["model"]}
    configuration["data"] |= data_options(args, configuration["data"], known["shape"])
    configuration["finetune"] = {
        "source": args.source,
        "freeze": args.freeze,
        "head_factor": args.head_factor,
        "mean": known.get("mean"),
        "std": known.get("std"),
    }
    trainer = runs.build(configuration, source.state_dict())
    trained = sum([parameter.size for group in trainer.optimizer.param_groups for parameter in group["params"]])
    total = sum([parameter.size for parameter in trainer.parameters])
    print(f"{args.source}: all but the head taken over; {trained:,} of {total:,} parameters are trained on")
    folder = records.new_run(args.out, "finetune", configuration["model"]["name"], configuration)
    with records.lock(folder):
        return runs.carry_out(folder, trainer, configuration, "finetune")


def read_source(args: argparse.Namespace) -> tuple["Module", dict[str, Any], dict[str, Any]]:
    """Return the trained network, what its maker was told, and what is known of its images: shape, mean and std."""
    from minires import interop, models, runs
    from minires.runs import recipe as recipes

    path = Path(args.source)
    if path.is_dir():
        if args.model is not None:
            raise ValueError(f"--model is for files of weights; what {path} trained stands in its config.json")
        model, configuration, _ = runs.load_model(path, args.checkpoint)
        options = runs.model_options(configuration)
        options.pop("num_classes")
        return model, options, configuration["dataset"]
    if not path.exists():
        raise ValueError(f"there is no {path}: the source is a run's folder or a .safetensors file")
    if args.model is None:
        raise ValueError("a file of weights does not say which model they are of: add --model, such as resnet18")
    arrays = interop.read_weights(path)
    options = interop.options_of(arrays)
    for keys, value in map(recipes.parsed, args.set):
        if keys[0] == "model" and len(keys) == 2:
            options[keys[1]] = value
    model = models.make(args.model, **options, init=None)
    interop.load_weights(model, path)
    side = 224 if options["stem"] == "imagenet" else 32
    options.pop("num_classes")
    return model, {"name": args.model, **options}, {"shape": [options["in_channels"], side, side]}


def data_options(args: argparse.Namespace, given: dict[str, Any], shape: list[int]) -> dict[str, Any]:
    """Return the options of the data set: its classes, and for a folder the size and channels the network knows."""
    from minires.data.registry import NAMES

    options: dict[str, Any] = {"classes": args.classes} if args.classes else {}
    if args.data_dir:
        options["dir"] = str(Path(args.data_dir).resolve())
    if args.data not in NAMES and Path(args.data).is_dir():
        options |= {"name": str(Path(args.data).resolve()), "channels": shape[0], "skip_bad": args.skip_bad}
        options["image_size"] = given.get("image_size", shape[1])
    return options
