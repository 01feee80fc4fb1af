"""Chapter 10: the filter that copies, and the gradient behind every layer of a plain network."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, same
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_equal, check_gradient, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 10: a layer that changes nothing, and the gradients of a deep plain network.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

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


def run(x: Array, weights: Sequence[Array]) -> list[Array]:
    hs = [x]
    for weight in weights:
        hs.append(np.maximum(hs[-1] @ weight, 0))
    return hs


def right_step(grad_h: Array, before: Array, after: Array, weight: Array) -> Array:
    return (grad_h * (after > 0)) @ weight.T


def go_back(step: Step, grad_h: Array, x: Array, weights: Sequence[Array]) -> Array:
    """Take grad_h through all layers, one `step` each."""
    hs = run(x, weights)
    for i in reversed(range(len(weights))):
        grad_h = step(grad_h, hs[i], hs[i + 1], weights[i])
    return grad_h


STEPS: dict[str, Step] = {
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
    "the mask of the layer's input is laid on behind the product: the ReLU came last, so its turn is first": (
        lambda g, h, y, w: (g @ w.T) * (h > 0)
    ),
    "the mask is turned round: it lets pass where the output is 0": lambda g, h, y, w: (g * (y <= 0)) @ w.T,
    "it is multiplied by the ReLU's output, where its slope belongs (1 or 0)": lambda g, h, y, w: (g * y) @ w.T,
    "what comes back is cut off where it is negative itself": lambda g, h, y, w: np.maximum(g, 0) @ w.T,
    "the gradient is added to what comes back, as if there were a skip": lambda g, h, y, w: g + (g * (y > 0)) @ w.T,
    "the gradient is multiplied by the layer's input, as a weight's gradient is": (
        lambda g, h, y, w: ((g * (y > 0)) @ w.T) * h
    ),
    "the gradient is divided by the number of images in each layer": lambda g, h, y, w: (g * (y > 0)) @ w.T / len(g),
}


def in_forward_order(grad_h: Array, x: Array, *weights: Array) -> Array:
    hs = run(x, weights)
    for weight, y in zip(weights, hs[1:], strict=True):
        grad_h = right_step(grad_h, y, y, weight)
    return grad_h


def weights_in_forward_order(grad_h: Array, x: Array, *weights: Array) -> Array:
    hs = run(x, weights)
    for weight, y in zip(weights, hs[:0:-1], strict=True):
        grad_h = right_step(grad_h, y, y, weight)
    return grad_h


def masks_in_forward_order(grad_h: Array, x: Array, *weights: Array) -> Array:
    hs = run(x, weights)
    for weight, y in zip(weights[::-1], hs[1:], strict=True):
        grad_h = right_step(grad_h, y, y, weight)
    return grad_h


def without_first_layer(grad_h: Array, x: Array, *weights: Array) -> Array:
    hs = run(x, weights)
    return go_back(right_step, grad_h, hs[1], weights[1:])


def without_last_layer(grad_h: Array, x: Array, *weights: Array) -> Array:
    return go_back(right_step, grad_h, x, weights[:-1])


def last_mask_left_out(grad_h: Array, x: Array, *weights: Array) -> Array:
    return go_back(right_step, grad_h @ weights[-1].T, x, weights[:-1])


def one_mask_for_all(grad_h: Array, x: Array, *weights: Array) -> Array:
    last = run(x, weights)[-1]
    return go_back(lambda g, h, y, w: (g * (last > 0)) @ w.T, grad_h, x, weights)


def in_every_layer(step: Step) -> Callable[..., Array]:
    return lambda grad_h, x, *weights: go_back(step, grad_h, x, weights)


MISTAKES: dict[str, Callable[..., Array]] = {sentence: in_every_layer(step) for sentence, step in STEPS.items()} | {
    "the weights are taken in forward order, and the masks in reverse; both are": weights_in_forward_order,
    "the masks are taken in forward order, and the weights in reverse; both are": masks_in_forward_order,
    "the layers are taken in forward order; the last layer's turn is first": in_forward_order,
    "the first layer is left out": without_first_layer,
    "the last layer is left out": without_last_layer,
    "the last layer's ReLU is left out": last_mask_left_out,
    "the last ReLU's mask is used in all layers": one_mask_for_all,
}  # fmt: skip


def check_filters(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "filters")
    for channels, kernel_size in ((1, 3), (4, 3), (3, 5), (2, 1)):
        yield from check_filter(mine, channels, kernel_size, rng.standard_normal((2, channels, 5, 6)))


def wrong_filters(channels: int, K: int) -> dict[str, Array]:
    """Return filters that people write, each with a sentence."""
    middle, zeros = K // 2, np.zeros((channels, channels, K, K))

    def filled(*places: Any, value: float = 1.0) -> Array:
        weight = zeros.copy()
        for place in places:
            weight[place] = value
        return weight

    own = range(channels)
    one = (own, own, middle, middle)
    found = {
        "every output is the sum of all channels: filter f should look at channel f alone": filled(
            (slice(None), slice(None), middle, middle)
        ),
        "every output is the mean of all channels, 1/channels each: filter f should look at channel f alone": filled(
            (slice(None), slice(None), middle, middle), value=1 / channels
        ),
        "each filter has 1/channels at its own channel: it gives back only a share of the image": filled(
            one, value=1 / channels
        ),
        "every tap is 1: each pixel becomes the sum of its window": filled((own, own)),
        "every tap is 1/K²: each pixel becomes the mean of its window, and the image is blurred": filled(
            (own, own), value=1 / K**2
        ),
        "every number of the filter is 1: each pixel becomes the sum of all windows": np.ones_like(zeros),
        "every number of the filter is 1/(channels · K²): each pixel becomes a mean": np.full_like(
            zeros, 1 / (channels * K**2)
        ),
        "the diagonal of each window is 1, and of it only the middle should be": filled(
            *[(own, own, k, k) for k in range(K)]
        ),
        "a row of each window is 1, and of it only the middle should be": filled((own, own, middle)),
        "a column of each window is 1, and of it only the middle should be": filled((own, own, slice(None), middle)),
        "only the first channel is given back": filled((0, 0, middle, middle)),
        "all outputs are the first channel": filled((slice(None), 0, middle, middle)),
        "only the first output sees anything: it is the sum of all channels": filled((0, slice(None), middle, middle)),
        "everything is 0": zeros,
        "the image comes back with the wrong sign": filled(one, value=-1.0),
        "the image comes back twice as large": filled(one, value=2.0),
    }
    return found


def check_filter(mine: Any, channels: int, kernel_size: int, x: Array) -> Iterator[str]:
    """Convolve with the reader's filter, and look for what it gives in place of x."""
    head = f"identity_filter({channels}, {kernel_size})"
    weight = mine.identity_filter(channels, kernel_size)
    shape = (channels, channels, kernel_size, kernel_size)
    refuse_nothing(head, weight)
    if np.shape(weight) != shape:
        raise Wrong(f"{head}: the shape is {np.shape(weight)}, and should be {shape}: a filter for each output channel")
    weight, pad = np.asarray(weight, np.float64), kernel_size // 2
    y = numpy_kernels.conv2d_forward(x, weight, None, (1, 1), (pad, pad))
    if not np.allclose(y, x):
        for sentence, mistaken in wrong_filters(channels, kernel_size).items():
            if np.array_equal(weight, mistaken):
                raise Wrong(f"{head}: {sentence}")
        if np.count_nonzero(weight) == channels and weight.sum() == channels:
            raise Wrong(f"{head}: the image is copied, and {what_moved(weight, pad)}")
    yield from check_equal(head, y, x, "that is the convolution of an image with this filter", drawn=True)


