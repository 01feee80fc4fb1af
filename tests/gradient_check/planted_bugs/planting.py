"""How a wrong backward pass is planted: over an op's own, or in the place of the kernel that it calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minires.engine import Op


@dataclass
class Bug:
    op: type[Op]
    case: str
    wrong: Callable[..., Any]
    kernel: str | None  # the kernel that is replaced; None: the op's backward
    says: str  # a regular expression for the checker's message

    @property
    def name(self) -> str:
        return f"{self.op.__name__}-{self.wrong.__name__}"


BUGS: list[Bug] = []


def planted(op: type[Op], case: str, says: str = "", kernel: str | None = None) -> Callable[..., Any]:
    def plant(wrong: Callable[..., Any]) -> Callable[..., Any]:
        BUGS.append(Bug(op, case, wrong, kernel, says))
        return wrong

    return plant
