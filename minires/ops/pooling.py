"""Pooling: one number per channel and window.

max       y = the window's largest             dL/dx = dy at that one, the first of equals
average   y = Σ window / (KH·KW)               dL/dx = dy / (KH·KW) to each; padding counts as zeros
global    y[n,c] = Σ_{h,w} x[n,c,h,w] / (H·W)  dL/dx = dy / (H·W)
adaptive  as many windows as asked for: window i runs from ⌊i·H/I⌋ to ⌈(i+1)·H/I⌉
"""

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.convolution import Pair, check_window, pair

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "global_avg_pool2d", "max_pool2d"]


class MaxPool2d(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        y, self.winners = self.kernels.max_pool2d_forward(x, self.kernel_size, self.stride, self.padding)
        return y

    def backward(self, grad_y: Array) -> tuple[Array]:
        window = self.kernel_size, self.stride, self.padding
        grad_x = self.kernels.max_pool2d_backward(grad_y, self.winners, self.x_shape, *window)
        return (grad_x,)


class AvgPool2d(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return self.kernels.avg_pool2d_forward(x, self.kernel_size, self.stride, self.padding)

    def backward(self, grad_y: Array) -> tuple[Array]:
        grad_x = self.kernels.avg_pool2d_backward(grad_y, self.x_shape, self.kernel_size, self.stride, self.padding)
        return (grad_x,)


class GlobalAvgPool2d(Op):
    def forward(self, x: Array) -> Array:
        self.x = x
        return x.mean(axis=(2, 3))

    def backward(self, grad_y: Array) -> tuple[Array]:
        N, C, H, W = self.x.shape
        grad_x = self.kernels.xp.empty_like(self.x)  # in the memory order of x
        grad_x[...] = (grad_y / (H * W)).reshape(N, C, 1, 1)
        return (grad_x,)


class AdaptiveAvgPool2d(Op):
    def __init__(self, output_size: Pair) -> None:
        self.output_size = output_size

    def windows(self) -> list[tuple[int, int, slice, slice]]:
        """List i, j, rows and columns of every window; there are few of them."""
        H, W = self.x_shape[2:]
        I, J = self.output_size
        return [
            (i, j, slice(i * H // I, -(-(i + 1) * H // I)), slice(j * W // J, -(-(j + 1) * W // J)))
            for i in range(I)
            for j in range(J)
        ]

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        y = self.kernels.xp.empty(x.shape[:2] + self.output_size, x.dtype)
        for i, j, rows, columns in self.windows():
            y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
        return y

    def backward(self, grad_y: Array) -> tuple[Array]:
        grad_x = self.kernels.xp.zeros(self.x_shape, grad_y.dtype)
        for i, j, rows, columns in self.windows():
            size = (rows.stop - rows.start) * (columns.stop - columns.start)
            grad_x[:, :, rows, columns] += grad_y[:, :, i : i + 1, j : j + 1] / size  # windows may overlap: add
        return (grad_x,)


def max_pool2d(
    x: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    *,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the maximum of each window of x (N, C, H, W); stride defaults to kernel_size. Padding never wins.

    ceil_mode: a last window may run out of the image, see `general_pooling.py`.
    """
    size, step, around = window("max_pool2d", x, kernel_size, stride, padding, ceil_mode)
    if size[0] * size[1] > 32767:  # the kernels number them in 16 bits
        raise ValueError(
            f"max_pool2d: the window {size} has more than 32767 places; for whole images take ops.max(x, axis=(2, 3))"
        )
    if ceil_mode:
        from minires.ops.general_pooling import CeilMaxPool2d  # it needs what stands above

        return CeilMaxPool2d(size, step, around)(x)
    return MaxPool2d(size, step, around)(x)


def avg_pool2d(
    x: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window of x (N, C, H, W); stride defaults to kernel_size. Padding counts as zeros.

    ceil_mode: a last window may run out of the image. count_include_pad=False: the mean is that of the image's own
    pixels. Both: see `general_pooling.py`.
    """
    size, step, around = window("avg_pool2d", x, kernel_size, stride, padding, ceil_mode)
    if ceil_mode or not count_include_pad:
        from minires.ops.general_pooling import GeneralAvgPool2d  # it needs what stands above

        return GeneralAvgPool2d(size, step, around, bool(ceil_mode), bool(count_include_pad))(x)
    return AvgPool2d(size, step, around)(x)


def global_avg_pool2d(x: Tensor) -> Tensor:
    """Return the mean of each channel: (N, C, H, W) to (N, C)."""
    check_images("global_avg_pool2d", x)
    return GlobalAvgPool2d()(x)


def adaptive_avg_pool2d(x: Tensor, output_size: int | Pair) -> Tensor:
    """Return the means of output_size = (I, J) windows that cover x (N, C, H, W): (N, C, I, J)."""
    check_images("adaptive_avg_pool2d", x)
    return AdaptiveAvgPool2d(pair("adaptive_avg_pool2d", "output_size", output_size, 1))(x)


def check_images(function: str, x: Tensor) -> None:
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"{function}: x {x.shape} must be non-empty images (N, C, H, W); N alone may be 0")


def window(
    function: str,
    x: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: int | Pair,
    ceil_mode: bool = False,
) -> tuple[Pair, Pair, Pair]:
    """Check a pool's arguments and return them as pairs."""
    check_images(function, x)
    size = pair(function, "kernel_size", kernel_size, 1)
    step = size if stride is None else pair(function, "stride", stride, 1)
    around = pair(function, "padding", padding, 0)
    if 2 * around[0] > size[0] or 2 * around[1] > size[1]:
        raise ValueError(
            f"{function}: padding {around} is more than half of the window {size}: some would see padding only"
        )
    if not ceil_mode:  # in which a window may be larger than the image
        check_window(function, x.shape, size, around)
    return size, step, around
