"""A data set in memory: images and labels to train and to test with, and what a network must know of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minires.kernels import Array, kernels_for
from minires.kernels.devices import to_device


class Dataset:
    """Images and labels in two parts, and the names of the classes.

        dataset = Dataset("mine", train_images, train_labels, test_images, test_labels, ["cat", "dog"])

    images: (N, C, H, W), uint8 (0 to 255) or float32; labels: integers (N,), 0 to len(classes) - 1, kept as int64.
    classes: their names; None names them "0", "1", … up to the largest label.
    mean, std: float32 (C,), of each channel of the training images, in the units of the stored pixels; a `Loader` given
    both turns pixels into (pixel - mean) / std. A channel that never changes has std 1.
    TypeError for what is no array and for other dtypes; ValueError for shapes that differ, empty parts, labels outside
    the classes, pixels that are no finite numbers.
    """

    def __init__(
        self,
        name: str,
        train_images: Array,
        train_labels: Array,
        test_images: Array,
        test_labels: Array,
        classes: Sequence[str] | None = None,
    ) -> None:
        check_part(f"Dataset {name}: train", train_images, train_labels)
        check_part(f"Dataset {name}: test", test_images, test_labels)
        if train_images.shape[1:] != test_images.shape[1:] or train_images.dtype != test_images.dtype:
            raise ValueError(
                f"Dataset {name}: the images to train with are {train_images.shape[1:]} {train_images.dtype}, those to "
                f"test with {test_images.shape[1:]} {test_images.dtype}; they must be alike"
            )
        lowest = min(int(train_labels.min()), int(test_labels.min()))
        highest = max(int(train_labels.max()), int(test_labels.max()))
        names = [str(k) for k in range(highest + 1)] if classes is None else [str(label) for label in classes]
        if lowest < 0 or highest >= len(names):
            raise ValueError(
                f"Dataset {name}: labels run from {lowest} to {highest}, but there are {len(names)} classes, "
                f"0 to {len(names) - 1}"
            )
        self.name = name
        self.train_images = train_images
        self.train_labels = train_labels.astype(np.int64)
        self.test_images = test_images
        self.test_labels = test_labels.astype(np.int64)
        self.classes = names
        self.mean, self.std = channel_statistics(train_images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, H, W)."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def hold_out(self, count: int, seed: int = 0) -> "Dataset":
        """Return a data set that tests with `count` of the training images, drawn at random, and trains with the rest.

        This is how a recipe is chosen without looking at the test images: He et al. (2015), section 4.2, train on
        45 000 images of CIFAR-10 and validate on 5 000. ValueError for a count that leaves either part empty.
        """
        total = len(self.train_images)
        if not 0 < count < total:
            raise ValueError(f"Dataset.hold_out: count must be between 1 and {total - 1}, got {count}")
        order = np.random.default_rng(seed).permutation(total)
        xp = kernels_for(self.train_images).xp
        test, train = xp.asarray(np.sort(order[:count])), xp.asarray(np.sort(order[count:]))
        images, labels = self.train_images, self.train_labels
        return Dataset(self.name, images[train], labels[train], images[test], labels[test], self.classes)

    def only(self, classes: Sequence[str]) -> "Dataset":
        """Return a data set of these classes alone, numbered in the order given.

        ValueError for classes that are unknown, named twice or none.
        """
        unknown = [name for name in classes if name not in self.classes]
        known = f"the classes of {self.name} are {', '.join(self.classes)}"
        if unknown:
            raise ValueError(f"Dataset.only: unknown classes {', '.join(unknown)}; {known}")
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f"Dataset.only: name each class once, at least one, got {list(classes)}; {known}")
        number = np.full(len(self.classes), -1)
        number[[self.classes.index(name) for name in classes]] = np.arange(len(classes))
        number = kernels_for(self.train_labels).xp.asarray(number)
        train, test = number[self.train_labels], number[self.test_labels]
        train_images, test_images = self.train_images[train >= 0], self.test_images[test >= 0]
        return Dataset(self.name, train_images, train[train >= 0], test_images, test[test >= 0], classes)

    def to(self, device: str) -> "Dataset":
        """Return the data set with its images and labels on a device ("cpu", "cuda"); mean and std stay on the CPU."""
        moved = object.__new__(Dataset)
        moved.__dict__.update(self.__dict__)
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            setattr(moved, name, to_device(getattr(self, name), device))
        return moved

    def summary(self) -> dict[str, Any]:
        """Return what a run must remember of its data, ready for JSON: name, shape, sizes, classes, mean, std."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "train_images": len(self.train_images),
            "test_images": len(self.test_images),
            "classes": self.classes,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    def __repr__(self) -> str:
        sizes = f"{len(self.train_images)} + {len(self.test_images)} images"
        return f"Dataset({self.name}, {sizes} {self.shape} {self.train_images.dtype}, {len(self.classes)} classes)"


