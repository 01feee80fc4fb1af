"""`minires predict`: what a trained network takes pictures for, and which pixels it goes by."""

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
    from minires.interop import About
    from minires.kernels import Array
    from minires.nn import Module

DEFAULT = "resnet20-cifar10"
TOP = 5  # classes
ORIENTATION = 0x0112  # the tag of a picture that says how the camera was held; from 5 on it lay on its side
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


EXAMPLES = [
    ("minires predict photo.jpg", "with a network that comes trained"),
    ("minires predict photo.jpg --explain", "and which pixels it goes by"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="[RUN|NAME] IMAGE",
                        help="pictures of any size and kind: png, jpg, webp, …; before them a run's folder, such as "
                        "runs/20260102-030405-train-resnet20, or a name of minires pretrained list, where its network "
                        f"is to look at them and not {DEFAULT}")
    parser.add_argument("--weights", metavar="NAME|FILE",
                        help=f"in place of a run: see minires pretrained list, or a file of weights ({DEFAULT})")
    parser.add_argument("--model", metavar="NAME", help="of a file that does not say it: resnet20, resnet18, …")
    parser.add_argument("--data", metavar="NAME", help="of such a file: the data set whose classes it knows")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where that data set's files are (the usual place)")
    parser.add_argument("--normalize", metavar="HOW", help="of such a file: imagenet, cifar10, data or MEAN/STD")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="of such a file, what its arrays do not say: model.stride_on=1x1 (once for each)")
    parser.add_argument("--top", type=int, metavar="N", help="classes to name for each picture (5)")
    parser.add_argument("--explain", action="store_true",
                        help="draw which pixels the answer hangs on: the gradient at the pixels beside the picture")
    parser.add_argument("--out", metavar="FILE", help="with --explain: the figure (explain.png)")
    parser.add_argument("--invert", action="store_true",
                        help="swap dark and bright: MNIST and digits are white on black, your pen is not")
    parser.add_argument("--max-pixels", type=int, metavar="N", help="refuse pictures of more (50 million)")
    parser.add_argument("--checkpoint", metavar="WHICH", help="of a run: best, last, or a step's number (best)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    add_json(parser, "print the answers as JSON, of all classes unless --top says how many")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return look_at(args)


@dataclass(frozen=True)
class Answer:
    """What a network says of a picture. pixels: uint8 (C, H, W), as it sees them. order: classes, the surest first."""

    path: str
    pixels: "Array"
    probabilities: "Array"
    order: "Array"


def look_at(args: argparse.Namespace) -> int:
    """Print the most probable classes of each picture. Nothing is printed where one of them cannot be read."""
    from minires.interop import PRETRAINED

    if args.top is not None and args.top < 1:
        raise ValueError(f"--top must be at least 1, got {args.top}")
    first = args.paths[0]
    if first in PRETRAINED and args.weights is None and len(args.paths) > 1 and not Path(first).exists():
        args.weights, args.paths = first, args.paths[1:]  # a name where a run's folder could be
    paths = pictures_of(args)
    figure = figure_path(args, paths)
    model, about = network_of(args)
    pixels = read_pictures(paths, about.shape, args.max_pixels)
    if args.invert:
        pixels = 255 - pixels
    answers = [ask(path, model, about, image) for path, image in zip(paths, pixels, strict=True)]
    drawn = None if figure is None else explain(answers, model, about, figure)
    if args.json:
        pictures = [facts_of(answer, about.classes, args.top) for answer in answers]
        print_json({"model": about.model, "pictures": pictures, "figure": drawn and str(drawn)})
        return 0
    for answer in answers:
        show(answer, about.classes, args.top or TOP)
    if drawn is not None:
        print(drawn)
    return 0


def pictures_of(args: argparse.Namespace) -> list[str]:
    """Return the paths of the pictures. ValueError where there are none, and for options that have no meaning here."""
    with_run = Path(args.paths[0]).is_dir()
    of_weights = {"--weights": args.weights, "--model": args.model, "--data": args.data, "--normalize": args.normalize,
                  "--set": args.set or None}  # fmt: skip
    if with_run:
        given = [name for name, value in of_weights.items() if value is not None]
        if given:
            raise ValueError(f"{', '.join(given)} and the run {args.paths[0]}: give one or the other")
        if len(args.paths) == 1:
            raise ValueError(f"{args.paths[0]} is a folder: give the paths of pictures, alone or after a run's folder")
        if not (Path(args.paths[0]) / "config.json").exists() and Path(args.paths[1]).is_dir():
            raise ValueError(f"{args.paths[0]} and {args.paths[1]} are folders: give the paths of the pictures in them")
    elif args.checkpoint is not None:
        raise ValueError(f"--checkpoint is of a run, and {args.paths[0]} is no run's folder")
    return list(args.paths[with_run:])


def figure_path(args: argparse.Namespace, pictures: Sequence[str]) -> Path | None:
    """Return where the figure goes, None where none is wanted. ValueError for a place that it must not have."""
    if not args.explain:
        if args.out:
            raise ValueError("--out is for --explain")
        return None
    path = Path(args.out or "explain.png")
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out: the figure is a PNG file, so its name ends in .png, not as {path.name}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--out: there is no folder {path.parent}")
    if path.resolve() in [Path(picture).resolve() for picture in pictures]:
        raise ValueError(f"the figure would take the place of the picture {path}; choose another with --out")
    return path


def network_of(args: argparse.Namespace) -> tuple["Module", "About"]:
    """Return the network and what is known of its images: of a run, a name, or a file of weights."""
    from minires import interop, runs
    from minires.cli.evaluate import check_said, settings_of
    from minires.interop.trained import about_recipe

    if Path(args.paths[0]).is_dir():
        model, recipe, _ = runs.load_model(args.paths[0], args.checkpoint or "best")
        return model, about_recipe(recipe)
    path = interop.weights_of(args.weights or DEFAULT)
    check_said(args, interop.read_about(path), "model", "normalize")
    settings = settings_of(args.set)
    model, about, _ = interop.load_network(path, args.model, settings["model"])
    return model, completed(about, args, settings["data"])


def completed(about: "About", args: argparse.Namespace, data_options: dict[str, Any]) -> "About":
    """Return what is known of a file's images and what the options say of them, which goes first."""
    from minires import data
    from minires.cli.evaluate import options_of_folder
    from minires.data.pixel_units import normalization

    channels, classes = about.options["in_channels"], about.options["num_classes"]
    side = 224 if about.options["stem"] == "imagenet" else 32
    shape = about.shape or [channels, side, side]
    names = about.classes or [str(k) for k in range(classes)]
    mean, std = about.mean, about.std
    if args.data is not None:
        data_options = {**options_of_folder(args.data, shape), **data_options}
        dataset = data.load(args.data, data_dir=args.data_dir, **data_options)
        shape, names = list(dataset.shape), dataset.classes
    else:
        nothing, zero = np.zeros((1, *shape), np.uint8), np.zeros(1, np.int64)
        dataset = data.Dataset("pictures", nothing, zero, nothing, zero)
    if len(names) != classes or shape[0] != channels:
        takes = f"the network takes images of {channels} channels and knows {classes} classes"
        raise ValueError(f"{takes}; {args.data or 'the file'} has {shape[0]} and {len(names)}")
    if args.normalize == "data" and args.data is None:
        raise ValueError("--normalize data is of a data set: say which, with --data")
    if args.normalize is not None:
        mean, std = (numbers.tolist() for numbers in normalization(args.normalize, dataset))
    return replace(about, data=args.data or about.data, shape=shape, classes=names, mean=mean, std=std)


def read_pictures(paths: Sequence[str], shape: Sequence[int], max_pixels: int | None) -> "Array":
    """Return the pictures as the network takes them, uint8 (N, C, H, W), and say which had to be changed for it."""
    from minires.data.image_files import MAX_PIXELS, load_image

    channels, height, width = shape
    most = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        pixels = np.stack([load_image(path, (channels, height, width), most) for path in paths])
    except OSError as error:
        message = f"{error.filename} cannot be opened ({error.strerror}); give the paths of pictures"
        raise OSError(message) from error
    for line in changes(paths, (channels, height, width)):
        print(f"minires: {line}", file=sys.stderr)
    return pixels


def changes(paths: Sequence[str], shape: tuple[int, int, int]) -> list[str]:
    """Say what was done to pictures of another size, form or colour than the network's."""
    from PIL import Image

    channels, height, width = shape
    resized: list[str] = []
    cut: list[str] = []
    grey: list[str] = []
    coloured: list[str] = []
    for path in paths:
        with Image.open(path) as image:
            size = image.size if image.getexif().get(ORIENTATION, 1) < 5 else image.size[::-1]
            has_colour = image.mode not in GREY_MODES
        if size != (width, height):
            resized.append(f"{path} ({size[0]} × {size[1]})")
        if size[0] * height != size[1] * width:
            cut.append(path)
        (coloured if has_colour else grey).append(path)
    lines = []
    if resized:
        how = "cut around the middle and resized" if cut else "resized"
        lines.append(f"{how} to the {width} × {height} pixels that the network knows: {listed(resized)}")
    if channels == 3 and grey:
        lines.append(f"grey, where the network knows colours: {listed(grey)}")
    if channels == 1 and coloured:
        lines.append(f"made grey, since the network knows no colours: {listed(coloured)}")
    return lines


def listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join([*names[:most], *[f"and {len(names) - most} more"] * (len(names) > most)])


def ask(path: str, model: "Module", about: "About", pixels: "Array") -> Answer:
    """Send one picture through the network."""
    from minires.engine import Tensor, no_grad
    from minires.ops import softmax

    mean, std = (np.array(value, np.float32).reshape(-1, 1, 1) for value in (about.mean, about.std))
    with no_grad():
        logits = model(Tensor((pixels[np.newaxis].astype(np.float32) - mean) / std))
        probabilities = softmax(logits).data[0]
    return Answer(path, pixels, probabilities, np.argsort(-probabilities, kind="stable"))


def facts_of(answer: Answer, classes: Sequence[str], top: int | None) -> dict[str, Any]:
    """Return a picture's answer. classes: the surest first."""
    surest = [{"class": classes[k], "probability": float(answer.probabilities[k])} for k in answer.order[:top]]
    return {"path": answer.path, "classes": surest}


def show(answer: Answer, classes: Sequence[str], top: int) -> None:
    longest = max([len(name) for name in classes])
    print(Path(answer.path))
    for k in answer.order[:top]:
        probability = float(answer.probabilities[k])
        print(f"  {classes[k]:{longest}}  {probability:7.2%}  {'█' * round(30 * probability)}".rstrip())


def explain(answers: Sequence[Answer], model: "Module", about: "About", figure: Path) -> Path:
    """Draw which pixels the surest class of each picture hangs on."""
    from minires import plots
    from minires.lab.saliency import pixel_gradients

    pixels = np.stack([answer.pixels for answer in answers[: plots.MOST_PICTURES]])
    surest = [int(answer.order[0]) for answer in answers]
    titles = [f"{about.classes[k]}, {answer.probabilities[k]:.1%}" for k, answer in zip(surest, answers, strict=True)]
    gradients = pixel_gradients(model, pixels, surest[: len(pixels)], about.mean, about.std)
    names = [Path(answer.path).name for answer in answers]
    return plots.saliency(pixels, gradients, names, titles, figure)
