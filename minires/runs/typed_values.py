"""A dataclass filled with plain values, as TOML and JSON have them, each checked against the type of its field."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Any, get_args, get_origin

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def filled(kind: Any, title: str, prefix: str, values: Mapping[str, Any]) -> Any:
    """Make a dataclass of these values.

    title, prefix: how messages name it, "optimizer sgd", and its fields, "optimizer.".
    ValueError for an unknown field or one that is missing; TypeError, with an example, for a value of another type.
    """
    entries = {entry.name: entry for entry in fields(kind)}
    for name in values:
        if name not in entries:
            raise ValueError(f"{title} has no option {name!r}; {suggestion(name, entries)}")
    for name, entry in entries.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{title} needs {prefix}{name}, such as {prefix}{name}={example(entry)}")
    return kind(**{name: checked(f"{prefix}{name}", value, entries[name]) for name, value in values.items()})


def checked(name: str, value: Any, entry: Field[Any]) -> Any:
    """Return a value as its field has it: 2 will do for 0.1, "2" and true will not."""
    kind: Any = entry.type
    if isinstance(value, Mapping) and kind in WORDS:
        raise TypeError(f"{name} is no section: {name}={example(entry)}")
    if not fits(value, kind):
        raise TypeError(f"{name} must be {WORDS.get(kind, 'a list')}, such as {example(entry)!r}, got {value!r}")
    if kind is float:
        return float(value)
    return list(value) if isinstance(value, tuple) else value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a field's type: a plain one, a list of a plain one, a section, or one of several."""
    if get_origin(kind) is UnionType:
        return any([fits(value, option) for option in get_args(kind)])
    if get_origin(kind) is list:
        return isinstance(value, list | tuple) and all([fits(item, get_args(kind)[0]) for item in value])
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else get_origin(kind) or kind)


def example(entry: Field[Any]) -> Any:
    """Return a value that a field can have: its default, where that says enough."""
    if "example" in entry.metadata:
        return entry.metadata["example"]
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def suggestion(key: str, known: Iterable[str]) -> str:
    """Say what was perhaps meant, or what is known."""
    close = difflib.get_close_matches(key, known, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"


def check_known(name: str, value: Any, known: Iterable[str]) -> None:
    if value not in list(known):
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def check_least(name: str, value: float, least: int) -> None:
    if not value >= least:  # so that nan is refused too
        raise ValueError(f"{name} must be at least {least}, got {value}")
