"""Chapter 4, gradcheck.py: it must pass right gradients, and fail wrong ones."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing
from minires.learn.parts.tools import beside_it, part

RIGHT = {
    "right": "the right gradient of x³",
    "two arrays, right": "the right gradients of x³ · w",
    "softmax, right": "the right gradient of softmax: an output gradient of ones leaves rounding alone to compare",
}
WRONG = {
    "twice": "twice the right gradient",
    "sign": "the opposite of the right gradient",
    "larger": "a gradient that is too large",
    "smaller": "a gradient that is too small",
    "softmax times 123": "123 times the gradient of softmax: an output gradient of ones cannot see it",
    "one element": "a gradient that is wrong in one element of twelve",
    "second array": "a gradient that is wrong for the second array alone",
    "errors cancel": "errors that add up to 0 over the elements",
}


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def verdict(module: ModuleType, kind: str, x: Array, other: Array) -> Any:
    """Where the reader's code runs: what their gradcheck says of an op whose backward is right, or wrong."""

    class Cube(beside_it(module, "tensor").Op):  # type: ignore[misc]
        def forward(self, x: Array, other: Array | None = None) -> Array:
            self.x, self.other = x, other
            return x**3 if other is None else x**3 * other

        def backward(self, grad_y: Array) -> tuple[Array, ...]:
            grad = 3 * self.x**2 * grad_y
            if self.other is not None:
                both = (grad * self.other, self.x**3 * grad_y)
                return (both[0], 1.5 * both[1]) if kind == "second array" else both
            off = np.zeros_like(grad)
            if kind == "one element":
                off[-1, -1] = 0.1 * np.abs(grad).max()
            elif kind == "errors cancel":
                off[0, 0], off[-1, -1] = np.abs(grad).max(), -np.abs(grad).max()
            factor = {"twice": 2.0, "sign": -1.0, "larger": 1.25, "smaller": 0.8}.get(kind, 1.0)
            return (factor * grad + off,)

    class Softmax(beside_it(module, "tensor").Op):  # type: ignore[misc]
        def forward(self, x: Array) -> Array:
            self.y = softmax(x)
            return self.y

        def backward(self, grad_y: Array) -> tuple[Array, ...]:
            factor = 123 if kind == "softmax times 123" else 1
            return (factor * self.y * (grad_y - (grad_y * self.y).sum(axis=1, keepdims=True)),)

    if kind.startswith("softmax"):
        return module.gradcheck(lambda t: Softmax()(t), x)
    if kind in ("two arrays, right", "second array"):
        return module.gradcheck(lambda a, b: Cube()(a, b), x, other)
    return module.gradcheck(lambda t: Cube()(t), x)


def check_gradcheck(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "gradcheck")
    for kind in [*RIGHT, *WRONG]:
        x, other = 1 + 0.3 * rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
        found = mine.verdict(kind, x, other)
        refuse_nothing(f"gradcheck, {kind}", found)
        if not isinstance(found, float | np.floating | np.ndarray) or np.ndim(found):
            raise Wrong(f"gradcheck: this is a {type(found).__name__}, and should be one number, the largest error")
        if kind in RIGHT and not found < 1e-6:
            raise Wrong(f"gradcheck: it finds an error of {found:.1e} in {RIGHT[kind]}")
        if kind in WRONG and not found > 1e-2:
            raise Wrong(f"gradcheck: it sees no more than an error of {found:.1e} in {WRONG[kind]}")
    yield f"gradcheck passes {len(RIGHT)} right gradients and sees {len(WRONG)} wrong ones"


def check_numeric(mine: Any, seed: int) -> Iterator[str]:
    def cube(x: Array) -> Array:
        return np.asarray(x**3)

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        shape = rng.integers(2, 4, 2)
        return rng.standard_normal(shape), rng.standard_normal(shape)

    known = Right(
        lambda x, grad_y: 3 * x**2 * grad_y,
        {
            "grad_y is forgotten: the change of y is weighed by it": lambda x, grad_y: 3 * x**2,
            "divided by h, and should be by 2 h": lambda x, grad_y: 6 * x**2 * grad_y,
        },
        arrives=False,
        close=1e-6,
    )
    head = "numeric_gradient of x³"
    samples = [draw(generator(seed, head, number)) for number in range(2)]
    for x, grad_y in samples:
        given = mine.numeric_gradient(cube, x, grad_y)
        refuse_nothing(head, given)
        if np.shape(given) != x.shape or not np.allclose(given, 3 * x**2 * grad_y, rtol=1e-5, atol=1e-7):
            yield from check_values(head, lambda x, grad_y: mine.numeric_gradient(cube, x, grad_y), known, draw, seed)
            raise Wrong(f"{head}: it is not right to the digits that central differences give")
    yield head


PARTS = [
    part(4, "gradcheck.py", {"numeric_gradient": check_numeric, "gradcheck": check_gradcheck}, {"verdict": verdict})
]
