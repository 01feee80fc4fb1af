"""What a kernel asks before it begins: whether shapes fit. The same questions, and answers, for all kernel modules.

Compiled code that believes a wrong shape reads and writes beyond its arrays. The ops ask too, and explain more. Kernels
ask again, since anyone may call them, and since an array may have changed between forward and backward: a comparison
or two of shapes. Labels are indices, so they are copied, and it is the copy that is looked at and used.
"""

import numpy as np

from minires.kernels import Array

Pair = tuple[int, int]
Shape = tuple[int, ...]


def check_shape(kernel: str, name: str, array: Array, shape: Shape) -> None:
    """ValueError where the array has another shape."""
    if array.shape != shape:
        raise ValueError(f"{kernel}: {name} {array.shape} must be {shape}")


def check_channels(kernel: str, x_shape: Shape, **numbers: Array) -> None:
    """ValueError where x is not (N, C, …), or what is given per channel is not (C,)."""
    if len(x_shape) < 2 or 0 in x_shape[1:]:
        raise ValueError(f"{kernel}: x {x_shape} must be (N, C, …), of at least one channel and one pixel")
    for name, array in numbers.items():
        if array.shape != x_shape[1:2]:
            raise ValueError(f"{kernel}: {name} {array.shape} must be {x_shape[1:2]}, one number per channel")


def check_batch(kernel: str, x_shape: Shape) -> None:
    """ValueError where there are no images, and so no mean and variance."""
    if x_shape[0] == 0:
        raise ValueError(f"{kernel}: x {x_shape} has no images, so no mean and variance; use evaluation mode")


def check_tracked(kernel: str, running_mean: Array, running_var: Array, mean: Array, var: Array, M: int) -> None:
    """ValueError where running statistics and a batch's have not one shape and dtype, or the batch has no variance."""
    for name, array in {"running_var": running_var, "mean": mean, "var": var}.items():
        if array.shape != running_mean.shape or array.dtype != running_mean.dtype:
            first = f"{running_mean.shape} {running_mean.dtype}"
            raise ValueError(f"{kernel}: running_mean is {first}, {name} {array.shape} {array.dtype}")
    if M < 2:
        raise ValueError(f"{kernel}: a batch of M = {M} numbers per channel has no variance")


def check_conv2d(
    kernel: str,
    x_shape: Shape,
    weight_shape: Shape,
    stride: Pair,
    padding: Pair,
    y: Array | None = None,
    bias: Array | None = None,
) -> None:
    """ValueError where images, filters and, if given, outputs y and bias do not belong together."""
    if len(x_shape) != 4 or len(weight_shape) != 4 or x_shape[1] != weight_shape[1]:
        raise ValueError(
            f"{kernel}: x {x_shape} and weight {weight_shape} must be (N, C, H, W) and (F, C, KH, KW) with one C"
        )
    if bias is not None:
        check_shape(kernel, "bias", bias, weight_shape[:1])
    check_window(kernel, x_shape, weight_shape[2:], stride, padding, y, weight_shape[0])


