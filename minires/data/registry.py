"""Every data set by its name: `load("cifar10")`, and by its path: `load("my_pictures")`, `load("arrays.npz")`."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from minires.data.cifar import CIFAR10, CIFAR100
from minires.data.dataset import Dataset
from minires.data.digits import digits_dataset
from minires.data.idx import FASHION_MNIST, KMNIST, MNIST
from minires.data.image_files import load_folder
from minires.data.published import PublishedSet

PUBLISHED: dict[str, PublishedSet] = {entry.name: entry for entry in (CIFAR10, CIFAR100, MNIST, FASHION_MNIST, KMNIST)}
NAMES = ("digits", *PUBLISHED)
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load(name: str | Path, data_dir: str | Path | None = None, **options: Any) -> Dataset:
    """Return a data set.

        load("digits", split="last360")                  shipped; split as in `load_digits`
        load("cifar10")                                  downloaded once, into data_dir, $MINIRES_DATA or a cache;
                                                         "cifar100", "mnist", "fashion-mnist", "kmnist" likewise
        load("pictures", image_size=64, skip_bad=True)   a folder of classes; options as of `load_folder`
        load("arrays.npz")                               train_images, train_labels, test_images, test_labels and,
                                                         if there, classes: arrays as a `Dataset` takes them

    A name goes before a folder of the same name: write "./digits" for the folder. ValueError for an unknown name,
    damaged or foreign files; TypeError for options the data set does not have; OSError where a download fails.
    """
    path = Path(name)
    if name in PUBLISHED:
        check_options(name, options)
        return PUBLISHED[str(name)].load(data_dir)
    if name == "digits":
        check_options(name, options, "split")
        return digits_dataset(**options)
    if path.is_dir():
        check_options(name, options, "image_size", "channels", "skip_bad", "seed", "max_pixels")
        return load_folder(path, **options)
    if path.suffix == ".npz" and path.is_file():
        check_options(name, options)
        return load_arrays(path)
    raise ValueError(
        f"data.load: unknown data set {str(name)!r}; known: {', '.join(NAMES)}, or the path of a folder of pictures "
        "(FOLDER/class/*.png) or of a .npz file that exists"
    )


def check_options(name: str | Path, options: Collection[str], *known: str) -> None:
    unknown = [option for option in options if option not in known]
    if unknown:
        has = f"the options {', '.join(known)}" if known else "no options"
        raise TypeError(f"data.load: {name} takes {has}, got {', '.join(unknown)}")


def load_arrays(path: Path) -> Dataset:
    """Read a .npz file, never a pickle. ValueError for a damaged file, a missing array, one of Python objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}; it has {', '.join(file) or 'nothing'}")
            arrays = [file[name] for name in ARRAYS]
            classes = file["classes"].tolist() if "classes" in file else None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no data set: {error}") from error
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(path.stem, train_images, train_labels, test_images, test_labels, classes)
