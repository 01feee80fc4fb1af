"""kill -9 in the middle of a write, and before the first step; `tests/faults/test_kills.py` has the random moments."""

import os
import subprocess
import sys
import time

import pytest

from minires.runs import checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no kill -9")

STEPS = 360
SETTINGS = ["model.depth=10", "model.width=1", "batch_size=8", f"steps={STEPS}", "evaluate_every=50",
            "checkpoint_every=1", "keep_checkpoints=2", "augmentation=['crop']", "ema_decay=0.99"]  # fmt: skip
ENVIRONMENT = {**os.environ, "MINIRES_KERNELS": "numpy", "OPENBLAS_NUM_THREADS": "1"}


def train(*arguments):
    """Start `minires train` in a process of its own."""
    command = [sys.executable, "-m", "minires", "train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def begin(out):
    return train("--model", "wide_resnet", "--out", str(out), "--set", *SETTINGS)


def wait_for(condition, process):
    while not condition() and process.poll() is None:
        time.sleep(0.001)


def last_step(out):
    return max([step for folder in out.glob("*/checkpoints") for step in checkpoint.steps_in(folder)], default=-1)


@pytest.mark.parametrize("function", ["fsync", "replace", "close"])
def test_killed_in_the_middle_of_a_write(tmp_path, function):
    """The process kills itself where the new file is written but not synced, synced but not moved, or just moved."""
    script = f"""
import os, signal
from pathlib import Path
from minires.runs import checkpoint, records
folder = Path({str(tmp_path)!r})
checkpoint.save(folder, 1, {{"step": 1}})
records.os.{function} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save(folder, 2, {{"step": 2}})
"""
    assert subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT).returncode == -9
    step = 2 if function == "close" else 1  # close comes after the move
    assert checkpoint.load(checkpoint.newest(tmp_path))[0] == {"step": step}
    assert len(list(tmp_path.glob(".step-000002*"))) == (function != "close")
    checkpoint.remove_leftovers(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_killed_before_the_first_step(tmp_path):
    process = begin(tmp_path)
    wait_for(lambda: last_step(tmp_path) >= 0, process)
    process.kill()
    process.communicate()
    (folder,) = tmp_path.iterdir()
    process = train("--resume", str(folder))
    wait_for(lambda: last_step(tmp_path) >= 5, process)
    process.terminate()
    _, message = process.communicate(timeout=300)
    assert process.returncode == 143
    assert "stopped by SIGTERM after step" in message
