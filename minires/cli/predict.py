"""`minires predict`: what a trained run takes pictures for."""

import argparse
import contextlib
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a run's folder, such as runs/20260102-030405-train-resnet20")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures of any size and kind: png, jpg, webp, …")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes to name for each picture (5)")
    parser.add_argument("--invert", action="store_true",
                        help="swap dark and bright: MNIST and digits are white on black, your pen is not")
    parser.add_argument("--max-pixels", type=int, metavar="N", help="refuse pictures of more (50 million)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best, last, or a step's number (best)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return look_at(args)


def look_at(args: argparse.Namespace) -> int:
    """Print the most probable classes of each picture. Nothing is printed where one of them cannot be read."""
    import numpy as np

    from minires import runs
    from minires.data.image_files import MAX_PIXELS, load_image
    from minires.engine import Tensor, no_grad
    from minires.ops import softmax

    if args.top < 1:
        raise ValueError(f"--top must be at least 1, got {args.top}")
    model, recipe, _ = runs.load_model(args.run_folder, args.checkpoint)
    classes = recipe.dataset.classes
    channels, height, width = recipe.dataset.shape
    mean, std = (np.array(value, np.float32).reshape(-1, 1, 1) for value in (recipe.dataset.mean, recipe.dataset.std))
    most = MAX_PIXELS if args.max_pixels is None else args.max_pixels
    try:
        pixels = np.stack([load_image(path, (channels, height, width), most) for path in args.images])
    except OSError as error:
        message = f"{error.filename} cannot be opened ({error.strerror}); give the paths of pictures"
        raise OSError(message) from error
    if args.invert:
        pixels = 255 - pixels

    longest = max([len(name) for name in classes])
    for path, image in zip(args.images, pixels, strict=True):
        with no_grad():
            logits = model(Tensor((image[np.newaxis].astype(np.float32) - mean) / std))
            probabilities = softmax(logits).data[0]
        print(Path(path))
        for k in np.argsort(-probabilities, kind="stable")[: args.top]:
            bar = "█" * round(30 * float(probabilities[k]))
            print(f"  {classes[k]:{longest}}  {probabilities[k]:7.2%}  {bar}".rstrip())
    return 0
