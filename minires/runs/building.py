"""From a recipe to what trains: the data set, the model and the trainer."""

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from minires import data, kernels, models
from minires.data import Dataset, Loader, make_augmentation
from minires.kernels import Array
from minires.models.fused import FUSED
from minires.nn import Module
from minires.runs import finetuning
from minires.runs.ema import EMA
from minires.runs.recipe import DatasetSection, Recipe
from minires.training import Trainer

EVALUATION_BATCH = 256


def build(recipe: Recipe, weights: Mapping[str, Array] | None = None) -> Trainer:
    """Make data, model and trainer, and complete the recipe: its steps, and what its data set is.

    weights: a state dict to begin a fine-tuning with, all but its head.
    ValueError for values that do not fit together, and for a data set that is not the one the recipe knows.
    """
    fast = recipe.device != "cpu" or kernels.in_use() != "numpy"
    recipe.model.options.setdefault("fused", fast and has_fused_form(recipe.model.options))
    if recipe.device == "cpu":
        kernels.compile_ahead(recipe.model.options["fused"])  # while the data is read
    dataset = load_data(recipe)
    check_data(recipe, dataset)
    model = build_model(recipe)
    params: Any = None
    if recipe.finetune is not None:
        if weights is not None:
            finetuning.load_all_but_head(model, weights)
        finetuning.replace_head(model, len(dataset.classes), recipe.seed)
        finetuning.freeze(model, *recipe.finetune.freeze)
        params = finetuning.parameter_groups(model, recipe.optimizer.lr, recipe.finetune.head_factor)
    return build_trainer(recipe, model, dataset, params)


def load_data(recipe: Recipe) -> Dataset:
    """Load a recipe's data set, its classes alone if it names some, validation images held out.

    A fine-tuned network goes on with the mean and std of the images it was first trained on.
    """
    dataset = data.load(recipe.data.name, data_dir=recipe.data.dir or None, **recipe.data.options)
    if recipe.data.classes is not None:
        dataset = dataset.only(recipe.data.classes)
    if recipe.validation:
        dataset = dataset.hold_out(recipe.validation, recipe.seed)
    if recipe.finetune is not None and recipe.finetune.mean:
        dataset.mean = np.array(recipe.finetune.mean, np.float32)
        dataset.std = np.array(recipe.finetune.std, np.float32)
    return dataset


def check_data(recipe: Recipe, dataset: Dataset) -> None:
    """Write down what the data set is; refuse another one than the recipe knows, and images the model cannot take."""
    summary = DatasetSection(**dataset.summary())
    if recipe.dataset.name and recipe.dataset != summary:
        known, now = asdict(recipe.dataset), asdict(summary)
        different = ", ".join([name for name in now if now[name] != known[name]])
        raise ValueError(f"the data set {summary.name} is not the one this run was trained on: other {different}")
    recipe.dataset = summary
    channels = model_options(recipe)["in_channels"]
    if channels != dataset.shape[0]:
        raise ValueError(
            f"the model takes images of {channels} channels, those of {dataset.name} have {dataset.shape[0]}; "
            "a folder of pictures can be read with either: data.channels=1"
        )


def build_model(recipe: Recipe) -> Module:
    """Make the model of a recipe that knows its data set."""
    return models.make(recipe.model.name, seed=recipe.seed, **model_options(recipe))


def model_options(recipe: Recipe) -> dict[str, Any]:
    """Return what the recipe's model is made with: its own options, and what follows from the data set."""
    channels, *size = recipe.dataset.shape
    return {
        "in_channels": channels,
        "num_classes": len(recipe.dataset.classes),
        "stem": "cifar" if min(size) < 64 else "imagenet",
        **recipe.model.options,
    }


def has_fused_form(options: Mapping[str, Any]) -> bool:
    """Whether a model of these options can be made with fused=True, which is faster and the same to rounding."""
    block = models.BLOCKS.get(options.get("block", ""))
    unfused = block is not None and block not in FUSED
    return options.get("norm", "batch") == "batch" and options.get("activation", "relu") == "relu" and not unfused


def build_trainer(recipe: Recipe, model: Module, dataset: Dataset, params: Any = None) -> Trainer:
    """Make the trainer and complete the recipe's steps. params: parameter groups, in place of the model's."""
    model.to(recipe.device)
    dataset = dataset.to(recipe.device)
    loader = Loader(
        dataset.train_images, dataset.train_labels, recipe.batch_size, seed=recipe.seed,
        augmentation=make_augmentation(recipe.augmentation, dataset.mean), mean=dataset.mean, std=dataset.std,
        drop_last=recipe.drop_last, mixup=recipe.mixup, num_classes=len(dataset.classes),
    )  # fmt: skip
    if loader.joins_last:
        print(
            f"minires: {len(loader.images)} images in batches of {loader.batch_size} leave one alone; each epoch's "
            "last batch has it in addition (drop_last=true leaves it out)",
            file=sys.stderr,
        )
    recipe.steps = recipe.steps or recipe.epochs * len(loader)
    groups = model.parameters() if params is None else params
    optimizer = recipe.optimizer.make(groups if recipe.decay_norms else without_decay_of_norms(groups))
    return Trainer(
        model,
        loader,
        optimizer,
        recipe.make_schedule(optimizer, recipe.steps),
        evaluation=("validation" if recipe.validation else "test", evaluation_loader(dataset)),
        evaluate_every=recipe.evaluate_every or None,
        label_smoothing=recipe.label_smoothing,
        class_weights=class_weights(recipe, dataset),
        max_norm=recipe.max_norm or math.inf,
        accumulation=recipe.accumulation,
        ema=EMA(model, recipe.ema_decay) if recipe.ema_decay else None,
    )


def without_decay_of_norms(params: Any) -> list[dict[str, Any]]:
    """Split parameters, or groups of them, into those of several axes and the others, which get no weight decay.

    Norms' scales and shifts and biases have one axis, the scalars of a residual branch none or one.
    """
    groups = [dict(group) for group in params] if isinstance(params[0], dict) else [{"params": params}]
    split = []
    for group in groups:
        wide = [parameter for parameter in group["params"] if parameter.ndim > 1]
        rest = [parameter for parameter in group["params"] if parameter.ndim <= 1]
        split += [{**group, "params": wide}, {**group, "params": rest, "weight_decay": 0.0}]
    return [group for group in split if group["params"]]


def class_weights(recipe: Recipe, dataset: Dataset) -> Array | None:
    """Return the recipe's weights of the classes, one for each, where the images are. ValueError for another number."""
    if not recipe.class_weights:
        return None
    if len(recipe.class_weights) != len(dataset.classes):
        raise ValueError(
            f"class_weights has {len(recipe.class_weights)} numbers, and {dataset.name} has {len(dataset.classes)} "
            f"classes: {', '.join(dataset.classes)}"
        )
    return kernels.kernels_for(dataset.train_images).xp.asarray(recipe.class_weights, np.float32)


def evaluation_loader(dataset: Dataset, recipe: Recipe | None = None) -> Loader:
    """Load the images to test with, in order. With a run's recipe: normalized as those it was trained on."""
    mean, std = dataset.mean, dataset.std
    if recipe is not None:
        mean, std = np.array(recipe.dataset.mean, np.float32), np.array(recipe.dataset.std, np.float32)
    return Loader(dataset.test_images, dataset.test_labels, EVALUATION_BATCH, shuffle=False, mean=mean, std=std)
