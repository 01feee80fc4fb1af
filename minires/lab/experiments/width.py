"""How far a gradient's size scatters from one random start to the next: a matter of width, not of depth alone.

A plain network of fully connected ReLU layers with He's initialization, whose gradient neither vanishes nor explodes on
average. One draw of the weights, one random input, one random unit gradient at the top; the squared norm of what
arrives at the bottom is E. Over draws, the variance of log E is about 5 β with β = Σ 1/width over the layers.
"""

import math
from collections.abc import Iterator

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.progress import Progress

SLOPE = 5.0  # of the variance over β, for ReLU


def log_gain(width: int, depth: int, seed: int) -> float | None:
    """Return log ‖dL/dx‖² for one draw of the weights and ‖dL/dh‖ = 1 at the top; None where no unit is on."""
    generator = np.random.default_rng([seed, width, depth])
    x = Tensor(generator.standard_normal((1, width)), requires_grad=True)
    h = x
    for _ in range(depth):
        weight = generator.standard_normal((width, width)) * math.sqrt(2 / width)
        h = ops.relu(h @ Tensor(weight))
    grad_h = generator.standard_normal((1, width))
    h.backward(grad_h / np.linalg.norm(grad_h))
    assert x.grad is not None
    energy = float((x.grad * x.grad).sum())
    return math.log(energy) if energy > 0 else None


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    if min(settings["widths"]) < 1 or min(settings["depths"]) < 1:
        raise ValueError("lab: widths and depths must be at least 1")
    shapes = [(width, depth) for depth in settings["depths"] for width in settings["widths"]]
    progress.start(sum([width * width * depth for width, depth in shapes]) * settings["seeds"])
    for width, depth in shapes:
        progress.doing(f"{depth} layers of {width}")
        drawn = []
        for seed in seeds_of(settings):
            drawn.append(log_gain(width, depth, seed))
            progress.advance(width * width * depth)
        logs = [value for value in drawn if value is not None]
        known = len(logs) > 1
        low, high = np.quantile(logs, (0.05, 0.95)) if known else (None, None)
        yield "draws", {
            "width": width, "depth": depth, "beta": depth / width, "draws": len(drawn), "dead": len(drawn) - len(logs),
            "mean_log": np.mean(logs) if known else None, "var_log": np.var(logs) if known else None,
            "low_log": low, "high_log": high,
        }  # fmt: skip


def judge(tables: Tables, settings: Settings) -> Verdict:
    rows = [row for row in tables["draws"] if row["var_log"] is not None]
    if not rows:
        return Verdict(TOO_SMALL, "Nothing gets through: in every draw some layer has no unit that is on.", [])
    findings = [
        Finding(
            f"variance of log E over β, {row['depth']} layers of {row['width']}", row["var_log"] / row["beta"], 3.5, 7
        )
        for row in rows
        if row["beta"] <= 1
    ]
    deepest = max([row["depth"] for row in rows])
    by_width = sorted([row for row in rows if row["depth"] == deepest], key=lambda row: row["width"])
    narrow, wide = by_width[0], by_width[-1]
    factors = [math.exp((row["high_log"] - row["low_log"]) / 2) for row in (narrow, wide)]
    words = (
        f"With {deepest} layers each, nine draws of ten lie within a factor of {factors[1]:.1f} in the gradient's "
        f"norm at width {wide['width']}, and within {factors[0]:.0f} at width {narrow['width']}. The mean is no "
        "help: one network is one draw."
    )
    if not all([finding.inside for finding in findings]):
        return Verdict("half right", f"{words} The variance does not follow 5β everywhere.", findings)
    return Verdict("right", words, findings, open="Whether networks that start in the tails learn worse.")


EXPERIMENT = Experiment(
    name="width",
    claim="How far a deep plain network's gradient scatters over random starts depends on the sum of 1/width.",
    source="Hanin 2018, “Which neural net architectures give rise to exploding and vanishing gradients?”",
    expected="the variance of log ‖J‖² is about 5 β, β = Σ 1/width: 1.1, 2.5, 5.6 at β = 0.25, 0.5, 1",
    would_change="skips, which leave β to the branches alone, or layers of unequal width",
    settings={"widths": (20, 40, 80, 160), "depths": (20, 40), "seeds": 300},
    full={"widths": (20, 40, 80, 160, 320), "depths": (20, 40, 80), "seeds": 2000},
    seconds=8,
    run=run,
    judge=judge,
)
