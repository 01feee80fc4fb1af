"""From a recipe's name to all its values: every one can be set by hand, and a clear word for what cannot be."""

import math
import re

import numpy as np
import pytest

from minires import data, models
from minires.engine import Tensor
from minires.optim import SGD, Adam, ConstantWarmup, CosineAnnealingLR, LinearWarmup, MultiStepLR
from minires.runs.recipe import (
    AdamWSection,
    ConstantSection,
    CosineSection,
    DataSection,
    ModelSection,
    Recipe,
    WarmupSection,
)
from minires.runs.settings import FOLDER, read_toml, recipe_names, resolve


def rates(recipe, steps):
    """The learning rate of each step."""
    weight = Tensor(np.zeros(1), requires_grad=True)
    optimizer = recipe.optimizer.make([weight])
    schedule = recipe.make_schedule(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        if schedule is not None:
            schedule.step()
    return found


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_made(name):
    recipe = resolve(name)
    assert rates(recipe, 3)[0] > 0
    data.make_augmentation(recipe.augmentation)
    assert not read_toml(FOLDER / f"{name}.toml").get("models", {}).keys() - models.MODELS


def test_names():
    assert {"adam", "digits", "finetune", "he2015", "sgd-0.01"} <= set(recipe_names())


def test_he2015():
    recipe = resolve("he2015", model="resnet20", data="cifar10")
    optimizer = recipe.optimizer.make(models.resnet20(seed=0).parameters())
    assert type(optimizer) is SGD
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (0.1, 0.9, 1e-4, False)
    schedule = recipe.make_schedule(optimizer, recipe.steps)
    assert type(schedule) is MultiStepLR
    rate = [schedule.lr_at(step, 0.1) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    np.testing.assert_allclose(rate, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert recipe.steps == 64_000 and recipe.batch_size == 128
    assert recipe.validation == 5_000 and recipe.augmentation == ["crop", "flip"]


def test_110_layers_start_low():
    steps = rates(resolve("he2015", model="resnet110"), 402)
    np.testing.assert_allclose(steps[:400], 0.01)
    np.testing.assert_allclose(steps[400:], 0.1)
    assert rates(resolve("he2015", model="resnet56"), 1) == [0.1]
    assert resolve("he2015", ["model.name=resnet110"]).warmup.steps == 400
    assert resolve("he2015", ["warmup.steps=7"], model="resnet110").warmup.steps == 7


def test_the_introductions():
    plain = resolve("sgd-0.01").optimizer.make([Tensor([1.0], requires_grad=True)])
    assert type(plain) is SGD and plain.param_groups[0]["momentum"] == plain.param_groups[0]["weight_decay"] == 0
    adam = resolve("adam").optimizer.make([Tensor([1.0], requires_grad=True)])
    assert type(adam) is Adam and adam.param_groups[0]["lr"] == 1e-3
    assert rates(resolve("sgd-0.01"), 5) == [0.01] * 5


def test_every_value_can_be_set():
    values = {
        "seed": 3, "device": "cuda", "epochs": 7, "steps": 70, "batch_size": 5, "accumulation": 2, "validation": 10,
        "augmentation": ["flip"], "label_smoothing": 0.1, "max_norm": 2.0, "ema_decay": 0.5, "evaluate_every": 4,
        "checkpoint_every": 6, "keep_checkpoints": 9,
    }  # fmt: skip
    assert set(values) == {name for name, value in Recipe().to_dict().items() if not isinstance(value, dict)}
    settings = [f"{name}={value}" for name, value in values.items()]
    settings += ["model.name=wide_resnet", "model.depth=16", "model.skip=false", "data.name=mnist", "data.dir=/here"]
    settings += ["optimizer.lr=0.5", "optimizer.nesterov=true", "schedule.eta_min=1e-5"]
    settings += ["warmup.steps=9", "warmup.factor=0.2", "warmup.shape=constant"]
    recipe = resolve("digits", settings)
    assert {name: getattr(recipe, name) for name in values} == values
    assert recipe.model == ModelSection(name="wide_resnet", options={"depth": 16, "skip": False})
    assert recipe.data == DataSection(name="mnist", dir="/here")
    assert recipe.optimizer.lr == 0.5 and recipe.optimizer.nesterov is True
    assert recipe.optimizer.momentum == 0.9  # the recipe's, still
    assert recipe.schedule == CosineSection(eta_min=1e-5)
    assert recipe.warmup == WarmupSection(steps=9, factor=0.2, shape="constant")


def test_given_counts_like_settings_and_none_is_left_out():
    given = resolve("he2015", model="resnet56", data="cifar100", seed=None)
    assert given == resolve("he2015", ["model.name=resnet56", "data.name=cifar100"])


def test_another_optimizer_begins_with_its_own_defaults():
    recipe = resolve("he2015", ["optimizer.name=adamw"])
    assert recipe.optimizer == AdamWSection(lr=1e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=1e-2)
    assert resolve("he2015", ["schedule.name=constant"]).schedule == ConstantSection()


def test_epochs_take_the_place_of_steps():
    assert resolve("he2015", ["epochs=3"]).steps == 0
    assert resolve("he2015", ["steps=30"]).steps == 30
    assert resolve("digits", ["epochs=3", "steps=30"]).steps == 30


def test_schedules_and_warmups():
    cosine = rates(resolve("digits", ["warmup.steps=4", "warmup.factor=0.2"]), 20)
    expected = [
        0.1 * (1 + math.cos(math.pi * step / 20)) / 2 * (0.2 + 0.8 * min(1, step / 4)) for step in range(20)
    ]  # fmt: skip
    np.testing.assert_allclose(cosine, expected)
    constant = rates(resolve("sgd-0.01", ["warmup.steps=2", "warmup.shape=constant"]), 4)
    np.testing.assert_allclose(constant, [0.001, 0.001, 0.01, 0.01])
    linear = rates(resolve("sgd-0.01", ["warmup.steps=2", "warmup.factor=0.5"]), 4)
    np.testing.assert_allclose(linear, [0.005, 0.0075, 0.01, 0.01])


def test_constant_warmup_on_another_schedule():
    optimizer = SGD([Tensor([1.0], requires_grad=True)], 1.0)
    schedule = ConstantWarmup(optimizer, 3, 0.5, CosineAnnealingLR(optimizer, 10))
    for step in range(10):
        expected = (1 + math.cos(math.pi * step / 10)) / 2 * (0.5 if step < 3 else 1)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        schedule.step()
    with pytest.raises(ValueError, match="ConstantWarmup: start_factor must be above 0"):
        ConstantWarmup(optimizer, 3, 0.0)
    with pytest.raises(ValueError, match="LinearWarmup: total_iters must be at least 1"):
        LinearWarmup(optimizer, 0)


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 2\n[optimizer]\nname = "adam"\nlr = 0.01\n[models.resnet32]\nbatch_size = 4\n')
    assert resolve(str(path)).optimizer.lr == 0.01
    assert resolve(str(path), model="resnet32").batch_size == 4
    path.write_text("epochs = ")
    with pytest.raises(ValueError, match="mine.toml is no TOML"):
        resolve(str(path))
    with pytest.raises(ValueError, match="there is no recipe .*other.toml"):
        resolve(str(tmp_path / "other.toml"))


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ("optimzer.lr=1", ValueError, "unknown key 'optimzer' in a recipe; did you mean optimizer?"),
        ("colour=red", ValueError, "unknown key 'colour' in a recipe; known: seed, device"),
        ("optimizer.speed=1", ValueError, "optimizer sgd has no option 'speed'; known: lr, momentum"),
        ("optimizer.name=lion", ValueError, "unknown optimizer 'lion'; known: sgd, adam, adamw"),
        ("optimizer=sgd", TypeError, "optimizer is a section: set its keys, such as optimizer.name=sgd"),
        ("seed.first=1", TypeError, "seed is no section: seed=0"),
        ("schedule.name=multistep", ValueError, "schedule multistep needs schedule.milestones"),
        ("warmup.colour=1", ValueError, "warmup has no option 'colour'; known: steps, factor, shape"),
        ("warmup.shape=round", ValueError, "unknown warmup.shape 'round'; known: linear, constant"),
        ("epochs=many", TypeError, "epochs must be a whole number, such as 20, got 'many'"),
        ("epochs=1.5", TypeError, "epochs must be a whole number, such as 20, got 1.5"),
        ("optimizer.lr=true", TypeError, "optimizer.lr must be a number, such as 0.001, got True"),
        ("augmentation=flip", TypeError, "augmentation must be a list, such as"),
        ("seed=-1", ValueError, "seed must be at least 0, got -1"),
        ("label_smoothing=nan", ValueError, "label_smoothing must be at least 0, got nan"),
        ("optimizer.momentun=0", ValueError, "optimizer sgd has no option 'momentun'; did you mean momentum?"),
        ("augmentation=[1]", TypeError, "augmentation must be a list, such as ['crop', 'flip'], got [1]"),
        ("model.name=3", TypeError, "model.name must be text, such as 'resnet20', got 3"),
        ("model.name.first=1", TypeError, "model.name is no section: model.name=resnet20"),
        ("optimizer.name=[]", ValueError, "unknown optimizer []; known: sgd"),
        ("data=digits", TypeError, "data is a section: set its keys, such as data.name=digits"),
        ("dataset.name=mnist", ValueError, "unknown key 'dataset' in a recipe; did you mean data?"),
        ("finetune.freeze=[]", ValueError, "unknown key 'finetune' in a recipe"),
        ("keep_checkpoints=0", ValueError, "keep_checkpoints must be at least 1, got 0"),
        ("epochs", ValueError, "a setting is key=value, such as optimizer.lr=0.05, not 'epochs'"),
        ("=3", ValueError, "a setting is key=value"),
    ],
)
def test_bad_settings(setting, error, message):
    with pytest.raises(error, match=re.escape(message)):
        resolve("digits", [setting])


def test_options_of_a_model_are_left_to_its_maker():
    assert resolve("digits", ["model.options=3"]).model.options == {"options": 3}
    assert resolve("digits", ["model.norm=none"]).model.options == {"norm": "none"}


def test_another_schedule_drops_the_options_of_the_first():
    assert resolve("he2015", ["schedule.name=cosine"]).schedule == CosineSection()


def test_a_value_that_is_set_and_then_treated_as_a_section():
    with pytest.raises(TypeError, match="seed is no section: it is set to 1"):
        resolve("digits", ["seed=1", "seed.first=2"])
