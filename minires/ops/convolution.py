"""2-D convolution, as matrix products over columns of image patches (the kernels' im2col).

    y[n,f,i,j] = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · x[n, c, i·stride + u − padding, j·stride + v − padding]

N images; C input, F output channels; H×W input, KH×KW filter, I×J output. What deep learning calls convolution is
mathematics' cross-correlation: the filter is not flipped. Backward holds the flip.

    dL/dx      = each dy[n,f,i,j] · weight[f,c,u,v], added to the x that it came from
    dL/dweight = Σ_{n,i,j} dy[n,f,i,j] · x[n, c, i·stride + u − padding, j·stride + v − padding]
    dL/dbias   = Σ_{n,i,j} dy[n,f,i,j]
"""

from minires.engine import Op, Tensor
from minires.kernels import Array, numpy_kernels
from minires.ops.shape import whole_numbers

__all__ = ["conv2d"]

Pair = tuple[int, int]
Shape = tuple[int, ...]


class Conv2d(Op):
    def __init__(self, stride: Pair, padding: Pair) -> None:
        self.stride, self.padding = stride, padding

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.x, self.weight = x, weight
        return self.kernels.conv2d_forward(x, weight, bias, self.stride, self.padding)

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        grad_x = grad_weight = grad_bias = None
        if self.needs_grad[0]:  # the first layer's x is the image, which needs none
            grad_x = self.kernels.conv2d_grad_input(grad_y, self.weight, self.x.shape, self.stride, self.padding)
        if self.needs_grad[1]:
            grad_weight = self.kernels.conv2d_grad_weight(grad_y, self.x, self.weight.shape, self.stride, self.padding)
        if len(self.inputs) == 2:
            return grad_x, grad_weight
        grad_bias = grad_y.sum(axis=(0, 2, 3))
        return grad_x, grad_weight, grad_bias


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images x (N, C, H, W) with filters weight (F, C, KH, KW), add bias (F,); the result is (N, F, I, J).

    I = ⌊(H + 2·padding − KH) / stride⌋ + 1, J likewise. stride, padding: one number, or (height, width).
    dilation, groups: see `grouped_convolution.py`, where such convolutions go. ValueError where shapes do not fit.
    """
    if groups != 1 or not isinstance(dilation, int) or dilation != 1:
        from minires.ops.grouped_convolution import grouped_conv2d  # it needs what stands below

        return grouped_conv2d(x, weight, bias, stride, padding, dilation, groups)
    stride, padding, _ = check_conv("conv2d", x.shape, weight.shape, stride, padding)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"conv2d: bias {bias.shape} must be {weight.shape[:1]}, one per filter of weight {weight.shape}"
        )
    op = Conv2d(stride, padding)
    return op(x, weight) if bias is None else op(x, weight, bias)


def check_conv(
    function: str, x: Shape, weight: Shape, stride: int | Pair, padding: int | Pair
) -> tuple[Pair, Pair, Shape]:
    """Return stride and padding as pairs, and the shape of the result; ValueError where the shapes do not fit."""
    if len(x) != 4 or len(weight) != 4 or x[1] != weight[1]:
        last = len(x) == len(weight) == 4 and x[3] == weight[1]
        cure = "; the channels of x come last: x.transpose(0, 3, 1, 2)" if last else ""
        raise ValueError(
            f"{function}: x {x} and weight {weight} must be (N, C, H, W) and (F, C, KH, KW) with one C{cure}"
        )
    stride, padding = pair(function, "stride", stride, 1), pair(function, "padding", padding, 0)
    check_window(function, x, weight[2:], padding)
    I, J = numpy_kernels.output_size(x, weight[2:], stride, padding)
    return stride, padding, (x[0], weight[0], I, J)


def pair(function: str, name: str, value: int | Pair, least: int) -> Pair:
    """Return (value, value) for a number and a pair as it is; ValueError below `least`, for 1.5."""
    several = isinstance(value, tuple | list) or getattr(value, "ndim", 0) > 0
    try:
        both = whole_numbers(function, name, (value,) if several else (value, value))
    except TypeError:
        both = ()
    if len(both) != 2 or min(both) < least:
        raise ValueError(f"{function}: {name} must be a whole number or a pair of them, at least {least}, got {value}")
    return both[0], both[1]


def check_window(function: str, x: Shape, kernel_size: Shape, padding: Pair) -> None:
    """ValueError where a window does not fit the padded input even once."""
    H, W = x[2] + 2 * padding[0], x[3] + 2 * padding[1]
    if kernel_size[0] > H or kernel_size[1] > W:
        raise ValueError(
            f"{function}: a {kernel_size[0]}×{kernel_size[1]} window does not fit x {x} with padding "
            f"{padding}: {H}×{W}; use larger images, more padding or fewer stages"
        )
