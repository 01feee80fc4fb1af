"""What a file of weights says of itself: which network its arrays are of, and the images that it was trained on.

A safetensors file has room for texts in its head. What MiniRes exports has one there, under `KEY`, so that nobody must
remember how pixels become numbers:

    {"model": "resnet20", "options": {}, "data": "cifar10", "shape": [3, 32, 32],
     "classes": ["airplane", …], "mean": [125.3, …], "std": [63.0, …]}           of pixels from 0 to 255

Other readers leave it aside, and a file without it is one like any other.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minires.interop.file_kinds import kind_of
from minires.models import MODELS
from minires.runs.shapes import NUMBER, SECTION, TEXT, Kind, check

KEY = "minires.network"
SIZE = Kind("a whole number from 1 to 4096", lambda value: type(value) is int and 1 <= value <= 4096)
SHAPE = {
    "model": TEXT, "options": SECTION, "data": TEXT, "shape": [SIZE], "classes": [TEXT], "mean": [NUMBER],
    "std": [NUMBER],
}  # fmt: skip


@dataclass(frozen=True)
class About:
    """A network's maker, what that is told, and the images it knows; empty where that is not known.

    model, options: of `models.make`. shape: of an image, (C, H, W). mean, std: of each channel, of pixels from 0 to
    255. ValueError for a model that there is not, and for numbers of another channel count than the shape's.
    """

    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    shape: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.model and self.model not in MODELS:
            raise ValueError(f"{self.model!r} is no network that MiniRes can make")
        if self.shape and len(self.shape) != 3:
            raise ValueError(f"an image's shape must be (C, H, W), not {self.shape}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers and self.shape and len(numbers) != self.shape[0]:
                raise ValueError(f"the {name} has {len(numbers)} numbers, and the images {self.shape[0]} channels")
        if len(self.mean) != len(self.std) or not all([std and std > 0 for std in self.std]) or None in self.mean:
            raise ValueError(f"a mean and a std above 0 for each channel, not {self.mean} and {self.std}")

    def to_metadata(self) -> dict[str, str]:
        """Return the text for a file's head."""
        return {KEY: json.dumps(asdict(self), ensure_ascii=False)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str] | None) -> "About":
        """Read a file's head. ValueError where what stands there under `KEY` cannot be."""
        if not metadata or KEY not in metadata:
            return cls()
        try:
            content = json.loads(metadata[KEY])
            check(content, SHAPE)
            return cls(**{name: content[name] for name in SHAPE})
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"what it says of its network cannot be: {error}") from error


def read_about(path: str | Path) -> About:
    """Return what a file of weights says of itself: nothing, if it is no safetensors file or another's.

    ValueError, naming the file, for one that is damaged or says what cannot be; FileNotFoundError for none.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if kind_of(path) != "safetensors":
        return About()
    try:
        with safe_open(path, "np") as file:
            return About.from_metadata(file.metadata())
    except SafetensorError as error:
        raise ValueError(f"read_about: {path} is no safetensors file, or a damaged one ({error})") from error
    except ValueError as error:
        raise ValueError(f"read_about: {path}: {error}") from error
