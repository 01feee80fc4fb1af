"""A module and all that it holds as the rows of a tree, with the number of parameters of each: for notebooks."""

from typing import Any

from minires.displays.trees import Row
from minires.nn import description


def rows(module: Any, name: str = "", above: tuple[Any, ...] = ()) -> tuple[list[Row], dict[int, int]]:
    """List a module and all that it holds, for the tree that a notebook shows; and its parameters' sizes, by their id.

    above: the modules it is in; one that holds itself is not gone into again.
    """
    held = [] if module in above else list(module.held())
    children = [(child_name, child) for child_name, child in held if hasattr(child, "held")]
    sizes = {id(value): value.size for _, value in held if description.is_parameter(value)}
    below: list[Row] = []
    for child_name, child in children:
        found, theirs = rows(child, child_name, (*above, module))
        below += found
        sizes |= theirs  # one that is shared counts once
    facts = [*description.arrays(module), *([] if children else description.options(module))]
    return [Row(len(above), name, type(module).__name__, ", ".join(facts), sum(sizes.values())), *below], sizes
