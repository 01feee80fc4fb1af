"""Augmentation: small random changes that leave an image's class as it is, for a whole batch at once.

An augmentation says how many random numbers it needs for an image (`draws`) and is called with the batch and those
numbers, float64 (N, draws) in [0, 1). It draws nothing itself, so an image's fate in an epoch is decided by whoever
numbers the images, the `Loader`, and not by the batch it happens to be in. Arrays stay on their device and keep their
dtype. N images, C channels, H×W pixels.
"""

import math
from collections.abc import Sequence

import numpy as np

from minires.kernels import Array, kernels_for


class RandomCrop:
    """Pad each side by `padding` zeros (black) and cut an H×W window at a random place.

    With padding 4, and a flip, this is the augmentation of He et al. (2015), section 4.2.
    ValueError for a padding below 1.
    """

    draws = 2

    def __init__(self, padding: int = 4) -> None:
        if padding < 1:
            raise ValueError(f"RandomCrop: padding must be at least 1, got {padding}")
        self.padding = padding

    def __call__(self, images: Array, draws: Array) -> Array:
        xp = kernels_for(images).xp
        N, C, H, W = images.shape
        p = self.padding
        padded = xp.zeros((N, C, H + 2 * p, W + 2 * p), images.dtype)
        padded[:, :, p : p + H, p : p + W] = images
        shape, strides = (N, C, 2 * p + 1, 2 * p + 1, H, W), padded.strides + padded.strides[2:]
        windows = xp.lib.stride_tricks.as_strided(padded, shape, strides)  # all windows, a view: nothing is copied
        top, left = xp.asarray((draws * (2 * p + 1)).astype(np.int64).T)
        return windows[xp.arange(N), :, top, left]

    def __repr__(self) -> str:
        return f"RandomCrop(padding={self.padding})"


class RandomHorizontalFlip:
    """Mirror left and right, with probability p. ValueError for a p outside 0 to 1."""

    draws = 1

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must be between 0 and 1, got {p}")
        self.p = p

    def __call__(self, images: Array, draws: Array) -> Array:
        xp = kernels_for(images).xp
        flipped = xp.asarray(np.flatnonzero(draws[:, 0] < self.p))  # a mask would make a GPU count, and the CPU wait
        images = images.copy()
        images[flipped] = images[flipped, :, :, ::-1]
        return images

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomResizedCrop:
    """Cut a rectangle of random area and shape at a random place and stretch it to H×W.

    The area is drawn from scale × the image's, width/height from ratio, evenly in its logarithm; a side that would be
    longer than the image's is cut to it. Bilinear interpolation between pixel centres. Szegedy et al. (2015),
    "Going Deeper with Convolutions", section 6. ValueError for ranges that are not 0 < low <= high (scale: high <= 1).
    """

    draws = 4

    def __init__(self, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        if not (0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1]):
            raise ValueError(
                f"RandomResizedCrop: scale and ratio must be ranges above 0, scale up to 1, got {scale} and {ratio}"
            )
        self.scale = scale
        self.ratio = ratio

    def __call__(self, images: Array, draws: Array) -> Array:
        H, W = images.shape[2:]
        area = self.scale[0] + draws[:, 0] * (self.scale[1] - self.scale[0])
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = np.exp(low + draws[:, 1] * (high - low))
        height = np.minimum(np.sqrt(area * H * W / ratio), H)
        width = np.minimum(np.sqrt(area * H * W * ratio), W)
        top = draws[:, 2] * (H - height)
        left = draws[:, 3] * (W - width)
        cut = interpolate(images, top, height, axis=2)
        cut = interpolate(cut, left, width, axis=3)
        return cut if images.dtype != np.uint8 else (cut + 0.5).astype(np.uint8)

    def __repr__(self) -> str:
        return f"RandomResizedCrop(scale={self.scale}, ratio={self.ratio})"


