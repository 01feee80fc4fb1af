"""Chapter 19: two parts of a variance put together, and the thread that gathers a gradient through a max pool."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 19: two parts of a variance, and one thread of a max pool's backward pass.

Fill in the two functions, then run `minires check 19`. `minires check 19 --hint` helps.
"""


def combine(count_a, mean_a, squares_a, count_b, mean_b, squares_b):
    """Return (count, mean, squares) of two parts together, each known by three numbers:

        mean = Σ x / count        squares = Σ (x − mean)²        over the numbers x of the part

    Either part may be empty: its count, mean and squares are then 0. Both may be.
    """
    ...


def max_pool_gradient(k, grad_y, winners, x_shape, kernel_size, stride, padding):
    """Return what one thread computes in the backward pass of a max pool: number k of dL/dx, a float.

    Number k is counted in the order of memory: of x_shape = (N, C, H, W) the width runs fastest. Windows of
    KH×KW = kernel_size, stride and padding are pairs, (height, width): output place (i, j) sees, through its tap
    (u, v), the pixel (i·SH + u − PH, j·SW + v − PW). grad_y and winners (N, C, I, J): winners holds, for each place,
    the tap u·KW + v of the largest number in its window. A pixel gets the gradients of all places that it has won.
    """
    ...
'''

HINTS = (
    "combine: the mean of both is a mean of the means, weighted by the counts. Where there are no numbers at all, "
    "nothing may be divided by their count.",
    "combine: each part has squares around its own mean. Around another mean they become larger, by count · "
    "(own mean − the other mean)², for each part.",
    "max_pool_gradient: first take k apart: w = k % W, h = k // W % H, and what is left is the image and channel. Then "
    "loop over the taps, as col2im of the chapter does: which place would have seen (h, w) through (u, v)?",
    "The place must exist: h + PH − u divisible by the stride, not below 0, and below I; likewise across. (Python "
    "takes negative indices without a word.) And it must have been won through just this tap: winners == u·KW + v.",
)

Numbers = tuple[float, float, float]
Combine = Callable[..., Numbers]


def right_combine(na: float, ma: float, sa: float, nb: float, mb: float, sb: float) -> Numbers:
    n = na + nb
    if n == 0:
        return 0, 0, 0
    mean = (na * ma + nb * mb) / n
    return n, mean, sa + na * (ma - mean) ** 2 + sb + nb * (mb - mean) ** 2


def squares_with(term: Callable[..., float]) -> Combine:
    """Return a combination whose squares are those of both parts, and a term."""

    def mistaken(na: float, ma: float, sa: float, nb: float, mb: float, sb: float) -> Numbers:
        n, mean, _ = right_combine(na, ma, sa, nb, mb, sb)
        return n, mean, sa + sb + term(na, ma, nb, mb, mean)

    return mistaken


def mean_with(mean_of: Callable[[float, float, float, float], float]) -> Combine:
    """Return a combination that is right, but for a mean computed in another way, or after it."""

    def mistaken(na: float, ma: float, sa: float, nb: float, mb: float, sb: float) -> Numbers:
        mean = mean_of(na, ma, nb, mb)
        return na + nb, mean, sa + na * (ma - mean) ** 2 + sb + nb * (mb - mean) ** 2

    return mistaken


def variance(na: float, ma: float, sa: float, nb: float, mb: float, sb: float) -> Numbers:
    n, mean, squares = right_combine(na, ma, sa, nb, mb, sb)
    return n, mean, squares / n


COMBINE_MISTAKES: dict[str, Combine] = {
    "the squares are only added up; each part's are around its own mean, and belong around the mean of both": (
        squares_with(lambda na, ma, nb, mb, mean: 0)
    ),
    "the means are averaged as if the parts were of one size": mean_with(lambda na, ma, nb, mb: (ma + mb) / 2),
    "the means are added up": mean_with(lambda na, ma, nb, mb: ma + mb),
    "the counts belong to the other part's mean": mean_with(lambda na, ma, nb, mb: (nb * ma + na * mb) / (na + nb)),
    "the distance of the means is not squared": squares_with(
        lambda na, ma, nb, mb, mean: na * abs(ma - mean) + nb * abs(mb - mean)
    ),
    "the distance of a mean counts once for each number of its part, and here once for the part": (
        squares_with(lambda na, ma, nb, mb, mean: (ma - mean) ** 2 + (mb - mean) ** 2)
    ),
    "only the second part's squares are moved to the mean of both": (
        squares_with(lambda na, ma, nb, mb, mean: nb * (mb - mean) ** 2)
    ),
    "only the first part's squares are moved to the mean of both": (
        squares_with(lambda na, ma, nb, mb, mean: na * (ma - mean) ** 2)
    ),
    "na·nb·(distance)² is to be divided by the count of both": (
        squares_with(lambda na, ma, nb, mb, mean: na * nb * (ma - mb) ** 2)
    ),
    "the distance of the means is taken away, and makes the squares larger": (
        squares_with(lambda na, ma, nb, mb, mean: -na * (ma - mean) ** 2 - nb * (mb - mean) ** 2)
    ),
    "the third number is the variance; it should be the sum of squares, which is not divided": variance,
}


def summary(x: Array) -> Numbers:
    """Return a part's three numbers."""
    if len(x) == 0:
        return 0, 0.0, 0.0
    return len(x), float(x.mean()), float(((x - x.mean()) ** 2).sum())


def check_combine(mine: Any, seed: int) -> Iterator[str]:
    for head, sizes in {
        "two parts": ((5, 9), (8, 3)),
        "parts far from zero": ((6, 7), (2, 11)),
        "the first part empty": ((0, 4), (0, 7)),
        "the second part empty": ((5, 0), (3, 0)),
        "both empty": ((0, 0),),
    }.items():
        rng = generator(seed, head)
        around = 1e6 if head == "parts far from zero" else 2.0
        parts = [[rng.standard_normal(size) * 2 + around + 3 * i for i, size in enumerate(pair)] for pair in sizes]
        given = [tuple_of_three(head, mine.combine(*summary(a), *summary(b))) for a, b in parts]
        # around a large mean the parts themselves are rounded, so the formula is held against the formula
        wanted = [right_combine(*summary(a), *summary(b)) for a, b in parts]
        if not all(np.allclose(one, other, rtol=1e-7, atol=1e-9) for one, other in zip(given, wanted, strict=True)):
            raise Wrong(f"combine, {head}: {combine_mistake(given, parts, wanted)}")
        yield f"combine, {head}"


def tuple_of_three(head: str, given: Any) -> Any:
    refuse_nothing(f"combine, {head}", given)
    if not isinstance(given, tuple | list) or len(given) != 3 or not all(np.size(one) == 1 for one in given):
        raise Wrong(f"combine, {head}: this is {given!r}, and should be three numbers: count, mean, squares")
    return given


def combine_mistake(given: list[Any], parts: list[Any], wanted: list[Numbers]) -> str:
    """Return a sentence for what is wrong in combinations."""
    with np.errstate(all="ignore"):
        for sentence, mistaken in COMBINE_MISTAKES.items():
            try:
                made = [mistaken(*summary(a), *summary(b)) for a, b in parts]
            except ZeroDivisionError:
                continue
            if all(np.allclose(one, other, rtol=1e-7, atol=1e-9) for one, other in zip(given, made, strict=True)):
                return sentence
    for one, other in zip(given, wanted, strict=True):
        for name, number, right in zip(("count", "mean", "squares"), one, other, strict=True):
            if not np.allclose(number, right, rtol=1e-7, atol=1e-9):
                return f"the {name} is {number!r}, and should be {right!r}"
    return "the numbers are not right"


def gathered(
    grad_y: Array,
    winners: Array,
    x_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    *,
    shift: Any = None,
    tap: Any = None,
    won: bool = True,
    first: bool = False,
    divisible: bool = True,
    wraps: bool = False,
) -> Array:
    """Return dL/dx by gathering, or with a mistake in it."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding if shift is None else shift
    I, J = grad_y.shape[2:]
    grad_x = np.zeros(x_shape)
    for n, c, h, w in np.ndindex(*x_shape):
        found = []
        for u, v in np.ndindex(KH, KW):
            down, across = h + PH - u, w + PW - v
            if divisible and (down % SH or across % SW):
                continue
            i, j = (int(down / SH), int(across / SW)) if not divisible else (down // SH, across // SW)
            if i >= I or j >= J or (not wraps and (down < 0 or across < 0)) or i < -I or j < -J:
                continue
            if won and winners[n, c, i, j] != (u * KW + v if tap is None else tap(u, v, KH, KW)):
                continue
            found.append(grad_y[n, c, i, j])
        grad_x[n, c, h, w] = (found[0] if first else sum(found)) if found else 0
    return grad_x


def pool_mistakes(kernel_size: Any, padding: Any) -> dict[str, Callable[..., Array]]:
    def of(**changes: Any) -> Callable[..., Array]:
        return lambda *arguments: gathered(*arguments, **changes)

    return {
        "every place that sees the pixel gives its gradient; only those that it has won should: winners": of(won=False),
        "the first place that is found gives its gradient, and the others not: windows overlap, add up": of(first=True),
        "the padding is ignored": of(shift=(0, 0)),
        "the paddings are exchanged: they are (height, width)": of(shift=padding[::-1]),
        "the tap's number is u·KW + v; here it is v·KH + u": of(tap=lambda u, v, KH, KW: v * KH + u),
        "the tap's number is u·KW + v; here it is u·KH + v": of(tap=lambda u, v, KH, KW: u * KH + v),
        "places between two strides are taken for places: h + PH − u must be divisible by the stride": of(
            divisible=False
        ),
        "places before the first one are taken for the last ones: Python allows negative indices": of(wraps=True),
        "height and width are exchanged in taking k apart: the width runs fastest": (
            lambda grad_y, winners, x_shape, *options: exchanged(gathered(grad_y, winners, x_shape, *options))
        ),
    }


def by_engine(grad_y: Array, winners: Array, x_shape: Any, *options: Any) -> Array:
    return numpy_kernels.max_pool2d_backward(grad_y, winners, x_shape, *options)


def exchanged(grad_x: Array) -> Array:
    """Return what comes of h = k % H, w = k // H % W."""
    N, C, H, W = grad_x.shape
    return np.ascontiguousarray(grad_x.swapaxes(2, 3)).reshape(N, C, H, W)


CASES = {
    "2×2, stride 2": ((2, 2), (2, 2), (0, 0)),
    "3×2, stride 1": ((3, 2), (1, 1), (0, 0)),
    "3×2, stride (1, 2), padding (1, 0)": ((3, 2), (1, 2), (1, 0)),
    "3×3, stride 2, padding 1": ((3, 3), (2, 2), (1, 1)),
}


def check_pool(mine: Any, seed: int) -> Iterator[str]:
    for case, (kernel_size, stride, padding) in CASES.items():
        head = f"max_pool_gradient, {case}"

        def draw(rng: np.random.Generator, options: Any = (kernel_size, stride, padding)) -> tuple[Any, ...]:
            shape = (1 + int(rng.integers(0, 2)), 2, *map(int, rng.permutation([4, 5])))
            y, winners = numpy_kernels.max_pool2d_forward(rng.standard_normal(shape), *options)
            return rng.standard_normal(y.shape), winners.astype(np.int64), shape, *options

        def whole(grad_y: Array, winners: Array, x_shape: Any, *options: Any, head: str = head) -> Array:
            numbers = [
                mine.max_pool_gradient(k, grad_y, winners, x_shape, *options) for k in range(int(np.prod(x_shape)))
            ]
            refuse_nothing(head, numbers[0])
            if not all(np.size(number) == 1 for number in numbers):
                raise Wrong(f"{head}: a thread gives back one number, and this has shape {np.shape(numbers[0])}")
            return np.array([float(number) for number in numbers]).reshape(x_shape)

        right = Right(by_engine, pool_mistakes(kernel_size, padding), arrives=False)
        yield from check_values(head, whole, right, draw, seed)


EXERCISE = Exercise(
    chapter=19,
    name="gather",
    title="Two parts of a variance, and the thread of a pixel",
    text=TEXT,
    hints=HINTS,
    checks={"combine": check_combine, "max_pool_gradient": check_pool},
)
