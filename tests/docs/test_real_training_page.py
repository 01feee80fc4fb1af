"""docs/real_training.md has the numbers of benchmarks/results/training, which are those of the records beside them."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from minires import runs
from minires.interop import trained

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the one script imports the other


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


real_training, package_network = script("real_training"), script("package_network")
recipe_options = real_training.recipe_options
RUNS, TIME = (json.loads((real_training.RESULTS / f"{name}.json").read_text("utf-8")) for name in ("runs", "time"))
FACTS = json.loads((trained.FOLDER / "resnet20-cifar10.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_results():
    text = real_training.PAGE.read_text(encoding="utf-8")
    assert text == real_training.page(), "python benchmarks/real_training.py --page"
    for run in RUNS.values():
        assert f"{run['accuracy']:.2%}" in text


@pytest.mark.parametrize("name", RUNS)
def test_the_table_has_what_the_records_have(name):
    run, folder = RUNS[name], real_training.RESULTS / name
    config, rows = runs.read(folder, "config.json"), runs.read(folder, "metrics.jsonl")
    evaluations = [row for row in rows if "test_accuracy" in row]
    of_average = config["arguments"].get("ema_decay")
    assert evaluations[-1]["test_accuracy"] == run["average_accuracy" if of_average else "accuracy"]
    assert evaluations[-1]["step"] == run["planned_steps"] == run["steps"] == config["arguments"]["steps"]
    assert run["seed"] == config["arguments"]["seed"]
    assert "dir" not in config["arguments"]["data"]
    assert not re.search(r'"/', (folder / "config.json").read_text("utf-8")), "a path of some machine"


def test_the_lunch_recipe_reaches_the_paper():
    """He et al. (2015), table 6: an error of 8.75 % for ResNet-20."""
    lunch = [run for run in RUNS.values() if run["recipe"] == "cifar10-lunch" and not run["changed"]]
    assert len(lunch) == 3 and all([run["accuracy"] >= 0.9125 for run in lunch])
    assert real_training.whole_seconds(TIME, 24_000, 2_000) < 30 * 60


def test_the_card_is_made_from_the_facts_and_its_network_is_one_of_the_table():
    card = (trained.FOLDER / "resnet20-cifar10.md").read_text(encoding="utf-8")
    assert card == package_network.card(FACTS)
    whole = [run for run in RUNS.values() if run["recipe"] == FACTS["recipe"] and not run["changed"]]
    of_table = [run for run in whole if run["seed"] == FACTS["seed"]]
    assert [run["average_accuracy"] for run in of_table] == [FACTS["accuracy_in_the_run"]]
    assert FACTS["accuracy"] == pytest.approx(FACTS["accuracy_in_the_run"], abs=0.001)


def test_the_recipe_has_the_options_that_are_worth_it():
    coffee = runs.resolve("cifar10-coffee", data="cifar10")
    found = recipe_options.pairs(RUNS)
    average = found["an average of the weights", "cifar10-coffee"]
    no_decay = found["no decay on norms and biases", "cifar10-coffee"]
    assert len(average) >= 2 and len(no_decay) >= 2
    assert bool(coffee.ema_decay) == (recipe_options.worth(average) >= 0.002)
    assert (not coffee.decay_norms) == (recipe_options.worth(no_decay) >= 0.002)


def test_what_an_option_is_worth():
    own = {"recipe": "cifar10-coffee", "changed": {}, "seed": 0, "accuracy": 0.89, "average_accuracy": 0.91}
    rows = {"a": own, "b": {**own, "changed": {"decay_norms": False}, "accuracy": 0.9}}
    worth = {option: recipe_options.worth(seeds) for (option, _), seeds in recipe_options.pairs(rows).items()}
    assert worth == pytest.approx({"an average of the weights": 0.02, "no decay on norms and biases": 0.01})


def test_time_is_derived_rightly():
    timed = {"step_s": {"minires numba": 0.05}, "whole_step": 1.1, "evaluation": 30.0}
    assert real_training.whole_seconds(timed, 1000, 400) == pytest.approx(1000 * 0.055 + 3 * 1.5)


def test_records_are_thinned_to_their_means():
    rows = [{"step": n, "epoch": 0, "loss": float(n), "accuracy": 0.5, "lr": 0.1, "images_per_second": 100.0}
            for n in range(1, 251)]  # fmt: skip
    rows.insert(100, {"step": 100, "epoch": 0, "test_loss": 1.0, "test_accuracy": 0.4})
    kept = real_training.thinned(rows)
    assert [row["step"] for row in kept] == [100, 100, 200]
    assert [row["loss"] for row in kept if "loss" in row] == [50.5, 150.5]


def test_a_recipe_is_recognized_with_what_was_set_by_hand():
    recipe = runs.resolve("cifar10-coffee", ["steps=2000", "model.skip=false"], model="resnet56", data="cifar10")
    assert real_training.recipe_of(recipe.to_dict()) == ("cifar10-coffee", {"steps": 2000, "model.skip": False})
    assert real_training.recipe_of(runs.resolve("he2015", data="cifar10").to_dict()) == ("he2015", {})
