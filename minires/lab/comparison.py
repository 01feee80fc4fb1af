"""With and without skips: the gradient that reaches every layer of plain and residual twins, through a short training.

Twins share every weight at the start: a plain network is the residual one without its additions. Initialization, norm,
activation, learning rate and skip are separate switches, because each does something else to the gradient.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minires.engine import Tensor
from minires.kernels import use as use_kernels
from minires.lab import short_training
from minires.lab.conclusions import summarize, verdict
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import SETTING, Images, Network, labels_of, load_images
from minires.lab.progress import Progress
from minires.lab.report import Report
from minires.runs import new_run, records

Comparison = Report  # its keys are in `compare`

MEASURING = 3.0  # what a measurement takes, in steps of training


def compare(
    depths: int | Sequence[int] = (20, 56),
    init: str | Sequence[str] = "he",
    norm: str | Sequence[str] = "batch",
    skip: bool | Sequence[bool] = (False, True),
    activation: str | Sequence[str] = "relu",
    seeds: int | None = None,
    steps: int = 80,
    batch_size: int = 64,
    lr: float | Sequence[float] = 0.05,
    device: str = "cpu",
    kernels: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    *,
    moments: Sequence[int] | None = None,
    data: str = "digits",
    data_dir: str | None = None,
) -> Comparison:
    """Measure the gradient of every layer before a short training and at moments of it.

    Each combination of depth, skip, init, norm, activation and lr is one network. `seeds` seeds, counted from `seed`,
    are measured before training, one backward pass each, and trained; left out, 5 are measured and the first of them is
    trained. Training is SGD with momentum 0.9, weight decay 1e-4 and the learning rate falling from `lr` on a cosine.
    moments: after how many steps to measure; left out, 1, 2, 5, 10, 20, 40, 80, and always 0 and the last step.

    The report holds of each network's seeds the norms that `measure` gives, before ("initial") and at the moments of
    the training, always of the seed's first batch; the loss of every step; the test accuracy, with the running
    statistics of the norms and with the batch's own, of 2000 images at most; a summary, and a verdict in sentences.

    device: "cpu", or "cuda" for a GPU. kernels: which to use on the CPU. data: "digits", or what `data.load` knows.
    out: where to make a run folder with report.json and tables, named in the report's "folder"; None writes nothing.
    Ctrl-C ends it early: the report then holds what is finished, and its "interrupted" is True.
    progress: show a bar. Before any work: ValueError for unknown names, impossible numbers and options that do not go
    together, OSError where `out` cannot be written.
    """
    switches = {"depths": several(depths), "skip": several(skip), "init": several(init), "norm": several(norm),
                "activation": several(activation), "lr": several(lr)}  # fmt: skip
    networks = networks_of(switches)
    looked_at = moments_of(moments, steps)
    check(networks, seeds, steps, batch_size, seed)
    Tensor(np.empty(0)).to(device)  # says what is missing, if anything is
    measured = range(seed, seed + (5 if seeds is None else seeds))
    trained = measured[:1] if seeds is None else measured
    with use_kernels(kernels) if kernels else contextlib.nullcontext():
        images = load_images(data, data_dir, device)
        report = begun(networks, images, list(measured), list(trained), steps, batch_size, looked_at, device)
        if out is not None:
            model = "resnet" + "-".join(str(depth) for depth in several(depths))
            arguments = {**switches, "seeds": seeds, "steps": steps, "batch_size": batch_size, "moments": looked_at,
                         "data": data, "device": device, "seed": seed}  # fmt: skip
            report["folder"] = str(new_run(out, "compare", model, arguments))
        try:
            fill(report, networks, images, Progress(progress))
        except KeyboardInterrupt:
            report["interrupted"] = True
        save(report)
    return report


def networks_of(switches: Mapping[str, Any]) -> list[Network]:
    """Make a network of each combination of switches: depths, skip, init, norm, activation and lr, a list of each."""
    names = ("init", "norm", "activation", "lr", "depths", "skip")
    choices = itertools.product(*[switches[name] for name in names])
    return [Network(depth, skip, init, norm, activation, lr) for init, norm, activation, lr, depth, skip in choices]


def begun(
    networks: Sequence[Network], images: Images, measured: list[int], trained: list[int], steps: int, batch_size: int,
    moments: list[int], device: str = "cpu",
) -> Comparison:  # fmt: skip
    """Begin a report, in which nothing is measured yet."""
    entries = [{**network.switches(), "classes": images.classes, "runs": []} for network in networks]
    for entry, label in zip(entries, labels_of(entries), strict=True):
        entry["label"] = label
    return Comparison({
        "data": images.name, "device": device, "steps": steps, "batch_size": batch_size, "moments": moments,
        "seeds": measured, "trained_seeds": trained if steps else [], "folder": None, "interrupted": False,
        "networks": entries, "summary": [], "verdict": [],
    })  # fmt: skip


def moments_of(moments: Sequence[int] | None, steps: int) -> list[int]:
    """List the steps to measure after: those given, or the usual ones that the training reaches; always 0 and last."""
    chosen = short_training.MOMENTS if moments is None else moments
    for moment in chosen:
        if moment < 0 or (moments is not None and moment > steps):
            raise ValueError(f"compare: a moment must be from 0 to {steps}, the steps, got {moment}")
    return sorted({0, *[moment for moment in chosen if moment <= steps], steps})


def check(networks: Sequence[Network], seeds: int | None, steps: int, batch_size: int, seed: int) -> None:
    """Refuse what cannot be built or measured."""
    numbers = (("seeds", seeds, 1), ("steps", steps, 0), ("batch_size", batch_size, 2), ("seed", seed, 0))
    for name, value, least in numbers:
        if value is not None and value < least:
            raise ValueError(f"compare: {name} must be at least {least}, got {value}")
    if not networks:
        raise ValueError("compare: there is no network; give at least one of depths, init, norm and skip each")
    if len(set(networks)) < len(networks):
        raise ValueError("compare: a depth, init, norm, activation, lr or skip is given twice")
    for network in networks:
        if not 0 < network.lr < np.inf:
            raise ValueError(f"compare: lr must be above 0, got {network.lr}")
        network.build(seed=0)


def fill(report: Comparison, networks: Sequence[Network], images: Images, progress: Progress) -> None:
    """Measure every network, then train one after the other; after each, the files are complete again."""
    entries = list(zip(networks, report["networks"], strict=True))
    work = MEASURING * (len(report["seeds"]) + len(report["trained_seeds"]) * (len(report["moments"]) - 1))
    work += report["steps"] * len(report["trained_seeds"])
    progress.start(sum([network.depth for network in networks]) * work)  # deep networks take longer
    try:
        for network, entry in entries:
            progress.doing(f"measure {entry['label']}")
            for seed in report["seeds"]:
                batch = next(images.batches(report["batch_size"], seed).epoch(0))
                initial = measure(built(network, seed, images, report["device"]), *batch)
                entry["runs"].append({"seed": seed, "initial": initial, "trained": None})
                progress.advance(MEASURING * network.depth)
        save(report)
        for network, entry in entries:
            progress.doing(f"train {entry['label']}")
            for run in entry["runs"][:len(report["trained_seeds"])]:
                model = built(network, run["seed"], images, report["device"])
                run["trained"] = train(network, model, run["seed"], report, images, progress)
                save(report)
    finally:
        progress.close()


def built(network: Network, seed: int, images: Images, device: str) -> Any:
    return network.build(seed, images.channels, images.classes).to(device)


def train(
    network: Network, model: Any, seed: int, report: Comparison, images: Images, progress: Progress
) -> dict[str, Any]:
    """Train one network; return its losses, its gradients at the moments and at the end, and its test accuracy."""
    batches = images.batches(report["batch_size"], seed)
    batch = next(batches.epoch(0))

    def log(step: int) -> None:
        progress.advance(network.depth * (1 + MEASURING * (step in report["moments"])))

    record = short_training.train(model, batches, report["steps"], network.lr, report["moments"], batch, log=log)
    if record["diverged_at"] is not None:
        left = report["steps"] - len(record["losses"])
        progress.advance(network.depth * left, timed=False)
        return {**record, "test_accuracy": None, "test_accuracy_batch": None, "gradients": None}
    running, own = short_training.accuracies(model, images.test_batches())
    gradients = {key: value for key, value in record["moments"][-1].items() if key != "step"}
    return {**record, "test_accuracy": running, "test_accuracy_batch": own, "gradients": gradients}


def several(choice: Any) -> list[Any]:
    """Return a list of choices: one alone stands for itself."""
    return [choice] if isinstance(choice, str | int | float) else list(choice)


def save(report: Comparison) -> None:
    """Draw the conclusions, and write report.json and the tables into the report's folder, if it has one."""
    report["summary"] = summarize(report["networks"])
    report["verdict"] = verdict(report["summary"])
    if report["folder"] is None:
        return
    folder = Path(report["folder"])
    records.write_json(folder / "report.json", report)
    records.write_csv(folder / "summary.csv", report["summary"])
    records.write_csv(folder / "layers.csv", layer_rows(report))
    records.write_csv(folder / "losses.csv", loss_rows(report))
    records.write_csv(folder / "moments.csv", moment_rows(report))


