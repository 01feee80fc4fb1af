"""How residual networks start: the schemes of `nn.initialize`, and four that know what a residual block is.

The four draw as "he" does, then scale the branches of the L blocks, so that every block starts as its shortcut alone
or nearly so:

    "zero_gamma"     the last norm of every branch starts at γ = 0                  Goyal et al., 2017, §5.1
    "skipinit"       the scalar at the end of every branch starts at α = 0          De, Smith, 2020
    "skipinit_sqrt"  the same at α = 1/√L                                           De, Smith, 2020
    "fixup"          filters in a branch of m × L^(-1/(2m-2)), its last and the classifier 0   Zhang, Dauphin, Ma, 2019

A residual block is a module with `branch`, the names of its convolutions, `branch_end`, the name of what scales the
branch's output, and `skip`. `classifier` is the name of a network's last layer.
"""

import math
from typing import Any

from minires import nn

__all__ = ["SCHEMES", "initialize"]

NORM_FREE_SCHEMES = ("skipinit", "skipinit_sqrt", "fixup")  # their scalars stand in the place of batch norm
BRANCH_SCHEMES = ("zero_gamma", *NORM_FREE_SCHEMES)
SCHEMES = (*nn.SCHEMES, *BRANCH_SCHEMES)


def initialize(model: nn.Module, init: str = "he", seed: int | None = None) -> None:
    """Draw every parameter of a block or a network anew, by its dotted name, in place.

    init: a scheme of `nn.initialize`, or one of the table above. seed: None draws a fresh one.
    ValueError, before anything is changed, for an unknown scheme and for a model that the scheme does not fit.
    """
    if init not in SCHEMES:
        raise ValueError(f"initialize: unknown init {init!r}; known: {', '.join(SCHEMES)}")
    if init not in BRANCH_SCHEMES:
        nn.initialize(model, init, seed)
        return
    blocks = residual_blocks(model)
    check_branches(blocks, init)
    nn.initialize(model, "he", seed)
    scale_branches(blocks, init)
    classifier = getattr(model, getattr(model, "classifier", ""), None)
    if init == "fixup" and classifier is not None:
        classifier.weight.data[...] = 0


def residual_blocks(model: nn.Module) -> list[tuple[str, Any]]:
    """List (name, block) of the modules that say what their branch is made of."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "branch")]


def check_branches(blocks: list[tuple[str, Any]], init: str) -> None:
    """Refuse a model whose blocks have no scale of the right kind, or no skip around a branch that starts at zero."""
    if not blocks:
        raise ValueError(f"initialize: {init!r} is for residual networks, and this model has no residual block")
    for name, block in blocks:
        end = getattr(block, block.branch_end, None)
        if init == "zero_gamma":
            fits, needed = is_norm(end) and getattr(end, "weight", None) is not None, "a norm with a weight"
        else:
            fits, needed = hasattr(end, "weight") and not is_norm(end), "a scalar"
            needed += f" (a model made with norm='none', init={init!r} has it)"
        if not fits:
            found = "nothing" if end is None else type(end).__name__
            raise ValueError(
                f"initialize: {init!r} needs {needed} at the end of every branch; {name or 'the block'} has {found}"
            )
        if not block.skip and init != "skipinit_sqrt":
            raise ValueError(
                f"initialize: {init!r} starts every branch at zero, so without skips nothing passes; "
                "use skip=True, or another init"
            )


def is_norm(module: Any) -> bool:
    return isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm)


def scale_branches(blocks: list[tuple[str, Any]], init: str) -> None:
    """Scale the branches of L residual blocks, after He's draws."""
    L = len(blocks)
    for _, block in blocks:
        end = getattr(block, block.branch_end)
        if init in ("zero_gamma", "skipinit"):
            end.weight.data[...] = 0
        elif init == "skipinit_sqrt":
            end.weight.data[...] = 1 / math.sqrt(L)
        else:
            m = len(block.branch)
            for name in block.branch[:-1]:
                getattr(block, name).weight.data[...] *= L ** (-1 / (2 * m - 2))
            getattr(block, block.branch[-1]).weight.data[...] = 0
