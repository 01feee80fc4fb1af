"""The typed recipe: the options of its sections are those of the classes they stand for, and JSON leads back to it."""

import inspect
from dataclasses import MISSING, fields

import pytest

from minires import optim
from minires.runs import Recipe
from minires.runs.recipe import OPTIMIZERS, SCHEDULES, DatasetSection, FinetuneSection

CLASSES = {
    "sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW,
    "multistep": optim.MultiStepLR, "cosine": optim.CosineAnnealingLR,
    "onecycle": optim.OneCycleLR,
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in {**OPTIMIZERS, **SCHEDULES} if name != "constant"])
def test_options_and_defaults_are_those_of_the_class(name):
    options = {}
    for entry in fields({**OPTIMIZERS, **SCHEDULES}[name]):
        default = entry.default if entry.default_factory is MISSING else tuple(entry.default_factory())
        options[entry.name] = inspect.Parameter.empty if default is MISSING else default
    parameters = inspect.signature(CLASSES[name]).parameters.values()
    given_by_the_training = ("params", "optimizer", "T_max", "max_lr", "total_steps")
    assert options == {one.name: one.default for one in parameters if one.name not in given_by_the_training}


def test_plain_values_and_back():
    recipe = Recipe(seed=3, max_norm=1, augmentation=["flip"])
    recipe.model.options["skip"] = False
    recipe.data.options["split"] = "last360"
    recipe.data.classes = ["8", "9"]
    content = recipe.to_dict()
    assert content["model"] == {"name": "resnet20", "skip": False}
    assert content["data"] == {"name": "digits", "dir": "", "classes": ["8", "9"], "split": "last360"}
    assert content["optimizer"]["name"] == "sgd" and content["schedule"] == {"name": "constant"}
    assert not {"dataset", "finetune"} & set(content)
    assert Recipe.from_dict(content) == recipe

    recipe.dataset = DatasetSection(name="digits", shape=[1, 8, 8], classes=["8", "9"], mean=[70.0], std=[90.0])
    recipe.finetune = FinetuneSection(source="somewhere", freeze=["conv1.*"])
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_whole_numbers_will_do_for_numbers():
    recipe = Recipe.from_dict({"max_norm": 1, "optimizer": {"name": "adam", "lr": 1}})
    assert type(recipe.max_norm) is type(recipe.optimizer.lr) is float


def test_what_is_left_out_is_as_where_nothing_is_said():
    assert Recipe.from_dict({}) == Recipe()