def what_moved(weight: Array, pad: int) -> str:
    """Say where the ones of a filter stand, if each output has one."""
    out, of, rows, columns = np.nonzero(weight)
    if set(zip(rows, columns, strict=True)) == {(pad, pad)}:
        return "its channels are exchanged: filter f should look at channel f"
    return f"moved: the tap in the middle is [{pad}, {pad}], not [{rows[0]}, {columns[0]}]"


def check_plain(mine: Any, seed: int) -> Iterator[str]:
    for depth in (3, 1, 6):
        yield from check_depth(mine, f"plain_backward, {depth} layer{'s' if depth > 1 else ''}", depth, seed)


def check_depth(mine: Any, head: str, depth: int, seed: int) -> Iterator[str]:
    """Check dL/dx by finite differences, and the gradients between by the same network, begun there."""

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C = 5 + rng.integers(0, 3), 6 + rng.integers(0, 3)
        weights = rng.standard_normal((depth, C, C)) * np.sqrt(2 / C)
        return {"x": rng.standard_normal((N, C))} | {f"weights[{i}]": weight for i, weight in enumerate(weights)}

    def backward(grad_h: Array, x: Array, *weights: Array) -> Any:
        grads = mine.plain_backward(grad_h, x, list(weights))
        if grads is None or grads is ...:
            return (None,) * (1 + depth)
        if not isinstance(grads, list | tuple):
            raise Wrong(f"{head}: this is {type(grads).__name__}, and should be a list of {depth + 1} gradients")
        if len(grads) != depth + 1:
            raise Wrong(f"{head}: the list has {len(grads)} gradients, and should have {depth + 1}, h_0 to h_L")
        if np.array_equal(grads[0], grad_h):
            raise Wrong(f"{head}: the list begins with grad_h itself; it should run from the input to the output")
        return grads[0], *[None] * depth

    right = {"x": Right(lambda grad_h, x, *weights: go_back(right_step, grad_h, x, weights), MISTAKES)}
    yield from check_gradient(head, lambda x, *weights: run(x, weights)[-1], backward, draw, right, seed=seed)

    values = draw(generator(seed, f"{head}, between"))
    x, *weights = values.values()
    grad_h = generator(seed, head, 9).standard_normal(x.shape)
    hs, grads = run(x, weights), mine.plain_backward(grad_h.copy(), x.copy(), [weight.copy() for weight in weights])
    for i in range(1, len(hs)):
        wanted = go_back(right_step, grad_h, hs[i], weights[i:])
        if i < depth and np.shape(grads[i]) == np.shape(wanted) and same(grads[i], wanted * (hs[i] > 0)):
            raise Wrong(
                f"{head}, dL/dh_{i}: this is behind the ReLU that made h_{i}, the gradient of what it was handed"
            )
        yield from check_equal(f"{head}, dL/dh_{i}", grads[i], wanted)


EXERCISE = Exercise(
    chapter=10,
    name="plain_gradients",
    title="A layer that changes nothing, and the gradients of a deep plain network",
    text=TEXT,
    hints=HINTS,
    checks={"identity_filter": check_filters, "plain_backward": check_plain},
)
