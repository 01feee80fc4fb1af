"""What a killed process leaves behind goes when the next one begins, a full disk is named, and so is what to do."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minires.cli.main import main
from minires.data import disk
from minires.runs import checkpoint, lock, new_run, records

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows cannot ask for a process without ending it")


def killed(code, function="replace"):
    """Run Python code in a process that is killed in a call of the system; return the process's number."""
    script = f"import os, signal\nos.{function} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n{code}"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        assert process.wait() == -signal.SIGKILL
    return process.pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_run_that_begins_sweeps_its_folder(tmp_path, function):
    code = f"from pathlib import Path; from minires.runs import records; records.write_json(Path({str(tmp_path)!r}) / "
    pids = [killed(f"{code}'{name}', {{}})", function) for name in ("config.json", "metrics.jsonl")]
    assert names(tmp_path) == [f".config.json.{pids[0]}", f".metrics.jsonl.{pids[1]}"]
    alive = tmp_path / f".report.json.{os.getppid()}"
    alive.touch()
    mine = tmp_path / ".notes.txt"
    mine.touch()
    with lock(tmp_path):
        assert names(tmp_path) == sorted([".lock", alive.name, mine.name])


def test_a_run_that_was_killed_before_it_was_one_is_swept_by_the_next(tmp_path):
    killed(f"from minires.runs import new_run; new_run({str(tmp_path)!r}, 'train', 'x', {{}})")
    (unborn,) = tmp_path.iterdir()
    assert len(names(unborn)) == 1
    folder = new_run(tmp_path, "train", "y", {})
    assert list(tmp_path.iterdir()) == [folder]


def test_a_run_without_a_checkpoint_says_to_begin_anew(tmp_path, capsys):
    folder = new_run(tmp_path, "train", "resnet20", {"dataset": {}, "steps": 3})
    assert main(["train", "--resume", str(folder)]) == 2
    assert "holds none, so there is nothing to go on from: begin a new run" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_names_the_file_and_the_cure(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    message = r"metrics\.jsonl cannot be written \(No space left on device\); make room on that disk, or choose another"
    with pytest.raises(OSError, match=message) as caught:
        records.append_jsonl(path, {"step": 1})
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_every_file_of_a_run_names_itself_on_a_full_disk(tmp_path, monkeypatch, function):
    def full_disk(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, full_disk)
    writers = {
        "report.json": lambda path: records.write_json(path, {}),
        "predictions.csv": lambda path: records.write_csv(path, [{"a": 1}]),
        "curves.png": lambda path: records.write_bytes(path, b"png"),
        "step-000003.safetensors": lambda path: checkpoint.save(path.parent, 3, {"step": 3}),
    }
    for name, write in writers.items():
        with pytest.raises(OSError, match=rf"{name}.*\(No space left on device\); "):
            write(tmp_path / name)
    assert names(tmp_path) == []
    with pytest.raises(OSError, match=r"cannot write to the output folder .*\(No space left on device\); choose"):
        new_run(tmp_path / "runs", "train", "resnet20", {})


def test_only_names_of_the_form_are_swept(tmp_path):
    pid = killed("os.replace(1, 2)")
    kept = [".config.json", "config.json.77", f"config.json.{pid}", f".{pid}", ".config.json.1x", ".config.json.-5"]
    for name in [*kept, f".a.{pid}", f".a.b.{pid}"]:
        (tmp_path / name).touch()
    disk.sweep(tmp_path, "a")
    assert names(tmp_path) == sorted([*kept, f".a.b.{pid}"])
    disk.sweep(tmp_path)
    assert names(tmp_path) == sorted(kept)
