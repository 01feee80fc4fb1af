"""Convolution with groups and dilation: what `conv2d` does where `groups` or `dilation` is not 1.

    y[n,f,i,j] = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · x[n, g·C/G + c, i·stride + u·dilation − padding, j·stride + …]

G groups: channels and filters are cut into G parts, and filter f of part g = ⌊f·G/F⌋ sees the C/G channels of its part
alone, so weight is (F, C/G, KH, KW): G convolutions side by side (Krizhevsky, Sutskever, Hinton, 2012, §3.2; the
"cardinality" of Xie et al., "Aggregated residual transformations for deep neural networks", 2017). With G = C it is a
depthwise convolution. dilation: how far the taps are apart, so a filter reaches over dilation·(K − 1) + 1 pixels (Yu,
Koltun, "Multi-scale context aggregation by dilated convolutions", 2016, eq. 2).

    dL/dx      = each dy[n,f,i,j] · weight[f,c,u,v], added to the x that it came from
    dL/dweight = Σ_{n,i,j} dy[n,f,i,j] · that x
    dL/dbias   = Σ_{n,i,j} dy[n,f,i,j]
"""

import math

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.kernels.grouped_checks import reach
from minires.ops.convolution import Pair, conv2d, pair
from minires.ops.shape import whole

__all__: list[str] = []  # its function is `conv2d`


class GroupedConv2d(Op):
    def __init__(self, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> None:
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.x, self.weight = x, weight
        window = self.stride, self.padding, self.dilation, self.groups
        return self.kernels.grouped_conv2d_forward(x, weight, bias, *window)

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        grad_x = grad_weight = grad_bias = None
        window = self.stride, self.padding, self.dilation, self.groups
        if self.needs_grad[0]:
            grad_x = self.kernels.grouped_conv2d_grad_input(grad_y, self.weight, self.x.shape, *window)
        if self.needs_grad[1]:
            grad_weight = self.kernels.grouped_conv2d_grad_weight(grad_y, self.x, self.weight.shape, *window)
        if len(self.inputs) == 2:
            return grad_x, grad_weight
        grad_bias = grad_y.sum(axis=(0, 2, 3))
        return grad_x, grad_weight, grad_bias


def grouped_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Pair,
    padding: int | Pair,
    dilation: int | Pair,
    groups: int,
) -> Tensor:
    """Convolve images x (N, C, H, W) with filters weight (F, C/groups, KH, KW), add bias (F,): (N, F, I, J).

    I = ⌊(H + 2·padding − dilation·(KH − 1) − 1) / stride⌋ + 1, J likewise. `conv2d` calls it.
    ValueError where shapes do not fit, or groups do not divide C and F; TypeError for groups that are no whole number.
    """
    dilation, groups = pair("conv2d", "dilation", dilation, 1), whole("conv2d", "groups", groups)
    if groups < 1:
        raise ValueError(f"conv2d: groups must be at least 1, got {groups}")
    if groups == 1 and dilation == (1, 1):
        return conv2d(x, weight, bias, stride, padding)
    check_groups(x.shape, weight.shape, groups)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"conv2d: bias {bias.shape} must be {weight.shape[:1]}, one per filter of weight {weight.shape}"
        )
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    KH, KW = reach(weight.shape[2:], dilation)
    H, W = x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]
    if KH > H or KW > W:
        raise ValueError(
            f"conv2d: weight {weight.shape} with dilation {dilation} is a {KH}×{KW} window, which does not fit x "
            f"{x.shape} with padding {padding}: {H}×{W}; use larger images, more padding or less dilation"
        )
    op = GroupedConv2d(stride, padding, dilation, groups)
    return op(x, weight) if bias is None else op(x, weight, bias)


def check_groups(x: tuple[int, ...], weight: tuple[int, ...], groups: int) -> None:
    """ValueError where images and filters are not (N, C, H, W) and (F, C/groups, KH, KW)."""
    if len(x) != 4 or len(weight) != 4:
        raise ValueError(f"conv2d: x {x} and weight {weight} must be (N, C, H, W) and (F, C / groups, KH, KW)")
    if x[1] % groups == 0 and weight[0] % groups == 0 and weight[1] == x[1] // groups:
        return
    if x[3] == weight[1] * groups and x[1] != x[3]:
        cure = "the channels of x come last: x.transpose(0, 3, 1, 2)"
    elif x[1] % groups or weight[0] % groups:
        cure = f"choose groups that divide both, such as {math.gcd(x[1], weight[0])}"
    else:
        cure = f"a filter sees the channels of its group alone: weight ({weight[0]}, {x[1] // groups}, …)"
    raise ValueError(
        f"conv2d: x {x} and weight {weight} must be (N, C, H, W) and (F, C / groups, KH, KW), with groups {groups} "
        f"dividing C and F; {cure}"
    )
