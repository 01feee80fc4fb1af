"""What an exercise is made of. How to write one stands at the head of `minires.learn`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Exercise:
    """One coded exercise of a chapter.

    text: the file written for the reader. names: what it must define. hints: from the gentlest on.
    check: takes the reader's module, yields a line for each thing that is right, raises `Wrong` at the first that is
    not. plug: takes the reader's module, returns a context manager inside which the engine uses it.
    """

    chapter: int
    name: str
    title: str
    text: str
    names: tuple[str, ...]
    hints: tuple[str, ...]
    check: Callable[[ModuleType], Iterator[str]]
    plug: Callable[[ModuleType], AbstractContextManager[None]] | None = None

    def path(self, folder: Path) -> Path:
        """Return where the reader's file is: FOLDER/07_conv_backward.py."""
        return folder / f"{self.chapter:02}_{self.name}.py"
