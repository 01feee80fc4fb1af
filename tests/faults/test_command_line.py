"""The command between shell and terminal: wrong calls, streams closed, full or left, Ctrl-C, a strange clock."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minires import models, optim
from minires.cli.main import COMMANDS, main
from minires.data import Loader
from minires.observe import profiling
from minires.training import Trainer

ENVIRONMENT = {**os.environ, "MINIRES_KERNELS": "numpy", "PYTHONUNBUFFERED": ""}
needs_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other shells, signals and devices")
QUICK = {  # of each command that says something, a call that is soon done
    "learn": [],
    "gradcheck": ["--op", "relu"],
    "train": ["--set", "steps=1", "model.width=2", "batch_size=8"],
    "bench": ["--set", "model.width=2", "--batch-size", "1", "--rounds", "1"],
}


def shell(command, folder, **options):
    """Run a line of sh in a folder, where `minires` is this command; return its exit code and what it said."""
    line = f'minires() {{ "{sys.executable}" -m minires "$@"; }}; {command}'
    result = subprocess.run(["sh", "-c", line], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, encoding="utf-8", **options)  # fmt: skip
    return result.returncode, result.stdout, result.stderr


@needs_posix
def test_random_argument_lists(tmp_path):
    """In a process of its own, since calls are interrupted anywhere, also while a library is loaded."""
    fuzzer = Path(__file__).with_name("command_line_fuzzer.py")
    result = subprocess.run([sys.executable, fuzzer, "60", "3", "0.3"], cwd=tmp_path, env=ENVIRONMENT,
                            capture_output=True, text=True, encoding="utf-8")  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    *wrong, counts = result.stdout.splitlines()
    assert not wrong and "refused" in counts


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_call_is_told_where_help_is(name, capsys):
    assert main([name, "--no-such-option", "1\n2"]) == 2
    printed, said = capsys.readouterr()
    assert printed == "" and said.startswith(f"minires {name}: ")
    assert said.splitlines()[1:] == [f"usage: minires {name} --help"]


@needs_posix
@pytest.mark.parametrize("name", ["learn", "gradcheck", "train"])
def test_closed_and_full_output(name, tmp_path):
    """`>&-` is no reason to fail; a full device is one, and is named."""
    arguments = " ".join([name, *QUICK[name]])
    code, _, said = shell(f"minires {arguments} >&- && minires {arguments} >&- 2>&- <&-", tmp_path)
    assert code == 0 and "Traceback" not in said, said
    if Path("/dev/full").exists():
        code, _, said = shell(f"minires {arguments} > /dev/full", tmp_path)
        assert code == 1, said
        message = "the output cannot be written (No space left on device); send it elsewhere, or make room"
        assert said.splitlines()[-1] == f"minires {name}: {message}"


@needs_posix
@pytest.mark.parametrize("arguments", ["--help", "gradcheck --op relu"])
def test_a_reader_that_leaves(arguments, tmp_path):
    code, _, said = shell(f"(minires {arguments}; echo code $? >&2) | head -c 1", tmp_path)
    assert code == 0 and said.strip() in ("code 141", "code 0")  # 0: all was written before the reader left


@needs_posix
def test_messages_to_a_reader_that_left(tmp_path):
    code, printed, said = shell("(minires train --set steps=x; echo code $?) 2>&1 >&3 | head -c 0", tmp_path)
    assert "Traceback" not in printed + said


@needs_posix
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4])
def test_ctrl_c_while_libraries_are_loaded(delay, tmp_path):
    """From the first line of the package on, an interrupt has no traceback, wherever it comes."""
    command = [sys.executable, "-X", "importtime", "-m", "minires", "debug", "--html", "page.html"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while "minires.program" not in process.stderr.readline():  # before that, it is Python that is loaded
            assert process.poll() is None
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
    assert process.returncode in (130, -signal.SIGINT, 0)


@needs_posix
def test_doctor_fits_into_a_narrow_terminal(monkeypatch, capsys):
    for columns in (40, 60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["doctor"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max([len(line) for line in lines]) <= columns
        assert "threadpoolctl" in " ".join(lines)


class Clock:
    """A clock that goes on by so much each time it is read."""

    def __init__(self, step):
        self.step, self.now = step, 1000.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize("step", [0.0, -0.5], ids=["frozen", "backward"])
def test_a_strange_clock(step, tmp_path, monkeypatch, capsys):
    clock = Clock(step)
    for name in ("perf_counter", "monotonic", "time"):
        monkeypatch.setattr(time, name, clock)
    monkeypatch.chdir(tmp_path)
    for name in ("train", "bench"):
        assert main([name, "--kernels", "numpy", *QUICK[name]]) == 0, capsys.readouterr().err
    model = models.make("resnet20", width=2, seed=0)
    sgd = optim.SGD(model.parameters(), 0.1)
    images, labels = np.zeros((2, 3, 8, 8), np.float32), np.array([0, 1])
    profile = profiling.profile_step(model, sgd, images, labels, 1)
    assert "optimizer" in profiling.profile_text(profile, profiling.measured_peak(1))
    records = []
    Trainer(model, Loader(images, labels, 2), sgd).train(1, records.append)
    assert records[0]["images_per_second"] is None
