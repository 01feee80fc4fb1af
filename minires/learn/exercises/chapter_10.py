"""Chapter 10: the filter that copies, and the gradient behind every layer of a plain network."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_equal, check_gradient
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 10: a layer that changes nothing, and the gradients of a deep plain network.

Fill in the two functions, then run `minires check 10`. `minires check 10 --hint` helps.
"""

import numpy as np


def identity_filter(channels, kernel_size):
    """Return the weight (channels, channels, K, K) of a convolution that gives back its input, K = kernel_size.

        y[n,f,i,j] = Σ_{c,u,v} weight[f,c,u,v] · padded[n, c, i + u, j + v] = x[n,f,i,j]

    K is odd, the stride 1, and x is padded with K // 2 zeros on all sides.
    """
    ...


def plain_backward(grad_h, x, weights):
    """Return [dL/dh_0, dL/dh_1, …, dL/dh_L] of a plain network, from the input on:

        h_0 = x,    h_l = relu(h_{l-1} @ weights[l-1])    for l = 1 … L

    x (N, C); weights, a list of L arrays (C, C); grad_h = dL/dh_L, (N, C). Chapter 10's figure are the norms of these.
    """
    ...
'''

HINTS = (
    "Each output channel looks at one input channel, and there at one pixel of its window: the middle one. How many "
    "numbers of the filter are not zero?",
    "plain_backward runs the network forward first and keeps every h in a list; then it goes through the layers from "
    "the last to the first. The list of gradients is made backwards, so turn it round at the end.",
    "One layer back is two steps in reverse order: through the ReLU, which lets pass where its *output* was above 0, "
    "and through the product, whose gradient for its left factor is dy @ weight.T.",
)

Step = Callable[[Array, Array, Array, Array], Array]  # (grad_h, h before, h after, weight) -> the gradient before


def run(x: Array, weights: list[Array]) -> list[Array]:
    hs = [x]
    for weight in weights:
        hs.append(np.maximum(hs[-1] @ weight, 0))
    return hs


def go_back(step: Step, grad_h: Array, x: Array, weights: list[Array]) -> Array:
    """Take grad_h through all layers, one `step` each."""
    hs = run(x, weights)
    for i in reversed(range(len(weights))):
        grad_h = step(grad_h, hs[i], hs[i + 1], weights[i])
    return grad_h


MISTAKES: dict[str, Step] = {
    "the ReLU is left out: where its output is 0, nothing comes back": lambda g, h, y, w: g @ w.T,
    "the product is taken back with the weight as it stands; what is needed is its transpose": (
        lambda g, h, y, w: (g * (y > 0)) @ w
    ),
    "the ReLU's mask is that of the layer before: what counts is the output of this one": (
        lambda g, h, y, w: (g * (h > 0)) @ w.T
    ),
    "the two steps are in the wrong order: the ReLU came last, so its turn is first": (
        lambda g, h, y, w: (g @ w.T) * (y > 0)
    ),
}


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    for channels, kernel_size in ((1, 3), (4, 3), (3, 5), (2, 1)):
        yield from check_filter(mine, channels, kernel_size, rng.standard_normal((2, channels, 5, 6)))

    x = rng.standard_normal((5, 6))
    for depth in (1, 2, 6):
        weights = list(rng.standard_normal((depth, 6, 6)) * np.sqrt(2 / 6))
        yield from check_depth(mine, f"plain_backward, {depth} layer{'s' if depth > 1 else ''}", x, weights)


def check_filter(mine: ModuleType, channels: int, kernel_size: int, x: Array) -> Iterator[str]:
    """Convolve with the reader's filter, and look for what it gives in place of x."""
    head = f"identity_filter({channels}, {kernel_size})"
    weight = mine.identity_filter(channels, kernel_size)
    shape = (channels, channels, kernel_size, kernel_size)
    if weight is None or weight is ...:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")
    if np.shape(weight) != shape:
        raise Wrong(f"{head}: the shape is {np.shape(weight)}, and should be {shape}: a filter for each output channel")
    weight, pad = np.asarray(weight, np.float64), kernel_size // 2
    y = numpy_kernels.conv2d_forward(x, weight, None, (1, 1), (pad, pad))
    if channels > 1 and np.allclose(y, x.sum(axis=1, keepdims=True)):
        raise Wrong(f"{head}: every output is the sum of all channels: filter f should look at channel f alone")
    if np.count_nonzero(weight) == channels and weight.sum() == channels and not np.allclose(y, x):
        raise Wrong(f"{head}: the image is copied, and moved or its channels exchanged: which tap is the middle one?")
    yield from check_equal(head, y, x, "that is the convolution of an image with this filter")


def check_depth(mine: ModuleType, head: str, x: Array, weights: list[Array]) -> Iterator[str]:
    """Check dL/dx by finite differences, and the gradients between by the same network, begun there."""

    def forward(x: Array) -> Array:
        return run(x, [weight.astype(x.dtype) for weight in weights])[-1]

    def backward(grad_h: Array, x: Array) -> Any:
        grads = mine.plain_backward(grad_h, x, [weight.astype(x.dtype) for weight in weights])
        if grads is None or grads is ...:
            return None
        if len(grads) != len(weights) + 1:
            raise Wrong(f"{head}: the list has {len(grads)} gradients, and should have {len(weights) + 1}, h_0 to h_L")
        if np.array_equal(grads[0], grad_h):
            raise Wrong(f"{head}: the list begins with grad_h itself; it should run from the input to the output")
        return grads[0]

    def mistaken(step: Step) -> Callable[[Array, Array], Array]:
        return lambda grad_h, x: go_back(step, grad_h, x, weights)

    mistakes = {sentence: mistaken(step) for sentence, step in MISTAKES.items()}
    yield from check_gradient(head, forward, backward, {"x": x}, mistakes)

    grad_h = np.random.default_rng(1).standard_normal(x.shape)
    hs, grads = run(x, weights), mine.plain_backward(grad_h.copy(), x.copy(), [weight.copy() for weight in weights])
    for i in range(1, len(hs)):
        wanted = go_back(lambda g, h, y, w: (g * (y > 0)) @ w.T, grad_h, hs[i], weights[i:])
        yield from check_equal(f"{head}, dL/dh_{i}", grads[i], wanted)


EXERCISE = Exercise(
    chapter=10,
    name="plain_gradients",
    title="A layer that changes nothing, and the gradients of a deep plain network",
    text=TEXT,
    names=("identity_filter", "plain_backward"),
    hints=HINTS,
    check=check,
)
