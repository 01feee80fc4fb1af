"""ResNeXt's block: the bottleneck whose 3×3 convolution has groups, and is wider or narrower for it.

    1×1, C → G·d     3×3, G·d → G·d in G groups, d channels each     1×1, G·d → 4·channels

d = width_per_group · channels / 64, so 32×4d has 4 channels a group in the first stage and twice as many in each that
follows. Xie et al., "Aggregated residual transformations for deep neural networks", 2017, figure 3c and table 1.
"""

import functools
from typing import Any

from minires.models.blocks import Bottleneck

__all__ = ["ResNeXtBottleneck", "resnext_bottleneck"]


class ResNeXtBottleneck(Bottleneck):
    """The bottleneck of ResNeXt-50 32×4d. Arguments and forward are `Bottleneck`'s."""

    groups = 32
    width_per_group = 4


@functools.cache
def resnext_bottleneck(block: type[Any], groups: int, width_per_group: int) -> type[ResNeXtBottleneck]:
    """Return the bottleneck of these groups. ValueError in the place of another block, and below 1."""
    if block not in (Bottleneck, ResNeXtBottleneck):
        raise ValueError(f"models: groups and width_per_group are for bottlenecks, not for {block.__name__}")
    if groups < 1 or width_per_group < 1:
        raise ValueError(f"models: groups and width_per_group must be at least 1, got {groups} and {width_per_group}")
    numbers = {"groups": groups, "width_per_group": width_per_group}
    return type(f"ResNeXtBottleneck{groups}x{width_per_group}d", (ResNeXtBottleneck,), numbers)
