"""Activations, and softmax.

relu        y = max(x, 0)                      dL/dx = dy where x > 0
leaky relu  y = x where x > 0, else slope·x    dL/dx = dy · (1 or slope)
elu         y = x where x > 0, else α(eˣ − 1)  dL/dx = dy · (1 or y + α)
selu        y = λ · elu(x, α), fixed λ and α   (Klambauer et al. 2017)
tanh        y = tanh x                         dL/dx = dy · (1 − y²)
sigmoid     y = 1 / (1 + e⁻ˣ)                  dL/dx = dy · y(1 − y)
softmax     y = eˣ / Σ eˣ                      dL/dx = y · (dy − Σ dy·y)
log softmax y = x − log Σ eˣ                   dL/dx = dy − eʸ · Σ dy
"""

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.shape import checked_axes

__all__ = ["elu", "leaky_relu", "log_softmax", "relu", "selu", "sigmoid", "softmax", "tanh"]

SELU_ALPHA = 1.6732632423543772  # the pair for which mean 0 and variance 1 is a fixed point of a layer
SELU_SCALE = 1.0507009873554805


class ReLU(Op):
    def forward(self, x: Array) -> Array:
        self.y = self.kernels.relu_forward(x)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        grad_x = self.kernels.relu_backward(grad_y, self.y)
        return (grad_x,)


class LeakyReLU(Op):
    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        self.x = x
        return self.kernels.xp.where(x > 0, x, self.negative_slope * x)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (self.kernels.xp.where(self.x > 0, grad_y, self.negative_slope * grad_y),)


class ELU(Op):
    def __init__(self, alpha: float, scale: float = 1.0) -> None:
        self.alpha, self.scale = alpha, scale

    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        below = self.alpha * xp.expm1(xp.minimum(x, 0))  # expm1: exact near 0, where eˣ − 1 loses all digits
        self.slope = self.scale * xp.where(x > 0, 1, below + self.alpha)
        return self.scale * xp.where(x > 0, x, below)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.slope,)


class Tanh(Op):
    def forward(self, x: Array) -> Array:
        self.y = self.kernels.xp.tanh(x)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * (1 - self.y * self.y),)


class Sigmoid(Op):
    def forward(self, x: Array) -> Array:
        self.y = 0.5 * (1 + self.kernels.xp.tanh(0.5 * x))  # the same function; e⁻ˣ would overflow
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.y * (1 - self.y),)


class Softmax(Op):
    def __init__(self, axis: tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        exp = self.kernels.xp.exp(x - x.max(axis=self.axis, keepdims=True))
        self.y = exp / exp.sum(axis=self.axis, keepdims=True)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        along = (grad_y * self.y).sum(axis=self.axis, keepdims=True)
        return (self.y * (grad_y - along),)


class LogSoftmax(Op):
    def __init__(self, axis: tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        shifted = x - x.max(axis=self.axis, keepdims=True)
        self.y = shifted - xp.log(xp.exp(shifted).sum(axis=self.axis, keepdims=True))
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        total = grad_y.sum(axis=self.axis, keepdims=True)
        return (grad_y - self.kernels.xp.exp(self.y) * total,)


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0), elementwise; the gradient at 0 is 0."""
    return ReLU()(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x where x > 0, else negative_slope · x."""
    return LeakyReLU(negative_slope)(x)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x where x > 0, else alpha · (eˣ − 1) (Clevert et al. 2016)."""
    return ELU(alpha)(x)


def selu(x: Tensor) -> Tensor:
    """Return 1.0507 · elu(x, 1.6733), which keeps mean 0 and variance 1 after LeCun initialization (Klambauer 2017)."""
    return ELU(SELU_ALPHA, SELU_SCALE)(x)


def tanh(x: Tensor) -> Tensor:
    """Return tanh x, elementwise."""
    return Tanh()(x)


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + e⁻ˣ), elementwise."""
    return Sigmoid()(x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return eˣ / Σ eˣ along `axis`."""
    return Softmax(checked_axes("softmax", x, axis))(x)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return log softmax(x) along `axis`, without the overflow of doing it in two steps."""
    return LogSoftmax(checked_axes("log_softmax", x, axis))(x)
