"""A chain of layers, each convolution, batch norm and relu, with a shortcut before the last relu, as one op.

y = max(bn(conv(… max(bn(conv(x)), 0) …)) + shortcut, 0)

From the last layer to the first, g = dL/dy where the layer's output is above 0, else 0; then dL/dz, dL/dweight and
dL/dbias are batch norm's for g, and dL/dx, dL/dfilters the convolution's for dL/dz, z being the convolution's output.
The last g is dL/dshortcut; where the shortcut is x, or option A of x, it comes back to x and is added to what came
through the chain.

The same numbers as `conv2d`, `batch_norm`, `residual_add` and `relu` one after the other, with the activations read and
written fewer times. Models with fused=True use it; the formulas are in convolution.py, normalization.py, shortcut.py
and activation.py. Here the weights of the convolution are called filters, since batch norm has a weight too.
"""

from collections.abc import Sequence
from typing import NamedTuple

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.kernels.chain import Layer, Prepared, Skip
from minires.ops.convolution import Pair, check_conv
from minires.ops.normalization import check_norm
from minires.ops.shortcut import check_shortcut

__all__ = ["ConvLayer", "conv_chain"]


class ConvLayer(NamedTuple):
    """A layer of a chain: filters (F, C, KH, KW), weight and bias (F,) of its norm, stride and padding of its
    convolution. weight None: relu(conv + bias), for a norm that is folded into the filters; `prepared` then keeps what
    kernels make of filters that do not change."""

    filters: Tensor
    weight: Tensor | None
    bias: Tensor
    stride: int | Pair = 1
    padding: int | Pair = 0
    eps: float = 1e-5
    prepared: Prepared | None = None


class ConvChain(Op):
    """Inputs: x, then filters, weight and bias of each layer (filters and bias, where norms are folded), then the
    shortcut if it is a tensor. `saved` has what forward kept of each layer, its statistics among them."""

    def __init__(
        self, settings: list[tuple[Pair, Pair, float]], skip: Skip | None, folded: bool, prepared: list[Prepared | None]
    ) -> None:
        self.settings, self.skip, self.folded, self.prepared = settings, skip, folded, prepared

    def forward(self, x: Array, *arrays: Array) -> Array:
        each = 2 if self.folded else 3
        self.layers = []
        for i in range(len(self.settings)):
            params = arrays[each * i : each * i + each]
            weight = None if self.folded else params[1]
            self.layers.append(Layer(params[0], weight, params[-1], *self.settings[i], self.prepared[i]))
        self.shortcut: Array | Skip = arrays[-1] if self.skip is None else self.skip
        y, self.saved = self.kernels.chain_forward(x, self.layers, self.shortcut)
        return y

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        given = [self.saved, self.layers, self.shortcut, self.needs_grad[0]]
        before = self.inputs[0].op
        if self.unseen and isinstance(before, ConvChain) and not before.released:
            given.append(before.saved[-1])  # the kernel may begin with what that layer's backward begins with
        grad_x, grads, grad_shortcut = self.kernels.chain_backward(grad_y, *given)
        of_params = [grad for of_layer in grads for grad in of_layer]
        return (grad_x, *of_params) if isinstance(self.shortcut, Skip) else (grad_x, *of_params, grad_shortcut)


SKIPS = {None: Skip.NOTHING, "identity": Skip.IDENTITY, "A": Skip.OPTION_A}


def conv_chain(
    x: Tensor, layers: Sequence[ConvLayer], shortcut: Tensor | str | None = None
) -> tuple[Tensor, list[tuple[int, Array, Array]]]:
    """Return relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut), and of each norm the numbers per channel that it
    saw, their mean and their var.

    shortcut: None, "identity", which is x, "A", `option_a` of x with the stride of the whole chain, or a tensor of y's
    shape. Errors are those of `conv2d`, `batch_norm` and `residual_add`; ValueError for folded norms where a gradient
    is wanted, since nothing is kept of them.
    """
    name, shape, settings, kept = "conv_chain", x.shape, [], []
    folded = len(layers) > 0 and layers[0].weight is None
    tensors, stride = [x], 1
    if len(layers) == 0 or any((layer.weight is None) is not folded for layer in layers):
        raise ValueError(f"{name}: needs one layer or more, all with a norm or none, got {len(layers)}")
    for filters, weight, bias, by, padding, eps, prepared in layers:
        by, padding, shape = check_conv(name, shape, filters.shape, by, padding)
        if weight is not None:
            check_norm(name, shape, weight, bias, None, None)
            tensors += [filters, weight, bias]
        elif bias.shape != filters.shape[:1]:
            raise ValueError(f"{name}: bias {bias.shape} must be {filters.shape[:1]}, one per filter")
        else:
            tensors += [filters, bias]
        settings.append((by, padding, float(eps)))
        kept.append(prepared)
        stride *= by[0]  # option A has one for both directions
    skip: Skip | None = None
    if isinstance(shortcut, Tensor):
        check_shortcut(name, shortcut.shape, shape)
        tensors.append(shortcut)
    else:
        skip = checked_skip(name, shortcut, x.shape, shape, stride)
    op = ConvChain(settings, skip, folded, kept)
    y = op(*tensors)
    if folded and y.requires_grad:
        raise ValueError(f"{name}: folded norms are for inference: use no_grad(), or conv2d and relu")
    return y, [(saved.z.size // saved.z.shape[1], saved.mean, saved.var) for saved in op.saved]


def checked_skip(
    function: str, shortcut: str | None, x: tuple[int, ...], y: tuple[int, ...], stride: int
) -> Skip:
    """Return the shortcut by its name; ValueError where it has not the chain's shape."""
    if shortcut not in SKIPS:
        raise ValueError(f"{function}: shortcut must be None, 'identity', 'A' or a tensor, got {shortcut!r}")
    if shortcut == "identity":
        check_shortcut(function, x, y)
    if shortcut == "A":
        seen = (x[0], max(x[1], y[1]), -(-x[2] // stride), -(-x[3] // stride))  # it never takes channels away
        check_shortcut(function, seen, y)
    return SKIPS[shortcut]
