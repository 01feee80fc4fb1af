"""The residual add, and the shortcut without parameters.

residual add  y = shortcut + branch          both get dy: the very same array
option A      y = x at every stride-th pixel, between zero channels (He et al. 2015, §4.2)
              dL/dx = dy at those pixels, 0 elsewhere
"""

from minires.engine import Op, Tensor
from minires.kernels import Array

__all__ = ["option_a", "residual_add"]

Shape = tuple[int, ...]


class ResidualAdd(Op):
    def forward(self, shortcut: Array, branch: Array) -> Array:
        return shortcut + branch

    def backward(self, grad_y: Array) -> tuple[Array, Array]:
        return grad_y, grad_y  # the gradient reaches the shortcut whole, whatever the branch does with its own


class OptionA(Op):
    def __init__(self, out_channels: int, stride: int) -> None:
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return self.kernels.option_a_forward(x, self.out_channels, self.stride)

    def backward(self, grad_y: Array) -> tuple[Array]:
        grad_x = self.kernels.option_a_backward(grad_y, self.x_shape, self.stride)
        return (grad_x,)


def residual_add(shortcut: Tensor, branch: Tensor) -> Tensor:
    """Return shortcut + branch, which must have one shape: a broadcast here is always a mistake in the network."""
    check_shortcut("residual_add", shortcut.shape, branch.shape)
    return ResidualAdd()(shortcut, branch)


def check_shortcut(function: str, shortcut: Shape, branch: Shape) -> None:
    """ValueError where the two are not one shape."""
    if shortcut != branch:
        raise ValueError(
            f"{function}: the shortcut has shape {shortcut}, the branch {branch}; {cure(shortcut, branch)}"
        )


def cure(a: Shape, b: Shape) -> str:
    """Say what would make the shapes of shortcut and branch equal."""
    if len(a) != 4 or len(b) != 4 or a[0] != b[0]:
        return "both must come from the same images"
    if a[2] < b[2] or a[3] < b[3]:
        return "give the branch the shortcut's stride"
    stride = -(-a[2] // b[2])
    option_b = f"option B, a 1×1 convolution to {b[1]} channels with stride {stride}"
    if b[1] < a[1]:
        return f"use {option_b}"
    return f"use option A, option_a(x, {b[1]}, stride={stride}), or {option_b}"


def option_a(x: Tensor, out_channels: int, stride: int) -> Tensor:
    """Return (N, F, ⌈H/stride⌉, ⌈W/stride⌉) from x (N, C, H, W): every stride-th pixel, F − C zero channels added."""
    if x.ndim != 4 or out_channels < x.shape[1] or stride < 1:
        raise ValueError(
            f"option_a: x {x.shape} must be (N, C, H, W), out_channels {out_channels} at least C, "
            f"stride {stride} at least 1; to fewer channels use option B, a 1×1 convolution"
        )
    return OptionA(out_channels, stride)(x)
