"""With and without skips: the gradient that reaches every layer of plain and residual twins, before and after training.

Twins share every weight at the start: a plain network is the residual one without its additions. Initialization, norm
and skip are three separate switches, because each does something else to the gradient.
"""

import contextlib
import copy
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minires import training
from minires.data import Loader, load_digits
from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.kernels import use as use_kernels
from minires.kernels.devices import to_device
from minires.kernels.norms import norm
from minires.lab.conclusions import summarize, verdict
from minires.models import cifar_resnet
from minires.models.schemes import residual_blocks
from minires.nn import Module
from minires.ops import cross_entropy
from minires.optim import SGD, CosineAnnealingLR
from minires.runs import new_run, records

Comparison = dict[str, Any]  # the report: its keys are in `compare`
Norms = dict[str, Any]  # of one network's gradients: its keys are in `measure`


@dataclass(frozen=True)
class Network:
    """One network of a comparison: the CIFAR ResNet of 6n+2 layers, for the digits."""

    depth: int
    skip: bool
    init: str
    norm: str
    activation: str

    @property
    def name(self) -> str:
        return f"{'residual' if self.skip else 'plain'}-{self.depth}"

    def build(self, seed: int) -> Module:
        return cifar_resnet(self.depth, in_channels=1, skip=self.skip, init=self.init, norm=self.norm,
                            activation=self.activation, seed=seed)


