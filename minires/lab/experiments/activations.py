"""ReLU, ELU and SELU in the fully connected twins: what the activation does to the gradient, with and without skips.

As in `mlp_twin`: 128 units, a batch of 128, no biases, a random gradient at the top. Each activation comes with the
initialization that is made for it; ELU also with the gain that keeps its variance.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.mlp_twin import BATCH_SIZE, WIDTH, batch_norm
from minires.lab.progress import Progress


@dataclass(frozen=True)
class Activation:
    """gain: the variance of a weight is gain / fan_in."""

    label: str
    function: Callable[[Tensor], Tensor]
    gain: float


ACTIVATIONS = {
    "relu": Activation("ReLU, He init", ops.relu, 2.0),
    "elu": Activation("ELU, LeCun init", ops.elu, 1.0),
    "elu_gain": Activation("ELU, gain 1.55", ops.elu, 1.55),
    "selu": Activation("SELU, LeCun init", ops.selu, 1.0),
}
KINDS = {"plain": (False, False), "plain + batch norm": (False, True), "residual": (True, False),
         "residual + batch norm": (True, True)}  # skip, norm  # fmt: skip

# log10 of the ratio at 100 layers: low, high. The rows without norm scatter more from seed to seed.
BANDS = {
    ("elu", "plain"): (-2.3, -1.0),
    ("elu_gain", "plain"): (0.1, 1.4),
    ("selu", "plain"): (1.0, 2.2),
    ("relu", "plain + batch norm"): (7.6, 8.4),
    ("elu", "plain + batch norm"): (1.7, 2.4),
    ("selu", "plain + batch norm"): (1.8, 2.6),
    ("relu", "residual + batch norm"): (1.4, 2.2),
    ("elu", "residual + batch norm"): (0.7, 1.5),
    ("selu", "residual + batch norm"): (1.3, 2.1),
}


def log10_ratio(activation: Activation, skip: bool, norm: bool, layers: int, seed: int) -> float:
    """Return log10 of ‖dL/dx‖ / ‖dL/dh‖, h the last layer's output; two layers in a residual block."""
    generator = np.random.default_rng(seed)
    x = Tensor(generator.standard_normal((BATCH_SIZE, WIDTH)), requires_grad=True)
    h = shortcut = x
    for layer in range(layers):
        h = h @ Tensor(generator.standard_normal((WIDTH, WIDTH)) * math.sqrt(activation.gain / WIDTH))
        if norm:
            h = batch_norm(h)
        if skip and layer % 2:
            h = ops.residual_add(shortcut, h)
        h = activation.function(h)
        if layer % 2:
            shortcut = h
    grad_h = generator.standard_normal(h.shape)
    h.backward(grad_h)
    assert x.grad is not None
    return math.log10(np.linalg.norm(x.grad) / np.linalg.norm(grad_h))


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    seeds = seeds_of(settings)
    progress.start(len(ACTIVATIONS) * len(KINDS) * sum(settings["depths"]))
    for name, activation in ACTIVATIONS.items():
        for kind, (skip, norm) in KINDS.items():
            progress.doing(f"{activation.label}, {kind}")
            for layers in settings["depths"]:
                logs = [log10_ratio(activation, skip, norm, layers, seed) for seed in seeds]
                yield "ratios", {
                    "activation": name, "label": activation.label, "network": kind, "layers": layers,
                    "seeds": len(seeds),
                    "log10_gradient_ratio": float(np.mean(logs)), "low": min(logs), "high": max(logs),
                }  # fmt: skip
                progress.advance(layers)


def judge(tables: Tables, settings: Settings) -> Verdict:
    deepest = max(settings["depths"])
    rows = [row for row in tables["ratios"] if row["layers"] == deepest]
    logs = {(row["activation"], row["network"]): row["log10_gradient_ratio"] for row in rows}
    findings = []
    for (name, kind), band in BANDS.items():
        what = f"log10 of the gradient's ratio, {ACTIVATIONS[name].label}, {kind}, {deepest} layers"
        findings.append(Finding(what, logs[name, kind], *(band if deepest == 100 else ())))

    def spread(kind: str) -> float:
        return max([abs(logs["relu", kind] - logs[name, kind]) for name in ("elu", "selu")])

    words = (
        f"With batch norm the activation moves the ratio by up to 10^{spread('plain + batch norm'):.1f} in a plain "
        f"network of {deepest} layers and by 10^{spread('residual + batch norm'):.1f} in a residual one. It matters "
        "most where there are no skips. And no activation saves a gradient that He's initialization had not kept: "
        f"plain ReLU with it stands at 10^{logs['relu', 'plain']:.1f}, plain ELU at 10^{logs['elu', 'plain']:.1f}."
    )  # fmt: skip
    if spread("plain + batch norm") <= spread("residual + batch norm"):
        return Verdict("wrong", "The activation matters as much with skips as without.", findings)
    return Verdict(
        "half right", words, findings, open="What the activations do to a training; SELU is made for no norm."
    )


EXPERIMENT = Experiment(
    name="activations",
    claim="ELU and SELU are the cure where gradients still vanish in residual blocks.",
    source="E15; Clevert et al. 2016 (ELU), Klambauer et al. 2017 (SELU)",
    expected="plain + batch norm at 100 layers: ReLU 10^8, ELU and SELU 10^2; residual + batch norm: 60, 12 and 49",
    would_change="another initialization: each activation stands here with its own",
    settings={"depths": (10, 50, 100), "seeds": 3},
    full={"seeds": 10},
    seconds=7,
    run=run,
    judge=judge,
)
