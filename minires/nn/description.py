"""What `repr` says of a module: a line for each layer, with its shapes and options, indented as they are nested.

    ResNet, 272,474 parameters
      conv1: Conv2d(weight (16, 3, 3, 3), stride (1, 1), padding (1, 1))
      …
"""

import math
from collections.abc import Iterator
from typing import Any

PLAIN = (bool, int, float, str)
# Said only where it is something else.
USUAL: dict[str, list[object]] = {"groups": [1], "dilation": [1, (1, 1)], "ceil_mode": [False]}
DEEPEST = 40  # levels: a module that holds itself is not gone into for ever


def lines(module: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the lines of a module and of all that it holds."""
    children = list(module.named_children())
    head = f"{'  ' * depth}{name}: " if name else "  " * depth
    kind = type(module).__name__
    if not children:
        facts = ", ".join([*arrays(module), *options(module)])
        yield f"{head}{kind}({facts})"
        return
    count = sum([parameter.size for parameter in module.parameters()])
    yield f"{head}{kind}, {count:,} parameter{'' if count == 1 else 's'}"
    if depth < DEEPEST:
        for own in arrays(module):
            yield f"{'  ' * (depth + 1)}{own}"
        for child_name, child in children:
            yield from lines(child, child_name, depth + 1)


def arrays(module: Any) -> list[str]:
    """List a module's own parameters with their shapes."""
    return [f"{name} {value.shape}" for name, value in vars(module).items() if is_parameter(value)]


def is_parameter(value: Any) -> bool:
    return bool(getattr(value, "requires_grad", False)) and getattr(value, "op", 0) is None


def options(module: Any) -> list[str]:
    """List a layer's numbers and words, but for those that are as in most layers, and None."""
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or name == "training" or not is_plain(value) or value in USUAL.get(name, []):
            continue
        found.append(f"{name} {value:g}" if isinstance(value, float) and math.isfinite(value) else f"{name} {value}")
    return found


def is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(one, PLAIN) for one in value)
    return isinstance(value, PLAIN)


def described(module: Any) -> str:
    return "\n".join(lines(module))



