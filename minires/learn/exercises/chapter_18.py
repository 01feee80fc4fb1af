"""Chapter 18: the backward pass of Winograd's tiles, and a batch norm folded into the filters before it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.answer import MadeFloat64
from minires.learn.examiner import Wrong, check_gradient, check_values, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 18: the gradients of Winograd's tiles, and a batch norm that disappears.

Keep the dtype: where the arrays that come in are float32, what goes out is float32. (The matrices below are float64.)

Fill in the two functions, then run `minires check 18`. `minires check 18 --hint` helps.
"""

import numpy as np

BT = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
AT = np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])


def winograd_backward(grad_y, d, g):
    """Return (dL/dd, dL/dg) for tiles of a 3×3 convolution, computed with the three matrices, without columns:

        y[t, f] = Aᵀ [ Σ_c (G g[f, c] Gᵀ) ⊙ (Bᵀ d[t, c] B) ] A

    d (T, C, 4, 4), the patches; g (F, C, 3, 3), the filters; grad_y (T, F, 2, 2). ⊙ multiplies number by number.
    """
    ...


def fold(weight, norm_weight, norm_bias, mean, var, eps):
    """Return (filters, bias) of a convolution that does the work of two layers in evaluation:

        z = convolution of x with weight, without a bias
        y = (z − mean) / √(var + eps) · norm_weight + norm_bias        for each channel of z
        y = convolution of x with `filters`, plus `bias`               the same, for every x

    weight (F, C, KH, KW); norm_weight, norm_bias, mean, var (F,); eps a number.
    """
    ...
