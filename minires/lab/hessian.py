"""The Hessian's product with a vector, and its largest eigenvalue: how a loss curves around its parameters.

Ops give arrays, not tensors, in their backward, so a gradient cannot be differentiated once more. Differences of it can
be taken: with g the gradient at the parameters θ, all in float64,

    H v ≈ (g(θ + ε v) − g(θ − ε v)) / 2ε        ε = (2⁻⁵²)^(1/3) · (1 + ‖θ‖) / ‖v‖

whose error falls with ε² and whose rounding grows with 1/ε; this ε balances the two, and leaves about ten digits of a
smooth loss, all of a quadratic one but rounding. Where a relu's input crosses 0 between the two points the loss has no
second derivative, and the difference is an average over the kink.

Pearlmutter, "Fast exact multiplication by the Hessian", 1994, has the exact product and this difference (§1).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minires.engine import Tensor
from minires.kernels import Array

Loss = Callable[[], Tensor]
Vector = list[Array]  # one array for each parameter, of its shape


class Eigenpair(NamedTuple):
    """An eigenvalue of the Hessian, its vector of norm 1, and how good they are."""

    value: float
    vector: Vector
    residual: float  #: ‖H v − value · v‖: the Hessian, being symmetric, has an eigenvalue that near to `value`
    steps: int


def hvp(loss: Loss, parameters: Sequence[Tensor], vector: Sequence[Array], step: float | None = None) -> Vector:
    """Return the product of the loss's Hessian and a vector, by a central difference of gradients in float64.

        lab.hvp(lambda: ops.cross_entropy(model(x), labels), model.parameters(), vector)

    loss: computes the loss from the parameters, the same one each time: no dropout, no other batch. It is called twice;
    batch norms in training follow their batch as they do in any forward pass. parameters: float64 leaves that require
    grad, such as those of `model.to("float64")`. vector: an array for each, of its shape. step: ε, instead of the one
    at the head of this file. Parameters and their gradients are left as they were.
    TypeError for another dtype, ValueError for shapes that do not fit and for a loss that is no number.
    """
    parameters, arrays = checked(parameters, vector)
    length = norm(arrays)
    if length == 0:
        return [np.zeros_like(array) for array in arrays]
    if step is not None and not step > 0:
        raise ValueError(f"hvp: step must be above 0, got {step}")
    if step is None:
        step = np.finfo(np.float64).eps ** (1 / 3) * (1 + norm([parameter.data for parameter in parameters])) / length
    ahead = gradient(loss, parameters, arrays, step)
    behind = gradient(loss, parameters, arrays, -step)
    return [(one - other) / (2 * step) for one, other in zip(ahead, behind, strict=True)]


def top_eigenvalue(
    loss: Loss, parameters: Sequence[Tensor], steps: int = 100, tolerance: float = 1e-6, seed: int = 0
) -> Eigenpair:
    """Return the Hessian's eigenvalue of largest magnitude, negative ones included, by power iteration.

    v ← H v / ‖H v‖ from a random v, until ‖H v − λ v‖ ≤ tolerance · |λ| with λ = vᵀ H v, or for so many steps, two
    gradients each. Two eigenvalues of nearly the same magnitude take many steps, and λ and −λ never part: `residual`
    tells. loss, parameters and errors: as for `hvp`.
    """
    generator = np.random.default_rng(seed)
    vector = [generator.standard_normal(parameter.shape) for parameter in parameters]
    checked(parameters, vector)
    if steps < 1:
        raise ValueError(f"top_eigenvalue: steps must be at least 1, got {steps}")
    vector = scaled(vector, 1 / norm(vector))
    value, residual, taken = 0.0, math.inf, 0
    for taken in range(1, steps + 1):
        product = hvp(loss, parameters, vector)
        value = dot(vector, product)
        residual = norm([one - value * other for one, other in zip(product, vector, strict=True)])
        if residual <= tolerance * abs(value):
            break
        if taken < steps:
            vector = scaled(product, 1 / norm(product))
    return Eigenpair(value, vector, residual, taken)


def checked(parameters: Sequence[Tensor], vector: Sequence[Array]) -> tuple[list[Tensor], Vector]:
    """Return both as lists; an error where they do not fit each other, or differences would be too coarse."""
    parameters, arrays = list(parameters), list(vector)
    shapes = [getattr(array, "shape", None) for array in arrays]
    if not parameters or shapes != [parameter.shape for parameter in parameters]:
        wanted = ", ".join([str(parameter.shape) for parameter in parameters]) or "at least one parameter"
        raise ValueError(f"hvp: vector has shapes {', '.join(map(str, shapes)) or 'none'}, the parameters {wanted}")
    for parameter in parameters:
        if parameter.dtype != np.float64 or parameter.device != "cpu" or not parameter.requires_grad:
            raise TypeError(
                f"hvp: {parameter!r} must be a float64 tensor on the CPU that requires grad, since differences of "
                'gradients need the digits; convert a copy: copy.deepcopy(model).to("float64")'
            )
    return parameters, [np.asarray(array, np.float64) for array in arrays]


def gradient(loss: Loss, parameters: list[Tensor], vector: Vector, step: float) -> Vector:
    """Return the loss's gradient at θ + step · v; the parameters are as before, with the very arrays they had."""
    before = [(parameter.data, parameter.grad) for parameter in parameters]
    try:
        for parameter, along in zip(parameters, vector, strict=True):
            parameter.data, parameter.grad = parameter.data + step * along, None
        value = loss()
        if not isinstance(value, Tensor) or value.size != 1 or value.dtype != np.float64:
            raise ValueError(f"hvp: loss must give one float64 number, as a Tensor, got {value!r}")
        value.backward()
        return [np.zeros(p.shape) if p.grad is None else p.grad for p in parameters]
    finally:
        for parameter, (data, grad) in zip(parameters, before, strict=True):
            parameter.data, parameter.grad = data, grad


def dot(a: Vector, b: Vector) -> float:
    return math.fsum([float(np.vdot(one, other)) for one, other in zip(a, b, strict=True)])


def norm(vector: Vector) -> float:
    return math.sqrt(dot(vector, vector))


def scaled(vector: Vector, factor: float) -> Vector:
    return [factor * array for array in vector]
