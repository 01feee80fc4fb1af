"""A run in its folder: when it saves, which checkpoints it keeps, what it reports."""

import pytest

from minires import runs
from minires.runs import checkpoint, records

SETTINGS = ["model.depth=10", "model.width=1", "batch_size=64", "steps=11", "data.classes=['0','1']"]


@pytest.fixture
def run(tmp_path):
    """Build and carry out a run with these settings; return it."""

    def build(*settings):
        recipe = runs.resolve("digits", [*SETTINGS, *settings], model="wide_resnet")
        trainer = runs.build(recipe)
        return runs.Run(runs.new_run(tmp_path, "train", "wide_resnet", recipe.to_dict()), recipe, trainer)

    return build


def test_when_it_saves(run, monkeypatch):
    saved, save = [], checkpoint.save

    def noting(folder, step, *rest):
        saved.append(step)
        return save(folder, step, *rest)

    monkeypatch.setattr(checkpoint, "save", noting)
    one = run("evaluate_every=4", "checkpoint_every=3")
    assert one.carry_out() == 0
    assert saved == [0, 3, 4, 6, 8, 9, 11]
    log = records.read_jsonl(one.folder / "metrics.jsonl")
    assert [record["step"] for record in log if "test_loss" in record] == [4, 8, 11]


def test_step_and_evaluation_due_at_once_are_saved_together(run, monkeypatch):
    states, save = [], checkpoint.save

    def noting(folder, step, state, *rest):
        states.append((step, state["evaluated"]))
        return save(folder, step, state, *rest)

    monkeypatch.setattr(checkpoint, "save", noting)
    assert run("steps=4", "evaluate_every=2", "checkpoint_every=2").carry_out() == 0
    assert states == [(0, 0), (2, 2), (4, 4)]


def test_the_best_is_kept(run):
    one = run("evaluate_every=1", "keep_checkpoints=1", "optimizer.lr=0.001")
    one.carry_out()
    log = [record for record in records.read_jsonl(one.folder / "metrics.jsonl") if "test_loss" in record]
    best = max(log, key=lambda record: record["test_accuracy"])
    assert one.state.best == best  # the first of several that are equal
    assert checkpoint.steps_in(one.folder / "checkpoints") == sorted({best["step"], 11})
    report = records.read_json(one.folder / "report.json")
    assert (report["best_step"], report["best_test_accuracy"]) == (best["step"], best["test_accuracy"])
