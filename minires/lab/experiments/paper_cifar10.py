"""Table 6 of the paper: CIFAR networks of several depths trained by its recipe, published errors beside the measured.

Every network is a run of its own, as `minires train` makes it, in the folder `runs`: stopped with Ctrl-C, killed or
out of power, the same command goes on where it was. What is finished is not trained again. Its steps may be set lower;
the learning rate then falls at the same shares of them as in the paper.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from minires import runs
from minires.data.loader import normalize
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.progress import Progress
from minires.lab.trials import accuracy, mean
from minires.runs import checkpoint, records
from minires.runs.building import load_data

PAPER_STEPS = 64_000
PUBLISHED = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}  # test error, %


def recipe_of(depth: int, skip: bool, seed: int, data: str, steps: int) -> runs.Recipe:
    """Return the paper's recipe for one network, its steps and what goes with them changed."""
    changed = [
        f"steps={steps}",
        f"schedule.milestones=[{steps // 2}, {steps * 3 // 4}]",
        f"model.skip={str(skip).lower()}",
    ]
    changed += [f"checkpoint_every={max(1, min(2000, steps // 4))}", f"evaluate_every={max(1, steps // 20)}"]
    if data == "digits":
        changed += ["augmentation=[]", "validation=200"]
    return runs.resolve("he2015", changed, model=f"resnet{depth}", data=data, seed=seed)


def carry_out(folder: Path, recipe: runs.Recipe) -> int:
    """Begin the training in this folder, or go on with it; return the exit code of `Run.carry_out`, 0 for finished."""
    trainer = runs.build(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    with runs.lock(folder):
        if not (folder / "config.json").exists():
            records.write_json(folder / "config.json", {"command": "train", "arguments": recipe.to_dict()})
        training = runs.Run(folder, recipe, trainer, "lab paper-cifar10", tell)
        if checkpoint.steps_in(folder / "checkpoints"):
            training.restore()
        return training.carry_out()


def tell(run: runs.Run) -> None:
    """Say what a training came to beside the progress; the standard output is the experiment's."""
    print(*run.lines(), sep="\n", file=sys.stderr)


def finished(folder: Path, steps: int) -> dict[str, Any] | None:
    """Return a training's report, where it is there and says that all steps were done, or that it diverged."""
    if not (folder / "report.json").exists():
        return None
    report: dict[str, Any] = runs.read(folder, "report.json")
    return report if report["steps"] >= steps or "diverged" in str(report["outcome"]) else None


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    steps, data = settings["steps"], settings["data"]
    kinds = [(depth, skip) for depth in settings["depths"] for skip in (True, False)[: 1 + settings["plain"]]]
    progress.start(sum([depth for depth, _ in kinds]) * settings["seeds"])
    for seed in seeds_of(settings):
        for depth, skip in kinds:
            name = f"{'residual' if skip else 'plain'}-{depth}"
            progress.doing(f"{name}, seed {seed}")
            folder = Path(settings["runs"]) / f"{data}-{steps}-steps" / f"{name}-seed-{seed}"
            if finished(folder, steps) is None and carry_out(folder, recipe_of(depth, skip, seed, data, steps)) >= 128:
                raise KeyboardInterrupt
            report = finished(folder, steps) or {}
            part = "validation" if "validation_accuracy" in report else "test"
            tested, right = test_accuracy(folder), report.get(f"{part}_accuracy")
            yield "networks", {
                "network": name, "depth": depth, "skip": skip, "seed": seed, "steps": report.get("steps"),
                "outcome": report.get("outcome"), "test_error": None if tested is None else 100 * (1 - tested),
                f"{part}_error": None if right is None else 100 * (1 - right),
                "train_loss": last_losses(folder),
                "published_error": PUBLISHED.get(depth) if skip and data == "cifar10" else None,
                "folder": str(folder),
            }  # fmt: skip
            progress.advance(depth)


def last_losses(folder: Path) -> float | None:
    """Return the mean training loss over the last hundred steps."""
    return mean([row["loss"] for row in runs.read(folder, "metrics.jsonl") if "loss" in row][-100:])


def test_accuracy(folder: Path) -> float | None:
    """Evaluate the last weights on the test images, which the recipe keeps apart; None where there are none."""
    try:
        model, recipe, _ = runs.load_model(folder, "last")
    except ValueError:
        return None
    dataset = load_data(replace(recipe, validation=0))
    images = normalize(dataset.test_images, dataset.mean, dataset.std)
    return accuracy(model, images, dataset.test_labels)


def judge(tables: Tables, settings: Settings) -> Verdict:
    rows = tables["networks"]
    errors: dict[tuple[int, bool], list[float | None]] = {(row["depth"], row["skip"]): [] for row in rows}
    for row in rows:
        errors[row["depth"], row["skip"]].append(row["test_error"])
    full = settings["steps"] >= PAPER_STEPS and settings["data"] == "cifar10"
    findings = []
    for (depth, skip), values in errors.items():
        name = f"test error of {'residual' if skip else 'plain'}-{depth}, %"
        published = PUBLISHED.get(depth) if skip and settings["data"] == "cifar10" else None
        band = (published - 0.7, published + 0.7) if full and published else ()
        said = f" (paper: {published:.2f})" if published else ""
        findings.append(Finding(name + said, mean(values), *band))
    if not full:
        words = (
            f"These are {settings['steps']} steps on {settings['data']}; the paper's errors are those of "
            f"{PAPER_STEPS:,} on CIFAR-10, and nothing here is compared with them."
        )
        return Verdict(TOO_SMALL, words, findings)
    inside = all([finding.inside for finding in findings])
    words = (
        f"{len(rows)} networks by the paper's recipe: {'all' if inside else 'not all'} within 0.7 points of its table."
    )
    return Verdict("right" if inside else "half right", words, findings)


EXPERIMENT = Experiment(
    name="paper-cifar10",
    claim="Residual networks of 20 to 110 layers get better with depth on CIFAR-10, to 6.43 % error.",
    source="He et al. 2015, table 6 and figure 6",
    expected="test errors 8.75, 7.51, 7.17, 6.97, 6.43 % at 20, 32, 44, 56, 110 layers, within 0.7; plain ones grow "
    "worse",
    would_change="other steps, augmentation or learning rates; which weights are tested: here those of the last step",
    settings={"depths": (20,), "plain": True, "steps": 400, "runs": "runs/paper-cifar10", "seeds": 1},
    full={"depths": (20, 32, 44, 56, 110), "steps": PAPER_STEPS},
    data=("cifar10", "digits"),
    seconds=600,
    run=run,
    judge=judge,
)
