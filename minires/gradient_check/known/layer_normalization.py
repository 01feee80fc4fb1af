"""The gradients of layer norm and group norm, term by term, and the mistakes that people make in them.

With g = weight · dy and sums over the M numbers that are normalized together:

    dL/dx = inv_std · (g − Σ g / M − x̂ · Σ (g·x̂) / M)      dL/dweight = Σ dy·x̂      dL/dbias = Σ dy
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.normalization import DIRECT, MEAN
from minires.kernels import Array

VARIANCE = "the variance's term (x̂ · Σ g·x̂ / M)"


@dataclass(frozen=True)
class Parts:
    """What the formulas are made of, in one shape, of which the last `ndim` axes are normalized together."""

    grad_y: Array
    x_hat: Array
    inv_std: Array
    weight: Any  # in a shape that fits
    axes: tuple[int, ...]
    outside: bool = False  # a mistake: the weight stands before the sums, as in batch norm

    def terms(self) -> dict[str, Array]:
        g = self.grad_y * (1 if self.outside else self.weight)
        front = self.inv_std * (self.weight if self.outside else 1)
        return {
            DIRECT: front * g,
            MEAN: -front * g.mean(self.axes, keepdims=True) + 0 * g,
            VARIANCE: -front * self.x_hat * (g * self.x_hat).mean(self.axes, keepdims=True),
        }


def norm_rights(eps: float, ndim: Callable[[Array], int], shaped: Callable[[Array], Array], spread: Any) -> list[Right]:
    """Return what is known of the gradients of x, weight and bias.

    shaped(x): x in the shape in which its last ndim(x) axes are normalized together. spread(weight, x): the weight in a
    shape that fits that.
    """

    def parts(grad_y: Array, x: Array, weight: Any = None, *_: Array) -> Parts:
        inner = shaped(x)
        axes = tuple(range(-ndim(x), 0))
        mean, var = inner.mean(axes, keepdims=True), inner.var(axes, keepdims=True)
        inv_std = 1 / np.sqrt(var + eps)
        wide = 1.0 if weight is None else spread(weight, x)
        return Parts(shaped(grad_y), (inner - mean) * inv_std, inv_std + 0 * inner, wide, axes)

    def of_x(change: Callable[[Parts], Parts] = lambda p: p) -> Any:
        def gradient(*arguments: Array) -> dict[str, Array]:
            terms = change(parts(*arguments)).terms()
            return {name: term.reshape(arguments[1].shape) for name, term in terms.items()}

        return gradient

    def summed(product: Callable[[Parts], Array]) -> Any:
        def gradient(*arguments: Array) -> Array:
            x, weight = arguments[1:3]
            whole = product(parts(*arguments))
            fits = np.broadcast_to(spread(weight, x), whole.shape)
            same = [axis for axis, stride in enumerate(fits.strides) if stride == 0 and whole.shape[axis] > 1]
            return whole.sum(tuple(same)).reshape(weight.shape)

        return gradient

    def sizes(grad_y: Array, x: Array, *_: Array) -> dict[str, float]:
        inner = shaped(x)
        M = float(np.prod(inner.shape[-ndim(x) :]))
        return {"M": M, "N": len(x), "x.size": x.size}

    changes: dict[str, Callable[[Parts], Parts]] = {
        "the factor 1/√(var + eps) is missing": lambda p: replace(p, inv_std=np.ones_like(p.inv_std)),
        "the factor 1/√(var + eps) is there twice": lambda p: replace(p, inv_std=p.inv_std**2),
        "the factor weight is missing": lambda p: replace(p, weight=1.0),
        "the weight stands before the sums, as in batch norm: it belongs in them": lambda p: replace(p, outside=True),
        "the sums run over the images, as in batch norm": lambda p: replace(p, axes=(0,)),
        "the sums run over all numbers, those of all images": lambda p: replace(p, axes=tuple(range(p.x_hat.ndim))),
        "the sums run over the last axis alone": lambda p: replace(p, axes=(-1,)),
    }
    of_weight: dict[str, Callable[[Parts], Array]] = {
        "x̂ is missing: this is Σ dy": lambda p: p.grad_y,
        "x − mean is taken for x̂: it is not divided by √(var + eps)": lambda p: p.grad_y * p.x_hat / p.inv_std,
        "the factor weight is in it; y = weight · x̂ + bias": lambda p: p.grad_y * p.x_hat * p.weight,
    }
    of_bias: dict[str, Callable[[Parts], Array]] = {
        "it is multiplied by x̂: that is dL/dweight": lambda p: p.grad_y * p.x_hat,
        "the factor weight is in it; y = weight · x̂ + bias": lambda p: p.grad_y * p.weight,
    }
    return [
        Right(of_x(), {sentence: of_x(change) for sentence, change in changes.items()}, sizes, "M"),
        Right(summed(lambda p: p.grad_y * p.x_hat), {s: summed(f) for s, f in of_weight.items()}, sizes),
        Right(summed(lambda p: p.grad_y), {s: summed(f) for s, f in of_bias.items()}, sizes),
    ]


def layer_norm_rights(ndim: int, eps: float) -> list[Right]:
    return norm_rights(eps, lambda x: ndim, lambda x: x, lambda weight, x: weight)


def group_norm_rights(groups: int, eps: float) -> list[Right]:
    def shaped(x: Array) -> Array:
        return x.reshape(len(x), groups, -1, *x.shape[2:])

    def spread(weight: Array, x: Array) -> Array:
        return weight.reshape(groups, -1, *(1,) * (x.ndim - 2))

    return norm_rights(eps, lambda x: x.ndim - 1, shaped, spread)
