"""What may stand on a shortcut: the identity and everything else that was tried, by the gradient that comes through."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minires.lab.blocks import DropoutShortcut, ExclusiveGate, ScaledShortcut, ShortcutOnlyGate, set_gates
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, mean
from minires.models import BasicBlock, cifar_resnet
from minires.nn import Module

IDENTITY = "identity (option A)"
OPEN = -6.0  # bias of a gate that leaves the shortcut open, as the paper's best

# block, shortcut, bias of gates, test error of ResNet-110 on CIFAR-10 in He et al. 2016, table 1 (%; None: not in it)
KINDS: dict[str, tuple[Any, str, float, float | None]] = {
    IDENTITY: (BasicBlock, "A", 0, 6.61),
    "option B": (BasicBlock, "B", 0, None),
    "gate on the shortcut, open": (ShortcutOnlyGate, "A", OPEN, 6.91),
    "exclusive gate, open": (ExclusiveGate, "A", OPEN, 8.70),
    "1×1 convolution and norm (option C)": (BasicBlock, "C", 0, 12.22),
    "× 1/2 on both": (ScaledShortcut, "A", 0, 12.35),
    "gate on the shortcut, half shut": (ShortcutOnlyGate, "A", 0, 12.86),
    "1×1 convolution alone (always)": (BasicBlock, "always", 0, None),
    "dropout": (DropoutShortcut, "A", 0, None),
    "none (plain)": (BasicBlock, "none", 0, None),
}


def build(kind: str, depth: int, channels: int, width: int, seed: int) -> Module:
    block, shortcut, gates, _ = KINDS[kind]
    skip = shortcut != "none"
    model = cifar_resnet(depth, block=block, in_channels=channels, width=width, shortcut=shortcut if skip else "A",
                         skip=skip, seed=seed)  # fmt: skip
    return set_gates(model, gates)


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    progress.start(len(KINDS) * settings["seeds"])
    for kind, (_, _, _, error) in KINDS.items():
        progress.doing(kind)
        for seed in seeds_of(settings):
            model = build(kind, settings["depth"], images.channels, settings["width"], seed)
            norms = measure(model, *first_batch(images, settings["batch_size"], seed))
            yield "networks", {
                "shortcut": kind, "seed": seed, "log10_gradient_ratio": log10_ratio(norms), "published_error": error,
                "parameters": sum([parameter.size for parameter in model.parameters()]), "loss": norms["loss"],
            }  # fmt: skip
            yield from [("layers", {"shortcut": kind, "seed": seed, "block": number, "log10_grad_h": value})
                        for number, value in enumerate(norms["log10_grad_h"])]  # fmt: skip
            progress.advance()


def ratios(tables: Tables) -> dict[str, float | None]:
    rows = tables["networks"]
    return {kind: mean([row["log10_gradient_ratio"] for row in rows if row["shortcut"] == kind]) for kind in KINDS}


def judge(tables: Tables, settings: Settings) -> Verdict:
    logs = ratios(tables)
    known = {kind: value for kind, value in logs.items() if value is not None}
    identity = known[IDENTITY]
    findings = [
        Finding("log10 of the gradient's ratio, identity", identity, -0.5, 2.8),
        Finding("… option B", known["option B"], -0.5, 2.8),
        Finding("… gate on the shortcut, open", known["gate on the shortcut, open"], -0.5, 2.8),
        Finding("… 1×1 convolution alone in every block", known["1×1 convolution alone (always)"], low=identity + 0.5),
        Finding("… none", known["none (plain)"], low=identity + 2),
    ]
    far = {kind: abs(value - identity) for kind, value in known.items()}
    published = {kind: error for kind in known if (error := KINDS[kind][3]) is not None}
    order = rank_correlation([far[kind] for kind in published], [published[kind] for kind in published])
    findings.append(
        Finding("rank correlation of distance from the identity's ratio with the published error", order, low=0.5)
    )
    near = [known[kind] for kind, error in published.items() if error < 10]
    off = [known[kind] for kind, error in published.items() if error > 10]
    findings.append(
        Finding("least log10 of those with 12 % error over the largest of those below 9 %", min(off) - max(near), low=1)
    )
    words = (
        f"At {settings['depth']} layers the identity leaves 10^{identity:.1f}, and the shortcuts whose published "
        f"error is below 9 % at most 10^{max(near):.1f}; those with 12 to 13 % lie between 10^{min(off):.1f} and "
        f"10^{max(off):.1f}, no shortcut at 10^{known['none (plain)']:.1f}, and dropout, which fails in the paper, "
        f"at 10^{known['dropout']:.1f}."
    )
    if not all([finding.inside for finding in findings[:5]]):
        return Verdict(TOO_SMALL, words, findings)
    if order < 0.5:
        tail = "The order of the published errors is not the order of the gradients at the start: there is more to it."
        return Verdict("half right", f"{words} {tail}", findings)
    flatter = [kind for kind in published if kind != IDENTITY and abs(known[kind]) < abs(identity)]
    if flatter:
        tail = (
            f"But flatter is not better: “{' and '.join(flatter)}” is nearer to 1 than the identity, and has the "
            "larger error."
        )
        return Verdict("half right", f"{words} {tail}", findings, open="Trainings of each, at this depth.")
    return Verdict("right", words, findings, open="Trainings of each, at this depth.")


def rank_correlation(x: list[float], y: list[float]) -> float:
    """Return Spearman's correlation of the two lists' ranks."""
    ranks = np.array([np.argsort(np.argsort(values)) for values in (x, y)], float)
    return float(np.corrcoef(ranks)[0, 1])


EXPERIMENT = Experiment(
    name="shortcuts",
    claim="The best shortcut is the identity: whatever else stands on it hurts the gradient.",
    source="He et al. 2016, “Identity mappings in deep residual networks”, table 1; He et al. 2015, table 3",
    expected="identity, option B and an open gate within 10^2.8; a 1×1 convolution in every block ten times that or "
    "more",
    would_change="fewer layers: at 34 a norm-ed 1×1 convolution (option C) was slightly better in He et al. 2015",
    settings={"depth": 110, "width": 8, "batch_size": 32, "seeds": 2},
    full={"width": 16, "batch_size": 128, "seeds": 10},
    data=DATA,
    seconds=5,
    run=run,
    judge=judge,
)