def check_columns(kernel: str, cols: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> None:
    """ValueError where columns are not those of images x."""
    N, C, H, W = x_shape
    places = 1
    for size, kernel_extent, step, around in zip((H, W), kernel_size, stride, padding, strict=True):
        places *= (size + 2 * around - kernel_extent) // step + 1
    check_shape(kernel, "cols", cols, (N, C * kernel_size[0] * kernel_size[1], places))


def check_pool2d(
    kernel: str, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair, y: Array | None = None
) -> None:
    """ValueError where a pool's images, window and, if given, outputs y do not belong together."""
    if len(x_shape) != 4 or kernel_size[0] * kernel_size[1] > 32767:
        raise ValueError(f"{kernel}: x {x_shape} must be (N, C, H, W), the window {kernel_size} at most 32767 places")
    if 2 * padding[0] > kernel_size[0] or 2 * padding[1] > kernel_size[1]:
        raise ValueError(f"{kernel}: padding {padding} is more than half of the window {kernel_size}")
    check_window(kernel, x_shape, kernel_size, stride, padding, y, x_shape[1])


def check_window(
    kernel: str, x_shape: Shape, kernel_size: Shape, stride: Pair, padding: Pair, y: Array | None, channels: int
) -> None:
    """ValueError where no window fits the images, or y is not what windows at all places give."""
    N, _, H, W = x_shape
    room_h, room_w = H + 2 * padding[0] - kernel_size[0], W + 2 * padding[1] - kernel_size[1]
    if min(*kernel_size, *stride) < 1 or min(*padding, H - 1, W - 1, room_h, room_w) < 0:
        window = f"a window {tuple(kernel_size)} with stride {stride} and padding {padding}"
        raise ValueError(f"{kernel}: {window} does not fit x {x_shape}")
    if y is not None:
        check_shape(kernel, "grad_y", y, (N, channels, room_h // stride[0] + 1, room_w // stride[1] + 1))


def stride_within(x_shape: Shape, stride: Pair, padding: Pair = (0, 0)) -> Pair:
    """Return the stride, at most as long as the padded images: a longer one gives the same, and is out of all bounds as
    a distance in memory."""
    return min(stride[0], max(1, x_shape[2] + 2 * padding[0])), min(stride[1], max(1, x_shape[3] + 2 * padding[1]))


def check_option_a(kernel: str, x_shape: Shape, out_channels: int, stride: int) -> None:
    """ValueError where x is not (N, C, H, W) with C ≤ out_channels."""
    if len(x_shape) != 4 or out_channels < x_shape[1] or stride < 1:
        raise ValueError(
            f"{kernel}: x {x_shape} must be (N, C, H, W) with C at most {out_channels}, stride {stride} at least 1"
        )


def check_option_a_gradient(kernel: str, grad_y: Array, x_shape: Shape, stride: int) -> None:
    """ValueError where grad_y has not the shape that option A makes of x."""
    check_option_a(kernel, x_shape, grad_y.shape[1] if grad_y.ndim == 4 else 0, stride)
    N, _, H, W = x_shape
    check_shape(kernel, "grad_y", grad_y, (N, grad_y.shape[1], -(-H // stride), -(-W // stride)))


def check_logits(kernel: str, logits_shape: Shape, labels: Array) -> None:
    """ValueError where logits are not (N, classes), N and classes at least 1, or labels not (N,); TypeError for labels
    that are not integers."""
    if len(logits_shape) != 2 or 0 in logits_shape or labels.shape != logits_shape[:1]:
        raise ValueError(
            f"{kernel}: logits {logits_shape} and labels {labels.shape} must be (N, classes) and (N,), none of them 0"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{kernel}: labels must be integers, not {labels.dtype}")


def checked_labels(kernel: str, logits_shape: Shape, labels: Array, ignore_index: int) -> Array:
    """Return a copy of the labels, int64, in which every label is a class or ignore_index; ValueError for others."""
    check_logits(kernel, logits_shape, labels)
    numbers = np.array(labels, np.int64)
    kept = numbers[numbers != ignore_index]
    if kept.size and (kept.min() < 0 or kept.max() >= logits_shape[1]):
        raise ValueError(
            f"{kernel}: labels run from {kept.min()} to {kept.max()}, logits {logits_shape} have classes 0 to "
            f"{logits_shape[1] - 1}"
        )
    return numbers


def checked_updates(kernel: str, params: list[Array], grads: list[Array], **state: list[Array]) -> list[Array]:
    """Return the gradients, as copies where they share memory with their parameter, which is about to be written.

    ValueError where a gradient, or what is kept for a parameter, has not its shape and dtype, where lists have not one
    length, or an array to be written is read-only. All are looked at before any is written.
    """
    for name, arrays in {"gradient": grads, **state}.items():
        if len(arrays) != len(params):
            raise ValueError(f"{kernel}: {len(params)} parameters, {len(arrays)} arrays for their {name}")
        for number, (param, array) in enumerate(zip(params, arrays, strict=True)):
            if array.shape != param.shape or array.dtype != param.dtype:
                expected = f"{param.shape} {param.dtype}"
                raise ValueError(f"{kernel}: parameter {number} is {expected}, its {name} {array.shape} {array.dtype}")
    for arrays in (params, *state.values()):
        for number, array in enumerate(arrays):
            if not getattr(array.flags, "writeable", True):
                raise ValueError(f"{kernel}: parameter {number}, or what is kept for it, is read-only")
    return [
        grad.copy() if type(grad) is np.ndarray and np.may_share_memory(grad, param) else grad
        for param, grad in zip(params, grads, strict=True)
    ]
