"""Chapter 8: the backward passes of layer norm and group norm."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.layer_normalization import Parts, group_norm_rights, layer_norm_rights
from minires.gradient_check.known.normalization import DIRECT, batch_norm_right
from minires.kernels import Array
from minires.learn.examiner import Backward, Wrong, check_gradient
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 8: two norms that do not look at the batch.

Both do what batch norm does, and take mean and variance over other numbers:

    mean = Σ x / M      var = Σ (x − mean)² / M      x̂ = (x − mean) / √(var + eps)      y = weight · x̂ + bias

    layer norm      x (N, C): over the C numbers of each image, so M = C
    group norm      x (N, C, H, W): the C channels are cut into `groups` groups of neighbours, the first C/groups, the
                    next C/groups, and so on; over the numbers of each group of each image, so M = C/groups · H · W

In both there is one weight and one bias for each channel, so that numbers that share a mean have different weights.
Batch norm's formula takes its weight out of the sums; can it stay outside here?

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the two functions, then run `minires check 8`. `minires check 8 --hint` helps.
"""

import numpy as np


def layer_norm_backward(grad_y, x, weight, eps):
    """Return dL/dx (N, C), dL/dweight (C,), dL/dbias (C,). grad_y and x (N, C); weight (C,)."""
    ...


def group_norm_backward(grad_y, x, weight, groups, eps):
    """Return dL/dx (N, C, H, W), dL/dweight (C,), dL/dbias (C,).

    grad_y and x (N, C, H, W); weight (C,); groups divides C.
    """
    ...
