"""Modules that hold parameters and call ops: the layers, how they start, and what they cost.

Every file lists in `__all__` the names that it adds to `minires.nn`.
"""

# ruff: noqa: F403
from minires.nn.activation import *
from minires.nn.group_normalization import *
from minires.nn.initialization import *
from minires.nn.layer_normalization import *
from minires.nn.layers import *
from minires.nn.module import *
from minires.nn.normalization import *
from minires.observe.counting import Totals as Totals
from minires.observe.counting import totals as totals