def interpolate(images: Array, start: Array, length: Array, axis: int) -> Array:
    """Stretch the stretch from `start` over `length`, (N,) each, of one axis to the whole axis; float32 out."""
    xp = kernels_for(images).xp
    size = images.shape[axis]
    centres = start[:, None] + (np.arange(size) + 0.5) * (length[:, None] / size) - 0.5  # (N, size), in pixels
    centres = np.clip(centres, 0, size - 1)
    first = centres.astype(np.int64)
    weight = (centres - first).astype(np.float32)
    shape = [1, 1, 1, 1]
    shape[0], shape[axis] = weight.shape
    first, weight = xp.asarray(first.reshape(shape)), xp.asarray(weight.reshape(shape))
    before = xp.take_along_axis(images, first, axis).astype(np.float32)
    after = xp.take_along_axis(images, xp.minimum(first + 1, size - 1), axis).astype(np.float32)
    return before + weight * (after - before)


class Cutout:
    """Paint a square around a random pixel over, in one colour; what of it lies outside the image is cut off.

    size: of its side in pixels; None is half the image's shorter side, 16 for CIFAR. fill: the colour, one number for
    each channel: the mean of the images, which the normalization makes 0; None is black. DeVries and Taylor, "Improved
    regularization of convolutional neural networks with Cutout", 2017. ValueError for a size below 1.
    """

    draws = 2

    def __init__(self, size: int | None = None, fill: Array | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"Cutout: size must be at least 1, got {size}")
        self.size = size
        self.fill = fill

    def __call__(self, images: Array, draws: Array) -> Array:
        xp = kernels_for(images).xp
        N, C, H, W = images.shape
        size = self.size or max(1, min(H, W) // 2)
        top, left = xp.asarray((draws * (H, W)).astype(np.int64).T - size // 2)
        rows, columns = xp.arange(H) - top[:, None], xp.arange(W) - left[:, None]
        in_rows, in_columns = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
        hidden = in_rows[:, None, :, None] & in_columns[:, None, None, :]
        fill = np.zeros(C) if self.fill is None else np.asarray(self.fill)
        colour = xp.asarray((fill + 0.5 * (images.dtype == np.uint8)).astype(images.dtype))
        return xp.where(hidden, colour[:, None, None], images)

    def __repr__(self) -> str:
        return f"Cutout(size={self.size})"


def mixup(
    images: Array, labels: Array, classes: int, alpha: float, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Mix a batch with itself in another order: λ · image + (1 − λ) · other, and their labels likewise.

    images: float (N, C, H, W); labels: (N,). Returns images, and soft labels (N, classes) in the images' dtype. One λ
    for the batch is drawn from Beta(alpha, alpha). Zhang et al., "mixup: beyond empirical risk minimization", 2018.
    ValueError for an alpha that is not above 0.
    """
    if not alpha > 0:
        raise ValueError(f"mixup: alpha must be above 0, got {alpha}")
    xp = kernels_for(images).xp
    share = float(generator.beta(alpha, alpha))
    other = xp.asarray(generator.permutation(len(images)))
    one_hot = (xp.arange(classes) == labels[:, None]).astype(images.dtype)
    mixed = share * images + (1 - share) * images[other]
    return mixed, share * one_hot + (1 - share) * one_hot[other]


Augmentation = RandomCrop | RandomHorizontalFlip | RandomResizedCrop | Cutout
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "crop": RandomCrop,
    "flip": RandomHorizontalFlip,
    "resized_crop": RandomResizedCrop,
    "cutout": Cutout,
}


def make_augmentation(names: Sequence[str], fill: Array | None = None) -> list[Augmentation]:
    """Make augmentations from their names in a recipe: "crop", "flip", "resized_crop", "cutout".

    fill: the colour of a cutout, the images' mean. ValueError for another name.
    """
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise ValueError(f"make_augmentation: unknown {', '.join(unknown)}; known: {', '.join(AUGMENTATIONS)}")
    return [Cutout(fill=fill) if name == "cutout" else AUGMENTATIONS[name]() for name in names]
