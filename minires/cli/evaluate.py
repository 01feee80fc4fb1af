"""`minires evaluate`: the accuracy of a trained run, or of a file of weights, on images it was not trained with."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minires.cli.as_json import add_json, print_json

if TYPE_CHECKING:
    from minires.data import Dataset, Loader
    from minires.interop import About
    from minires.nn import Module


EXAMPLES = [
    ("minires evaluate runs/20260102-030405-train-resnet20", "a run"),
    ("minires evaluate --weights resnet20-cifar10", "a network that comes trained"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", nargs="?", metavar="RUN|NAME",
                        help="a run's folder, such as runs/20260102-030405-train-resnet20, or a name as for --weights")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best, last, or a step's number (best)")
    parser.add_argument("--weights", metavar="NAME|FILE",
                        help="in place of a run: see minires pretrained list, or a file, .safetensors, .pth, .pt, .th")
    parser.add_argument("--model", metavar="NAME", help="of a file that does not say it: resnet20, resnet18, …")
    parser.add_argument("--data", metavar="NAME", help="to test the file's network with: cifar10, a folder, …")
    parser.add_argument("--normalize", metavar="HOW",
                        help="as the file's images were: imagenet, cifar10, data (the set's own mean and std), or "
                        "MEAN/STD of pixels from 0 to 1, 0.485,0.456,0.406/0.229,0.224,0.225")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="an option of the file's model or of its data: model.stride_on=1x1 data.image_size=224")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (where they were)")
    add_json(parser)
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")


def run(args: argparse.Namespace) -> int:
    from minires import kernels
    from minires.interop import PRETRAINED

    if args.run_folder in PRETRAINED and args.weights is None and not Path(args.run_folder).is_dir():
        args.weights, args.run_folder = args.run_folder, None
    of_file = {"--model": args.model, "--data": args.data, "--normalize": args.normalize, "--set": args.set or None}
    if (args.run_folder is None) == (args.weights is None):
        other = "--weights FILE --model NAME --data NAME --normalize HOW"
        raise ValueError(f"minires evaluate takes a run's folder, or {other}")
    given = [name for name, value in of_file.items() if value is not None]
    if args.weights is None and given:
        raise ValueError(f"{', '.join(given)} are for --weights FILE; a run knows its own")
    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return evaluate_run(args) if args.weights is None else evaluate_weights(args)


@dataclass
class Answers:
    """What a network says of the images of a data set. predicted, labels: the numbers of classes."""

    classes: list[str]
    labels: Any
    predicted: Any
    probability: Any
    loss: float

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.labels).mean())

    @property
    def class_accuracy(self) -> dict[str, float]:
        """Of each class of which there are images."""
        found = {}
        for k, name in enumerate(self.classes):
            of_class = self.labels == k
            if of_class.any():
                found[name] = float((self.predicted[of_class] == k).mean())
        return found

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "images": len(self.labels),
            "loss": self.loss,
            "accuracy": self.accuracy,
            "classes": self.classes,
            "class_accuracy": self.class_accuracy,
        }

    def show(self, after: str) -> None:
        width = max([len(name) for name in [*self.classes, "class"]])
        print(f"{'class':{width}}  accuracy")
        for name, accuracy in self.class_accuracy.items():
            print(f"{name:{width}}  {accuracy:8.2%}")
        print(f"test accuracy {self.accuracy:.2%}, test loss {self.loss:.4f} on {len(self.labels)} images{after}")


def ask(model: "Module", loader: "Loader", classes: list[str]) -> Answers:
    """Send all images of a loader through a model."""
    from minires import training
    from minires.engine import Tensor
    from minires.ops import cross_entropy, softmax

    logits, labels = training.predict(model, loader)
    loss = cross_entropy(Tensor(logits), labels).item()
    probabilities = softmax(Tensor(logits)).numpy()
    return Answers(classes, Tensor(labels).numpy(), probabilities.argmax(axis=1), probabilities.max(axis=1), loss)


def evaluate_run(args: argparse.Namespace) -> int:
    """Evaluate on the test images; print the result, write it and every image's prediction into the run's folder."""
    from minires import runs
    from minires.runs import records
    from minires.runs.building import evaluation_loader, load_data
    from minires.runs.folder import as_configured

    folder = Path(args.run_folder)
    model, recipe, step = runs.load_model(folder, args.checkpoint)
    if args.data_dir:
        recipe.data.dir = args.data_dir
    with as_configured(folder):
        dataset = load_data(replace(recipe, validation=0))
        model.to(recipe.device)
    if dataset.classes != recipe.dataset.classes:
        raise ValueError(f"the data set {dataset.name} has other classes than the one {folder} was trained on")
    answers = ask(model, evaluation_loader(dataset.to(recipe.device), recipe), dataset.classes)
    result = {"data": dataset.name, "part": "test", "step": step, "checkpoint": args.checkpoint, **answers.facts}
    names, answered = answers.classes, enumerate(answers.probability.tolist())
    rows = [
        {"image": i, "label": names[answers.labels[i]], "prediction": names[answers.predicted[i]], "probability": p}
        for i, p in answered
    ]
    records.write_json(folder / "evaluation.json", result)
    records.write_csv(folder / "predictions.csv", rows)
    if args.json:
        print_json({"folder": str(folder), **result})
        return 0
    answers.show(f", after {step} steps")
    print(f"{folder}: evaluation.json, predictions.csv")
    return 0


def evaluate_weights(args: argparse.Namespace) -> int:
    """Evaluate a file of weights on the test images of a data set, and print the result."""
    from minires import data, interop
    from minires.data.pixel_units import normalization
    from minires.runs.building import EVALUATION_BATCH

    path = interop.weights_of(args.weights)
    about = interop.read_about(path)
    check_said(args, about, "model", "data", "normalize")
    options = settings_of(args.set)
    name = args.data or about.data
    dataset = data.load(name, data_dir=args.data_dir, **{**options_of_folder(name, about.shape), **options["data"]})
    if args.normalize is not None:
        (mean, std), how = normalization(args.normalize, dataset), f"as {args.normalize}"
    else:
        mean, std, how = np.array(about.mean, np.float32), np.array(about.std, np.float32), "as it was trained"
    model, name = model_of(path, args.model, options["model"], quiet=args.json)
    check_fits(args.weights, model, dataset)
    if about.classes and about.classes != dataset.classes:
        print(f"minires: {args.weights} knows {', '.join(about.classes)}; by their numbers they are taken for "
              f"{', '.join(dataset.classes)}", file=sys.stderr)  # fmt: skip
    images, labels = dataset.test_images, dataset.test_labels
    answers = ask(model, data.Loader(images, labels, EVALUATION_BATCH, False, mean=mean, std=std), dataset.classes)
    if args.json:
        said = {"weights": Path(args.weights).name, "model": name, "normalized": how, "data": dataset.name}
        print_json({**said, "part": "test", **answers.facts})
        return 0
    answers.show(f" of {dataset.name}: {Path(args.weights).name}, {name}, normalized {how}")
    return 0


def options_of_folder(name: str, shape: Sequence[int]) -> dict[str, Any]:
    """Say how a folder of pictures is to be read for a network of such images; nothing for other data."""
    from minires.data.registry import NAMES

    if name in NAMES or not shape or not Path(name).is_dir():
        return {}
    return {"image_size": shape[1], "channels": shape[0]}


def check_said(args: argparse.Namespace, about: "About", *names: str) -> None:
    """Refuse a file of weights where neither it nor the options say what must be known of it."""
    from minires.data.pixel_units import PUBLISHED_STATISTICS

    said = {"model": about.model, "data": about.data, "normalize": about.mean}
    missing = [f"--{name}" for name in names if getattr(args, name) is None and not said[name]]
    if missing:
        raise ValueError(
            "a file of weights does not say of which model it is, nor how its images were normalized: add "
            f"{', '.join(missing)}; --normalize is {', '.join(PUBLISHED_STATISTICS)}, data, or MEAN/STD of pixels "
            "from 0 to 1"
        )


def settings_of(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Sort model.KEY=VALUE and data.KEY=VALUE."""
    from minires.runs.settings import parsed

    options: dict[str, dict[str, Any]] = {"model": {}, "data": {}}
    for keys, value in map(parsed, settings):
        if len(keys) != 2 or keys[0] not in options:
            raise ValueError(f"--set takes options of the model and the data, model.KEY=VALUE, not {'.'.join(keys)}")
        options[keys[0]][keys[1]] = value
    return options


def model_of(path: Path, name: str | None, options: dict[str, Any], quiet: bool = False) -> tuple["Module", str]:
    """Make the model that a file's arrays are of, load them, and say so unless `quiet`; return it and its name."""
    from minires import interop

    options = dict(options)
    model, about, loaded = interop.load_network(path, name, options, fused=options.pop("fused", None))
    if not quiet:
        print(f"{path}: {len(loaded.names)} arrays loaded", *loaded.notes, sep="\n  ")
    return model, about.model


def check_fits(weights: str, model: "Module", dataset: "Dataset") -> None:
    """Refuse a data set whose images or classes the network cannot be asked about."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    channels, classes = shapes["conv1.weight"][1], shapes["fc.weight"][0]
    if channels != dataset.shape[0]:
        theirs = f"those of {dataset.name} have {dataset.shape[0]}"
        raise ValueError(f"{weights} takes images of {channels} channels, {theirs}")
    if classes != len(dataset.classes):
        raise ValueError(f"{weights} knows {classes} classes, {dataset.name} has {len(dataset.classes)}")
