"""The gradients of a chain of layers as one op, and the mistakes made where its parts are put together.

From the last layer to the first: relu's mask, batch norm's formula, the convolution's two; beside them the shortcut.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.convolution import grad_input, grad_weight
from minires.gradient_check.known.normalization import DIRECT, MEAN, VARIANCE, input_terms, parts_of
from minires.kernels import Array

Pair = tuple[int, int]
Settings = Sequence[tuple[Pair, Pair, float]]  # of each layer: stride, padding, eps
AXES = (0, 2, 3)
THROUGH, BESIDE = "what comes through the layers", "what comes over the shortcut"


def convolved(x: Array, filters: Array, stride: Pair, padding: Pair) -> Array:
    """Convolve tap by tap."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    KH, KW = filters.shape[2:]
    I, J = (padded.shape[2] - KH) // stride[0] + 1, (padded.shape[3] - KW) // stride[1] + 1
    y = np.zeros((x.shape[0], filters.shape[0], I, J))
    for u in range(KH):
        for v in range(KW):
            seen = padded[:, :, u : u + stride[0] * I : stride[0], v : v + stride[1] * J : stride[1]]
            y += np.einsum("ncij,fc->nfij", seen, filters[:, :, u, v])
    return y


def chain_gradients(
    settings: Settings,
    skip: str,
    grad_y: Array,
    x: Array,
    *arrays: Array,
    left_out: Sequence[str] = (),
    open_masks: str = "",
    alone: bool = False,
) -> list[Any]:
    """Return dL/dx, as what came through the layers and over the shortcut, and those of all other inputs.

    skip: "nothing", "identity", "option A", or "given" for an array. Mistakes: terms of the norms that are left_out;
    open_masks, of the "last" relu, of those "between" or of "all"; alone: the last mask is made without the shortcut.
    """
    last, step, y, kept = len(settings) - 1, 1, x, []
    for i, (stride, padding, eps) in enumerate(settings):
        filters, weight, bias = arrays[3 * i : 3 * i + 3]
        z = convolved(y, filters, stride, padding)
        norm = parts_of(z, z, weight, eps, AXES)
        out = norm.weight * norm.x_hat + bias.reshape(norm.weight.shape)
        step *= stride[0]
        if i == last and not alone:
            out = out + shortcut_of(skip, x, out, arrays, step)
        kept.append((y, z, out > 0))
        y = np.maximum(out, 0)
    grad, beside = grad_y, grad_y
    found: list[Any] = []
    for i in range(last, -1, -1):
        (stride, padding, eps), (before, z, mask) = settings[i], kept[i]
        filters, weight, bias = arrays[3 * i : 3 * i + 3]
        if open_masks not in ("all", "last" if i == last else "between"):
            grad = grad * mask
        beside = grad if i == last else beside
        norm = parts_of(grad, z, weight, eps, AXES)
        found[:0] = [None, np.sum(grad * norm.x_hat, AXES), np.sum(grad, AXES)]
        grad_z = total({name: term for name, term in input_terms(norm).items() if name not in left_out})
        found[0] = grad_weight(grad_z, before, filters.shape, stride, padding)
        grad = grad_input(grad_z, filters, before.shape, stride, padding)
    if skip == "given":
        return [{THROUGH: grad}, *found, beside]
    if skip == "option A":
        front = (beside.shape[1] - x.shape[1]) // 2
        spread = np.zeros(x.shape)
        spread[:, :, ::step, ::step] = beside[:, front : front + x.shape[1]]
        beside = spread
    return [{THROUGH: grad} if skip == "nothing" else {THROUGH: grad, BESIDE: beside}, *found]


def shortcut_of(skip: str, x: Array, y: Array, arrays: Sequence[Array], step: int) -> Any:
    if skip in ("identity", "given"):
        return x if skip == "identity" else arrays[-1]
    if skip == "nothing":
        return 0.0
    result, front = np.zeros(y.shape), (y.shape[1] - x.shape[1]) // 2
    result[:, front : front + x.shape[1]] = x[:, :, ::step, ::step]
    return result


MISTAKES: dict[str, dict[str, Any]] = {
    "the mask of the last relu is forgotten": {"open_masks": "last"},
    "the masks of the relus between the layers are forgotten": {"open_masks": "between"},
    "the masks of all relus are forgotten": {"open_masks": "all"},
    "the last relu's mask is made without the shortcut": {"alone": True},
    "in the norms the mean's term is missing": {"left_out": (MEAN,)},
    "in the norms the variance's term is missing": {"left_out": (VARIANCE,)},
    "in the norms the statistics are taken for constants: both of their terms are missing": {
        "left_out": (MEAN, VARIANCE)
    },
    "in the norms the direct term is missing": {"left_out": (DIRECT,)},
}


def chain_rights(settings: Settings, skip: str) -> list[Right]:
    """Return what is known of each input's gradient: x, then filters, weight and bias of each layer, the shortcut."""

    def of(place: int, **mistake: Any) -> Callable[..., Any]:
        return lambda grad_y, *arrays: chain_gradients(settings, skip, grad_y, *arrays, **mistake)[place]

    number = 1 + 3 * len(settings) + (skip == "given")
    return [
        Right(of(place), {sentence: of(place, **mistake) for sentence, mistake in MISTAKES.items()})
        for place in range(number)
    ]
