"""What the three gradients of batch norm are, term by term, and what they become with the mistakes that people make.

    dL/dbias = Σ dy      dL/dweight = Σ dy·x̂      dL/dx = weight · inv_std · (dy − Σ dy / M − x̂ · Σ (dy·x̂) / M)

A mistake in an ingredient (x̂, inv_std, a sum) is one parameter of the formulas below; a term dropped, doubled or of the
wrong sign or count needs no entry here, since the fit finds it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array

DIRECT, MEAN, VARIANCE = "the direct term (dy)", "the mean's term (Σ dy / M)", "the variance's term (x̂ · Σ dy·x̂ / M)"


@dataclass(frozen=True)
class Parts:
    """What the formulas are made of, in shapes that fit x; `axes` are those of a channel's numbers."""

    grad_y: Array
    x: Array
    weight: Array
    mean: Array
    var: Array
    eps: float
    axes: tuple[int, ...]
    x_hat: Array
    inv_std: Array  # of the factor in front
    factor: Array  # what the last term's mean is multiplied by: x̂
    product: Array  # whose mean that is: dy·x̂
    total: Array  # whose mean the middle term is: dy


def parts_of(grad_y: Array, x: Array, weight: Array, eps: float, axes: tuple[int, ...]) -> Parts:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv_std
    spread = weight.reshape([-1 if axis not in axes else 1 for axis in range(x.ndim)])
    return Parts(grad_y, x, spread, mean, var, eps, axes, x_hat, inv_std, x_hat, grad_y * x_hat, grad_y)


def input_terms(p: Parts) -> dict[str, Array]:
    front = p.weight * p.inv_std
    return {
        DIRECT: front * p.grad_y,
        MEAN: -front * p.total.mean(p.axes, keepdims=True) + 0 * p.x,
        VARIANCE: -front * p.factor * p.product.mean(p.axes, keepdims=True),
    }


Change = Callable[[Parts], Parts]


def with_x_hat(p: Parts, x_hat: Array) -> Parts:
    return replace(p, x_hat=x_hat, factor=x_hat, product=p.grad_y * x_hat)


