"""Mean and standard deviation of images as they are published, and as they are typed: "imagenet", "0.5/0.25".

Published numbers are of pixels from 0 to 1, as are those typed here; a `Loader` takes them in the units of the stored
pixels, 0 to 255 for uint8. `normalization` turns the one into the other, `check_units` notices the one for the other.
"""

import numpy as np

from minires.data.dataset import Dataset
from minires.kernels import Array

Triple = tuple[float, ...]

# torchvision's of ImageNet; of the training images of the others, each pixel counted once.
PUBLISHED_STATISTICS: dict[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashion-mnist": ((0.2860,), (0.3530,)),
}


def normalization(text: str, dataset: Dataset) -> tuple[Array, Array]:
    """Return mean and std, float32 (C,) in the units of the data set's pixels, as a `Loader` takes them.

    text: a name of PUBLISHED_STATISTICS; "data", those of the set's own training images; or MEAN/STD, of pixels from 0
    to 1, each one number or one for each channel: "0.485,0.456,0.406/0.229,0.224,0.225".
    ValueError for another name, numbers that are none, are of pixels from 0 to 255, or of another number of channels.
    """
    if text == "data":
        return dataset.mean, dataset.std
    mean, std = PUBLISHED_STATISTICS[text] if text in PUBLISHED_STATISTICS else parsed(text)
    channels = dataset.shape[0]
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (1, channels):
            raise ValueError(
                f"normalization {text!r}: the {name} has {len(numbers)} numbers, and the images of {dataset.name} have "
                f"{channels} channels"
            )
    scale = pixel_range(dataset.train_images)
    full = [np.broadcast_to(np.array(numbers, np.float64) * scale, (channels,)) for numbers in (mean, std)]
    return full[0].astype(np.float32), full[1].astype(np.float32)


def parsed(text: str) -> tuple[Triple, Triple]:
    """Read MEAN/STD."""
    known = f"known: {', '.join(PUBLISHED_STATISTICS)}, data, or MEAN/STD such as 0.485,0.456,0.406/0.229,0.224,0.225"
    mean_text, slash, std_text = text.partition("/")
    try:
        mean, std = (
            tuple([float(number) for number in part.strip(" ()[]").split(",")]) for part in (mean_text, std_text)
        )
    except ValueError as error:
        raise ValueError(f"unknown normalization {text!r}; {known}") from error
    if not slash or not np.isfinite([*mean, *std]).all() or min(std) <= 0:
        raise ValueError(f"normalization {text!r}: a mean and, after a slash, a std above 0; {known}")
    if max(mean) > 1 or max(std) > 1:
        raise ValueError(
            f"normalization {text!r}: mean and std are of pixels from 0 to 1, and these are of pixels from 0 to 255: "
            f"divide by 255, {shown(mean, 255)}/{shown(std, 255)}"
        )
    return mean, std


def shown(numbers: Triple, divisor: float) -> str:
    return ",".join([f"{number / divisor:.4f}" for number in numbers])


def pixel_range(images: Array) -> float:
    """Return what white is: 255 of uint8; of floats 1, or 255 where there are larger ones."""
    return 1.0 if images.dtype != np.uint8 and float(images.max()) <= 1.5 else 255.0


def check_units(function: str, images: Array, mean: Array, std: Array) -> None:
    """ValueError for mean and std that are of pixels from 0 to 1 where the images' are from 0 to 255, or the reverse.

    Only where nothing else is possible: nearly black images pass, and mean 0 with std 1, which leave pixels alone.
    """
    sample = images[:: max(1, len(images) // 256)]
    brightest = float(sample.max())
    mean, std = np.asarray(mean), np.asarray(std)
    if 0 < float(mean.max()) <= 1 and float(std.max()) <= 1 and brightest > 16 and float(sample.mean()) > 8:
        raise ValueError(
            f"{function}: mean {mean.tolist()} and std {std.tolist()} are of pixels from 0 to 1, and these images have "
            f"pixels up to {brightest:g}: give mean * 255 and std * 255"
        )
    if float(mean.max()) > 2 and images.dtype != np.uint8 and brightest <= 1 and float(sample.min()) >= 0:
        raise ValueError(
            f"{function}: mean {mean.tolist()} and std {std.tolist()} are of pixels from 0 to 255, and these images "
            f"have pixels up to {brightest:g}: give mean / 255 and std / 255"
        )
