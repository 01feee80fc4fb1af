"""Trainings as processes of their own, for tests that do something to them: begun, watched, compared byte by byte.

A tiny network, of which a run takes a second, in every configuration that a checkpoint has to hold: the shipped
recipes, with and without validation images and averaged weights, on NumPy's and Numba's kernels.
"""

import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from minires.runs import checkpoint, records

RECIPES = ("digits", "adam", "he2015", "sgd-0.01", "finetune")
INSIDE = Path(__file__).with_name("inside.py")
STEPS, EVERY = 14, 4  # steps of a run, and between two evaluations


@dataclass(frozen=True)
class Configuration:
    """What a run is made with."""

    recipe: str
    kernels: str
    validation: bool
    ema: bool

    def __str__(self):
        words = [self.recipe, self.kernels, "validation" * self.validation, "ema" * self.ema]
        return "-".join([word for word in words if word])

    def arguments(self, out):
        settings = ["model.width=2", f"steps={STEPS}", f"evaluate_every={EVERY}", "checkpoint_every=1", "batch_size=32"]
        settings += ["keep_checkpoints=3", f"validation={300 * self.validation}", "augmentation=['crop']"]
        settings += ["ema_decay=0.9"] * self.ema
        settings += ["schedule.milestones=[6,10]"] * (self.recipe == "he2015")
        return ["train", "--recipe", self.recipe, "--kernels", self.kernels, "--out", str(out), "--set", *settings]


def configurations(kernels=("numpy", "numba")):
    return [Configuration(*choice) for choice in itertools.product(RECIPES, kernels, (False, True), (False, True))]


def environment():
    """The environment of a process: this source tree, and one thread for the products."""
    root = str(Path(checkpoint.__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1", "MINIRES_KERNELS": ""}


def start(arguments, inside=()):
    """Start `minires ARGUMENTS`; `inside`: what `inside.py` shall do to the process from within."""
    entry = [str(INSIDE), *map(str, inside), "--"] if inside else ["-m", "minires"]
    return subprocess.Popen(
        [sys.executable, *entry, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,  # a Ctrl-C at the one who tests is not for it
    )


def folder_in(out):
    """Return the one run's folder, None before there is one."""
    found = [path for path in Path(out).iterdir() if path.is_dir()] if Path(out).exists() else []
    assert len(found) <= 1, found
    return found[0] if found else None


def last_step(out):
    """Return the step of the newest checkpoint, -1 where there is none."""
    folder = folder_in(out)
    return max(checkpoint.steps_in(folder / "checkpoints"), default=-1) if folder else -1


def wait_until(condition, process, seconds=120):
    """Wait until something is so, or the process has ended, or time is up."""
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)


def phase(out, began_at):
    """Say what a process that was begun at a step was doing when it ended, by the files that it left."""
    folder = folder_in(out)
    if folder is None or not (folder / "config.json").exists():
        return "starting"
    if list((folder / "checkpoints").glob(".step-*")):
        return "checkpointing"
    if last_step(out) < 0:
        return "building"
    lines = records.read_jsonl(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
    done = lines[-1]["step"] if lines else 0
    if done <= max(began_at, 0):
        return "resuming"
    return "evaluating" if "loss" in lines[-1] and (done % EVERY == 0 or done == STEPS) else "training"


def outcome(folder):
    """Return all that two runs must have alike: checkpoints byte by byte, metrics and report but for the speed."""
    paths = sorted((folder / "checkpoints").glob("*.safetensors"))
    metrics = records.read_jsonl(folder / "metrics.jsonl")
    for record in metrics:
        record.pop("images_per_second", None)
    arguments = records.read_json(folder / "config.json")["arguments"]
    report = records.read_json(folder / "report.json")
    return {
        "checkpoints": {path.name: path.read_bytes() for path in paths},
        "metrics": metrics,
        "report": report,
        "arguments": arguments,
    }


def differences(one, other):
    """Name the parts in which two outcomes are not alike."""
    return [part for part in one if one[part] != other[part]]


def leftovers(folder):
    """List the hidden files that a finished run has left."""
    return [path.name for path in folder.rglob(".*") if path.name != ".lock"]


class References:
    """The outcomes of runs that nothing happened to, made when first asked for."""

    def __init__(self, folder):
        self.folder, self.known = Path(folder), {}

    def of(self, configuration):
        if configuration not in self.known:
            out = self.folder / f"whole-{configuration}"
            shutil.rmtree(out, ignore_errors=True)
            process = start(configuration.arguments(out))
            _, message = process.communicate(timeout=600)
            assert process.returncode == 0, message
            self.known[configuration] = outcome(folder_in(out))
            shutil.rmtree(out)
        return self.known[configuration]


def draws(*seeds):
    """Return a generator that depends on the seeds alone: which run gets what can be repeated."""
    return random.Random(repr(seeds))
