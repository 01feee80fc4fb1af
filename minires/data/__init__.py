"""Data sets and batches: files in, NumPy arrays out."""

from minires.data.augmentation import (
    Cutout,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    make_augmentation,
    mixup,
)
from minires.data.dataset import Dataset
from minires.data.digits import load_digits
from minires.data.image_files import load_image
from minires.data.loader import Loader
from minires.data.pixel_units import normalization
from minires.data.registry import load

__all__ = [
    "Cutout",
    "Dataset",
    "Loader",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "load",
    "load_digits",
    "load_image",
    "make_augmentation",
    "mixup",
    "normalization",
]
