"""Fully connected twins of residual networks: how much of a gradient reaches the first layer at initialization.

No images, no convolutions, no loss: 128 inputs, 128 units in every layer, a batch of 128, and a random gradient handed
to the last layer. What is left is depth, initialization, batch norm and the skip, one row of the table for each way to
combine them. The whole table takes seconds, and the real networks of `gradient_flow` behave as it says.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minires import ops
from minires.engine import Tensor

WIDTH = 128
BATCH_SIZE = 128
DEPTHS = (10, 20, 50, 100)  # linear layers

Draw = Callable[[str], Tensor]  # a weight, fresh from the named initialization


def batch_norm(x: Tensor) -> Tensor:
    """Batch norm as a new layer has it: batch statistics, weight 1, bias 0."""
    y, _, _ = ops.batch_norm(x, Tensor(np.ones(WIDTH)), Tensor(np.zeros(WIDTH)))
    return y


# The blocks, each from h to the next h. Plain blocks hold one linear layer, residual ones two.


def plain(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    return ops.relu(h @ draw(init))


def plain_norm(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    return ops.relu(batch_norm(h @ draw(init)))


def residual(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    branch = ops.relu(h @ draw(init)) @ draw(init)
    return ops.relu(ops.residual_add(h, branch))


def residual_norm(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    """The block of He et al. 2015 (arXiv 1512.03385), figure 2."""
    branch = ops.relu(batch_norm(h @ draw(init)))
    branch = batch_norm(branch @ draw(init))
    return ops.relu(ops.residual_add(h, branch))


def misplaced_norm(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    """A mistake often seen: the second norm before the second layer, so that what the branch adds is not normalized."""
    branch = batch_norm(ops.relu(batch_norm(h @ draw(init))))
    return ops.relu(ops.residual_add(h, branch @ draw(init)))


def always_projected(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    """A weight on every shortcut: there is no identity path left."""
    branch = ops.relu(batch_norm(h @ draw(init)))
    branch = batch_norm(branch @ draw(init))
    return ops.relu(ops.residual_add(h @ draw("lecun"), branch))


def pre_activation_norm(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    """The block of He et al. 2016 (arXiv 1603.05027): nothing stands on the skip, not even a ReLU."""
    branch = ops.relu(batch_norm(h)) @ draw(init)
    branch = ops.relu(batch_norm(branch)) @ draw(init)
    return ops.residual_add(h, branch)


def pre_activation(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    branch = ops.relu(h) @ draw(init)
    branch = ops.relu(branch) @ draw(init)
    return ops.residual_add(h, branch)


def skip_init(h: Tensor, draw: Draw, init: str, scale: float) -> Tensor:
    """No norm, every branch scaled by 1/sqrt(blocks) (De & Smith 2020, arXiv 2002.10444)."""
    branch = ops.relu(h) @ draw(init)
    branch = ops.relu(branch) @ draw(init)
    return ops.residual_add(h, branch * scale)


@dataclass(frozen=True)
class BlockKind:
    """A row of the table: a block, the initialization of its weights, and its number of linear layers."""

    label: str
    block: Callable[[Tensor, Draw, str, float], Tensor]
    init: str
    layers: int


ROWS = {
    "plain_pytorch": BlockKind("plain, PyTorch's default init", plain, "pytorch", 1),
    "plain_lecun": BlockKind("plain, LeCun init", plain, "lecun", 1),
    "plain_he": BlockKind("plain, He init", plain, "he", 1),
    "plain_norm": BlockKind("plain + batch norm", plain_norm, "he", 1),
    "residual": BlockKind("residual, no norm", residual, "he", 2),
    "residual_norm": BlockKind("residual + batch norm", residual_norm, "he", 2),
    "misplaced_norm": BlockKind("residual, second norm misplaced", misplaced_norm, "he", 2),
    "always_projected": BlockKind("residual, every shortcut projected", always_projected, "he", 2),
    "pre_activation_norm": BlockKind("pre-activation + batch norm", pre_activation_norm, "he", 2),
    "pre_activation": BlockKind("pre-activation, no norm", pre_activation, "he", 2),
    "skip_init": BlockKind("SkipInit, no norm", skip_init, "he", 2),
}

# Standard deviation of a weight. PyTorch's default is uniform in ±1/sqrt(fan_in), which has this deviation.
STD = {"pytorch": math.sqrt(1 / (3 * WIDTH)), "lecun": math.sqrt(1 / WIDTH), "he": math.sqrt(2 / WIDTH)}


def measure(row: str, layers: int, seed: int = 0) -> tuple[float, float]:
    """Build one network of `layers` linear layers and send a random gradient through it, in float64.

    Returns ‖dL/dx‖ / ‖dL/dh‖ with h the last layer's output, and var(h) / var(x). ValueError for an unknown row, and
    for a number of layers that its blocks do not divide.
    """
    if row not in ROWS:
        raise ValueError(f"mlp_twin: unknown row {row!r}; known: {', '.join(ROWS)}")
    kind = ROWS[row]
    blocks, rest = divmod(layers, kind.layers)
    if rest or blocks < 1:
        raise ValueError(f"mlp_twin: {row} has {kind.layers} linear layers in a block, {layers} layers cannot be built")
    generator = np.random.default_rng(seed)

    def draw(init: str) -> Tensor:
        return Tensor(generator.standard_normal((WIDTH, WIDTH)) * STD[init])

    x = Tensor(generator.standard_normal((BATCH_SIZE, WIDTH)), requires_grad=True)
    h = x
    for _ in range(blocks):
        h = kind.block(h, draw, kind.init, 1 / math.sqrt(blocks))
    grad_h = generator.standard_normal(h.shape) / BATCH_SIZE
    h.backward(grad_h)
    assert x.grad is not None
    return float(np.linalg.norm(x.grad) / np.linalg.norm(grad_h)), float(h.data.var() / x.data.var())


def measure_all(
    depths: Sequence[int] = DEPTHS, seeds: Sequence[int] = range(3), rows: Sequence[str] = tuple(ROWS)
) -> list[dict[str, float | int | str]]:
    """Measure the rows at every depth: the geometric means over seeds of the two ratios, as log10."""
    records: list[dict[str, float | int | str]] = []
    for row in rows:
        for layers in depths:
            logs = np.log10([measure(row, layers, seed) for seed in seeds])
            gradient, variance = logs.mean(axis=0)
            records.append({"row": row, "label": ROWS[row].label, "layers": layers, "seeds": len(seeds),
                            "log10_gradient_ratio": float(gradient), "log10_variance_ratio": float(variance)})
    return records
