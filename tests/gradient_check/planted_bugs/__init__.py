"""Wrong backward passes, one mistake each: what the gradient checker must catch.

Each names the case of minires/gradient_check/cases.py whose shapes reveal it, and, where the checker can tell what kind
of mistake it is, what the message must say. They lie in files named like those of minires/ops.
"""

from planted_bugs import (  # noqa: F401
    activation,
    affine,
    arithmetic,
    convolution,
    fused,
    loss,
    normalization,
    pooling,
    reduction,
    shape,
    shortcut,
)
from planted_bugs.planting import BUGS, Bug

__all__ = ["BUGS", "Bug"]
