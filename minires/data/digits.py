"""The shipped data set: 1797 real handwritten digits of 8×8 pixels, in `digits.npz` beside this file.

It is the test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998), UCI Machine
Learning Repository, doi 10.24432/C50P49, CC BY 4.0. No network is needed.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from minires.data.dataset import Dataset, stratified_split

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PATH = Path(__file__).with_name("digits.npz")
SPLITS = ("random", "last360")


def load_digits(split: str = "random") -> tuple[Floats, Labels, Floats, Labels]:
    """Return train images, train labels, test images, test labels: images float32 (N, 1, 8, 8), labels int64 (N,).

    split="random": 20 % of each digit are the test set, drawn with seed 0. split="last360": the last 360 images of the
    file, which are harder: they resemble the training images less.
    Images are standardized with the training pixels' mean and standard deviation. ValueError for an unknown split.
    """
    pixels, labels, in_test = read_digits(split)
    train_pixels = pixels[~in_test]
    mean, std = float(train_pixels.mean()), float(train_pixels.std())
    images = ((pixels[:, np.newaxis] - mean) / std).astype(np.float32)
    return images[~in_test], labels[~in_test], images[in_test], labels[in_test]


def digits_dataset(split: str = "random") -> Dataset:
    """Return the digits as a `Dataset`, split as by `load_digits`: uint8 images (N, 1, 8, 8).

    The file's values 0 to 16 are stored times 15, 0 to 240: normalized with the data set's mean and std they are those
    of `load_digits`, and an ordinary grey picture, 0 to 255, is of the same brightness.
    """
    pixels, labels, in_test = read_digits(split)
    images = 15 * pixels[:, np.newaxis]
    return Dataset("digits", images[~in_test], labels[~in_test], images[in_test], labels[in_test])


def read_digits(split: str) -> tuple[npt.NDArray[np.uint8], Labels, npt.NDArray[np.bool_]]:
    """Return pixels (N, 8, 8), labels (N,), and which images are the test set, bool (N,)."""
    if split not in SPLITS:
        raise ValueError(f"load_digits: unknown split {split!r}; known: {', '.join(SPLITS)}")
    with np.load(PATH) as file:
        pixels, labels = file["images"], file["labels"].astype(np.int64)
    if split == "random":
        return pixels, labels, stratified_split(labels, 0.2)
    in_test = np.zeros(len(labels), bool)
    in_test[-360:] = True
    return pixels, labels, in_test
