"""Pictures from files of any size: one, or a folder of them sorted into classes."""

import os
import struct
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from minires.data.dataset import Dataset, stratified_split
from minires.data.disk import check_plain
from minires.data.folders import find_parts
from minires.kernels import Array

MAX_PIXELS = 50_000_000  # of a picture: half a gigabyte of memory and a few seconds; few cameras make more
LISTED = 50  # unreadable pictures named in a message


def load_image(
    path: str | Path, shape: tuple[int, int, int] = (3, 224, 224), max_pixels: int = MAX_PIXELS
) -> Array:
    """Read a picture as uint8 (C, H, W): turned upright, cut around its middle to the shape's form, and resized.

    C is 3 (RGB) or 1 (grey). What is transparent becomes white; 16 bits become 8. A small file can unpack to more than
    the memory holds: one of more than max_pixels is refused by its head, before it is unpacked. Pillow has a limit of
    its own, 178 million. ValueError that names the file and says what is wrong where it is no plain file, no picture,
    damaged, or too large; OSError where it cannot be opened.
    """
    from PIL import Image, ImageOps

    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"load_image: pictures have 1 or 3 channels, not {channels}")
    check_plain(path)
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # max_pixels is the limit here
    with open(path, "rb") as file:
        try:
            with Image.open(file) as image:
                if image.width * image.height > max_pixels:
                    raise ValueError(
                        f"{image.width} × {image.height} pixels are more than {max_pixels:,}; make the picture "
                        "smaller, or allow more with max_pixels (--max-pixels, --set data.max_pixels=…)"
                    )
                upright = ImageOps.exif_transpose(image)
                flat = flatten_mode(upright, "L" if channels == 1 else "RGB")
                fitted = ImageOps.fit(flat, (width, height), Image.Resampling.BICUBIC)
        # What Pillow raises for broken files, by format and place.
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
            reason = str(error) if str(error) and str(path) not in str(error) else "no picture that Pillow can read"
            raise ValueError(f"{path}: {reason}") from error
    pixels = np.asarray(fitted, np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def flatten_mode(image: Any, mode: str) -> Any:
    """Convert to mode "RGB" or "L"; transparent parts become white."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would cut all above 255 to white
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert(mode)
    return image.convert(mode)


def load_folder(
    folder: str | Path,
    image_size: int = 224,
    channels: int = 3,
    skip_bad: bool = False,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """Read `folder/class/**/*.png|jpg|bmp|…` as a `Dataset`: the classes are the folders' names, in order.

    All pictures are cut and resized to image_size × image_size and held in memory as uint8. Where there are `train` and
    `test` (or `val`, …, see `folders`) folders of classes, those are the two parts; else 20 % of each class, drawn with
    `seed`, are the test set. Files that are no pictures are left out, counted and named.
    skip_bad leaves out pictures that cannot be read and says how many; without it they are an error.
    max_pixels: of each picture, as of `load_image`.
    ValueError that names the unreadable pictures, an empty class, a folder without classes, classes that differ
    between the parts.
    """
    folder = Path(folder)
    if image_size < 1:
        raise ValueError(f"load_folder: image_size must be at least 1, got {image_size}")
    shape, limits = (channels, image_size, image_size), (skip_bad, max_pixels)
    train, test = find_parts(folder)
    classes = train.classes
    if test is not None and test.classes != classes:
        differ = ", ".join(sorted(set(classes) ^ set(test.classes)))
        raise ValueError(f"load_folder: {train.folder} and {test.folder} have different classes: {differ}")
    images, labels = read_pictures(train.paths, train.labels, classes, shape, *limits)
    if test is not None:
        test_images, test_labels = read_pictures(test.paths, test.labels, classes, shape, *limits)
        return Dataset(folder.name, images, labels, test_images, test_labels, classes)
    in_test = stratified_split(labels, 0.2, seed)
    if not in_test.any():
        raise ValueError(f"load_folder: {folder} has {len(images)} pictures, too few to test with a fifth of them")
    return Dataset(folder.name, images[~in_test], labels[~in_test], images[in_test], labels[in_test], classes)


def read_pictures(
    paths: Sequence[Path],
    labels: Array,
    classes: Sequence[str],
    shape: tuple[int, int, int],
    skip_bad: bool,
    max_pixels: int,
) -> tuple[Array, Array]:
    """Return images (N, C, H, W), uint8, and labels (N,) of the pictures that can be read."""

    def read(path: Path) -> Array | str:
        try:
            return load_image(path, shape, max_pixels)
        except (ValueError, OSError) as error:
            return str(error)

    images = np.empty((len(paths), *shape), np.uint8)
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
        for index, image in enumerate(threads.map(read, paths)):
            if isinstance(image, str):
                bad[index] = image
            else:
                images[index] = image
    if not bad:
        return images, labels
    listed = "\n".join([f"  {reason}" for reason in list(bad.values())[:LISTED]])
    if len(bad) > LISTED:
        listed += f"\n  … and {len(bad) - LISTED} more"
    counted = f"{len(bad)} of {len(paths)} pictures cannot be read"
    if not skip_bad:
        raise ValueError(f"load_folder: {counted} (skip_bad, --skip-bad, goes on without them):\n{listed}")
    good = np.delete(np.arange(len(paths)), list(bad))
    for label, name in enumerate(classes):
        if label not in labels[good]:
            raise ValueError(f"load_folder: the class {name} is empty: none of its pictures can be read:\n{listed}")
    print(f"minires: {counted}, going on without them:\n{listed}", file=sys.stderr)
    return images[good], labels[good]
