"""Runs: from a configuration to a trained network in a folder, which can be stopped and gone on with at any step."""

import math
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minires import data, kernels, models
from minires.data import Dataset, Loader, make_augmentation
from minires.kernels import Array
from minires.models.fused import FUSED
from minires.nn import Module
from minires.runs import checkpoint, finetuning, records
from minires.runs import recipe as recipes
from minires.runs.ema import EMA
from minires.runs.recipe import Configuration
from minires.runs.signals import Signals, Stopped
from minires.training import Record, Trainer, advance

EVALUATION_BATCH = 256


def build(configuration: Configuration, weights: Mapping[str, Array] | None = None) -> Trainer:
    """Make data, model and trainer of a configuration, and complete it: its steps, and what its data set is.

    weights: a state dict to begin a fine-tuning with, all but its head.
    ValueError for values that do not fit together, and for a data set that is not the one the configuration knows.
    """
    dataset, evaluation_name = load_data(configuration)
    summary = dataset.summary()
    known = configuration.setdefault("dataset", summary)
    if known != summary:
        different = ", ".join([name for name in summary if summary[name] != known.get(name)])
        raise ValueError(f"the data set {summary['name']} is not the one this run was trained on: other {different}")
    channels = model_options(configuration)["in_channels"]
    if channels != dataset.shape[0]:
        raise ValueError(
            f"the model takes images of {channels} channels, those of {dataset.name} have {dataset.shape[0]}; "
            "a folder of pictures can be read with either: data.channels=1"
        )
    fast = configuration["device"] != "cpu" or kernels.in_use() != "numpy"
    configuration["model"].setdefault("fused", fast and has_fused_form(configuration))
    model = build_model(configuration)
    params = None
    if "finetune" in configuration:
        tune, lr = configuration["finetune"], configuration["optimizer"]["lr"]
        if weights is not None:
            finetuning.load_all_but_head(model, weights)
        finetuning.replace_head(model, len(dataset.classes), configuration["seed"])
        finetuning.freeze(model, *tune["freeze"])
        params = finetuning.parameter_groups(model, lr, tune["head_factor"])
    return make_trainer(configuration, model, dataset, evaluation_name, params)


def load_data(configuration: Configuration) -> tuple[Dataset, str]:
    """Load a configuration's data set, validation images held out, and say what its second part is now called.

    "classes" among the data's options leaves these classes alone. A fine-tuned network goes on with the mean and std of
    the images it was first trained on.
    """
    options = {name: value for name, value in configuration["data"].items() if name not in ("name", "dir", "classes")}
    dataset = data.load(configuration["data"]["name"], data_dir=configuration["data"]["dir"] or None, **options)
    if "classes" in configuration["data"]:
        dataset = dataset.only(configuration["data"]["classes"])
    if configuration["validation"]:
        dataset = dataset.hold_out(configuration["validation"], configuration["seed"])
    if configuration.get("finetune", {}).get("mean"):
        dataset.mean = np.array(configuration["finetune"]["mean"], np.float32)
        dataset.std = np.array(configuration["finetune"]["std"], np.float32)
    return dataset, "validation" if configuration["validation"] else "test"


def build_model(configuration: Configuration) -> Module:
    """Make the model of a configuration that knows its data set."""
    return models.make(seed=configuration["seed"], **model_options(configuration))


def has_fused_form(configuration: Configuration) -> bool:
    """Whether the configuration's model can be made with fused=True, which is faster and the same to rounding."""
    options = configuration["model"]
    block = models.BLOCKS.get(options.get("block"))
    unfused = block is not None and block not in FUSED
    return options.get("norm", "batch") == "batch" and options.get("activation", "relu") == "relu" and not unfused


def model_options(configuration: Configuration) -> dict[str, Any]:
    """Return what the configuration's model is made with: its own section, and what follows from the data set."""
    shape = configuration["dataset"]["shape"]
    return {
        "in_channels": shape[0],
        "num_classes": len(configuration["dataset"]["classes"]),
        "stem": "cifar" if min(shape[1:]) < 64 else "imagenet",
        **configuration["model"],
    }


