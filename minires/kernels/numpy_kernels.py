"""The kernels in plain NumPy: the readable reference, and the one to step through.

N images; C channels in, F channels out; H×W input, KH×KW filter, I×J output. kernel_size, stride and padding are
(height, width) pairs. A filter's tap (u, v) sees, for all outputs at once, a strided slice of the padded input:
every loop below runs over the KH·KW taps, never over positions.

The law for what is not finite, one for all kernel modules. What is selected (relu, pools, option A, ignored labels) is
taken or left, never multiplied by a mask: an infinite gradient stops where none is to pass, and NaN passes where
PyTorch passes it. Pools, norms and loss have infinities and NaN in the same places under all modules. An output of a
convolution is not finite where its window, or its filter, holds a number that is not. How far that spreads is each
module's own affair: Winograd's way mixes the 4×4 outputs of a tile, and no module more than a tile.
"""

import math

import numpy as np

from minires.kernels import Array, chain, checks
from minires.kernels.chain import Gradients, Layer, SavedLayer, Skip

xp = np  # the name by which ops ask for the array library of any kernel module

Pair = tuple[int, int]
Shape = tuple[int, ...]


# Images to columns, and back


def output_size(x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return (I, J), the places where a window fits: ⌊(size + 2·padding − kernel) / stride⌋ + 1."""
    H, W = x_shape[2:]
    I = (H + 2 * padding[0] - kernel_size[0]) // stride[0] + 1
    J = (W + 2 * padding[1] - kernel_size[1]) // stride[1] + 1
    return I, J


def tap(u: int, v: int, I: int, J: int, stride: Pair) -> tuple[slice, slice, slice, slice]:
    """Return the index of what tap (u, v) sees in a padded input, for all I×J outputs."""
    rows = slice(u, u + stride[0] * I, stride[0])
    columns = slice(v, v + stride[1] * J, stride[1])
    return slice(None), slice(None), rows, columns


def pad_images(x: Array, padding: Pair, value: float = 0.0) -> Array:
    """Return x with `value` around each image; x itself where there is no padding."""
    if padding == (0, 0):
        return x
    N, C, H, W = x.shape
    P, Q = padding
    padded = np.full((N, C, H + 2 * P, W + 2 * Q), value, x.dtype)
    padded[:, :, P : P + H, Q : Q + W] = x
    return padded


def crop_images(padded: Array, x_shape: Shape, padding: Pair) -> Array:
    """Undo `pad_images`."""
    H, W = x_shape[2:]
    P, Q = padding
    return padded[:, :, P : P + H, Q : Q + W]


def padded_zeros(x_shape: Shape, padding: Pair, dtype: np.dtype) -> Array:
    """Return zeros of the padded images' shape."""
    N, C, H, W = x_shape
    return np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]), dtype)


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Copy each patch of x (N, C, H, W) into a column: (N, C·KH·KW, I·J)."""
    N, C, _, _ = x.shape
    KH, KW = kernel_size
    I, J = output_size(x.shape, kernel_size, stride, padding)
    x = pad_images(x, padding)
    cols = np.empty((N, C, KH, KW, I, J), x.dtype)
    for u in range(KH):
        for v in range(KW):
            cols[:, :, u, v] = x[tap(u, v, I, J, stride)]
    return cols.reshape(N, C * KH * KW, I * J)


def col2im(cols: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Add each column back to where im2col copied it from, its transpose: (N, C·KH·KW, I·J) to (N, C, H, W)."""
    checks.check_columns("col2im", cols, x_shape, kernel_size, stride, padding)
    N, C, _, _ = x_shape
    KH, KW = kernel_size
    I, J = output_size(x_shape, kernel_size, stride, padding)
    cols = cols.reshape(N, C, KH, KW, I, J)
    x = padded_zeros(x_shape, padding, cols.dtype)
    for u in range(KH):
        for v in range(KW):
            x[tap(u, v, I, J, stride)] += cols[:, :, u, v]  # patches overlap: add, never assign
    return crop_images(x, x_shape, padding)


# Convolution: y[n] = w @ cols[n] for each image n, with w = weight as (F, C·KH·KW)

# In float32 4 MB, which stay in the cache. The columns of a whole batch would be nine times the activations.
COLUMN_FLOATS = 1 << 20