def switches_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("name", "depth", "skip", *SETTING)}


def measured_in(run: dict[str, Any]) -> list[dict[str, Any]]:
    """List what was measured of one seed: {"step": 0, "loss": …, "log10_grad_h": […], …} and so on."""
    later = run["trained"]["moments"] if run["trained"] else []
    return [{"step": 0, **run["initial"]}, *later]


def layer_rows(report: Comparison) -> list[dict[str, Any]]:
    """One row per network, seed, moment, quantity and layer."""
    rows = []
    for entry in report["networks"]:
        for run in entry["runs"]:
            for norms in measured_in(run):
                for kind, names in (("grad_h", "outputs"), ("grad_w", "weights"), ("relative_grad_w", "weights")):
                    layers = zip(norms[names], norms[kind], norms[f"log10_{kind}"], strict=True)
                    rows += [{**switches_of(entry), "seed": run["seed"], "step": norms["step"], "quantity": kind,
                              "layer": layer, "value": value, "log10": log10} for layer, value, log10 in layers]
    return rows


def loss_rows(report: Comparison) -> list[dict[str, Any]]:
    """One row per network, trained seed and step."""
    rows = []
    for entry in report["networks"]:
        for run in entry["runs"]:
            losses = run["trained"]["losses"] if run["trained"] else []
            rows += [{**switches_of(entry), "seed": run["seed"], "step": step, "loss": loss}
                     for step, loss in enumerate(losses, start=1)]  # fmt: skip
    return rows


def moment_rows(report: Comparison) -> list[dict[str, Any]]:
    """One row per network, seed and moment: the ratio of the gradients, stem over last block, and the batch's loss."""
    return [{**switches_of(entry), "seed": run["seed"], "step": norms["step"], "log10_ratio": log10_ratio(norms),
             "loss": norms["loss"]}
            for entry in report["networks"] for run in entry["runs"] for norms in measured_in(run)]  # fmt: skip
