"""A run of an earlier MiniRes, stopped at step 8 of 12 with format 1 of its files, goes on here."""

import shutil
from pathlib import Path

import pytest

from minires import kernels
from minires.cli.main import main
from minires.runs import checkpoint, records
from minires.runs.folder import read_recipe

OLD = Path(__file__).parent / "run_of_format_1"  # written with the NumPy kernels


@pytest.fixture
def old_run(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(OLD, folder)
    return folder


def test_it_goes_on_as_it_would_have(old_run):
    before = records.read_jsonl(old_run / "metrics.jsonl")
    with kernels.use("numpy"):
        assert main(["train", "--resume", str(old_run)]) == 0
    log = records.read_jsonl(old_run / "metrics.jsonl")
    assert log[: len(before)] == before
    expected = records.read_jsonl(OLD / "expected.jsonl")
    for record, wanted in zip(log[len(before) :], expected, strict=True):
        assert record.keys() == wanted.keys()
        for name in wanted.keys() - {"images_per_second"}:
            assert record[name] == pytest.approx(wanted[name], rel=1e-5), (name, wanted["step"])
    assert checkpoint.steps_in(old_run / "checkpoints") == [4, 8, 12]
    assert records.read_json(old_run / "report.json")["outcome"] == "finished"


def test_its_recipe_is_read_and_written_as_it_was(old_run):
    arguments = records.read_json(old_run / "config.json")["arguments"]
    assert read_recipe(old_run).to_dict() == arguments


def test_its_state_has_the_parts_of_one_of_today(old_run):
    with kernels.use("numpy"):
        assert main(["train", "--resume", str(old_run)]) == 0
    old, new = (checkpoint.load(checkpoint.path_of(old_run / "checkpoints", step))[0] for step in (8, 12))
    assert list(old) == list(new)
    for part in old:
        if isinstance(old[part], dict):
            assert list(old[part]) == list(new[part]), part
