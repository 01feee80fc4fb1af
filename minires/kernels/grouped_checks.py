"""What the kernels of convolution with groups and dilation ask before they begin, and the sizes that dilation gives.

As `checks.py`, in a file of its own: the plain convolution knows neither groups nor dilation.
"""

from minires.kernels import Array, checks

Pair = tuple[int, int]
Shape = tuple[int, ...]


def reach(kernel_size: Shape, dilation: Pair) -> Pair:
    """Return how many rows and columns a filter reaches over, from its first tap to its last."""
    return dilation[0] * (kernel_size[0] - 1) + 1, dilation[1] * (kernel_size[1] - 1) + 1


def output_size(x_shape: Shape, kernel_size: Shape, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Return (I, J), the places where a filter fits: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
    KH, KW = reach(kernel_size, dilation)
    I = (x_shape[2] + 2 * padding[0] - KH) // stride[0] + 1
    J = (x_shape[3] + 2 * padding[1] - KW) // stride[1] + 1
    return I, J


def check_grouped_conv2d(
    kernel: str,
    x_shape: Shape,
    weight_shape: Shape,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: Array | None = None,
    bias: Array | None = None,
) -> None:
    """ValueError where images, filters, groups and, if given, outputs y and bias do not belong together."""
    if len(x_shape) != 4 or len(weight_shape) != 4 or groups < 1 or x_shape[1] != weight_shape[1] * groups:
        raise ValueError(
            f"{kernel}: x {x_shape} and weight {weight_shape} must be (N, C, H, W) and (F, C / groups, KH, KW) with "
            f"groups {groups}"
        )
    if weight_shape[0] % groups or min(*weight_shape[2:], *dilation) < 1:
        raise ValueError(
            f"{kernel}: weight {weight_shape} must have taps, and as many filters for each of the {groups} groups; "
            f"dilation {dilation} must be at least 1"
        )
    if bias is not None:
        checks.check_shape(kernel, "bias", bias, weight_shape[:1])
    checks.check_window(kernel, x_shape, reach(weight_shape[2:], dilation), stride, padding, y, weight_shape[0])