def make_trainer(
    configuration: Configuration, model: Module, dataset: Dataset, evaluation_name: str = "test", params: Any = None
) -> Trainer:
    """Make the trainer of a configuration and complete its steps. params: parameter groups, in place of the model's."""
    model.to(configuration["device"])
    dataset = dataset.to(configuration["device"])
    loader = Loader(
        dataset.train_images, dataset.train_labels, configuration["batch_size"], seed=configuration["seed"],
        augmentation=make_augmentation(configuration["augmentation"]), mean=dataset.mean, std=dataset.std,
    )  # fmt: skip
    configuration["steps"] = configuration["steps"] or configuration["epochs"] * len(loader)
    optimizer = recipes.make_optimizer(configuration, model.parameters() if params is None else params)
    return Trainer(
        model,
        loader,
        optimizer,
        recipes.make_schedule(configuration, optimizer, configuration["steps"]),
        evaluation=(evaluation_name, evaluation_loader(dataset)),
        evaluate_every=configuration["evaluate_every"] or None,
        label_smoothing=configuration["label_smoothing"],
        max_norm=configuration["max_norm"] or math.inf,
        accumulation=configuration["accumulation"],
        ema=EMA(model, configuration["ema_decay"]) if configuration["ema_decay"] else None,
    )


def evaluation_loader(dataset: Dataset, configuration: Configuration | None = None) -> Loader:
    """Load the images to test with, in order. With a run's configuration: normalized as those it was trained on."""
    mean, std = dataset.mean, dataset.std
    if configuration is not None:
        mean, std = (np.array(configuration["dataset"][name], np.float32) for name in ("mean", "std"))
    return Loader(dataset.test_images, dataset.test_labels, EVALUATION_BATCH, shuffle=False, mean=mean, std=std)


def carry_out(folder: Path, trainer: Trainer, configuration: Configuration, command: str = "train") -> int:
    """Train to the configuration's last step, with records and checkpoints in the folder; return the exit code.

    0 finished, 1 diverged, 128 + the signal's number where one stopped it. The caller holds the folder's lock.
    """
    from tqdm import tqdm

    checkpoints = folder / "checkpoints"

    def log(record: Record) -> None:
        records.append_jsonl(folder / "metrics.jsonl", record)
        if "loss" in record:
            advance(bar, first=record["step"] == first)
            bar.set_postfix_str(f"loss {record['loss']:.3f}", refresh=False)
            return
        words = f"epoch {record['epoch'] + 1}: {name} accuracy {record[f'{name}_accuracy']:.1%}"
        bar.set_description(words)
        if bar.disable:  # no terminal, but perhaps a log file
            print(words, file=sys.stderr)

    def save() -> None:
        records.sync(folder / "metrics.jsonl")  # a power cut shall not leave a checkpoint without its metrics
        state = {**trainer.state_dict(), "configuration": configuration}
        checkpoint.save(checkpoints, trainer.step, state, trainer.parameters[0].data)
        checkpoint.prune(checkpoints, configuration["keep_checkpoints"], trainer.best.get("step"))

    assert trainer.evaluation is not None
    name = trainer.evaluation[0]
    steps = configuration["steps"]
    resume = f"minires train --resume {shlex.quote(str(folder))}"
    code, outcome = 0, "finished"
    first = trainer.step + 1
    bar_format = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"
    bar = tqdm(total=steps, initial=trainer.step, bar_format=bar_format, disable=None)
    try:
        with bar, Signals() as signals:
            try:
                if not checkpoint.steps_in(checkpoints):
                    save()
                trainer.train(steps, log, save, configuration["checkpoint_every"], signals.check)
            except Stopped as stopped:
                save()
                code = 128 + signals.number
                outcome = f"stopped by {stopped} after step {trainer.step}; go on with: {resume}"
    except FloatingPointError as error:
        last = checkpoint.newest(checkpoints).name
        code, outcome = 1, f"{error}. The last checkpoint, from before, is {last}"
    except OSError as error:
        if checkpoint.steps_in(checkpoints):
            error.add_note(f"the last checkpoint is {checkpoint.newest(checkpoints).name}; go on with: {resume}")
        raise
    report(folder, trainer, configuration, outcome)
    if code:
        print(f"minires {command}: {outcome}", file=sys.stderr)
    return code