def check_part(what: str, images: Array, labels: Array) -> None:
    """Refuse images and labels that do not make up a part of a data set."""
    for name, array in (("images", images), ("labels", labels)):
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise TypeError(f"{what} {name} must be an array, got {type(array).__name__}")
    if images.dtype not in (np.uint8, np.float32):
        cure = "images.astype(np.float32)" if images.dtype.kind == "f" else "images.astype(np.uint8), of 0 to 255"
        raise TypeError(f"{what} images must be uint8 or float32, got {images.dtype}: {cure}")
    check_layout(what, images, labels)
    if labels.dtype.kind not in "iu":
        cure = "labels.astype(np.int64)" if labels.dtype.kind in "fb" else "give the number of each image's class"
        raise TypeError(f"{what} labels must be integers, got {labels.dtype}: {cure}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{what} images must be of shape (N, C, H, W), none of them 0, got {images.shape}")
    if images.dtype == np.float32 and not bool(kernels_for(images).xp.isfinite(images).all()):
        raise ValueError(f"{what} images hold values that are no finite numbers")


def check_layout(what: str, images: Array, labels: Array) -> None:
    """ValueError, with the line that mends it, for images whose channels come last or are missing, and other labels."""
    cure = ""
    if images.ndim == 4 and images.shape[3] in (1, 3, 4) and images.shape[1] > 4:
        cure = "the channels come last: images.transpose(0, 3, 1, 2)"
    elif images.ndim == 3:
        cure = "the axis of channels is missing: images[:, np.newaxis]"
    elif images.ndim == 2:
        flat = {size * size * C: f"images.reshape(-1, {C}, {size}, {size})" for size in (8, 28, 32) for C in (1, 3)}
        cure = f"they are flat: {flat.get(images.shape[1], 'images.reshape(-1, C, H, W)')}"
    if cure:
        raise ValueError(f"{what} images must be of shape (N, C, H, W), none of them 0, got {images.shape}; {cure}")
    if labels.shape == images.shape[:1]:
        return
    cure = ""
    if labels.ndim == 2 and len(labels) == len(images):
        cure = ": labels[:, 0]" if labels.shape[1] == 1 else ": labels.argmax(axis=1), if each row marks one class"
    raise ValueError(f"{what} images {images.shape} need labels of shape {images.shape[:1]}, got {labels.shape}{cure}")


def channel_statistics(images: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each channel, float32 (C,): of uint8 images from exact integer sums."""
    channels = images.shape[1]
    wide = np.uint32 if images.dtype == np.uint8 else np.float64  # 255² does not fit into 8 bits
    total, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images), 256):  # in pieces, so that no wide copy of all images is made
        for channel in range(channels):
            pixels: Array = images[start : start + 256, channel].astype(wide)
            total[channel] += float(pixels.sum())
            squares[channel] += float((pixels * pixels).sum())
    count = images.size // channels
    mean = total / count
    var = squares / count - mean**2
    std = np.sqrt(np.maximum(var, 0))
    std[std == 0] = 1
    return mean.astype(np.float32), std.astype(np.float32)


def stratified_split(labels: Array, fraction: float, seed: int = 0) -> Array:
    """Choose a fraction of each class at random: a bool array (N,), True for the images to test with."""
    generator = np.random.default_rng(seed)
    in_test = np.zeros(len(labels), bool)
    for label in range(int(labels.max()) + 1):
        indices = np.flatnonzero(labels == label)
        in_test[generator.permutation(indices)[: round(fraction * len(indices))]] = True
    return in_test
