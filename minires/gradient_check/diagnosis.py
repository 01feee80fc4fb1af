"""Which kind of mistake turns the right gradient into the one that backward gave.

Each function below knows one family of mistakes and answers with a sentence, or "" if its family does not fit.
`wrong` is backward's gradient, `right` the one from finite differences, both complete; x is the argument and y the
function's output.
"""

from itertools import combinations

import numpy as np

from minires.kernels import Array

CLOSE = 1e-5  # of the largest element: far above the error of finite differences, far below any mistake


def diagnose(wrong: Array, right: Array, x: Array, y: Array) -> str:
    """Say what kind of mistake fits, or "" if none does. The special ones come first."""
    if same(wrong, right):
        return ""
    if not np.isfinite(wrong).all():
        return f"backward's gradient is not finite at {np.count_nonzero(~np.isfinite(wrong))} of {wrong.size} elements"
    return (
        zero(wrong, right)
        or constant_factor(wrong, right, x, y)
        or moved(wrong, right)
        or factor_by_element(wrong, right, x, y)
        or missing_term(wrong, right, x, y)
        or factor_along_axes(wrong, right)
        or partly_right(wrong, right)
    )


def same(a: Array, b: Array) -> bool:
    scale = max(np.abs(a).max(), np.abs(b).max())
    return bool(np.abs(a - b).max() <= CLOSE * scale)


def zero(wrong: Array, right: Array) -> str:
    if not wrong.any():
        return "backward's gradient is zero: nothing flows back to this argument"
    if np.abs(right).max() <= CLOSE * np.abs(wrong).max():
        return "the gradient should be zero: the output does not depend on this argument"
    return ""


def constant_factor(wrong: Array, right: Array, x: Array, y: Array) -> str:
    factor = np.sum(wrong * right) / np.sum(right * right)
    if not same(wrong, factor * right):
        return ""
    if abs(factor + 1) < CLOSE:
        return "the sign is wrong: backward gives −1 times the gradient"
    sign, size = ("−" if factor < 0 else ""), abs(factor)
    if abs(size - round(size)) < CLOSE * size:
        number = round(size)
        twice = ", or it was added twice" if number == 2 else ""
        where = named_size(number, x, y)
        return f"backward gives {sign}{number} times the gradient: a factor 1/{number} is missing{twice}{where}"
    if abs(1 / size - round(1 / size)) < CLOSE / size:
        number = round(1 / size)
        where = named_size(number, x, y)
        return f"backward gives {sign}1/{number} of the gradient: a factor {number} is missing{where}"
    return f"backward gives {factor:.6g} times the gradient: a constant factor is wrong"


def named_size(number: int, x: Array, y: Array) -> str:
    """Say where a shape has this number: as an axis, or as the product of several."""
    for name, array in (("argument", x), ("output", y)):
        for axes in subsets(array.ndim):
            if number == np.prod([array.shape[axis] for axis in axes]):
                return f" ({number} is the size of the {name}'s {axis_names(axes)})"
    return ""


def moved(wrong: Array, right: Array) -> str:
    """The right numbers in the wrong places: transposed, flipped, shifted, or otherwise permuted."""
    shape, ndim = right.shape, right.ndim
    for first, second in combinations(range(ndim), 2):
        if shape[first] > 1 and shape[second] > 1 and same(wrong, np.swapaxes(right, first, second).reshape(shape)):
            return f"the gradient is transposed: axes {first} and {second} are swapped"
    for axes in subsets(ndim):
        if same(wrong, np.flip(right, axes)):
            return f"the gradient is flipped along {axis_names(axes)}"
    for axis in range(ndim):
        for shift in (1, -1, 2, -2):
            if 2 * abs(shift) <= shape[axis] - 1 and shifted(wrong, right, axis, shift):
                return f"the gradient is shifted by {shift:+d} along axis {axis}"
    if right.size > 2 and same(np.sort(wrong, axis=None), np.sort(right, axis=None)):
        return "the gradient holds the right numbers in the wrong places"
    return ""


def shifted(wrong: Array, right: Array, axis: int, shift: int) -> bool:
    """Whether wrong[i + shift] = right[i] along the axis wherever both exist."""
    wrong, right = np.moveaxis(wrong, axis, 0), np.moveaxis(right, axis, 0)
    if shift < 0:
        wrong, right, shift = wrong[::-1], right[::-1], -shift
    inner = wrong[shift:]
    return bool(inner.any()) and same(inner, right[:-shift]) and not same(inner, right[shift:])