def report(folder: Path, trainer: Trainer, configuration: Configuration, outcome: str) -> None:
    """Write report.json and say what it holds."""
    assert trainer.evaluation is not None
    part = trainer.evaluation[0]
    metrics = records.read_jsonl(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
    last: Record = next((record for record in reversed(metrics) if f"{part}_accuracy" in record), {})
    best = trainer.best
    about = {
        "model": configuration["model"]["name"],
        "parameters": sum([parameter.size for parameter in trainer.parameters]),
        "outcome": outcome,
        "steps": trainer.step,
        f"{part}_accuracy": last.get(f"{part}_accuracy"),
        f"{part}_loss": last.get(f"{part}_loss"),
        "best_step": best.get("step"),
        f"best_{part}_accuracy": best.get(f"{part}_accuracy"),
    }
    records.write_json(folder / "report.json", about)
    if last:
        print(
            f"{about['model']}: {part} accuracy {last[f'{part}_accuracy']:.2%}, {part} loss {last[f'{part}_loss']:.4f} "
            f"after {last['step']} steps; best {best[f'{part}_accuracy']:.2%} after {best['step']}"
        )
    print(f"{folder}: config.json, metrics.jsonl, report.json, checkpoints")


def restore(folder: Path, trainer: Trainer) -> list[str]:
    """Put a trainer back to where the newest checkpoint of its run was; return what is different now from then.

    Metrics written after that checkpoint are cut off, as are the remains of a write that was killed. The caller holds
    the folder's lock. ValueError, and nothing changed, where there is no checkpoint, or it is damaged or does not fit.
    """
    path = checkpoint.newest(folder / "checkpoints")
    try:
        state, environment = checkpoint.load(path)
    except ValueError as error:
        if len(checkpoint.steps_in(path.parent)) > 1:
            error.add_note("delete that file, and the training goes on from the checkpoint before it")
        raise
    trainer.load_state_dict({name: part for name, part in state.items() if name != "configuration"})
    checkpoint.remove_leftovers(path.parent)

    def keep(record: Record) -> bool:
        return record["step"] <= (trainer.step if "loss" in record else trainer.evaluated)

    records.truncate_jsonl(folder / "metrics.jsonl", keep)
    return checkpoint.differences(environment, checkpoint.environment(trainer.parameters[0].data))


def read_configuration(folder: str | os.PathLike[str]) -> Configuration:
    """Return the configuration a run was started with. ValueError for a folder that is no training's."""
    config = records.read_json(Path(folder) / "config.json")
    if "dataset" not in config.get("arguments", {}):
        raise ValueError(f"{folder} is a run of `minires {config.get('command')}`, not of a training")
    configuration: Configuration = config["arguments"]
    return configuration


def load_model(folder: str | os.PathLike[str], which: str = "best") -> tuple[Module, Configuration, int]:
    """Return a run's trained model, in evaluation mode, the run's configuration, and the step the weights are from.

    which: "best", by the evaluations; "last"; or the number of a step. Averaged weights where the run kept an average.
    ValueError for a folder or checkpoint that is not there or does not fit.
    """
    configuration = read_configuration(folder)
    checkpoints = Path(folder) / "checkpoints"
    if which not in ("best", "last") and not which.isdigit():
        raise ValueError(f"load_model: which must be best, last or the number of a step, not {which!r}")
    path = checkpoint.path_of(checkpoints, int(which)) if which.isdigit() else checkpoint.newest(checkpoints)
    state, _ = checkpoint.load(path)
    if which == "best" and state["best"] and state["best"]["step"] != state["step"]:
        state, _ = checkpoint.load(checkpoint.path_of(checkpoints, state["best"]["step"]))
    model = build_model(configuration)
    model.load_state_dict(state["ema"]["averages"] if state["ema"] else state["model"])
    return model.eval(), configuration, state["step"]
