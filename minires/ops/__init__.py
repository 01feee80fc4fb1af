"""The differentiable operations: one class each, forward above its hand-written backward, both on arrays.

Every file holds its formulas at the head. The function (`conv2d`) checks its arguments and calls the class (`Conv2d`);
a breakpoint on `minires.ops.convolution.Conv2d.backward` stops where that gradient is computed.
"""

from minires.ops.activation import elu, leaky_relu, log_softmax, relu, selu, sigmoid, softmax, tanh
from minires.ops.affine import linear, matmul
from minires.ops.arithmetic import abs, add, divide, exp, log, multiply, negative, power, sqrt, subtract, where
from minires.ops.convolution import conv2d
from minires.ops.fused import batch_norm_relu, conv2d_batch_norm_relu, residual_block
from minires.ops.loss import cross_entropy, mse_loss
from minires.ops.normalization import batch_norm
from minires.ops.pooling import adaptive_avg_pool2d, avg_pool2d, global_avg_pool2d, max_pool2d
from minires.ops.reduction import max, mean, sum, var
from minires.ops.regularization import dropout
from minires.ops.shape import concatenate, flatten, getitem, pad, reshape, transpose
from minires.ops.shortcut import option_a, residual_add

__all__ = [
    "abs",
    "adaptive_avg_pool2d",
    "add",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_relu",
    "concatenate",
    "conv2d",
    "conv2d_batch_norm_relu",
    "cross_entropy",
    "divide",
    "dropout",
    "elu",
    "exp",
    "flatten",
    "getitem",
    "global_avg_pool2d",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "mean",
    "mse_loss",
    "multiply",
    "negative",
    "option_a",
    "pad",
    "power",
    "relu",
    "reshape",
    "residual_add",
    "residual_block",
    "selu",
    "sigmoid",
    "softmax",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "var",
    "where",
]
