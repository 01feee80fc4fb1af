"""What the terminal debugger's commands are given, read from text: numbers, modules and ops, conditions."""

import re
from typing import Any

from minires.observe.watching import watch

CONDITION = re.compile(r"(nan|off|in\s+\S+|norm\s*[<>]\s*\S+|ratio\s*>\s*\S+)\s*")


def number(arg: str, default: int) -> int:
    if not arg:
        return default
    if not arg.isdigit() or int(arg) < 1:
        raise ValueError(f"expected a whole number from 1 up, got {arg!r}")
    return int(arg)


def module_and_op(command: str, arg: str) -> tuple[str, str]:
    """Read MODULE or `op NAME` as two patterns, of a module and of an op; "*" fits every one."""
    words = arg.split()
    if len(words) == 2 and words[0] == "op":
        return "*", words[1]
    if len(words) != 1:
        raise ValueError(f"{command}: give a module, as in `{command} layer2.0.conv1`, or an op: `{command} op Conv2d`")
    return words[0], "*"


def read_watch(arg: str) -> watch | None:
    """Read conditions such as `nan norm<1e-8 in layer3.*`; None for `off`."""
    words = CONDITION.findall(f"{arg} ")
    if not words or CONDITION.sub("", f"{arg} ").strip():
        raise ValueError(f"watch: cannot read {arg!r}; examples: watch nan, watch norm<1e-8 in layer3.*, watch off")
    options: dict[str, Any] = {"nan": "nan" in words}
    for word in words:
        if word.startswith("in "):
            options["where"] = word[2:].strip()
        elif word.startswith(("norm", "ratio")):
            name, sign, limit = re.split(r"\s*([<>])\s*", word)
            options[f"{name}_{'below' if sign == '<' else 'above'}"] = float(limit)
    return None if "off" in words else watch(**options)
