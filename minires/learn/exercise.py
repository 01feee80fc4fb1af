"""What an exercise is made of. How to write one stands at the head of `minires.learn`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

Check = Callable[[Any, int], Iterator[str]]


@dataclass(frozen=True)
class Exercise:
    """One coded exercise of a chapter.

    text: the file written for the reader. hints: from the gentlest on.
    checks: what the file must define, and for each name a generator that takes the reader's answer and a seed, yields
    a line for each thing that is right, and raises `Wrong` at the first that is not.
    beside: functions that run where the reader's code runs, and get its module first; for what cannot be sent, tensors
    and modules. They give back numbers, texts and arrays, and the checks, which call them by name, judge these.
    plug: takes the reader's module, returns a context manager inside which the engine uses it.
    file: a file of the reader's own engine that this examines; "" for an exercise, which has a file to itself.
    """

    chapter: int
    name: str
    title: str
    text: str
    hints: tuple[str, ...]
    checks: Mapping[str, Check]
    beside: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    plug: Callable[[ModuleType], AbstractContextManager[None]] | None = None
    file: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What the reader's file must define."""
        return tuple(self.checks)

    def path(self, folder: Path) -> Path:
        """Return where the reader's file is: FOLDER/07_conv_backward.py, or FOLDER/conv.py of the reader's engine."""
        return folder / self.file if self.file else folder / f"{self.chapter:02}_{self.name}.py"
