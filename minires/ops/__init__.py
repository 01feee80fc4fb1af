"""The differentiable operations: one class each, forward above its hand-written backward, both on arrays.

Every file holds its formulas at the head, and the names that it adds to `minires.ops` in `__all__`. The function
(`conv2d`) checks its arguments and calls the class (`Conv2d`); a breakpoint on
`minires.ops.convolution.Conv2d.backward` stops where that gradient is computed.
"""

# ruff: noqa: F403
from minires.ops.activation import *
from minires.ops.affine import *
from minires.ops.arithmetic import *
from minires.ops.chain import *
from minires.ops.convolution import *
from minires.ops.gaussian import *
from minires.ops.general_pooling import *
from minires.ops.group_normalization import *
from minires.ops.grouped_convolution import *
from minires.ops.layer_normalization import *
from minires.ops.loss import *
from minires.ops.normalization import *
from minires.ops.pooling import *
from minires.ops.reduction import *
from minires.ops.regularization import *
from minires.ops.shape import *
from minires.ops.shortcut import *
