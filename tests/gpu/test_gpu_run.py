"""The GPU run, rehearsed without one: its steps give what they should, and one that fails is a line like another."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minires.kernels import devices

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_run.py"
SPEC = importlib.util.spec_from_file_location("gpu_run", SCRIPT)
gpu_run = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gpu_run)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_run_on_the_emulation(tmp_path):
    if shutil.which("g++") is None:
        if os.environ.get("CI"):
            pytest.fail("g++ is missing, and the gate skips nothing: it builds the GPU kernels for the CPU")
        pytest.skip("g++ is missing, which builds the GPU kernels for the CPU")
    out = tmp_path / "run.jsonl"
    command = [sys.executable, str(SCRIPT), "--emulate", "--seconds", "560", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = {line["step"]: line for line in lines_of(out)}
    assert done.returncode == 0 and list(lines) == ["b", "d", "e"], lines
    assert all(line["outcome"] == "done" and line["emulated"] for line in lines.values())
    assert "passed" in lines["b"]["result"]
    assert lines["d"]["result"]["largest_relative_difference"] < 1e-6 and lines["d"]["result"]["gradients"] > 0
    result = lines["e"]["result"]
    assert result["float64_steps"] == 20 and result["float64_relative"] < 1e-12
    assert result["float32_first_relative"] < 1e-5 and result["fast_steps"] == 3


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the script with other commands for its steps; return its exit code and the lines it has written."""

    def with_commands(commands, *arguments):
        monkeypatch.setattr(gpu_run, "all_steps", lambda emulate: list(commands))
        monkeypatch.setattr(
            gpu_run, "command_of", lambda step, emulate: ([sys.executable, "-c", commands[step][0]], commands[step][1])
        )
        out = tmp_path / "run.jsonl"
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--emulate", "--out", str(out), *arguments])
        return gpu_run.main(), lines_of(out)

    return with_commands


def test_a_step_that_fails_and_one_that_takes_too_long_are_kept_and_the_others_go_on(run, tmp_path):
    child = f"import time; time.sleep(3); open({str(tmp_path / 'alive')!r}, 'w')"
    endless = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    code, lines = run(
        {
            "a": ("print('a doctor')", 60),
            "d": ("raise AssertionError('a layer differs')", 60),
            "f": (f"print('begun', flush=True); {endless}", 1),
            "e": ("print('words'); print('{\"figure\": 1}')", 60),
        }
    )
    assert code == 1
    assert [(line["step"], line["outcome"]) for line in lines] == [
        ("a", "done"), ("d", "failed"), ("f", "took too long"), ("e", "done"),
    ]  # fmt: skip
    assert "AssertionError: a layer differs" in lines[1]["output"] and lines[1]["rc"] == 1
    assert "begun" in lines[2]["output"]
    assert lines[3]["result"] == {"figure": 1}
    time.sleep(3)
    assert not (tmp_path / "alive").exists()  # what the step had started was ended with it


def test_a_step_for_which_no_time_is_left_is_a_line_too(run):
    code, lines = run({"a": ("print(1)", 60)}, "--seconds", "0")
    assert code == 1 and lines == [{"step": "a", "outcome": "no time left", "emulated": True}]


def test_only_some_steps(run):
    code, lines = run({"a": ("print(1)", 60), "b": ("print(2)", 60)}, "--only", "b")
    assert code == 0 and [line["step"] for line in lines] == ["b"]


def test_without_a_gpu_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "gpu_problem", lambda: "there is none")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--out", str(tmp_path / "run.jsonl")])
    with pytest.raises(SystemExit, match="there is none; --emulate does what can be done without"):
        gpu_run.main()
    assert not list(tmp_path.iterdir())


def test_every_step_has_a_command_within_the_time_of_the_run():
    limits = [gpu_run.command_of(step, emulate=False)[1] for step in gpu_run.all_steps(emulate=False)]
    assert sum(limits) <= 600 and len(limits) == 13
    for step in gpu_run.all_steps(emulate=False):
        command, _ = gpu_run.command_of(step, emulate=False)
        assert command[0] == sys.executable
        if command[1].endswith(".py"):
            assert (SCRIPT.parents[1] / command[1]).exists()
