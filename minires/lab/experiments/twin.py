"""The fully connected twins: eleven kinds of block at four depths, before any training."""

from collections.abc import Iterator

from minires.lab import mlp_twin
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.progress import Progress

# log10 of ‖dL/dx‖ / ‖dL/dh‖, h the last layer's output, at 100 linear layers: low, high.
BANDS = {
    "plain_pytorch": (-39.6, -38.0),
    "plain_he": (-0.6, 0.9),
    "plain_norm": (7.6, 8.4),
    "residual": (8.2, 9.6),
    "residual_norm": (1.4, 2.2),
    "always_projected": (5.7, 6.5),
    "skip_init": (-0.1, 0.6),
}


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    seeds = seeds_of(settings)
    for depth in settings["depths"]:
        if depth < 2 or depth % 2:
            raise ValueError(f"lab: twin: a depth must be even, for blocks of two layers, got {depth}")
    progress.start(len(mlp_twin.ROWS) * sum(settings["depths"]))
    for row, kind in mlp_twin.ROWS.items():
        for depth in settings["depths"]:
            progress.doing(f"{kind.label}, {depth} layers")
            (measured,) = mlp_twin.measure_all((depth,), seeds, rows=(row,))
            yield "ratios", measured
            progress.advance(depth)


def judge(tables: Tables, settings: Settings) -> Verdict:
    deepest = max(settings["depths"])
    logs = {row["row"]: row["log10_gradient_ratio"] for row in tables["ratios"] if row["layers"] == deepest}
    findings = []
    for row, (low, high) in BANDS.items():
        what = f"log10 of the gradient's ratio, {mlp_twin.ROWS[row].label}, {deepest} layers"
        findings.append(Finding(what, logs[row], low, high) if deepest == 100 else Finding(what, logs[row]))
    words = (
        f"Without norm it depends on the initialization: 10^{logs['plain_pytorch']:.0f} with PyTorch's default, "
        f"10^{logs['plain_he']:.1f} with He's. Batch norm turns it round, 10^{logs['plain_norm']:.1f}: it explodes. "
        f"Skips over batch norm leave 10^{logs['residual_norm']:.1f}, skips alone 10^{logs['residual']:.1f}: "
        "flat is only an identity path with quiet branches."
    )
    return Verdict("half right", words, findings, open="How such networks train: `degradation`, `gradient-flow`.")


EXPERIMENT = Experiment(
    name="twin",
    claim="In deep networks gradients vanish, and skips mend that.",
    source="E1: He et al. 2015, section 4.1; Yang et al. 2019; De and Smith 2020",
    expected="default init vanishes, He's does not, batch norm explodes, residual with batch norm stays within 100",
    would_change="another width, or weights that were trained: this is the start alone",
    settings={"depths": mlp_twin.DEPTHS, "seeds": 3},
    full={"seeds": 10},
    seconds=8,
    run=run,
    judge=judge,
)
