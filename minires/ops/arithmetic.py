"""Elementwise arithmetic. Shapes broadcast as in NumPy, and backward sums a gradient over what was broadcast.

y = a + b      dL/da = dy             dL/db = dy
y = a − b      dL/da = dy             dL/db = −dy
y = a · b      dL/da = dy · b         dL/db = dy · a
y = a / b      dL/da = dy / b         dL/db = −dy · y / b
y = aᵇ         dL/da = dy · b·aᵇ⁻¹    dL/db = dy · y·log a
y = −x         dL/dx = −dy
y = eˣ         dL/dx = dy · y
y = log x      dL/dx = dy / x
y = √x         dL/dx = dy / 2y
y = |x|        dL/dx = dy where x > 0, −dy where x < 0, else 0
y = a if condition else b: each gets dy where it was taken, 0 elsewhere
"""

from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for

__all__ = ["abs", "add", "divide", "exp", "log", "multiply", "negative", "power", "sqrt", "subtract", "where"]


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` over the axes along which an array of `shape` was broadcast to grad's shape."""
    if grad.shape == shape:
        return grad
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple([axis for axis, size in enumerate(shape) if size == 1 and grad.shape[axis] != 1])
    return grad.sum(axis=stretched, keepdims=True).reshape(shape)


class Add(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a_shape, self.b_shape = a.shape, b.shape
        return a + b

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        grad_a = unbroadcast(grad_y, self.a_shape) if self.needs_grad[0] else None
        grad_b = unbroadcast(grad_y, self.b_shape) if self.needs_grad[1] else None
        return grad_a, grad_b


class Subtract(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a_shape, self.b_shape = a.shape, b.shape
        return a - b

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        grad_a = unbroadcast(grad_y, self.a_shape) if self.needs_grad[0] else None
        grad_b = unbroadcast(-grad_y, self.b_shape) if self.needs_grad[1] else None
        return grad_a, grad_b


class Multiply(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a, self.b = a, b
        return a * b

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        grad_a = unbroadcast(grad_y * self.b, self.a.shape) if self.needs_grad[0] else None
        grad_b = unbroadcast(grad_y * self.a, self.b.shape) if self.needs_grad[1] else None
        return grad_a, grad_b


class Divide(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a_shape, self.b = a.shape, b
        self.y = a / b
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        grad_quotient = grad_y / self.b
        grad_a = unbroadcast(grad_quotient, self.a_shape) if self.needs_grad[0] else None
        grad_b = unbroadcast(-grad_quotient * self.y, self.b.shape) if self.needs_grad[1] else None
        return grad_a, grad_b


class Power(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a, self.b = a, b
        self.y = a**b
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        a, b, xp = self.a, self.b, self.kernels.xp
        grad_a = grad_b = None
        if self.needs_grad[0]:
            slope = xp.where(b == 0, 0, b * a ** xp.where(b == 0, 1, b - 1))  # a⁰ is flat, also at a = 0
            grad_a = unbroadcast(grad_y * slope, a.shape)
        if self.needs_grad[1]:
            log_a = xp.log(xp.where(a == 0, 1, a))  # 0ᵇ is flat for b > 0
            grad_b = unbroadcast(grad_y * self.y * log_a, b.shape)
        return grad_a, grad_b


class Negative(Op):
    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (-grad_y,)


class Exp(Op):
    def forward(self, x: Array) -> Array:
        self.y = self.kernels.xp.exp(x)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.y,)


class Log(Op):
    def forward(self, x: Array) -> Array:
        self.x = x
        return self.kernels.xp.log(x)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y / self.x,)


class Sqrt(Op):
    def forward(self, x: Array) -> Array:
        self.y = self.kernels.xp.sqrt(x)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y / (2 * self.y),)


class Abs(Op):
    def forward(self, x: Array) -> Array:
        self.x = x
        return self.kernels.xp.abs(x)

    def backward(self, grad_y: Array) -> tuple[Array]:
        xp = self.kernels.xp
        return (xp.where(self.x > 0, grad_y, xp.where(self.x < 0, -grad_y, 0)),)


class Where(Op):
    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        self.a_shape, self.b_shape = a.shape, b.shape
        return self.kernels.xp.where(self.condition, a, b)

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        xp = self.kernels.xp
        grad_a = unbroadcast(xp.where(self.condition, grad_y, 0), self.a_shape) if self.needs_grad[0] else None
        grad_b = unbroadcast(xp.where(self.condition, 0, grad_y), self.b_shape) if self.needs_grad[1] else None
        return grad_a, grad_b


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """Make a constant of a number (in `like`'s dtype, on its device) or an array; pass tensors through.

    NumPy's scalars and arrays without axes, such as mask.sum(), are numbers.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool | int | float) or (getattr(value, "ndim", None) == 0 and value.dtype.kind in "biuf"):
        return Tensor(kernels_for(like.data).xp.asarray(value, like.dtype))
    return Tensor(value)


def operands(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Make tensors of both operands, and check that their shapes broadcast."""
    a, b = both_tensors(a, b)
    check_broadcast(name, a.shape, b.shape)
    return a, b


def both_tensors(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Make tensors of both operands; a number takes the dtype of the other."""
    if not isinstance(a, Tensor):
        a = as_tensor(a, like=b) if isinstance(b, Tensor) else Tensor(a)
    return a, as_tensor(b, like=a)


def check_broadcast(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """ValueError where two shapes do not broadcast."""
    for size_a, size_b in zip(reversed(a), reversed(b), strict=False):
        if size_a != size_b and size_a != 1 and size_b != 1:
            raise ValueError(f"{name}: shapes {a} and {b} do not broadcast: {size_a} against {size_b}")


def add(a: Any, b: Any) -> Tensor:
    """Return a + b. Each a Tensor, a number or an array; ValueError where shapes do not broadcast."""
    return Add()(*operands("add", a, b))


def subtract(a: Any, b: Any) -> Tensor:
    """Return a − b. Each a Tensor, a number or an array; ValueError where shapes do not broadcast."""
    return Subtract()(*operands("subtract", a, b))


def multiply(a: Any, b: Any) -> Tensor:
    """Return a · b, elementwise. Each a Tensor, a number or an array; ValueError where shapes do not broadcast."""
    return Multiply()(*operands("multiply", a, b))


def divide(a: Any, b: Any) -> Tensor:
    """Return a / b. Each a Tensor, a number or an array; ValueError where shapes do not broadcast."""
    return Divide()(*operands("divide", a, b))


def power(a: Any, b: Any) -> Tensor:
    """Return aᵇ. Each a Tensor, a number or an array; ValueError where shapes do not broadcast."""
    return Power()(*operands("power", a, b))


def negative(x: Tensor) -> Tensor:
    """Return −x."""
    return Negative()(x)


def exp(x: Tensor) -> Tensor:
    """Return eˣ, elementwise."""
    return Exp()(x)


def log(x: Tensor) -> Tensor:
    """Return the natural logarithm of x, elementwise."""
    return Log()(x)


def sqrt(x: Tensor) -> Tensor:
    """Return √x, elementwise."""
    return Sqrt()(x)


def abs(x: Tensor) -> Tensor:
    """Return |x|, elementwise; the gradient at 0 is 0."""
    return Abs()(x)


def where(condition: Array, a: Any, b: Any) -> Tensor:
    """Return a where condition (an array of bools) holds, b elsewhere; all three broadcast."""
    if isinstance(condition, Tensor):
        condition = condition.data
    if not hasattr(condition, "dtype") or condition.dtype.kind != "b":
        raise TypeError("where: condition must be an array of bools, such as x.data > 0")
    a, b = operands("where", a, b)
    check_broadcast("where", condition.shape, a.shape)
    check_broadcast("where", condition.shape, b.shape)
    return Where(condition)(a, b)
