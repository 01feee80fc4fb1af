"""Pools with `ceil_mode` and `count_include_pad`, as PyTorch has them: what `max_pool2d` and `avg_pool2d` do with them.

    ceil_mode=False    I = ⌊(H + 2·padding − KH) / stride⌋ + 1         all windows lie in the padded image
    ceil_mode=True     I = ⌈(H + 2·padding − KH) / stride⌉ + 1         the last may run out of it, but
                       one less where it would start in the padding behind, at H + padding or later

    max       y = the largest of the image's pixels in the window
    average   y = Σ window / count, dL/dx = dy / count to each of the image's pixels in it. count is how many pixels
              the window has in the padded image (count_include_pad=True), KH·KW but for a last one that runs out of
              it; or how many it has in the image itself (False).

Both call the plain pools' kernels, on images that are extended behind as far as the windows reach. What a plain average
divided by KH·KW is multiplied by KH·KW / count.
"""

from minires.engine import Op
from minires.kernels import Array, numpy_kernels
from minires.ops.convolution import Pair

__all__: list[str] = []  # their functions are `max_pool2d` and `avg_pool2d`

Shape = tuple[int, ...]


class CeilMaxPool2d(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        window = self.kernel_size, self.stride, self.padding
        x = extended(self.kernels.xp, x, room_behind("max_pool2d", x.shape, *window), numpy_kernels.lowest(x.dtype))
        self.extended_shape = x.shape
        y, self.winners = self.kernels.max_pool2d_forward(x, *window)
        return y

    def backward(self, grad_y: Array) -> tuple[Array]:
        window = self.kernel_size, self.stride, self.padding
        grad_x = self.kernels.max_pool2d_backward(grad_y, self.winners, self.extended_shape, *window)
        return (grad_x[:, :, : self.x_shape[2], : self.x_shape[3]],)


class GeneralAvgPool2d(Op):
    def __init__(
        self, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        window = self.kernel_size, self.stride, self.padding
        if self.ceil_mode:
            x = extended(self.kernels.xp, x, room_behind("avg_pool2d", x.shape, *window), 0)
        self.extended_shape = x.shape
        y = self.kernels.avg_pool2d_forward(x, *window)
        return y * self.shares(x.dtype, y.shape)

    def backward(self, grad_y: Array) -> tuple[Array]:
        window = self.kernel_size, self.stride, self.padding
        grad_mean = grad_y * self.shares(grad_y.dtype, grad_y.shape)
        grad_x = self.kernels.avg_pool2d_backward(grad_mean, self.extended_shape, *window)
        return (grad_x[:, :, : self.x_shape[2], : self.x_shape[3]],)

    def shares(self, dtype: object, y_shape: Shape) -> Array:
        """Return KH·KW / count of each window, (I, J)."""
        window = self.kernel_size, self.stride, self.padding
        return self.kernels.xp.asarray(window_shares(y_shape, self.x_shape, *window, self.count_include_pad), dtype)


def window_shares(
    y_shape: Shape, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair, with_padding: bool
) -> list[list[float]]:
    """Return KH·KW / count for each of the I×J windows."""
    rows, columns = [
        counts(y_shape[axis], x_shape[axis], kernel_size[axis - 2], stride[axis - 2], padding[axis - 2], with_padding)
        for axis in (2, 3)
    ]
    return [[kernel_size[0] * kernel_size[1] / (row * column) for column in columns] for row in rows]


def counts(places: int, size: int, window: int, stride: int, padding: int, with_padding: bool) -> list[int]:
    """Return how many pixels each window has along one axis, of the padded image or of the image itself."""
    starts = [i * stride - padding for i in range(places)]
    if with_padding:
        return [min(start + window, size + padding) - start for start in starts]
    return [min(start + window, size) - max(start, 0) for start in starts]


def room_behind(function: str, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return how many rows and columns windows reach beyond the padded images with ceil_mode; ValueError where not
    even one window starts in them."""
    behind = []
    for size, window, step, around in zip(x_shape[2:], kernel_size, stride, padding, strict=True):
        room = size + 2 * around - window
        places = -(-room // step) + 1
        if (places - 1) * step >= size + around:
            places -= 1
        if places < 1:
            raise ValueError(
                f"{function}: a {kernel_size[0]}×{kernel_size[1]} window does not fit x {x_shape} with padding "
                f"{padding}, stride {stride} and ceil_mode; use larger images or more padding"
            )
        behind.append(max(0, (places - 1) * step - room))
    return behind[0], behind[1]


def extended(xp: object, x: Array, behind: Pair, value: float) -> Array:
    """Return x with rows and columns of `value` below and to the right of its images."""
    if behind == (0, 0):
        return x
    N, C, H, W = x.shape
    larger: Array = xp.full((N, C, H + behind[0], W + behind[1]), value, x.dtype)  # type: ignore[attr-defined]
    larger[:, :, :H, :W] = x
    return larger
