"""GELU, the Gaussian error linear unit (Hendrycks, Gimpel 2016): x, as much of it as a normal number is below x.

exact   y = x · Φ(x)                 dL/dx = dy · (Φ(x) + x · φ(x))
        Φ(x) = erfc(−x/√2) / 2       φ(x) = e^(−x²/2) / √(2π)
tanh    y = x · s, s = (1 + tanh u)/2 = 1 / (1 + e^(−2u)), u = √(2/π) · (x + 0.044715 x³)
        dL/dx = dy · (s + x · s(1 − s) · 2 du/dx)

NumPy has no Φ. Here erf and erfc are W. J. Cody's rational functions ("Rational Chebyshev approximations for the error
function", Mathematics of Computation 23, 1969), the same arithmetic on every device and exact to rounding: far out on
the left, too, where Φ is below 1e-300, since e^(−x²/2) is computed without the rounding of x². In the tanh form the
rounding of u is seen there: an exponent 2u of 300 costs two or three digits. At ±∞ the formulas say ∞ · 0, so y(−∞)
and dL/dx at ±∞ are NaN, as in PyTorch.
"""

import math
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.activation import exp_below_zero

__all__ = ["gelu"]

# Cody's coefficients, highest power first. |t| ≤ 0.46875: erf t = t · A(t²)/B(t²)
A = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
# 0.46875 ≤ t ≤ 4: erfc t = e^(−t²) · C(t)/D(t)
C = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)  # fmt: skip
D = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)  # fmt: skip
# 4 ≤ t: erfc t = e^(−t²)/t · (1/√π − z · P(z)/Q(z)), z = 1/t²
P = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
Q = (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3)  # fmt: skip

FAR = 40  # from here on Φ is 0 or 1 in every dtype: no larger number needs to be squared


class GELU(Op):
    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        cdf, pdf = normal_cdf_and_pdf(xp, x)
        self.slope = cdf + x * pdf
        return x * cdf

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.slope,)


class TanhGELU(Op):
    """The approximation that saves Φ: off by at most 5e-4, and exact where x is large."""

    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        near = xp.clip(x, -FAR, FAR)
        twice_u = 2 * math.sqrt(2 / math.pi) * near * (1 + 0.044715 * near * near)
        grad_twice_u = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near * near)
        e = exp_below_zero(xp, -1.0 * xp.abs(twice_u))
        s = xp.where(twice_u < 0, e, 1) / (1 + e)
        one_minus_s = xp.where(twice_u < 0, 1, e) / (1 + e)
        self.slope = s + x * s * one_minus_s * grad_twice_u
        return x * s

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.slope,)


def normal_cdf_and_pdf(xp: Any, x: Array) -> tuple[Array, Array]:
    """Return Φ(x), the part of a normal distribution below x, and its density φ(x)."""
    exp = exp_of_half_square(xp, x)
    t = math.sqrt(0.5) * xp.abs(x)
    small, middle, large = xp.minimum(t, 0.46875), xp.clip(t, 0.46875, 4), xp.clip(t, 4, FAR)
    z = 1 / (large * large)
    of_middle = polynomial(C, middle) / polynomial(D, middle)
    of_large = (1 / math.sqrt(math.pi) - z * polynomial(P, z) / polynomial(Q, z)) / large
    erf = small * polynomial(A, small * small) / polynomial(B, small * small)
    erfc = xp.where(t <= 0.46875, 1 - erf, exp * xp.where(t <= 4, of_middle, of_large))
    tail = 0.5 * erfc  # of the side that x is on: never a difference of nearly equal numbers
    return xp.where(x < 0, tail, 1 - tail), exp / math.sqrt(2 * math.pi)


def exp_of_half_square(xp: Any, x: Array) -> Array:
    """Return e^(−x²/2). x² would be rounded, and the error of an exponent of 700 is 700 times as large in the result.

    So x is cut behind its sixteenths: the square of that is exact, and the rest of x² is small.
    """
    x = xp.clip(x, -FAR, FAR)
    cut = xp.trunc(16 * x) / 16
    rest = (x - cut) * (x + cut)
    return exp_below_zero(xp, -0.5 * cut * cut) * xp.exp(-0.5 * rest)


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return the polynomial's values, by Horner's rule."""
    y = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        y = y * x + coefficient
    return y


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Return x · Φ(x), elementwise; approximate="tanh": x · (1 + tanh(√(2/π) (x + 0.044715 x³)))/2.

    ValueError for another approximation.
    """
    if approximate == "none":
        return GELU()(x)
    if approximate == "tanh":
        return TanhGELU()(x)
    raise ValueError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')