INPUT: dict[str, Change] = {
    "the factor weight is missing": lambda p: replace(p, weight=np.ones_like(p.weight)),
    "the factor 1/√(var + eps) is missing": lambda p: replace(p, inv_std=np.ones_like(p.inv_std)),
    "the factor weight is there twice": lambda p: replace(p, weight=p.weight**2),
    "the factor 1/√(var + eps) is there twice (inv_std²), or its root is missing": (
        lambda p: replace(p, inv_std=p.inv_std**2)
    ),
    "it is multiplied by √(var + eps), and should be divided by it": lambda p: replace(p, inv_std=1 / p.inv_std),
    "it is multiplied by the variance's root, which should divide": lambda p: replace(p, inv_std=np.sqrt(p.var)),
    "it is divided by the weight, and should be multiplied": lambda p: replace(p, weight=1 / p.weight),
    "the last term is a mean, not yet multiplied by x̂": lambda p: replace(p, factor=np.ones_like(p.x)),
    "x stands for x̂, in both places of the last term": lambda p: replace(p, factor=p.x, product=p.grad_y * p.x),
    "x stands for x̂, where the last term multiplies": lambda p: replace(p, factor=p.x),
    "x stands for x̂ in the last term's sum": lambda p: replace(p, product=p.grad_y * p.x),
    "x − mean stands for x̂, in both places of the last term: not divided by √(var + eps)": lambda p: with_x_hat(
        p, p.x - p.mean
    ),
    "x − mean stands for x̂, in one of the two places of the last term": lambda p: replace(p, factor=p.x - p.mean),
    "the last term's sum lacks the factor x̂": lambda p: replace(p, product=p.grad_y),
    "x̂² stands in the last term's sum": lambda p: replace(p, product=p.grad_y * p.x_hat**2),
    "the last term is multiplied by x̂²": lambda p: replace(p, factor=p.x_hat**2),
    "the last term is multiplied by dy, where x̂ belongs": lambda p: replace(p, factor=p.grad_y),
    "the sum of dy·x̂ stands in the middle term, too": lambda p: replace(p, total=p.product),
    "the weight is in the sums as well": lambda p: replace(p, total=p.total * p.weight, product=p.product * p.weight),
    "eps is missing under the root, everywhere": lambda p: everywhere(p, 1 / np.sqrt(p.var)),
    "eps is missing under the root of the factor": lambda p: replace(p, inv_std=1 / np.sqrt(p.var)),
    "eps is missing under the root of x̂": lambda p: with_x_hat(p, (p.x - p.mean) / np.sqrt(p.var)),
    "eps is added to the root: it belongs under it": lambda p: everywhere(p, 1 / (np.sqrt(p.var) + p.eps)),
    "eps is added to the root in the factor: it belongs under it": (
        lambda p: replace(p, inv_std=1 / (np.sqrt(p.var) + p.eps))
    ),
    "eps is added to the root in x̂: it belongs under it": (
        lambda p: with_x_hat(p, (p.x - p.mean) / (np.sqrt(p.var) + p.eps))
    ),
    "eps is there twice": lambda p: everywhere(p, 1 / np.sqrt(p.var + 2 * p.eps)),
    "eps is 1e-5, whatever was asked for": lambda p: everywhere(p, 1 / np.sqrt(p.var + 1e-5)),
    "eps is squared": lambda p: everywhere(p, 1 / np.sqrt(p.var + p.eps**2)),
    "eps is taken off, not added": lambda p: everywhere(p, 1 / np.sqrt(p.var - p.eps)),
    "the variance is squared: √(var² + eps)": lambda p: everywhere(p, 1 / np.sqrt(p.var**2 + p.eps)),
    "there is no root: 1/(var + eps), in x̂ as well": lambda p: everywhere(p, 1 / (p.var + p.eps)),
    "x̂ is x/√(var + eps): the mean is still in it": lambda p: with_x_hat(p, p.x * p.inv_std),
    "the weight is in x̂ (y − bias stands for it)": lambda p: with_x_hat(p, p.weight * p.x_hat),
    "the sums run over the images alone, not over a channel's pixels": lambda p: over(p, (0,)),
    "the sums run over the pixels alone, not over the images": lambda p: over(p, p.axes[1:]),
    "the sums run over all channels together": lambda p: over(p, tuple(range(p.x.ndim))),
}


def everywhere(p: Parts, inv_std: Array) -> Parts:
    return replace(with_x_hat(p, (p.x - p.mean) * inv_std), inv_std=inv_std)


def over(p: Parts, axes: tuple[int, ...]) -> Parts:
    return replace(p, axes=axes)


WEIGHT: dict[str, Callable[[Parts], Array]] = {
    "x is taken for x̂: the mean is still in it, and the scale": lambda p: p.grad_y * p.x,
    "x − mean is taken for x̂: it is not divided by √(var + eps)": lambda p: p.grad_y * (p.x - p.mean),
    "x/√(var + eps) is taken for x̂: the mean is still in it": lambda p: p.grad_y * p.x * p.inv_std,
    "eps is missing under the root of x̂": lambda p: p.grad_y * (p.x - p.mean) / np.sqrt(p.var),
    "eps is added to the root in x̂: it belongs under it": (
        lambda p: p.grad_y * (p.x - p.mean) / (np.sqrt(p.var) + p.eps)
    ),
    "x̂ is divided by var + eps: the root is missing": lambda p: p.grad_y * (p.x - p.mean) / (p.var + p.eps),
    "x̂ is multiplied by √(var + eps), and should be divided": lambda p: p.grad_y * (p.x - p.mean) / p.inv_std,
    "the factor weight is in it; y = weight · x̂ + bias": lambda p: p.grad_y * p.x_hat * p.weight,
    "the factor 1/√(var + eps) is there twice": lambda p: p.grad_y * p.x_hat * p.inv_std,
    "x̂² stands for x̂": lambda p: p.grad_y * p.x_hat**2,
    "x̂ is missing: this is Σ dy": lambda p: p.grad_y,
    "dy is missing: this is Σ x̂": lambda p: p.x_hat,
    "eps is there twice": lambda p: p.grad_y * (p.x - p.mean) / np.sqrt(p.var + 2 * p.eps),
    "eps is 1e-5, whatever was asked for": lambda p: p.grad_y * (p.x - p.mean) / np.sqrt(p.var + 1e-5),
}

