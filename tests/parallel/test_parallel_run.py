"""`mpiexec -n 4 minires train`: one folder, resumed with any number of processes, and ended by the death of any."""

import signal
import time

import pytest
from several_processes import start

from minires.runs import checkpoint, records

SETTINGS = ["--model", "wide_resnet", "--set", "model.depth=10", "model.width=1", "batch_size=16", "evaluate_every=4"]
NORMLESS = ["model.norm=none", "optimizer.lr=0.01", "warmup.steps=0", "schedule.name=constant"]

# The command in which one process does something at a step of its training.
AT_STEP = """
import os, signal, sys
from minires.parallel.trainer import ParallelTrainer
from minires.parallel import run
step_of = ParallelTrainer.train_step
def train_step(self, images, labels):
    if (self.processes.rank, self.step) == (int(sys.argv[1]), 6):
        ACTION
    return step_of(self, images, labels)
ParallelTrainer.train_step = train_step
from minires.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def run_folder(out):
    (folder,) = out.iterdir()
    return folder


def losses(folder):
    log = records.read_jsonl(folder / "metrics.jsonl")
    return {record["step"]: record["loss"] for record in log if "loss" in record}


def test_a_run_of_four_goes_on_with_two_and_with_one(mpiexec, tmp_path):
    """Without batch norm the numbers are those of one process all along: the same batches in the same order."""
    out, alone = tmp_path / "several", tmp_path / "alone"
    code, output, errors = mpiexec(4, "train", "--out", str(out), *SETTINGS, "steps=4", *NORMLESS)
    assert code == 0, errors
    folder = run_folder(out)
    assert "4 processes, each with its share of 16 images" in errors
    assert errors.count("epoch 1: test accuracy") == 1 and output.count("report.json") == 1  # process 0 alone speaks
    for number, steps in ((2, 8), (1, 12)):
        code, output, errors = mpiexec(number, "train", "--resume", str(folder), "--set", f"steps={steps}")
        assert code == 0 and f"goes on after step {steps - 4}" in errors, errors
    code, _, errors = mpiexec(1, "train", "--out", str(alone), *SETTINGS, "steps=12", *NORMLESS)
    assert code == 0, errors
    one = losses(run_folder(alone))
    assert losses(folder) == pytest.approx(one, rel=1e-4) and len(one) == 12
    report, expected = (records.read_json(each / "report.json") for each in (folder, run_folder(alone)))
    for key in ("model", "parameters", "outcome", "steps", "best_step"):
        assert report[key] == expected[key]
    assert report["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-3)


@pytest.mark.parametrize(
    "rank, action, message",
    [
        (1, "os.kill(os.getpid(), signal.SIGKILL)", "BAD TERMINATION"),
        (0, "os.kill(os.getpid(), signal.SIGKILL)", "BAD TERMINATION"),
        (1, "raise OSError('the disk is full')", "process 1 of 2 ends the training: the disk is full"),
        (1, "sys.exit(0)", "process 1 of 2 ends the training: 0"),
    ],
)
def test_a_process_that_dies_ends_the_others_and_leaves_a_run_that_goes_on(mpiexec, tmp_path, rank, action, message):
    script = AT_STEP.replace("ACTION", action)
    arguments = [str(rank), "train", "--out", str(tmp_path), *SETTINGS, "steps=100000", "checkpoint_every=2"]
    code, output, errors = mpiexec(2, *arguments, script=script)
    assert code != 0 and message in output + errors
    folder = run_folder(tmp_path)
    assert f"minires train --resume {folder}" in errors
    last = checkpoint.steps_in(folder / "checkpoints")[-1]
    assert last in (4, 6)  # process 0 may have been writing that of step 6
    if "KILL" in action:
        code, _, errors = mpiexec(2, "train", "--resume", str(folder), "--set", "steps=8")
        assert code == 0 and f"goes on after step {last}" in errors, errors


def test_a_signal_stops_all_after_the_same_step(mpiexec, tmp_path):
    process = start(2, "train", "--out", str(tmp_path), *SETTINGS, "steps=100000", "checkpoint_every=100000",
                    "evaluate_every=100000")  # fmt: skip
    while not list(tmp_path.glob("*/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert "stopped by SIGTERM after step" in errors and errors.count("stopped by") == 1
    folder = run_folder(tmp_path)
    last = max(losses(folder))
    assert checkpoint.steps_in(folder / "checkpoints")[-1] == last and process.returncode == 128 + signal.SIGTERM
    code, _, errors = mpiexec(2, "train", "--resume", str(folder), "--set", f"steps={last + 1}")
    assert code == 0, errors


def test_a_training_that_diverges_is_told_by_the_process_that_saw_it(mpiexec, tmp_path):
    script = AT_STEP.replace("ACTION", "images[0] = float('nan')")
    arguments = ["1", "train", "--out", str(tmp_path), *SETTINGS, "steps=9"]
    code, _, errors = mpiexec(2, *arguments, script=script)
    assert code == 1 and errors.count("the training has diverged in step 7") == 1, errors
    assert "the input, 64 NaN" in errors and "look for it in the data" in errors
    assert "diverged" in records.read_json(run_folder(tmp_path) / "report.json")["outcome"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "steps=x"], "steps must be a whole number"),
        (["--set", "class_weights=[1,1,1,1,1,1,1,1,1,2]"], "class_weights do not go with several processes"),
        (["--set", "batch_size=1"], "a batch of 1 images has none for some of 2 processes"),
        (["--resume", "nowhere"], "there is no folder nowhere"),
        (["--out", "/dev/null/runs", *SETTINGS], "cannot write to the output folder"),
    ],
)
def test_an_error_before_the_training_is_told_once_and_ends_all(mpiexec, tmp_path, arguments, message):
    code, output, errors = mpiexec(2, "train", "--out", str(tmp_path), *arguments)
    assert code == 2 and errors.count(message) == 1, errors
    assert not list(tmp_path.iterdir())


def test_dropout_draws_apart_in_each_process(mpiexec):
    script = """
from minires import nn
from minires.parallel.processes import all_processes
from minires.parallel.trainer import draw_apart
processes, model = all_processes(), nn.Sequential(nn.Dropout(0.5, seed=0))
before = model[0].generator.bit_generator.state
draw_apart(model, processes.rank)
assert (model[0].generator.bit_generator.state == before) == (processes.rank == 0)
numbers = processes.told_to_all(int(model[0].generator.integers(2**40)))
assert len(set(numbers)) == processes.size == 3
"""
    code, _, errors = mpiexec(3, script=script)
    assert code == 0, errors


def test_processes_with_different_weights_do_not_begin(mpiexec, tmp_path):
    script = """
import sys
from minires import runs
from minires.parallel import run
build = runs.build
def of_different_seeds(recipe):
    recipe.seed += int(__import__("mpi4py.MPI").MPI.COMM_WORLD.rank)
    return build(recipe)
runs.build = of_different_seeds
from minires.cli.main import main
sys.exit(main())
"""
    code, _, errors = mpiexec(2, "train", "--out", str(tmp_path), *SETTINGS, script=script)
    assert code == 2 and "the processes have different weights" in errors
