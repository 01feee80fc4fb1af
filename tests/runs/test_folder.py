"""Run folders: begun, held by one process, read again, and a clear word where that cannot be."""

import os

import numpy as np
import pytest

from minires import runs
from minires.runs import folder as folders
from minires.runs import lock, new_run, records


def test_new_run_writes_its_config(tmp_path):
    folder = new_run(tmp_path / "deep" / "runs", "train", "resnet20", {"epochs": 3, "lr": None})
    assert folder.parent == tmp_path / "deep" / "runs"
    assert folder.name.endswith("-train-resnet20")
    config = records.read_json(folder / "config.json")
    assert config["command"] == "train"
    assert config["arguments"] == {"epochs": 3, "lr": None}
    assert config["kernels"] in ("numpy", "numba") and config["numpy"] == np.__version__


def test_two_runs_in_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.time, "strftime", lambda _: "20260102-030405")
    names = [new_run(tmp_path, "train", "resnet20", {}).name for _ in range(3)]
    first = "20260102-030405-train-resnet20"
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_unwritable_folder(tmp_path):
    blocked = tmp_path / "a-file"
    blocked.write_text("here first")
    with pytest.raises(OSError, match="cannot write to the output folder .*a-file.*choose another with --out"):
        new_run(blocked, "train", "resnet20", {})
    assert blocked.read_text() == "here first"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied.*choose another"):
        new_run(tmp_path, "train", "resnet20", {})
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such lock")
def test_lock(tmp_path):
    with lock(tmp_path):
        message = rf"another process \(pid {os.getpid()}\) is writing to .*; wait for it, or stop it first"
        with pytest.raises(RuntimeError, match=message), lock(tmp_path):
            pytest.fail("locked twice")
    with lock(tmp_path):
        pass


def test_a_recipe_that_was_damaged_is_named(tmp_path):
    recipe = runs.resolve("digits", ["steps=3"]).to_dict()
    dataset = {"name": "digits", "shape": [1, 8, 8], "classes": ["0", "1"]}
    for change, message in (({"epochs": "many"}, "epochs must be a whole number"), ({"new": 1}, "no option 'new'")):
        arguments = {**recipe, "dataset": dataset, **change}
        records.write_json(tmp_path / "config.json", {"command": "train", "arguments": arguments})
        with pytest.raises(ValueError, match=f"config.json holds no recipe that this MiniRes knows: .*{message}"):
            folders.read_recipe(tmp_path)