'''

HINTS = (
    "winograd_backward goes through the formula from outside to inside. y = Aᵀ M A is two products with a constant, so "
    "the gradient of M is A grad_y Aᵀ: 4×4, larger than what arrived. NumPy's @ does that for all tiles at once.",
    "M = Σ_c U[f, c] ⊙ V[t, c]. The gradient of V[t, c] is U ⊙ (what arrived), summed over f; that of U[f, c] is "
    "V ⊙ (what arrived), summed over t. np.einsum says such sums in one line. Then each goes back through its own "
    "matrices: what came by Bᵀ d B goes back by B … Bᵀ, what came by G g Gᵀ by Gᵀ … G.",
    "fold: write y as z · scale + offset, with one scale and one offset for each channel. A convolution is linear: its "
    "output times scale[f] is its output with filter f times scale[f].",
)

BT = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
AT = np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])
EPS = 0.1  # large, so that it shows where it is forgotten


def convolve(d: Array, g: Array) -> Array:
    """Return the convolution of 4×4 patches with 3×3 filters by its definition."""
    windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3), axis=(2, 3))
    return np.einsum("tcijuv,fcuv->tfij", windows, g)


def both_sides(left: Array, x: Array, right: Array | None = None) -> Array:
    """Return left @ x @ leftᵀ, or @ right."""
    return left @ x @ (left.T if right is None else right)


def padded(grad_y: Array) -> Array:
    return np.pad(grad_y, ((0, 0), (0, 0), (0, 2), (0, 2)))


def grad_patches(
    grad_y: Array, d: Array, g: Array, arrives: Any = None, filters: Any = None, back: Any = None
) -> Array:
    """Return dL/dd by the tiles, or with something else in the place of an ingredient."""
    z = both_sides(AT.T, grad_y) if arrives is None else arrives(grad_y)
    u = both_sides(G, g) if filters is None else filters(g)
    grad_v = np.einsum("fcpq,tfpq->tcpq", u, z)
    return both_sides(BT.T, grad_v) if back is None else back(grad_v)


def grad_filters(
    grad_y: Array, d: Array, g: Array, arrives: Any = None, patches: Any = None, back: Any = None
) -> Array:
    """Return dL/dg by the tiles, or with something else in the place of an ingredient."""
    z = both_sides(AT.T, grad_y) if arrives is None else arrives(grad_y)
    v = both_sides(BT, d) if patches is None else patches(d)
    grad_u = np.einsum("tcpq,tfpq->fcpq", v, z)
    return both_sides(G.T, grad_u) if back is None else back(grad_u)


def sizes(grad_y: Array, d: Array, g: Array) -> dict[str, float]:
    return {"T": len(d), "C": d.shape[1], "F": len(g)}


ARRIVES: dict[str, Callable[[Array], Array]] = {
    "what arrives is filled up with zeros to 4×4; it has to go back through A": padded,
    "what arrives goes back through A on one side alone: A grad_y Aᵀ": (
        lambda grad_y: np.pad(AT.T @ grad_y, ((0, 0), (0, 0), (0, 0), (0, 2)))
    ),
    "what arrives goes back through A in absolute values: A has signs": lambda grad_y: both_sides(abs(AT.T), grad_y),
}
OF_PATCHES: dict[str, dict[str, Any]] = {
    "it goes back through Bᵀ, as forward; what came by Bᵀ d B goes back by B … Bᵀ": {
        "back": lambda grad: both_sides(BT, grad)
    },
    "it goes back through the inverse of Bᵀ; a gradient goes back through the transpose, B": {
        "back": lambda grad: both_sides(np.linalg.inv(BT), grad)
    },
    "it is the gradient of Bᵀ d B, and has not gone back through B": {"back": lambda grad: grad},
    "it goes back through B on one side alone: B … Bᵀ": {"back": lambda grad: BT.T @ grad},
    "it goes back through B on the right side alone: B … Bᵀ": {"back": lambda grad: grad @ BT},
    "the filters are not transformed: G g Gᵀ is what was multiplied by": {
        "filters": lambda g: np.pad(g, ((0, 0), (0, 0), (0, 1), (0, 1)))
    },
    "the filters are turned by 180°: forward, they are not, and G g Gᵀ is what was multiplied by": {
        "filters": lambda g: both_sides(G, g[:, :, ::-1, ::-1])
    },
    "the filters are transposed within": {"filters": lambda g: both_sides(G, g.swapaxes(2, 3))},
}
OF_FILTERS: dict[str, dict[str, Any]] = {
    "it goes back through the pseudo-inverse of G; a gradient goes back through the transpose, Gᵀ": {
        "back": lambda grad: both_sides(np.linalg.pinv(G), grad)
    },
    "the patches are not transformed: Bᵀ d B is what was multiplied by": {"patches": lambda d: d},
    "the patches are transformed by B … Bᵀ; forward it is Bᵀ d B": {"patches": lambda d: both_sides(BT.T, d)},
    "of what belongs to 4×4 positions a 3×3 corner is taken; it has to go back through Gᵀ": {
        "back": lambda grad: grad[:, :, :3, :3]
    },
    "it goes back through Gᵀ without the halves": {
        "back": lambda grad: both_sides(np.ceil(abs(G)).T * np.sign(G).T, grad)
    },
}


def variants(gradient: Callable[..., Array], changes: dict[str, dict[str, Any]]) -> dict[str, Callable[..., Array]]:
    all_changes = {sentence: {"arrives": change} for sentence, change in ARRIVES.items()} | changes

    def with_changes(changed: dict[str, Any]) -> Callable[..., Array]:
        return lambda grad_y, d, g: gradient(grad_y, d, g, **changed)

    return {sentence: with_changes(changed) for sentence, changed in all_changes.items()}


RIGHT = {
    "d": Right(grad_patches, variants(grad_patches, OF_PATCHES), sizes),
    "g": Right(grad_filters, variants(grad_filters, OF_FILTERS), sizes),
}


def check_backward(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        T, C, F = rng.permutation([2, 3, 4]) + rng.integers(0, 2)
        return {"d": rng.standard_normal((T, C, 4, 4)), "g": rng.standard_normal((F, C, 3, 3))}

    def backward(grad_y: Array, d: Array, g: Array) -> Any:
        grads = mine.winograd_backward(grad_y, d, g)
        if isinstance(grads, np.ndarray):
            raise Wrong("winograd_backward: this is one gradient, and d and g each have one")
        shapes = tuple([np.shape(grad) for grad in grads]) if isinstance(grads, tuple) else ()
        if shapes == (g.shape, d.shape):
            raise Wrong("winograd_backward: the two gradients are exchanged: return dL/dd, dL/dg")
        return grads

    yield from check_gradient("winograd_backward", convolve, backward, draw, RIGHT, seed=seed)


Scale = Callable[[Array, Array, float], Array]  # (norm_weight, var, eps) -> scale (F,)


def right_scale(norm_weight: Array, var: Array, eps: float) -> Array:
    return norm_weight / np.sqrt(var + eps)


SCALES: dict[str, Scale] = {
    "eps is forgotten": lambda w, var, eps: w / np.sqrt(var),
    "eps is added outside of the root": lambda w, var, eps: w / (np.sqrt(var) + eps),
    "it is divided by the variance, and not by its root": lambda w, var, eps: w / (var + eps),
    "it is multiplied by the root, and has to be divided by it": lambda w, var, eps: w * np.sqrt(var + eps),
    "the norm's own weight is forgotten": lambda w, var, eps: 1 / np.sqrt(var + eps),
    "the norm's variance is forgotten": lambda w, var, eps: w,
}


def filters_of(scale: Scale) -> Callable[..., Array]:
    def filters(weight: Array, w: Array, b: Array, mean: Array, var: Array, eps: float) -> Array:
        return weight * scale(w, var, eps)[:, None, None, None]

    return filters


def bias_of(scale: Scale) -> Callable[..., dict[str, Array]]:
    def bias(weight: Array, w: Array, b: Array, mean: Array, var: Array, eps: float) -> dict[str, Array]:
        return {"the norm's bias": b, "what the mean takes away": -mean * scale(w, var, eps)}

    return bias


OF_WEIGHT = Right(
    filters_of(right_scale),
    {sentence: filters_of(scale) for sentence, scale in SCALES.items()}
    | {"the filters are as they were; each is to be multiplied by its scale": lambda weight, *_: weight},
    arrives=False,
)
OF_BIAS = Right(
    bias_of(right_scale),
    {sentence: bias_of(scale) for sentence, scale in SCALES.items()}
    | {
        "the mean is taken away from the norm's bias without the scale": lambda weight, w, b, mean, var, eps: b - mean,
        "the norm's bias is multiplied by the scale as well": (
            lambda weight, w, b, mean, var, eps: (b - mean) * right_scale(w, var, eps)
        ),
    },
    arrives=False,
)


def check_fold(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        F, C = 4 + rng.integers(0, 3), 2 + rng.integers(0, 2)
        weight = rng.standard_normal((F, C, 3, 2))
        w, b, mean = rng.uniform(0.5, 2, F), rng.standard_normal(F), rng.standard_normal(F)
        return weight, w, b, mean, rng.uniform(0.2, 2, F), EPS

    def part(number: int) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            given = mine.fold(*arguments)
            refuse_nothing("fold", given)
            if not isinstance(given, tuple) or len(given) != 2:
                raise Wrong("fold: gives back two arrays: return filters, bias")
            return given[number]

        return function

    yield from check_values("fold, the filters", part(0), OF_WEIGHT, draw, seed)
    yield from check_values("fold, the bias", part(1), OF_BIAS, draw, seed)
    single = [
        one.astype(np.float32) if isinstance(one, np.ndarray) else one for one in draw(generator(seed, "fold, float32"))
    ]
    try:
        dtypes = [np.asarray(one).dtype for one in mine.fold(*single)]
    except MadeFloat64 as made:
        raise Wrong(f"fold: right, but of float32 arrays it makes float64\n  {made}") from None
    if dtypes != [np.float32, np.float32]:
        raise Wrong(f"fold: right, but of float32 arrays it makes {dtypes[0]} and {dtypes[1]}")
    yield "fold, float32"


EXERCISE = Exercise(
    chapter=18,
    name="winograd_backward",
    title="The gradients of Winograd's tiles, and a batch norm that disappears",
    text=TEXT,
    hints=HINTS,
    checks={"winograd_backward": check_backward, "fold": check_fold},
)