def image_groups(N: int, floats_per_image: int) -> list[slice]:
    """Cut images 0 … N − 1 into slices of a few each: `for n in image_groups(…)` goes over all, in fewer steps."""
    size = max(1, COLUMN_FLOATS // max(1, floats_per_image))
    return [slice(start, start + size) for start in range(0, N, size)]


def conv2d_forward(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, c, i·stride+u, j·stride+v]."""
    checks.check_conv2d("conv2d_forward", x.shape, weight.shape, stride, padding, None, bias)
    N = x.shape[0]
    F, C, KH, KW = weight.shape
    I, J = output_size(x.shape, (KH, KW), stride, padding)
    w = weight.reshape(F, C * KH * KW)
    y = np.empty((N, F, I * J), x.dtype)
    for n in image_groups(N, C * KH * KW * I * J):
        cols = im2col(x[n], (KH, KW), stride, padding)  # (n, C·KH·KW, I·J)
        y[n] = w @ cols  # (n, F, I·J)
    if bias is not None:
        y += bias.reshape(F, 1)
    return y.reshape(N, F, I, J)


def conv2d_grad_input(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx (N, C, H, W). y = w @ cols gives dL/dcols = wᵀ @ dL/dy, and col2im takes columns back to x."""
    checks.check_conv2d("conv2d_grad_input", x_shape, weight.shape, stride, padding, grad_y)
    N, F, I, J = grad_y.shape
    _, C, KH, KW = weight.shape
    w = weight.reshape(F, C * KH * KW)
    dy = grad_y.reshape(N, F, I * J)
    grad_x = np.empty(x_shape, grad_y.dtype)
    for n in image_groups(N, C * KH * KW * I * J):
        grad_cols = w.T @ dy[n]  # (n, C·KH·KW, I·J)
        grad_x[n] = col2im(grad_cols, grad_x[n].shape, (KH, KW), stride, padding)  # (n, C, H, W)
    return grad_x


def conv2d_grad_weight(grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dweight (F, C, KH, KW). y = w @ cols gives dL/dw = Σₙ dL/dy[n] @ cols[n]ᵀ; columns are made afresh."""
    checks.check_conv2d("conv2d_grad_weight", x.shape, weight_shape, stride, padding, grad_y)
    N, F, I, J = grad_y.shape
    _, C, KH, KW = weight_shape
    dy = grad_y.reshape(N, F, I * J)
    grad_w = np.zeros((F, C * KH * KW), grad_y.dtype)
    for n in image_groups(N, C * KH * KW * I * J):
        cols = im2col(x[n], (KH, KW), stride, padding)  # (n, C·KH·KW, I·J)
        grad_w += (dy[n] @ cols.transpose(0, 2, 1)).sum(axis=0)  # (F, C·KH·KW)
    return grad_w.reshape(weight_shape)


# Batch norm: y = weight · x̂ + bias with x̂ = (x − mean) / √(var + eps), per channel over M = N·H·W numbers


def channel_axes(x: Array) -> tuple[Shape, Shape]:
    """Return the axes that are not channels, and the shape that spreads one number per channel over x."""
    axes = (0, *range(2, x.ndim))
    spread = (1, -1, *(1,) * (x.ndim - 2))
    return axes, spread


def batch_norm_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize x (N, C, …) by its own mean and biased variance; return y, mean (C,), var (C,)."""
    checks.check_channels("batch_norm_forward", x.shape, weight=weight, bias=bias)
    checks.check_batch("batch_norm_forward", x.shape)
    axes, spread = channel_axes(x)
    mean = x.mean(axis=axes)
    centred = x - mean.reshape(spread)
    var = (centred * centred).mean(axis=axes)
    scale = weight / np.sqrt(var + eps)
    y = centred * scale.reshape(spread)
    y += bias.reshape(spread)
    return y, mean, var


def batch_norm_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias, where mean and var were computed from x (Ioffe & Szegedy 2015, §3).

    With x̂'s two ties to the whole batch resolved, dL/dx = weight/√(var+eps) · (dy − Σdy/M − x̂ · Σ(dy·x̂)/M).
    """
    checks.check_channels("batch_norm_backward", x.shape, weight=weight, mean=mean, var=var)
    checks.check_shape("batch_norm_backward", "grad_y", grad_y, x.shape)
    axes, spread = channel_axes(x)
    M = x.size // x.shape[1]
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean.reshape(spread)) * inv_std.reshape(spread)
    grad_bias = grad_y.sum(axis=axes)
    grad_weight = (grad_y * x_hat).sum(axis=axes)
    x_hat *= (grad_weight / M).reshape(spread)
    grad_x = grad_y - x_hat
    grad_x -= (grad_bias / M).reshape(spread)
    grad_x *= (weight * inv_std).reshape(spread)
    return grad_x, grad_weight, grad_bias


def batch_norm_track(running_mean: Array, running_var: Array, mean: Array, var: Array, M: int, momentum: float) -> None:
    """running ← (1 − momentum) · running + momentum · batch, in place; the variance unbiased, M/(M − 1) · var."""
    checks.check_tracked("batch_norm_track", running_mean, running_var, mean, var, M)
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + (momentum * M / (M - 1)) * var


def batch_norm_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Normalize x (N, C, …) by a given mean and variance."""
    checks.check_channels("batch_norm_inference", x.shape, weight=weight, bias=bias, mean=mean, var=var)
    _, spread = channel_axes(x)
    scale = weight / np.sqrt(var + eps)
    y = (x - mean.reshape(spread)) * scale.reshape(spread)
    y += bias.reshape(spread)
    return y


def batch_norm_inference_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias where mean and var are constants: dL/dx = weight/√(var+eps) · dy."""
    checks.check_channels("batch_norm_inference_backward", x.shape, weight=weight, mean=mean, var=var)
    checks.check_shape("batch_norm_inference_backward", "grad_y", grad_y, x.shape)
    axes, spread = channel_axes(x)
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean.reshape(spread)) * inv_std.reshape(spread)
    grad_weight = (grad_y * x_hat).sum(axis=axes)
    grad_bias = grad_y.sum(axis=axes)
    grad_x = grad_y * (weight * inv_std).reshape(spread)
    return grad_x, grad_weight, grad_bias


# ReLU: y = max(x, 0)


def relu_forward(x: Array) -> Array:
    """Return max(x, 0), elementwise; NaN stays NaN."""
    return np.maximum(x, 0)


def relu_backward(grad_y: Array, y: Array) -> Array:
    """Return dL/dx: 0 where y ≤ 0, else dy, whatever either is. So dy passes where y is NaN, as in PyTorch."""
    checks.check_shape("relu_backward", "grad_y", grad_y, y.shape)
    return select(grad_y, ~(y <= 0))


def select(numbers: Array, kept: Array) -> Array:
    """Return the numbers where `kept` holds, and 0 elsewhere, also in place of infinity and NaN, whose 0-fold is NaN.

    The product is one of bits, as integers: np.where does the same in sixteen times the time.
    """
    if numbers.itemsize not in (2, 4, 8):
        return np.where(kept, numbers, 0)  # numbers wider than any integer
    bits = numbers.view(f"i{numbers.itemsize}") * kept
    return bits.view(numbers.dtype)


# Pooling


def max_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """Return each window's largest number (N, C, I, J), and the tap u·KW + v it came from.

    The first of equals wins, the last of NaNs, which win over all else. Padding never wins, not even over −∞.
    """
    checks.check_pool2d("max_pool2d_forward", x.shape, kernel_size, stride, padding)
    KH, KW = kernel_size
    I, J = output_size(x.shape, kernel_size, stride, padding)
    x = pad_images(x, padding, lowest(x.dtype))
    y = x[tap(0, 0, I, J, stride)].copy()
    winners = np.empty(y.shape, np.int16)
    winners[...] = first_tap(I, stride[0], padding[0])[:, None] * KW + first_tap(J, stride[1], padding[1])
    for u in range(KH):
        for v in range(KW):
            seen = x[tap(u, v, I, J, stride)]
            wins = (seen > y) | np.isnan(seen)
            y = np.where(wins, seen, y)
            winners[wins] = u * KW + v
    return y, winners


def first_tap(I: int, stride: int, padding: int) -> Array:
    """Return for each of I windows along one axis its first tap that is not in the padding."""
    return np.array([max(0, padding - i * stride) for i in range(I)])


def lowest(dtype: np.dtype) -> float:
    """Return the number that is larger than no other of this dtype."""
    return -math.inf if dtype.kind == "f" else np.iinfo(dtype).min


def max_pool2d_backward(
    grad_y: Array, winners: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return dL/dx: each window's gradient goes to its winner alone."""
    checks.check_pool2d("max_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    checks.check_shape("max_pool2d_backward", "winners", winners, grad_y.shape)
    KH, KW = kernel_size
    I, J = grad_y.shape[2:]
    grad_x = padded_zeros(x_shape, padding, grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            grad_x[tap(u, v, I, J, stride)] += select(grad_y, winners == u * KW + v)
    return crop_images(grad_x, x_shape, padding)


def avg_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the mean of each window, (N, C, I, J); the padding counts as zeros."""
    checks.check_pool2d("avg_pool2d_forward", x.shape, kernel_size, stride, padding)
    KH, KW = kernel_size
    I, J = output_size(x.shape, kernel_size, stride, padding)
    padded = pad_images(x, padding)
    y = np.zeros((*x.shape[:2], I, J), x.dtype)
    for u in range(KH):
        for v in range(KW):
            y += padded[tap(u, v, I, J, stride)]
    y /= KH * KW
    return y


def avg_pool2d_backward(grad_y: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx: each window's gradient goes in equal parts to its KH·KW numbers."""
    checks.check_pool2d("avg_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    KH, KW = kernel_size
    I, J = grad_y.shape[2:]
    share = grad_y / (KH * KW)
    grad_x = padded_zeros(x_shape, padding, grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            grad_x[tap(u, v, I, J, stride)] += share
    return crop_images(grad_x, x_shape, padding)


# Option A, the shortcut without parameters (He et al. 2015, §4.2): every stride-th pixel, zeros for the new channels


def option_a_forward(x: Array, out_channels: int, stride: int) -> Array:
    """Return (N, F, ⌈H/stride⌉, ⌈W/stride⌉) with x's channels in the middle, ⌊(F−C)/2⌋ zero channels before them."""
    checks.check_option_a("option_a_forward", x.shape, out_channels, stride)
    N, C, _, _ = x.shape
    front = (out_channels - C) // 2
    kept = x[:, :, ::stride, ::stride]
    y = np.zeros((N, out_channels, *kept.shape[2:]), x.dtype)
    y[:, front : front + C] = kept
    return y


def option_a_backward(grad_y: Array, x_shape: Shape, stride: int) -> Array:
    """Return dL/dx: dy where x was kept, 0 elsewhere."""
    checks.check_option_a_gradient("option_a_backward", grad_y, x_shape, stride)
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, front : front + C]
    return grad_x


# Cross-entropy of softmax: L = −Σ q·log p over the labelled images / their number, q = the label's one-hot, smoothed


def smoothed_one_hot(labels: Array, classes: int, label_smoothing: float, dtype: np.dtype) -> Array:
    """Return q (N, classes): 1 − s + s/classes at the label, s/classes elsewhere."""
    q = np.full((labels.shape[0], classes), label_smoothing / classes, dtype)
    q[np.arange(labels.shape[0]), labels] += 1 - label_smoothing
    return q


def cross_entropy_forward(
    logits: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> tuple[Array, Array]:
    """Return the mean loss over the labels not ignored, and the probabilities p = softmax(logits) (N, classes)."""
    labels = checks.checked_labels("cross_entropy_forward", logits.shape, labels, ignore_index)
    shifted = logits - logits.max(axis=1, keepdims=True)  # softmax does not change, and exp cannot overflow
    exp = np.exp(shifted)
    total = exp.sum(axis=1, keepdims=True)
    kept = labels != ignore_index
    q = smoothed_one_hot(np.where(kept, labels, 0), logits.shape[1], label_smoothing, logits.dtype)
    log_p = np.where(q == 0, 0, shifted - np.log(total))  # 0 · log 0 is 0
    losses = -(q * log_p).sum(axis=1)
    loss = np.where(kept, losses, 0).sum() / kept.sum().astype(logits.dtype)
    return loss, exp / total


def cross_entropy_backward(
    grad_loss: Array, probabilities: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> Array:
    """Return dL/dlogits = (p − q) / labelled images, and 0 for the ignored."""
    checks.check_shape("cross_entropy_backward", "grad_loss", grad_loss, ())
    labels = checks.checked_labels("cross_entropy_backward", probabilities.shape, labels, ignore_index)
    kept = labels != ignore_index
    q = smoothed_one_hot(np.where(kept, labels, 0), probabilities.shape[1], label_smoothing, probabilities.dtype)
    scale = grad_loss / kept.sum().astype(probabilities.dtype)
    return np.where(kept[:, None], (probabilities - q) * scale, 0)


# Optimizers: the arrays of params and of the optimizer's state are written in place


def sgd_step(
    params: list[Array],
    grads: list[Array],
    momentum_buffers: list[Array],
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """g = grad + decay·w; v ← momentum·v + g; w ← w − lr·v, or w − lr·(g + momentum·v) for Nesterov's."""
    grads = checks.checked_updates("sgd_step", params, grads, momentum_buffer=momentum_buffers)
    for w, grad, v in zip(params, grads, momentum_buffers, strict=True):
        g = grad + weight_decay * w if weight_decay else grad
        v *= momentum
        v += g
        w -= lr * (g + momentum * v if nesterov else v)


def adam_step(
    params: list[Array],
    grads: list[Array],
    means: list[Array],
    squares: list[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m ← β₁m + (1−β₁)g; s ← β₂s + (1−β₂)g²; w ← w − lr · m̂ / (√ŝ + eps), hats divided by 1 − βᵗ (Kingma & Ba 2015).

    Weight decay is added to g, or, decoupled, taken from w itself (Loshchilov & Hutter 2019). step counts from 1.
    """
    grads = checks.checked_updates("adam_step", params, grads, exp_avg=means, exp_avg_sq=squares)
    correction1 = 1 - beta1**step
    correction2 = math.sqrt(1 - beta2**step)
    for w, grad, m, s in zip(params, grads, means, squares, strict=True):
        g = grad
        if weight_decay and decoupled:
            w *= 1 - lr * weight_decay
        elif weight_decay:
            g = grad + weight_decay * w
        m *= beta1
        m += (1 - beta1) * g
        s *= beta2
        s += (1 - beta2) * g * g
        w -= (lr / correction1) * m / (np.sqrt(s) / correction2 + eps)


# A chain of layers, each convolution, batch norm and relu, with a shortcut added before the last relu (chain.py): the
# functions above, in their order. The other kernel modules do the same in fewer passes over memory.


def chain_forward(x: Array, layers: list[Layer], shortcut: Array | Skip) -> tuple[Array, list[SavedLayer]]:
    """Return y = relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut), and what backward needs of each layer.

    Of a layer whose norm is folded into its filters, relu(conv + bias), nothing is kept.
    """
    y = x
    saved: list[SavedLayer] = []
    for layer in layers:
        before = y
        if layer.weight is None:
            y = conv2d_forward(before, layer.filters, layer.bias, layer.stride, layer.padding)
        else:
            z = conv2d_forward(before, layer.filters, None, layer.stride, layer.padding)
            y, mean, var = batch_norm_forward(z, layer.weight, layer.bias, layer.eps)
        if layer is layers[-1]:
            if shortcut is Skip.IDENTITY:
                y = x + y
            elif shortcut is Skip.OPTION_A:
                y = option_a_forward(x, y.shape[1], chain.total_stride(layers)) + y
            elif not isinstance(shortcut, Skip):
                y = shortcut + y
        y = relu_forward(y)
        if layer.weight is not None:
            saved.append(SavedLayer(before, z, mean, var, y))
    return y, saved


def chain_backward(
    grad_y: Array,
    saved: list[SavedLayer],
    layers: list[Layer],
    shortcut: Array | Skip,
    with_x: bool,
    before: SavedLayer | None = None,
) -> tuple[Array | None, list[Gradients], Array | None]:
    """Return dL/dx, None unless `with_x`; the gradients of each layer's filters, weight and bias; and dL/dshortcut
    where the shortcut is an array. before: for the Numba kernels alone."""
    grad = grad_y
    grads: list[Gradients] = []
    for i in range(len(layers) - 1, -1, -1):
        layer, kept = layers[i], saved[i]
        grad = relu_backward(grad, kept.y)
        if i == len(layers) - 1:
            grad_shortcut = grad
        grad_z, grad_weight, grad_bias = batch_norm_backward(
            grad, kept.z, layer.weight, kept.mean, kept.var, layer.eps
        )
        grad_filters = conv2d_grad_weight(grad_z, kept.x, layer.filters.shape, layer.stride, layer.padding)
        grads.insert(0, (grad_filters, grad_weight, grad_bias))
        if i > 0 or with_x:
            grad = conv2d_grad_input(grad_z, layer.filters, kept.x.shape, layer.stride, layer.padding)
    if not isinstance(shortcut, Skip):
        return grad if with_x else None, grads, grad_shortcut
    if with_x and shortcut is Skip.IDENTITY:
        grad = grad + grad_shortcut
    elif with_x and shortcut is Skip.OPTION_A:
        grad = grad + option_a_backward(grad_shortcut, grad.shape, chain.total_stride(layers))
    return grad if with_x else None, grads, None


# Convolution with groups and dilation, which no chapter needs. It uses what stands above, and so comes last.

from minires.kernels import numpy_grouped_convolution  # noqa: E402

grouped_conv2d_forward = numpy_grouped_convolution.grouped_conv2d_forward
grouped_conv2d_grad_input = numpy_grouped_convolution.grouped_conv2d_grad_input
grouped_conv2d_grad_weight = numpy_grouped_convolution.grouped_conv2d_grad_weight
