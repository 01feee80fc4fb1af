"""What plain values must look like, as a table can say it, and the check that names the first one that does not.

    check({"step": 3, "loss": "x"}, {"step": COUNT, "loss": NUMBER})    ValueError: loss is 'x', and must be a number …

A shape is a `Kind` of plain value, a dict of shapes by key, a list of one shape for all its items, `OrNull` for a value
that may be null, `Maybe` where the key may be missing too, or `OneOf`, whose shape a key decides. Other keys may be.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 1e300  # of the numbers: what is computed with one stays finite


@dataclass(frozen=True)
class Kind:
    """A plain value, in words and as a test; `parse` makes it of the text in a table's cell."""

    words: str
    fits: Callable[[Any], bool]
    parse: Callable[[str], Any] = str


@dataclass(frozen=True)
class OrNull:
    shape: Any


@dataclass(frozen=True)
class Maybe(OrNull):
    pass


@dataclass(frozen=True)
class OneOf:
    """The shape of the first of these keys that is there."""

    by_key: Mapping[str, Any]


def is_number(value: Any, low: float = -LARGEST, high: float = LARGEST) -> bool:
    return type(value) in (int, float) and low <= value <= high  # so that nan is none


def number_of(cell: str) -> float:
    number = float(cell)
    return int(number) if cell.isdecimal() and math.isfinite(number) else number


COUNT = Kind("a whole number from 0", lambda value: type(value) is int and 0 <= value < 2**53, number_of)
NUMBER = Kind("a number or null", lambda value: value is None or is_number(value), number_of)
SHARE = Kind("a number from 0 to 1 or null", lambda value: value is None or is_number(value, 0, 1), number_of)
EXPONENT = Kind("a number from -400 to 400 or null", lambda value: value is None or is_number(value, -400, 400))
TEXT = Kind("text on one line", lambda value: isinstance(value, str) and value.isprintable())
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
SECTION = Kind("a section", lambda value: isinstance(value, dict))


def check(value: Any, shape: Any, where: str = "") -> None:
    """Check a value, and all that it holds. ValueError that says where it is of another shape, and what must be there.

    where: the path that led to the value, for the message.
    """
    if isinstance(shape, Kind):
        if not shape.fits(value):
            raise ValueError(f"{where or 'it'} is {shortened(value)}, and must be {shape.words}")
    elif isinstance(shape, OrNull):
        if value is not None:
            check(value, shape.shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{where or 'it'} is {shortened(value)}, and must be a list")
        for index, item in enumerate(value):
            check(item, shape[0], f"{where}[{index}]")
    elif not isinstance(value, dict):
        raise ValueError(f"{where or 'it'} is {shortened(value)}, and must be a section with {keys_of(shape)}")
    elif isinstance(shape, OneOf):
        chosen = [inner for key, inner in shape.by_key.items() if key in value]
        if not chosen:
            raise ValueError(f"{where or 'it'} has none of {', '.join(shape.by_key)}")
        check(value, chosen[0], where)
    else:
        for key, inner in shape.items():
            name = f"{where}.{key}" if where else key
            if key in value:
                check(value[key], inner, name)
            elif not isinstance(inner, Maybe):
                raise ValueError(f"{name} is missing")


def keys_of(shape: Any) -> str:
    return " or ".join(shape.by_key) if isinstance(shape, OneOf) else ", ".join(shape)


def shortened(value: Any) -> str:
    """Return a value as it is written, on one line of at most 40 characters."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