BIAS: dict[str, Callable[[Parts], Array]] = {
    "it is multiplied by x̂: that is dL/dweight": lambda p: p.grad_y * p.x_hat,
    "the factor weight is in it; y = weight · x̂ + bias": lambda p: p.grad_y * p.weight,
    "the factor 1/√(var + eps) is in it": lambda p: p.grad_y * p.inv_std,
    "dy is missing: this counts a channel's numbers": lambda p: np.ones_like(p.x),
}


def batch_norm_right(eps: float, axes: tuple[int, ...]) -> dict[str, Right]:
    """Return what is known of the gradients of x, weight and bias, as functions of (grad_y, x, weight, …)."""

    def parts(arguments: tuple[Array, ...]) -> Parts:
        return parts_of(arguments[0], arguments[1], arguments[2], eps, axes)

    def of_x(change: Change) -> Any:
        return lambda *arguments: input_terms(change(parts(arguments)))

    def summed(array: Callable[[Parts], Array]) -> Any:
        return lambda *arguments: array(parts(arguments)).sum(axes)

    def sizes(grad_y: Array, x: Array, *_: Array) -> dict[str, float]:
        C = x.size // np.prod([x.shape[axis] for axis in axes])
        return {"M": x.size / C, "N": len(x), "x.size": x.size, "C": C, "H·W": x.size / C / len(x)}

    return {
        "x": Right(of_x(lambda p: p), {sentence: of_x(change) for sentence, change in INPUT.items()}, sizes, "M"),
        "weight": Right(summed(lambda p: p.grad_y * p.x_hat), {s: summed(f) for s, f in WEIGHT.items()}, sizes),
        "bias": Right(summed(lambda p: p.grad_y), {s: summed(f) for s, f in BIAS.items()}, sizes),
    }


def inference_right(mean: Array, var: Array, eps: float, axes: tuple[int, ...]) -> dict[str, Right]:
    """Return what is known of the gradients of x, weight and bias where mean and var are given: constants."""

    def parts(arguments: tuple[Array, ...]) -> Parts:
        grad_y, x, weight = arguments[:3]
        own = parts_of(grad_y, x, weight, eps, axes)
        given_mean, given_var = mean.reshape(own.weight.shape), var.reshape(own.weight.shape)
        inv_std = 1 / np.sqrt(given_var + eps)
        return replace(with_x_hat(own, (x - given_mean) * inv_std), mean=given_mean, var=given_var, inv_std=inv_std)

    def of_x(change: Change) -> Any:
        return lambda *arguments: input_terms(change(parts(arguments)))[DIRECT]

    def training(*arguments: Array) -> Array:
        return sum(input_terms(parts(arguments)).values(), np.zeros(()))

    def summed(array: Callable[[Parts], Array]) -> Any:
        return lambda *arguments: array(parts(arguments)).sum(axes)

    of_the_front = [s for s in INPUT if s.startswith("eps is 1e-5") or ("factor" in s and "last" not in s)]
    mistakes = {sentence: of_x(INPUT[sentence]) for sentence in of_the_front}
    mistakes["this is training's formula; given statistics are constants, and x does not move them"] = training
    return {
        "x": Right(of_x(lambda p: p), mistakes),
        "weight": Right(summed(lambda p: p.grad_y * p.x_hat), {s: summed(f) for s, f in WEIGHT.items()}),
        "bias": Right(summed(lambda p: p.grad_y), {s: summed(f) for s, f in BIAS.items()}),
    }
