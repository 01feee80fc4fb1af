"""Every data set by its name: `load("cifar10")`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minires.data.dataset import Dataset
from minires.data.digits import digits_dataset

LOADERS: dict[str, Callable[..., Dataset]] = {"digits": lambda data_dir, **options: digits_dataset(**options)}


def load(name: str, data_dir: str | Path | None = None, **options: Any) -> Dataset:
    """Return a data set. ValueError for an unknown name."""
    if name not in LOADERS:
        raise ValueError(f"data.load: unknown data set {name!r}; known: {', '.join(LOADERS)}")
    return LOADERS[name](data_dir, **options)