'''

HINTS = (
    "weight and bias belong to a channel, whatever the mean is taken over: their gradients are sums over everything "
    "else. dL/dweight needs x̂, dL/dbias does not.",
    "Call what arrives at x̂ g = weight · dy. From x̂ on, go through the chapter's derivation again with g in the place "
    "of γ dy, and the sums over the M numbers that share a mean. x.mean(axis=1, keepdims=True) has the shape (N, 1), "
    "which fits x.",
    "Group norm is the same in another shape: x.reshape(N, groups, -1) has the M numbers of a group along its last "
    "axis. The weight has to be there before that: weight[:, None, None] fits (N, C, H, W). At the end, back to "
    "x.shape.",
)

EPS = 0.1  # large, so that it shows where it is forgotten
NAMES = ("x", "weight", "bias")
ON_BATCH = "this is batch norm: mean, variance and sums run over the images"


def of_x(axes: Callable[[Array], tuple[int, ...]], shaped: Callable[[Array], Array], spread: Any, **change: Any) -> Any:
    """Return dL/dx of a norm over `axes` of shaped(x), with another eps or ddof, or with constant statistics."""

    def gradient(grad_y: Array, x: Array, weight: Array, *_: Array) -> Array:
        inner, over = shaped(x), axes(x)
        mean, var = inner.mean(over, keepdims=True), inner.var(over, keepdims=True, ddof=change.get("ddof", 0))
        inv_std = 1 / np.sqrt(var + change.get("eps", EPS))
        terms = Parts(shaped(grad_y), (inner - mean) * inv_std, inv_std + 0 * inner, spread(weight, x), over).terms()
        return (terms[DIRECT] if change.get("constant") else total(terms)).reshape(x.shape)

    return gradient


def ingredients(axes: Callable[[Array], tuple[int, ...]], shaped: Callable[[Array], Array], spread: Any) -> Any:
    """Return the mistakes that every norm knows, with what they make of dL/dx."""
    return {
        "mean and variance are taken for constants: two terms are missing": of_x(axes, shaped, spread, constant=True),
        "eps is missing under the root": of_x(axes, shaped, spread, eps=0.0),
        "eps is 1e-5, whatever was asked for": of_x(axes, shaped, spread, eps=1e-5),
        "the variance is divided by M − 1, and should be by M": of_x(axes, shaped, spread, ddof=1),
    }


def with_mistakes(rights: list[Right], more: Mapping[str, Any], of_weight: Mapping[str, Any]) -> dict[str, Right]:
    """Return what is known of the three gradients, with mistakes that are met in this exercise."""
    x, weight, bias = rights
    return {
        "x": replace(x, variants={**more, **x.variants}),
        "weight": replace(weight, variants={**of_weight, **weight.variants}),
        "bias": bias,
    }


def of_layer_norm() -> dict[str, Right]:
    batch = batch_norm_right(EPS, (0,))
    more = ingredients(lambda x: (1,), lambda x: x, lambda weight, x: weight)
    of_weight = {
        "x̂ is batch norm's: its mean and variance run over the images": batch["weight"].terms,
        "x is taken for x̂: the mean is still in it, and the scale": lambda grad_y, x, *_: (grad_y * x).sum(axis=0),
        "eps is missing under the root of x̂": layer_norm_rights(1, 0.0)[1].terms,
    }
    return with_mistakes(layer_norm_rights(1, EPS), {ON_BATCH: batch["x"].terms} | more, of_weight)


def of_group_norm(groups: int) -> dict[str, Right]:
    def shaped(x: Array) -> Array:
        return x.reshape(len(x), groups, -1, *x.shape[2:])

    def spread(weight: Array, x: Array) -> Array:
        return weight.reshape(groups, -1, 1, 1)

    def grouped(number: Callable[[int], int]) -> Any:
        return lambda grad_y, x, *more: group_norm_rights(number(x.shape[1]), EPS)[0].terms(grad_y, x, *more)

    def dealt_out(grad_y: Array, x: Array, weight: Array, *_: Array) -> Array:
        order = np.arange(x.shape[1]).reshape(-1, groups).T.ravel()  # the channels 0, G, 2 G, … are a group
        terms = group_norm_rights(groups, EPS)[0].terms(grad_y[:, order], x[:, order], weight[order])
        grad_x = np.empty_like(x)
        grad_x[:, order] = total(terms)
        return grad_x

    def weight_of(number: Callable[[int], int]) -> Any:
        return lambda grad_y, x, *more: group_norm_rights(number(x.shape[1]), EPS)[1].terms(grad_y, x, *more)

    batch = batch_norm_right(EPS, (0, 2, 3))
    more = {
        ON_BATCH: batch["x"].terms,
        "the groups are not cut: mean, variance and sums run over the whole image": grouped(lambda C: 1),
        "each channel is a group of its own: mean, variance and sums run over its pixels": grouped(lambda C: C),
        "there are C/groups groups of `groups` channels, and should be `groups` groups": grouped(lambda C: C // groups),
        "the channels are dealt out in turn: a group's are neighbours": dealt_out,
    } | ingredients(lambda x: (2, 3, 4), shaped, spread)
    of_weight = {
        "x̂ is batch norm's: its mean and variance run over the images": batch["weight"].terms,
        "x̂ is that of a single group, the whole image": weight_of(lambda C: 1),
        "x̂ is that of C groups, each channel by itself": weight_of(lambda C: C),
        "x̂ is that of C/groups groups of `groups` channels": weight_of(lambda C: C // groups),
        "x is taken for x̂: the mean is still in it, and the scale": (
            lambda grad_y, x, *_: (grad_y * x).sum(axis=(0, 2, 3))
        ),
        "eps is missing under the root of x̂": group_norm_rights(groups, 0.0)[1].terms,
    }
    return with_mistakes(group_norm_rights(groups, EPS), more, of_weight)


def normalized(x: Array, weight: Array, bias: Array, groups: int) -> Array:
    """Group norm's forward, in the plainest way; with one group, and (N, C), it is layer norm's."""
    inner = x.reshape(len(x), groups, -1)
    x_hat = (inner - inner.mean(axis=2, keepdims=True)) / np.sqrt(inner.var(axis=2, keepdims=True) + EPS)
    spread = (1, -1) + (1,) * (x.ndim - 2)
    return (x_hat.reshape(x.shape) * weight.reshape(spread) + bias.reshape(spread)).astype(x.dtype)


def check_norm(
    head: str, function: Callable[..., Any], groups: int, draw: Any, rights: Mapping[str, Right], seed: int
) -> Iterator[str]:
    """Check the three gradients one by one, from the easiest on."""

    def answer(*arguments: Array) -> Any:
        grads = function(*arguments)
        if grads is not None and (not isinstance(grads, tuple | list) or len(grads) != 3):
            raise Wrong(f"{head}: gives back three gradients: return grad_x, grad_weight, grad_bias")
        return grads

    def only(position: int) -> Backward:
        def backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
            grads = answer(grad_y, x, weight)
            return grads and tuple([grad if i == position else None for i, grad in enumerate(grads)])

        return backward

    def forward(x: Array, weight: Array, bias: Array) -> Array:
        return normalized(x, weight, bias, groups)

    for position in (2, 1, 0):
        name = NAMES[position]
        yield from check_gradient(
            f"{head}, dL/d{name}", forward, only(position), draw, {name: rights[name]}, seed=seed
        )


def check_layer_norm(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C = 4 + rng.integers(0, 2), 6 + rng.integers(0, 2)
        x = rng.normal(1, 0.8, (N, C)) * rng.uniform(0.5, 1.5, (N, 1))
        return {"x": x, "weight": rng.uniform(0.5, 2, C), "bias": rng.standard_normal(C)}

    def function(grad_y: Array, x: Array, weight: Array) -> Any:
        return mine.layer_norm_backward(grad_y, x, weight, EPS)

    yield from check_norm("layer_norm_backward", function, 1, draw, of_layer_norm(), seed)


def check_group_norm(mine: Any, seed: int) -> Iterator[str]:
    for groups, channels in ((2, 6), (3, 6), (1, 4), (4, 4)):
        head = f"group_norm_backward, {channels} channels in {groups} group{'s' if groups > 1 else ''}"

        def draw(rng: np.random.Generator, channels: int = channels) -> dict[str, Array]:
            N, (H, W) = 2 + rng.integers(0, 2), rng.permutation([2, 3]) + rng.integers(0, 2)
            x = rng.normal(1, 0.8, (N, channels, H, W)) * rng.uniform(0.5, 1.5, (N, channels, 1, 1))
            return {"x": x, "weight": rng.uniform(0.5, 2, channels), "bias": rng.standard_normal(channels)}

        def function(grad_y: Array, x: Array, weight: Array, groups: int = groups) -> Any:
            return mine.group_norm_backward(grad_y, x, weight, groups, EPS)

        yield from check_norm(head, function, groups, draw, of_group_norm(groups), seed)


EXERCISE = Exercise(
    chapter=8,
    name="other_norms",
    title="The backward passes of layer norm and group norm",
    text=TEXT,
    hints=HINTS,
    checks={"layer_norm_backward": check_layer_norm, "group_norm_backward": check_group_norm},
)