def compare(
    depths: int | Sequence[int] = (20, 56),
    init: str | Sequence[str] = "he",
    norm: str | Sequence[str] = "batch",
    skip: bool | Sequence[bool] = (False, True),
    activation: str = "relu",
    seeds: int | None = None,
    steps: int = 80,
    batch_size: int = 64,
    lr: float = 0.05,
    device: str = "cpu",
    kernels: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Measure the gradient of every layer at initialization, train for a short while, and measure again.

    Each combination of depth, skip, init and norm is one network. `seeds` seeds, counted from `seed`, are measured at
    initialization, one backward pass each, and trained; left out, 5 are measured and the first of them is trained.
    Training is SGD with momentum 0.9, weight decay 1e-4 and the learning rate `lr` falling on a cosine.

    Gradients are measured in float64, on a copy of the network in training mode: float32 ends near 1e-38. The report
    holds ‖dL/dh‖ at the outputs of the stem and of each block, ‖dL/dW‖ and ‖dL/dW‖ / ‖W‖ of every filter and matrix,
    their log10 (None for 0 and for what is not finite), the loss of every step, and the test accuracy.

    device: "cpu", or "cuda" for a GPU. kernels: which to use on the CPU.
    out: where to make a run folder with report.json and tables, named in the report's "folder"; None writes nothing.
    Ctrl-C ends it early: the report then holds what is finished, and its "interrupted" is True.
    progress: show a bar. Before any work: ValueError for unknown names, impossible numbers and options that do not go
    together, OSError where `out` cannot be written.
    """
    choices = itertools.product(several(init), several(norm), several(depths), several(skip))
    networks = [Network(depth, skip, init, norm, activation) for init, norm, depth, skip in choices]
    check(networks, seeds, steps, batch_size, seed)
    Tensor(np.empty(0)).to(device)  # says what is missing, if anything is
    measured = range(seed, seed + (5 if seeds is None else seeds))
    trained = measured[:1] if seeds is None else measured
    report: Comparison = {
        "data": "digits", "device": device, "steps": steps, "batch_size": batch_size, "lr": lr, "seeds": list(measured),
        "trained_seeds": list(trained) if steps else [], "folder": None, "interrupted": False,
        "networks": [{"name": network.name, **asdict(network), "runs": []} for network in networks],
        "summary": [], "verdict": [],
    }
    with use_kernels(kernels) if kernels else contextlib.nullcontext():
        if out is not None:
            model = "resnet" + "-".join(str(depth) for depth in several(depths))
            arguments = {"depths": several(depths), "init": several(init), "norm": several(norm), "skip": several(skip),
                         "activation": activation, "seeds": seeds, "steps": steps, "batch_size": batch_size, "lr": lr,
                         "device": device, "seed": seed}
            report["folder"] = str(new_run(out, "compare", model, arguments))
        try:
            fill(report, networks, progress)
        except KeyboardInterrupt:
            report["interrupted"] = True
        save(report)
    return report


def check(networks: Sequence[Network], seeds: int | None, steps: int, batch_size: int, seed: int) -> None:
    """Refuse what cannot be built or measured."""
    numbers = (("seeds", seeds, 1), ("steps", steps, 0), ("batch_size", batch_size, 2), ("seed", seed, 0))
    for name, value, least in numbers:
        if value is not None and value < least:
            raise ValueError(f"compare: {name} must be at least {least}, got {value}")
    if not networks:
        raise ValueError("compare: there is no network; give at least one of depths, init, norm and skip each")
    if len(set(networks)) < len(networks):
        raise ValueError("compare: a depth, init, norm or skip is given twice")
    for network in networks:
        network.build(seed=0)


def fill(report: Comparison, networks: Sequence[Network], progress: bool) -> None:
    """Measure every network, then train one after the other; after each, the files are complete again."""
    from minires.runs.progress import ProgressBar

    device = report["device"]
    train_images, train_labels, *test = [to_device(array, device) for array in load_digits()]
    entries = list(zip(networks, report["networks"], strict=True))
    layers = sum([network.depth for network in networks])  # the bar counts layers passed, so deep networks count more
    total = layers * (len(report["seeds"]) + len(report["trained_seeds"]) * report["steps"])
    bar_format = "{desc:<20} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
    with ProgressBar(total=total, disable=not progress, bar_format=bar_format) as bar:
        for network, entry in entries:
            bar.set_description(f"measure {network.name}")
            for seed in report["seeds"]:
                batches = Loader(train_images, train_labels, report["batch_size"], drop_last=True, seed=seed)
                initial = measure(network.build(seed).to(device), *next(batches.epoch(0)))
                entry["runs"].append({"seed": seed, "initial": initial, "trained": None})
                bar.update(network.depth, timed=bar.n > 0)
        save(report)
        if not report["trained_seeds"]:
            return
        for network, entry in entries:
            bar.set_description(f"train {network.name}")
            for run in entry["runs"][:len(report["trained_seeds"])]:
                batches = Loader(train_images, train_labels, report["batch_size"], drop_last=True, seed=run["seed"])
                run["trained"] = train(network, batches, test, report["steps"], report["lr"], device, bar)
                save(report)


def train(
    network: Network, batches: Loader, test: Sequence[Array], steps: int, lr: float, device: str, bar: Any
) -> Norms:
    """Train one network from its batches' seed; return its losses, its test accuracy and its gradients afterwards."""
    model = network.build(batches.seed).to(device)
    optimizer = SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    losses: list[float] = []

    def log(record: dict[str, Any]) -> None:
        losses.append(record["loss"])
        bar.update(network.depth, timed=len(losses) > 1)

    try:
        training.Trainer(model, batches, optimizer, CosineAnnealingLR(optimizer, steps)).train(steps, log)
    except FloatingPointError:
        bar.update(network.depth * (steps - len(losses)), timed=False)
        return {"losses": losses, "diverged_at": len(losses) + 1, "test_accuracy": None, "gradients": None}
    _, accuracy = training.evaluate(model, Loader(test[0], test[1], 256, shuffle=False))
    gradients = measure(model, *next(batches.epoch(0)))
    return {"losses": losses, "diverged_at": None, "test_accuracy": accuracy, "gradients": gradients}


def measure(model: Module, images: Array, labels: Array) -> Norms:
    """Return the norms of one batch's gradients, layer by layer from the input on; the model stays as it is."""
    model = copy.deepcopy(model).to("float64").train()
    loss = cross_entropy(model(Tensor(images.astype(np.float64))), labels)
    outputs = block_outputs(model, loss)
    loss.backward(keep_grads=True)
    weights = {name: weight for name, weight in model.named_parameters() if weight.ndim >= 2}
    grad_h = np.array([grad_norm(h) for h in outputs.values()])
    grad_w = np.array([grad_norm(weight) for weight in weights.values()])
    norm_w = np.array([norm(weight.data) for weight in weights.values()])
    with np.errstate(divide="ignore", invalid="ignore"):  # a gradient of 0, a layer that starts at 0
        norms = {
            "loss": loss.item(),
            "outputs": list(outputs), "grad_h": grad_h, "log10_grad_h": np.log10(grad_h),
            "weights": list(weights), "grad_w": grad_w, "log10_grad_w": np.log10(grad_w),
            "relative_grad_w": grad_w / norm_w, "log10_relative_grad_w": np.log10(grad_w / norm_w),
        }
    return records.finite(norms)


def grad_norm(tensor: Tensor) -> float:
    assert tensor.grad is not None
    return norm(tensor.grad)


def block_outputs(model: Module, loss: Tensor) -> dict[str, Tensor]:
    """Find the outputs of the stem and of every residual block in the graph of `loss`, from the input on.

    backward_order lists a tensor after all that was computed from it. So the first tensor listed that was made inside
    a block is the block's output, and the first one after all blocks is the stem's.
    """
    blocks = [name for name, _ in residual_blocks(model)]
    found: dict[str, Tensor] = {}
    for tensor in backward_order(loss):
        assert tensor.op is not None
        block = ".".join(tensor.op.module_path.split(".")[:2])  # "layer1.0" of "layer1.0.conv1"
        if block in blocks:
            found.setdefault(block, tensor)
        elif len(found) == len(blocks):
            found.setdefault("stem", tensor)
    return dict(reversed(found.items()))


def several(choice: Any) -> list[Any]:
    """Return a list of choices: one alone stands for itself."""
    return [choice] if isinstance(choice, str | int) else list(choice)


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


def layer_rows(report: Comparison) -> list[dict[str, Any]]:
    """One row per network, seed, moment and layer."""
    rows = []
    for entry in report["networks"]:
        switches = {key: entry[key] for key in ("name", "depth", "skip", "init", "norm", "activation")}
        for run in entry["runs"]:
            trained = run["trained"] and run["trained"]["gradients"]
            for moment, norms in (("initial", run["initial"]), ("trained", trained)):
                for kind, names in (("grad_h", "outputs"), ("grad_w", "weights"), ("relative_grad_w", "weights")):
                    if norms is not None:
                        layers = zip(norms[names], norms[kind], norms[f"log10_{kind}"], strict=True)
                        rows += [{**switches, "seed": run["seed"], "moment": moment, "quantity": kind, "layer": layer,
                                  "value": value, "log10": log10} for layer, value, log10 in layers]
    return rows


def loss_rows(report: Comparison) -> list[dict[str, Any]]:
    """One row per network, trained seed and step."""
    rows = []
    for entry in report["networks"]:
        for run in entry["runs"]:
            losses = run["trained"]["losses"] if run["trained"] else []
            rows += [{"name": entry["name"], "init": entry["init"], "norm": entry["norm"], "seed": run["seed"],
                      "step": step, "loss": loss} for step, loss in enumerate(losses, start=1)]
    return rows
