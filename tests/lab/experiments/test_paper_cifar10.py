"""Table 6 of the paper, in little: what was stopped is gone on with, and what is finished is not trained again."""

import signal
from pathlib import Path

import pytest

from minires import runs
from minires.lab.experiment import TOO_SMALL
from minires.lab.experiments import find, paper_cifar10


@pytest.fixture
def options(tmp_path):
    return {"data": "digits", "depths": (20,), "plain": False, "steps": 4, "runs": str(tmp_path / "trainings")}


def test_a_training_that_was_stopped_goes_on(options, monkeypatch):
    experiment, log = find("paper-cifar10"), runs.Run.log

    def stopping(self, record):
        log(self, record)
        if record["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(runs.Run, "log", stopping)
    assert experiment(**options)["interrupted"] is True
    monkeypatch.setattr(runs.Run, "log", log)
    report = experiment(**options)
    (row,) = report["tables"]["networks"]
    assert row["steps"] == 4 and row["outcome"] == "finished" and 0 <= row["test_error"] <= 100
    steps = [line["step"] for line in runs.read(row["folder"], "metrics.jsonl") if "loss" in line]
    assert steps == [1, 2, 3, 4]
    assert report["answer"] == TOO_SMALL and row["published_error"] is None

    monkeypatch.setattr(runs.Run, "carry_out", pytest.fail)
    assert experiment(**options)["tables"] == report["tables"]


def test_recipe_is_the_papers():
    recipe = paper_cifar10.recipe_of(56, skip=False, seed=3, data="cifar10", steps=64_000)
    assert recipe == runs.resolve(
        "he2015",
        ["model.skip=false", "checkpoint_every=2000", "evaluate_every=3200"],
        model="resnet56",
        data="cifar10",
        seed=3,
    )
    assert recipe.schedule.milestones == [32_000, 48_000] and recipe.batch_size == 128 and recipe.validation == 5000


def test_errors_are_compared_at_the_papers_size_alone():
    rows = [{"depth": 20, "skip": True, "test_error": 8.9, "network": "residual-20"}]
    full = paper_cifar10.judge({"networks": rows}, {"steps": 64_000, "data": "cifar10"})
    assert full.answer == "right" and full.findings[0].inside
    rows[0]["test_error"] = 12.0
    assert paper_cifar10.judge({"networks": rows}, {"steps": 64_000, "data": "cifar10"}).answer == "half right"
    small = paper_cifar10.judge({"networks": rows}, {"steps": 400, "data": "cifar10"})
    assert small.answer == TOO_SMALL


def test_no_report_of_another_training_counts(tmp_path):
    assert paper_cifar10.finished(Path(tmp_path), 4) is None
