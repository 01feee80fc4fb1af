"""Chapter 11: the backward passes of a gated skip, and of a shortcut that takes means."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_gradient
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 11: two other skips.

Keep the dtype: float32 in, float32 out.

Fill in the two functions, then run `minires check 11`. `minires check 11 --hint` helps.
"""

import numpy as np


def highway_backward(grad_y, x, w, w_gate):
    """Return (dL/dx, dL/dw, dL/dw_gate) of a highway layer, in which a gate says how much is changed:

        h = relu(x @ w)
        g = sigmoid(x @ w_gate) = 1 / (1 + exp(−x @ w_gate))
        y = g · h + (1 − g) · x

    x and grad_y (N, C); w and w_gate (C, C). Highway networks came some months before residual ones.
    """
    ...


def mean_shortcut_backward(grad_y, x_shape):
    """Return dL/dx, shape x_shape = (N, C, H, W), of a shortcut that halves the image as option A does, by means:

        mean = (x[:, :, ::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, ::2] + x[:, :, 1::2, 1::2]) / 4
        y[:, front : front + C] = mean,   front = (F - C) // 2,   and 0 in the other channels

    grad_y (N, F, H/2, W/2) with F ≥ C; H and W are even.
    """
    ...
'''

HINTS = (
    "highway_backward: run the layer forward again, up to h and g. Then count the places in which x stands: each of "
    "them is a way back, and at x what comes back on them is added.",
    "y is a sum of two products. g stands in both, so what comes back to g is grad_y times the *difference* of what "
    "the two are multiplied by. The slope of the sigmoid is g (1 − g). Behind it is a product with w_gate, just as "
    "behind the ReLU's mask is one with w.",
    "mean_shortcut_backward: each of the four pixels of a window has a share of a quarter in one mean. np.repeat along "
    "the two axes of the image writes a number to all pixels of its window. Which channels of grad_y have come from x?",
)

CARRY, BRANCH, GATE = "what comes through the carried x", "what comes through the ReLU", "what comes through the gate"


def highway(x: Array, w: Array, w_gate: Array) -> Array:
    g = 1 / (1 + np.exp(-(x @ w_gate)))
    return np.asarray(g * np.maximum(x @ w, 0) + (1 - g) * x)


def grads_of(
    grad_y: Array, x: Array, w: Array, w_gate: Array, **changes: Any
) -> tuple[dict[str, Array], Array, Array]:
    """Return the gradients of x (as terms), w and w_gate, or those with something else in the place of an ingredient.

    carry: what goes back to x directly. inner: what is behind the ReLU's mask. gate: what is behind the gate's slope.
    back, back_gate: the two products with the weights.
    """
    h, g = np.maximum(x @ w, 0), 1 / (1 + np.exp(-(x @ w_gate)))
    e = {"dy": grad_y, "x": x, "h": h, "g": g, "mask": x @ w > 0, "slope": g * (1 - g), "w": w, "w_gate": w_gate}

    def part(name: str, right: Callable[[dict[str, Array]], Array]) -> Array:
        return np.asarray(changes.get(name, right)(e))

    carry = part("carry", lambda e: e["dy"] * (1 - e["g"]))
    inner = part("inner", lambda e: e["dy"] * e["g"] * e["mask"])
    gate = part("gate", lambda e: e["dy"] * (e["h"] - e["x"]) * e["slope"])
    turned = changes.get("turned", lambda weight: weight.T)
    return {CARRY: carry, BRANCH: inner @ turned(w), GATE: gate @ turned(w_gate)}, x.T @ inner, x.T @ gate


CHANGES: dict[str, dict[str, Any]] = {
    "all of it comes back through the carried x, as through a skip; it is multiplied by 1 − g": {
        "carry": lambda e: e["dy"]
    },
    "g and 1 − g are exchanged, in what is carried and in the branch": {
        "carry": lambda e: e["dy"] * e["g"], "inner": lambda e: e["dy"] * (1 - e["g"]) * e["mask"],
    },
    "what is carried is multiplied by g; it is by 1 − g": {"carry": lambda e: e["dy"] * e["g"]},
    "what goes back into the branch is not multiplied by the gate": {"inner": lambda e: e["dy"] * e["mask"]},
    "what goes back into the branch is multiplied by 1 − g; it is by g": {
        "inner": lambda e: e["dy"] * (1 - e["g"]) * e["mask"]
    },
    "the ReLU is left out: where x @ w is below 0, nothing comes back": {"inner": lambda e: e["dy"] * e["g"]},
    "the mask of the ReLU is taken from x; it stands behind x @ w": {
        "inner": lambda e: e["dy"] * e["g"] * (e["x"] > 0)
    },
    "it is multiplied by h, where the ReLU's slope belongs (1 or 0)": {"inner": lambda e: e["dy"] * e["g"] * e["h"]},
    "the gate takes from x what it gives to h: (h − x) is multiplied, and here h alone is": {
        "gate": lambda e: e["dy"] * e["h"] * e["slope"]
    },
    "the gate gives to h what it takes from x: (h − x) is multiplied, and here −x alone is": {
        "gate": lambda e: -e["dy"] * e["x"] * e["slope"]
    },
    "h + x is multiplied by at the gate; it is h − x": {"gate": lambda e: e["dy"] * (e["h"] + e["x"]) * e["slope"]},
    "the slope of the sigmoid, g (1 − g), is missing": {"gate": lambda e: e["dy"] * (e["h"] - e["x"])},
    "g stands where the slope of the sigmoid belongs, g (1 − g)": {
        "gate": lambda e: e["dy"] * (e["h"] - e["x"]) * e["g"]
    },
    "1 − g² stands where the slope of the sigmoid belongs: that is tanh's": {
        "gate": lambda e: e["dy"] * (e["h"] - e["x"]) * (1 - e["g"] ** 2)
    },
    "the mask of the ReLU is laid on the gate, too": {
        "gate": lambda e: e["dy"] * (e["h"] - e["x"]) * e["slope"] * e["mask"]
    },
    "the weights are taken as they stand; what is needed is their transposes": {"turned": lambda weight: weight},
}  # fmt: skip


def part(position: int, changes: dict[str, Any] | None = None) -> Any:
    return lambda *arguments: grads_of(*arguments, **(changes or {}))[position]


def changed(changes: dict[str, Any]) -> Any:
    """Return the backward with one change, in all three gradients."""

    def backward(*arguments: Array) -> Any:
        terms, grad_w, grad_w_gate = grads_of(*arguments, **changes)
        return total(terms), grad_w, grad_w_gate

    return backward


MISTAKES = {sentence: changed(changes) for sentence, changes in CHANGES.items()} | {
    "the gradients of w and w_gate are exchanged": lambda *arguments: (
        total(part(0)(*arguments)), part(2)(*arguments), part(1)(*arguments),
    ),
}  # fmt: skip

HIGHWAY = {
    name: Right(
        part(i),
        {sentence: part(i, one) for sentence, one in CHANGES.items()},
        lambda grad_y, x, *_: {"N": x.shape[0], "C": x.shape[1]},
    )
    for i, name in enumerate(("x", "w", "w_gate"))
}


def check_highway(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C = 7 + rng.integers(0, 2), 4 + rng.integers(0, 2)
        return {"x": rng.standard_normal((N, C))} | {name: rng.standard_normal((C, C)) for name in ("w", "w_gate")}

    def backward(grad_y: Array, x: Array, w: Array, w_gate: Array) -> Any:
        grads = mine.highway_backward(grad_y, x, w, w_gate)
        if isinstance(grads, np.ndarray):
            raise Wrong("highway_backward: this is one gradient, and x, w and w_gate each have one")
        return (None, None, None) if grads is None or grads is ... else tuple(grads)

    yield from check_gradient("highway_backward", highway, backward, draw, HIGHWAY, MISTAKES, seed)


def mean_shortcut(x: Array, F: int) -> Array:
    N, C, H, W = x.shape
    y = np.zeros((N, F, H // 2, W // 2), x.dtype)
    front = (F - C) // 2
    y[:, front : front + C] = (x[:, :, ::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, ::2] + x[:, :, 1::2, 1::2]) / 4
    return y


def spread(
    grad_y: Array, x: Array, share: float = 0.25, front: Callable[[int, int], int] | None = None, way: str = "repeat"
) -> Array:
    """Return dL/dx, or what it becomes with another share, other channels, or windows filled in another way."""
    F, C = grad_y.shape[1], x.shape[1]
    first = (F - C) // 2 if front is None else front(F, C)
    kept = np.zeros((grad_y.shape[0], C, *grad_y.shape[2:]))
    chosen = grad_y[:, first : first + C]
    kept[:, : chosen.shape[1]] = chosen
    if way == "tile":
        return np.tile(kept, (1, 1, 2, 2)) * share
    grad_x = np.repeat(np.repeat(kept, 2, axis=2), 2, axis=3) * share
    if way == "first":
        only = np.zeros(x.shape)
        only[:, :, ::2, ::2] = grad_x[:, :, ::2, ::2]
        return only
    return grad_x


SHORTCUT: dict[str, Any] = {
    "this is option A's: one pixel of each window gets all, and here all four have a share": (
        lambda grad_y, x: spread(grad_y, x, 1.0, way="first")
    ),
    "only the first pixel of each window gets its quarter; all four have one": (
        lambda grad_y, x: spread(grad_y, x, way="first")
    ),
    "every pixel of a window gets all: the mean's quarter is missing": lambda grad_y, x: spread(grad_y, x, 1.0),
    "it is divided by 2, and should be by 4: a window has 2 · 2 pixels": lambda grad_y, x: spread(grad_y, x, 0.5),
    "it is divided by 16, and should be by 4: the quarter is there twice": lambda grad_y, x: spread(grad_y, x, 1 / 16),
    "the picture is put side by side four times (np.tile); the pixels of a window are neighbours": (
        lambda grad_y, x: spread(grad_y, x, way="tile")
    ),
    "these are the wrong channels: the first C, as if all the zeros were behind": (
        lambda grad_y, x: spread(grad_y, x, front=lambda F, C: 0)
    ),
    "these are the wrong channels: the last C, as if all the zeros were in front": (
        lambda grad_y, x: spread(grad_y, x, front=lambda F, C: F - C)
    ),
    "the channels are one too far behind: of an odd number of zeros the smaller half is in front": (
        lambda grad_y, x: spread(grad_y, x, front=lambda F, C: (F - C + 1) // 2)
    ),
}  # fmt: skip


def check_shortcut(mine: Any, seed: int) -> Iterator[str]:
    for C, F in ((3, 8), (4, 8), (3, 3)):

        def draw(rng: np.random.Generator, C: int = C) -> dict[str, Array]:
            H, W = rng.permutation([4, 6])
            return {"x": rng.standard_normal((2 + rng.integers(0, 2), C, H, W))}

        def forward(x: Array, F: int = F) -> Array:
            return mean_shortcut(x, F)

        def backward(grad_y: Array, x: Array) -> Any:
            return mine.mean_shortcut_backward(grad_y, x.shape)

        head = f"mean_shortcut_backward, {C} → {F} channels"
        yield from check_gradient(head, forward, backward, draw, {"x": Right(spread, SHORTCUT)}, seed=seed)


EXERCISE = Exercise(
    chapter=11,
    name="other_skips",
    title="The backward passes of a gated skip, and of a shortcut that takes means",
    text=TEXT,
    hints=HINTS,
    checks={"highway_backward": check_highway, "mean_shortcut_backward": check_shortcut},
)
