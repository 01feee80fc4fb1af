"""Your own networks beside one another, with the report and the figures of `minires compare`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minires.data import Loader
from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.lab import short_training
from minires.lab.comparison import Comparison, moments_of, save
from minires.lab.gradient_norms import block_outputs, measure
from minires.models.schemes import residual_blocks
from minires.nn import Module
from minires.runs import new_run


def compare_models(
    models: Mapping[str, Module],
    batch: tuple[Array, Array],
    *,
    loader: Loader | None = None,
    steps: int = 80,
    lr: float = 0.05,
    moments: Sequence[int] | None = None,
    test: Loader | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Measure the gradient of every layer of any networks on one batch, and, with a loader, through a short training.

        lab.compare_models({"with": model, "without": lab.twin(model)}, (images, labels))

    models: by the names that they have in the report; they stay as they are. batch: images and integer labels (N,).
    loader: batches to train copies with, `steps` of them, as `compare` does; test: images for the accuracy.
    out: where to make a run folder with report.json, tables and figures; None writes nothing.

    The report is that of `compare`; "outputs" are the stem and the blocks, where all networks have blocks of
    `minires.models`, else the outputs of all layers with weights. What a network raises carries its name.
    TypeError for what is no module; ValueError for no networks, a name that is no text on one line, numbers below 0.
    """
    check(models, batch)
    looked_at = moments_of(moments, steps if loader is not None else 0)
    find = block_outputs if all(residual_blocks(model) for model in models.values()) else layer_outputs
    entries = []
    for name, model in models.items():
        try:
            entries.append(entry_of(name, model, batch, find, loader, steps, lr, looked_at, test))
        except Exception as error:
            error.add_note(f"in the network {name!r} of compare_models")
            raise
    report = Comparison({
        "data": "your images", "device": "cpu", "steps": steps if loader is not None else 0,
        "batch_size": len(batch[1]), "moments": looked_at, "seeds": [0],
        "trained_seeds": [0] if loader is not None else [], "folder": None, "interrupted": False,
        "networks": entries, "summary": [], "verdict": [],
    })  # fmt: skip
    if out is not None:
        report["folder"] = str(new_run(out, "compare", "models", {"networks": list(models), "steps": report["steps"]}))
    save(report)
    if report["folder"] is not None:
        from minires import plots  # Matplotlib is loaded after the work

        plots.gradient_flow(report["folder"])
    return report


def check(models: Mapping[str, Module], batch: tuple[Array, Array]) -> None:
    """Refuse what cannot be compared."""
    if not models:
        raise ValueError("compare_models: there is no network; pass them by name, {'with': a, 'without': b}")
    for name, model in models.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"compare_models: a network's name must be text on one line, got {name!r}")
        if not isinstance(model, Module):
            raise TypeError(f"compare_models: {name!r} must be an nn.Module, got {type(model).__name__}")
    if len(batch) != 2 or len(batch[0]) != len(batch[1]):
        raise ValueError("compare_models: batch must be (images, labels), as many labels as images")


def entry_of(
    name: str,
    model: Module,
    batch: tuple[Array, Array],
    find: Callable[[Module, Tensor], dict[str, Tensor]],
    loader: Loader | None,
    steps: int,
    lr: float,
    moments: Sequence[int],
    test: Loader | None,
) -> dict[str, Any]:
    """Measure one network, and train a copy of it where there is a loader."""
    initial = measure(model, *batch, find)
    trained = None
    if loader is not None:
        learner = short_training.copied(model)
        record = short_training.train(learner, loader, steps, lr, moments, batch, find=find)
        finished = record["diverged_at"] is None and record["moments"]
        running, own = short_training.accuracies(learner, test) if test is not None and finished else (None, None)
        last = record["moments"][-1] if finished else None
        gradients = last and {key: value for key, value in last.items() if key != "step"}
        trained = {**record, "test_accuracy": running, "test_accuracy_batch": own, "gradients": gradients}
    return {
        "name": name, "label": name, "depth": len(initial["weights"]), "skip": None, "init": None, "norm": None,
        "activation": None, "lr": lr if loader is not None else None, "classes": initial["classes"],
        "runs": [{"seed": 0, "initial": initial, "trained": trained}],
    }  # fmt: skip


def layer_outputs(model: Module, loss: Tensor) -> dict[str, Tensor]:
    """Find the outputs of all ops that take a weight of two dimensions or more, from the input on."""
    names = {id(weight): name for name, weight in model.named_parameters() if weight.ndim >= 2}
    found: dict[str, Tensor] = {}
    for tensor in backward_order(loss):
        assert tensor.op is not None
        for one in tensor.op.inputs:
            name = names.get(id(one))
            if name is not None:
                place = name.removesuffix(".weight")
                found[place if place not in found else f"{place}#{len(found)}"] = tensor
    if not found:
        raise ValueError("the loss depends on no weight of two dimensions or more, so there is no gradient to compare")
    return dict(reversed(found.items()))
