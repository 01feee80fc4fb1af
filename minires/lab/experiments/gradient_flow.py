"""The gradient through training: its ratio, stem over last block, and the loss, at moments of a short training.

The same code as `minires compare`, whose report holds every layer; here a row is a moment.
"""

import math
from collections.abc import Iterator

from minires import kernels
from minires.lab import comparison, short_training
from minires.lab.conclusions import NOTHING, WELL, summarize, verdict
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import Network, load_images
from minires.lab.progress import Progress

APART = 0.01  # two runs are together as long as their losses differ by less than this share
TOGETHER_STEPS = 30  # so far they are followed


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    networks = comparison.networks_of(settings)
    images = load_images(settings["data"])
    seeds = list(seeds_of(settings))
    moments = comparison.moments_of([m for m in settings["moments"] if m <= settings["steps"]], settings["steps"])
    comparison.check(networks, settings["seeds"], settings["steps"], settings["batch_size"], settings["seed"])
    report = comparison.begun(networks, images, seeds, seeds, settings["steps"], settings["batch_size"], moments)
    interrupted = False
    try:
        comparison.fill(report, networks, images, progress)
    except KeyboardInterrupt:  # what is finished is kept
        interrupted = True
    tables = {
        "moments": comparison.moment_rows(report),
        "losses": comparison.loss_rows(report),
        "summary": summarize(report["networks"]),
    }
    for table, rows in tables.items():
        for row in rows:
            yield table, row
    if interrupted:
        raise KeyboardInterrupt
    if settings["rounding"]:
        progress.start(sum([network.depth for network in networks]))
        for network in networks:
            progress.doing(f"{network.name} with other kernels")
            for row in two_kernels(network, report, settings):
                yield "rounding", row
            progress.advance(network.depth)


def two_kernels(network: Network, report: comparison.Comparison, settings: Settings) -> list[Row]:
    """Train with the other kernels too, from the same start on the same batches: rounding alone is different."""
    images, seed = load_images(settings["data"]), settings["seed"]
    other = "numpy" if kernels.in_use() != "numpy" else "numba"
    entry = next(entry for entry in report["networks"] if entry.items() >= network.switches().items())
    mine = entry["runs"][0]["trained"]["losses"][:TOGETHER_STEPS]
    with kernels.use(other):
        model = network.build(seed, images.channels, images.classes)
        batches = images.batches(settings["batch_size"], seed)
        theirs = short_training.train(model, batches, settings["steps"], network.lr, end=len(mine))["losses"]
    return [
        {"label": entry["label"], "step": step, "loss": a, f"loss_{other}": b, "difference": abs(a - b) / max(a, b)}
        for step, (a, b) in enumerate(zip(mine, theirs, strict=False), start=1)
    ]


def judge(tables: Tables, settings: Settings) -> Verdict:
    """Compare the deepest pair of twins, at every learning rate; the sentences are those of `minires compare`."""
    summary = tables["summary"]
    deepest = max(row["depth"] for row in summary)
    plain = [row for row in summary if row["depth"] == deepest and not row["skip"]]
    residual = [row for row in summary if row["depth"] == deepest and row["skip"]]
    findings = [finding for row in plain for finding in findings_of_plain(row, tables, settings)]
    findings += [finding for row in residual for finding in findings_of_residual(row)]
    findings += together(tables.get("rounding", []))
    lines = verdict(summary)
    left = "Where the gradient of a network that learns nothing goes, and why: `aftermath`."
    if not plain or not residual or not settings["steps"]:
        words = "For an answer it takes plain networks and residual ones, trained."
        return Verdict("open", words, findings, left, lines)
    stuck = [row for row in plain if row["train_loss"] is not None and row["train_loss"] > NOTHING * row["guessing"]]
    exploding = all(row["log10_ratio_initial"] is not None and row["log10_ratio_initial"] > 2 for row in plain)
    learns = [row for row in residual if row["train_loss"] is not None and row["train_loss"] < WELL * row["guessing"]]
    if exploding and stuck and learns:
        words = (
            f"Before training the gradient of plain-{deepest} does not vanish, it explodes; with skips much less. "
            f"Later the explosion is gone, and nothing is learned all the same. {healthy(plain, residual)}"
            "The skips let it train; that is another thing than a gradient's size."
        )
        return Verdict("wrong", words, findings, left, lines)
    words = "These settings do not show it: a plain network that learns nothing beside a residual one that learns."
    return Verdict("open", words, findings, left, lines)


