"""A run's folder, `runs/<time>-<command>-<model>/`: begun, held by one process at a time, and read again."""

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import minires
from minires import kernels
from minires.data.disk import naming, reason_of, sweep
from minires.nn import Module
from minires.runs import checkpoint, records
from minires.runs.building import build_model
from minires.runs.recipe import Recipe
from minires.runs.run_files import FILES, read

# What may be changed when a run goes on: all else would make it another training.
CHANGEABLE = ("epochs", "steps", "evaluate_every", "checkpoint_every", "keep_checkpoints")


def new_run(out: str | Path, command: str, model: str, arguments: Mapping[str, Any]) -> Path:
    """Make the folder of a new run below `out`, write its config.json, and return the folder.

    config.json holds the command, its arguments, and the versions that the figures depend on. OSError, naming `out`,
    where nothing can be written: call this before the work.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{command}-{model}"
    config = {
        "command": command,
        "arguments": arguments,
        "kernels": kernels.in_use(),
        "minires": minires.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        sweep_unborn(Path(out))
        folder = _new_folder(Path(out), name)
        records.write_json(folder / "config.json", config)
    except OSError as error:
        message = f"cannot write to the output folder {str(out)!r} ({reason_of(error)}); choose another with --out"
        raise OSError(error.errno, message) from error
    return folder


def sweep_unborn(out: Path) -> None:
    """Delete the beginnings of runs that were killed before their config.json was whole."""
    for folder in {path.parent for path in out.glob("*/.config.json.*")}:
        sweep(folder, "config.json")
        with suppress(OSError):  # something else is in it
            folder.rmdir()


def _new_folder(out: Path, name: str) -> Path:
    """Make a folder that was not there: a second run in the same second gets a number."""
    folder, number = out / name, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = out / f"{name}-{number}"
        else:
            return folder


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder while the block runs, and sweep what a killed one left in it.

    The operating system holds the lock and drops it with the process, however that ends. RuntimeError where another
    process has it. Windows has no such lock: there nothing is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            message = f"another process ({file.read().strip()}) is writing to {folder}; wait for it, or stop it first"
            raise RuntimeError(message) from error
        with naming(folder / ".lock"):
            file.truncate(0)
            file.write(f"pid {os.getpid()}")
            file.flush()
        sweep(folder)
        yield


def read_recipe(folder: str | os.PathLike[str]) -> Recipe:
    """Return the recipe a run was started with, its data set known. ValueError for a folder that is no training's."""
    config = read(folder, "config.json")
    path = Path(folder) / "config.json"
    if "dataset" not in config["arguments"]:
        raise ValueError(f"{folder} is a run of `minires {config.get('command')}`, not of a training ({path} says so)")
    try:
        recipe = Recipe.from_dict(config["arguments"])
        if recipe.steps < 1:  # a run has counted its steps before it began
            raise ValueError("steps must be at least 1")
        return recipe
    except (TypeError, ValueError) as error:
        cure = FILES["config.json"].cure
        raise ValueError(f"{path} holds no recipe that this MiniRes knows: {error}; {cure}") from error


def check_configuration(folder: str | os.PathLike[str], recipe: Recipe, path: Path, state: Mapping[str, Any]) -> None:
    """Compare a run's config.json with the configuration that a checkpoint holds, under its checksum.

    CHANGEABLE values may differ, and where the data and the device are. ValueError that names what else does.
    """
    saved = state.get("configuration")
    if not isinstance(saved, dict):
        return
    now, saved = flattened(recipe.to_dict()), flattened(saved)
    names = [name for name in {**saved, **now} if name.partition(".")[0] not in (*CHANGEABLE, "device", "data")]
    different = [name for name in names if saved.get(name) != now.get(name)]
    if different:
        name = different[0]
        then, here = (f"{name} = {values[name]}" if name in values else f"no {name}" for values in (saved, now))
        raise ValueError(
            f"{Path(folder) / 'config.json'} has {here}, and the checkpoint {path.name} was written with {then}; "
            f"{FILES['config.json'].cure}"
        )


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"optimizer.lr": 0.1, …}."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


@contextmanager
def as_configured(folder: str | os.PathLike[str]) -> Iterator[None]:
    """In its block an error is one of what config.json says, such as a data set that is not there, and names it."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        error.add_note(f"the run's data and device stand in {Path(folder) / 'config.json'}")
        raise


def load_model(folder: str | os.PathLike[str], which: str = "best") -> tuple[Module, Recipe, int]:
    """Return a run's trained model, in evaluation mode, the run's recipe, and the step the weights are from.

    which: "best", by the evaluations; "last"; or the number of a step. Averaged weights where the run kept an average.
    ValueError for a folder or checkpoint that is not there, is damaged or does not fit.
    """
    recipe = read_recipe(folder)
    checkpoints = Path(folder) / "checkpoints"
    if which not in ("best", "last") and not which.isdecimal():
        raise ValueError(f"load_model: which must be best, last or the number of a step, not {which!r}")
    path = checkpoint.path_of(checkpoints, int(which)) if which.isdecimal() else checkpoint.newest(checkpoints)
    state, _ = checkpoint.load(path)
    try:
        if which == "best" and state["best"] and state["best"]["step"] != state["step"]:
            path = checkpoint.path_of(checkpoints, state["best"]["step"])
            state, _ = checkpoint.load(path)
        weights, step = state["ema"]["averages"] if state["ema"] else state["model"], state["step"]
    except (KeyError, TypeError) as error:  # only in format 1 is the state unchecked
        raise checkpoint.damaged(path, f"its state is not the one that was saved ({error!r})") from error
    check_configuration(folder, recipe, path, state)
    model = build_model(recipe)
    model.load_state_dict(weights)
    return model.eval(), recipe, step
