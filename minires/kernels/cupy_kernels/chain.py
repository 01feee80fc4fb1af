"""A chain of layers, each convolution, batch norm and relu, with a shortcut added before the last relu.

The launches are the convolutions' own and batch norm's two, which take shortcut and relu along.
"""

from minires.kernels import Array
from minires.kernels.chain import Gradients, Layer, SavedLayer, Skip, total_stride
from minires.kernels.cupy_kernels import normalization
from minires.kernels.cupy_kernels.activation import relu_forward
from minires.kernels.cupy_kernels.convolution import conv2d_forward, conv2d_grad_input, conv2d_grad_weight
from minires.kernels.cupy_kernels.shortcut import option_a_backward, option_a_forward


def chain_forward(x: Array, layers: list[Layer], shortcut: Array | Skip) -> tuple[Array, list[SavedLayer]]:
    """Return y = relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut), and what backward needs of each layer."""
    added: Array | None = None if isinstance(shortcut, Skip) else shortcut
    if shortcut is Skip.IDENTITY:
        added = x
    elif shortcut is Skip.OPTION_A:
        added = option_a_forward(x, layers[-1].filters.shape[0], total_stride(layers))
    y = x
    saved: list[SavedLayer] = []
    for layer in layers:
        before, last = y, layer is layers[-1]
        if layer.weight is None:
            y = conv2d_forward(before, layer.filters, layer.bias, layer.stride, layer.padding)
            y = relu_forward(y + added if last and added is not None else y)
            continue
        z = conv2d_forward(before, layer.filters, None, layer.stride, layer.padding)
        norm = layer.weight, layer.bias, layer.eps
        y, mean, var = normalization.forward(z, *norm, added if last else None, relu=True)
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
    grad, grad_shortcut = grad_y, grad_y
    grads: list[Gradients] = []
    for i in range(len(layers) - 1, -1, -1):
        layer, kept = layers[i], saved[i]
        last = i == len(layers) - 1
        grad_z, grad_weight, grad_bias, masked = normalization.backward(
            grad, kept.z, kept.y, layer.weight, kept.mean, kept.var, layer.eps,
            with_shortcut=last and shortcut is not Skip.NOTHING,
        )  # fmt: skip
        grad_shortcut = masked if last else grad_shortcut
        grad_filters = conv2d_grad_weight(grad_z, kept.x, layer.filters.shape, layer.stride, layer.padding)
        grads.insert(0, (grad_filters, grad_weight, grad_bias))
        if i > 0 or with_x:
            grad = conv2d_grad_input(grad_z, layer.filters, kept.x.shape, layer.stride, layer.padding)
    if not isinstance(shortcut, Skip):
        return grad if with_x else None, grads, grad_shortcut
    if with_x and shortcut is Skip.IDENTITY:
        grad += grad_shortcut
    elif with_x and shortcut is Skip.OPTION_A:
        grad += option_a_backward(grad_shortcut, grad.shape, total_stride(layers))
    return grad if with_x else None, grads, None
