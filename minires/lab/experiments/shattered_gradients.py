"""Shattered gradients: how alike the gradients of two neighbouring inputs are, in plain and residual networks.

A network of one number x, 200 units wide, with one output; 256 values of x from -2 to 2; dy/dx at each. White noise has
an autocorrelation of 0 at any lag, a smooth function one near 1. The batch's statistics count as constants, as in the
paper, so that every gradient is that of its own x.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.kernels import Array
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.progress import Progress

LAGS = (1, 2, 5, 10, 20)
EPS = 1e-10  # with the usual 1e-5, units that hardly change over x stay silent, and residual gradients look smoother


@dataclass(frozen=True)
class Net:
    """layers: linear ones between the first and the last. branch: what residual branches are multiplied by."""

    layers: int
    skip: bool = False
    norm: bool = False
    branch: float = 1.0


NETS = {
    "one layer": Net(0),
    "plain-24, no norm": Net(24),
    "plain-24, batch norm": Net(24, norm=True),
    "residual-24, batch norm": Net(24, skip=True, norm=True),
    "residual-50, batch norm": Net(50, skip=True, norm=True),
    "residual-50, batch norm, branches × 0.1": Net(50, skip=True, norm=True, branch=0.1),
    "residual-50, no norm": Net(50, skip=True),
}

# Lag 1, mean over seeds: low, high.
BANDS = {
    "one layer": (0.93, 1.0),
    "plain-24, no norm": (0.75, 0.97),
    "plain-24, batch norm": (-0.15, 0.12),
    "residual-24, batch norm": (0.15, 0.5),
    "residual-50, batch norm": (0.13, 0.5),
    "residual-50, batch norm, branches × 0.1": (0.33, 0.7),
}


def normalize(h: Tensor) -> Tensor:
    """Batch norm by the batch's own statistics, which are not differentiated."""
    C = h.shape[1]
    y, _, _ = ops.batch_norm(h, Tensor(np.ones(C)), Tensor(np.zeros(C)), h.data.mean(axis=0), h.data.var(axis=0), EPS)
    return y


def gradients(net: Net, points: int, width: int, seed: int) -> tuple[Array, Array]:
    """Return x and dy/dx, (points,) each, of a network drawn by He's initialization."""
    generator = np.random.default_rng(seed)
    x = Tensor(np.linspace(-2, 2, points)[:, np.newaxis], requires_grad=True)
    first, bias = generator.standard_normal((1, width)), generator.standard_normal(width)
    h = ops.relu(x @ Tensor(first) + Tensor(bias))
    for _ in range(net.layers):
        weight = Tensor(generator.standard_normal((width, width)) * math.sqrt(2 / width))
        if net.skip:
            branch = ops.relu(normalize(h) if net.norm else h) @ weight
            h = ops.residual_add(h, branch * net.branch)
        else:
            h = h @ weight
            h = ops.relu(normalize(h) if net.norm else h)
    y = h @ Tensor(generator.standard_normal((width, 1)) / math.sqrt(width))
    y.backward(np.ones(y.shape))
    assert x.grad is not None
    return x.data[:, 0], x.grad[:, 0]


def autocorrelation(values: Array, lag: int) -> float:
    """Return Σ v(i) v(i + lag) / Σ v(i)² of the values without their mean."""
    centred = values - values.mean()
    energy = float((centred * centred).sum())
    return float((centred[:-lag] * centred[lag:]).sum()) / energy if energy else 1.0  # a constant resembles itself


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    progress.start(sum([net.layers + 1 for net in NETS.values()]) * settings["seeds"])
    for name, net in NETS.items():
        progress.doing(name)
        for seed in seeds_of(settings):
            x, grad_x = gradients(net, settings["points"], settings["width"], seed)
            for lag in LAGS:
                yield (
                    "autocorrelation",
                    {"network": name, "seed": seed, "lag": lag, "value": autocorrelation(grad_x, lag)},
                )
            if seed == settings["seed"]:
                for place, value in zip(x, grad_x, strict=True):
                    yield "gradients", {"network": name, "x": place, "gradient": value}
            progress.advance(net.layers + 1)


def mean_at(tables: Tables, network: str, lag: int = 1) -> float:
    rows = tables["autocorrelation"]
    return float(np.mean([row["value"] for row in rows if row["network"] == network and row["lag"] == lag]))


def judge(tables: Tables, settings: Settings) -> Verdict:
    found = {name: mean_at(tables, name) for name in NETS}
    findings = [Finding(f"autocorrelation at lag 1, {name}", found[name], *BANDS[name]) for name in BANDS]
    words = (
        "With batch norm the gradients of a plain network of 24 layers are white noise "
        f"({found['plain-24, batch norm']:.2f}), those of a residual one of 50 are not "
        f"({found['residual-50, batch norm']:.2f}, and {found['residual-50, batch norm, branches × 0.1']:.2f} with "
        "quieter branches). The claim needs the batch norm: without it the plain network's gradients do not shatter "
        f"at all ({found['plain-24, no norm']:.2f})."
    )  # fmt: skip
    if found["residual-50, batch norm"] - found["plain-24, batch norm"] < 0.1:
        return Verdict(TOO_SMALL, "Residual networks' gradients shatter as much as plain ones'.", findings)
    return Verdict(
        "half right", words, findings, open="Whether shattering itself, not what comes with it, hinders learning."
    )


EXPERIMENT = Experiment(
    name="shattered-gradients",
    claim="Gradients of deep plain networks resemble white noise; with skips they do so far less.",
    source="Balduzzi et al. 2017, “The shattered gradients problem”, figures 1 and 2",
    expected="lag 1: one layer 0.98, plain-24 with batch norm about 0, residual-50 about 0.3, quieter branches 0.5",
    would_change="leaving out batch norm: then no shattering is seen, in plain networks either; or the usual eps of "
    "1e-5",
    settings={"points": 256, "width": 200, "seeds": 10},
    full={"seeds": 100},
    seconds=5,
    run=run,
    judge=judge,
)