def factor_by_element(wrong: Array, right: Array, x: Array, y: Array) -> str:
    """A factor that a pointwise function's derivative has, or has not."""
    factors = [("the argument", x)]
    if y.shape == x.shape:
        factors += [("the output", y), ("1 minus the output", 1 - y)]
    for name, factor in factors:
        if same(wrong * factor, right):
            return f"a factor is missing: {name}"
        if same(wrong, right * factor):
            return f"there is a factor too many: {name}"
    return ""


def missing_term(wrong: Array, right: Array, x: Array, y: Array) -> str:
    """A term left out: right − wrong is a known array times one number for each group of elements that share a sum."""
    missing = right - wrong
    for axes in sorted(subsets(right.ndim), key=len, reverse=True):
        group = np.prod([right.shape[axis] for axis in axes])
        if group < 3:  # a number for every two elements would fit too much
            continue
        off = f"a term is missing or wrong: over {axis_names(axes)} backward is off by"
        if fits(missing, np.ones_like(right), axes):
            return f"{off} a constant, as when a mean or a sum over them is dropped"
        if fits(missing, x - x.mean(axes, keepdims=True), axes):
            return f"{off} a multiple of x minus its mean, as when a normalization's x̂ term is dropped"
        without_mean = missing - missing.mean(axes, keepdims=True)
        if fits(without_mean, x - x.mean(axes, keepdims=True), axes):
            return (
                f"{off} a constant and a multiple of x minus its mean, as when a normalization takes its batch's "
                "statistics for constants (or constants for its batch's), or counts its numbers wrongly"
            )
        if y.shape == x.shape and fits(missing, y, axes):
            return f"{off} a multiple of the output, as when softmax's sum is dropped"
        if y.shape == x.shape and fits(missing, np.exp(y), axes):
            return f"{off} a multiple of e to the output, as when log_softmax's sum is dropped"
    return ""


def fits(array: Array, pattern: Array, axes: tuple[int, ...]) -> bool:
    """Whether array = c · pattern with c constant over the axes."""
    square = np.sum(pattern * pattern, axes, keepdims=True)
    if not square.all():
        return False
    return same(array, np.sum(array * pattern, axes, keepdims=True) / square * pattern)


def factor_along_axes(wrong: Array, right: Array) -> str:
    """A factor that differs from channel to channel, say, and is constant within each."""
    for axes in sorted(subsets(right.ndim), key=len, reverse=True):
        rest = tuple([axis for axis in range(right.ndim) if axis not in axes])
        if np.prod([right.shape[axis] for axis in axes]) >= 3 and fits(wrong, right, axes):
            return f"the gradient is right up to a factor that depends on {axis_names(rest)} alone"
    return ""


def partly_right(wrong: Array, right: Array) -> str:
    """Some elements right, some wrong: where are those?"""
    off = np.abs(wrong - right) > CLOSE * max(np.abs(wrong).max(), np.abs(right).max())
    number = np.count_nonzero(off)
    if number > 0.9 * off.size:
        return ""
    text = f"{off.size - number} of {off.size} elements are right"
    if not wrong[off].any():
        text += "; at the others backward gives 0: contributions are lost (overwritten, masked or cropped)"
    elif same(wrong[off], -right[off]):
        text += "; at the others the sign is wrong"
    elif np.all(np.abs(wrong[off]) < 0.99 * np.abs(right[off])):
        text += "; at the others backward gives too little: contributions are lost (overwritten instead of added?)"
    for axis in range(off.ndim):
        hit = np.flatnonzero(off.any(axis=tuple([other for other in range(off.ndim) if other != axis])))
        if len(hit) < off.shape[axis]:
            text += f"; the wrong ones are at {', '.join(map(str, hit))} of 0…{off.shape[axis] - 1} along axis {axis}"
    return text


def subsets(ndim: int) -> list[tuple[int, ...]]:
    """All non-empty sets of axes, small ones first."""
    return [axes for length in range(1, ndim + 1) for axes in combinations(range(ndim), length)]


def axis_names(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else "axes " + " and ".join(map(str, axes))