def healthy(plain: list[Row], residual: list[Row]) -> str:
    """Say of a plain network whose gradient ends within a factor of 10, but whose loss does not, what it was worth."""
    for row in plain:
        twin = next((other for other in residual if all(other[key] == row[key] for key in LIKE if key != "skip")), None)
        ratio = row["log10_ratio_trained"]
        if twin and ratio is not None and abs(ratio) < 1 and row["train_loss"] > 3 * twin["train_loss"]:
            return (
                f"Where its gradient ends up nearly the same at both ends, {10**ratio:.1f} times ({row['label']}), the "
                f"loss is {row['train_loss']:.2f}, that of its twin with skips {twin['train_loss']:.2f}. "
            )
    return ""


def findings_of_plain(row: Row, tables: Tables, settings: Settings) -> list[Finding]:
    """The bands hold for networks as the paper has them, 56 layers deep."""
    fast = row["lr"] >= 0.05
    findings = [banded(row, "log10 of the ratio before training", row["log10_ratio_initial"], 2.9, 4.3)]
    later = [entry for entry in tables["moments"] if entry["step"] == 20 and all(entry[k] == row[k] for k in LIKE)]
    ratios = [entry["log10_ratio"] for entry in later if entry["log10_ratio"] is not None]
    if ratios:
        findings.append(banded(row, "after 20 steps, the largest of the seeds", max(ratios), high=1.5 if fast else 2.5))
    if row["train_loss"] is not None:
        findings.append(banded(row, "loss at the end over guessing's", row["train_loss"] / row["guessing"], low=0.8))
    return findings


def findings_of_residual(row: Row) -> list[Finding]:
    findings = [banded(row, "log10 of the ratio before training", row["log10_ratio_initial"], 0.6, 2.1)]
    if row["train_loss"] is not None:
        high = 0.25 if row["lr"] >= 0.05 else math.inf
        findings.append(banded(row, "loss at the end over guessing's", row["train_loss"] / row["guessing"], high=high))
    return findings


def banded(row: Row, what: str, value: float | None, low: float = -math.inf, high: float = math.inf) -> Finding:
    """Make a finding about a network; of another than the usual one nothing is expected."""
    usual = (row["depth"], row["init"], row["norm"], row["activation"]) == (56, "he", "batch", "relu")
    return Finding(f"{row['label']}: {what}", value, low if usual else -math.inf, high if usual else math.inf)


LIKE = ("depth", "skip", "init", "norm", "activation", "lr")


def together(rows: list[Row]) -> list[Finding]:
    """Count the steps for which the two kernel sets' losses are alike."""
    findings = []
    for label in dict.fromkeys([row["label"] for row in rows]):
        own = [row for row in rows if row["label"] == label]
        steps = next((row["step"] - 1 for row in own if row["difference"] > APART), len(own))
        findings.append(Finding(f"{label}: steps for which another rounding changes the loss by less than 1 %", steps,
                                spec=".0f"))  # fmt: skip
    return findings


EXPERIMENT = Experiment(
    name="gradient-flow",
    claim="Skips let deep networks train by curing a vanishing gradient.",
    source="often said; against it He et al. 2015, section 4.1",
    expected="plain-56 explodes before training and not after 20 steps, and learns nothing; residual-56 learns",
    would_change="no norm, where PyTorch's default init does vanish (--norm none --init pytorch); far fewer layers",
    settings={
        "depths": (56,), "skip": (False, True), "init": ("he",), "norm": ("batch",), "activation": ("relu",),
        "lr": (0.05, 0.005), "steps": 80, "moments": short_training.MOMENTS, "batch_size": 64, "seeds": 1,
        "rounding": False,
    },
    full={"depths": (20, 56, 110), "seeds": 10, "batch_size": 128, "rounding": True},
    data=("digits", "cifar10"),
    seconds=25,
    run=run,
    judge=judge,
)  # fmt: skip
