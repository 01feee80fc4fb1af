"""Complete training state in one file: safetensors for the arrays, one JSON string for the rest, nothing pickled.

    checkpoint.save(folder, 1200, state)        # folder/step-001200.safetensors, all of it or nothing
    state, environment = checkpoint.load(checkpoint.newest(folder))

A state is a dict of dicts, of any depth, with arrays and plain JSON values at its ends: what the `state_dict()`s of
model, optimizer and schedule give, the states of random generators, the place in the data. In the file an array is
named by its path, "model/layer1.0.conv1.weight"; the rest stands beside them. `checkpoint_file` has the bytes, and the
checksum that covers them all.
"""

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minires import __version__
from minires.data.disk import read_plain, reason_of
from minires.kernels import Array, kernels_for
from minires.kernels.devices import to_device
from minires.runs import records
from minires.runs.checkpoint_file import FORMAT_VERSION, Damaged, decode, encode

State = dict[str, Any]

HARMLESS = ("numba threads",)  # results are the same to the last bit for any number of them


def save(folder: Path, step: int, state: Mapping[str, Any], array: Array | None = None) -> Path:
    """Write `folder/step-NNNNNN.safetensors` and return its path.

    Written beside its place, synced to the disk and moved there: whatever happens, a file of that name is whole.
    array: one that the training computes with, for the kernels and threads that the file records.
    TypeError, before anything is written, for a state that no file can hold; OSError where the disk is full or the
    folder cannot be written to.
    """
    arrays: dict[str, Array] = {}
    rest = take_arrays(state, "", arrays)
    content = encode(arrays, {"environment": environment(array), "state": rest})
    path = folder / f"step-{step:06d}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, content)
    except OSError as error:
        message = f"cannot write the checkpoint {path} ({reason_of(error)}); those written before it are whole"
        raise OSError(error.errno, message) from error
    return path


def load(path: Path) -> tuple[State, dict[str, Any]]:
    """Read a checkpoint: the state it was saved with, and the environment (versions, kernels, threads) it was saved in.

    ValueError, naming the file and the cure, where it is missing, cut off, damaged, no checkpoint, or of a newer format
    version. Nothing is made of the bytes before their checksum is right; in format 1 it covers the arrays alone.
    """
    try:
        arrays, about = decode(read_plain(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"checkpoint: there is no {path}") from error
    except Damaged as error:
        raise damaged(path, error) from error
    if not about:
        raise ValueError(f"checkpoint: {path} holds arrays, but it is no training checkpoint of MiniRes")
    if about["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"checkpoint: {path} has format version {about['format_version']}, written by MiniRes "
            f"{about['environment']['minires']}; this is MiniRes {__version__}, which reads up to {FORMAT_VERSION}: "
            "update it"
        )
    state = about["state"]
    try:
        for name, array in arrays.items():
            *parents, last = name.split("/")
            inner = state
            for parent in parents:
                inner = inner[parent]
            inner[last] = array
    except (KeyError, TypeError) as error:
        raise damaged(path, f"its state has no place for {name}") from error
    return state, about["environment"]


def damaged(path: Path, reason: object) -> ValueError:
    """Return the error for a checkpoint that cannot be used, with what to do."""
    steps = [str(step) for step in steps_in(path.parent) if path != path.parent / f"step-{step:06d}.safetensors"]
    cure = f"the checkpoints of steps {', '.join(steps)} are left" if steps else "there is no other: begin a new run"
    return ValueError(f"checkpoint: {path} is damaged: {reason}. Delete it; {cure}")


def take_arrays(state: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return a state without its arrays, which are put into `arrays` under their paths, on the CPU and C-contiguous."""
    if not isinstance(state, Mapping):
        return state
    rest = {}
    for key, value in state.items():
        if not isinstance(key, str) or "/" in key:
            raise TypeError(f"checkpoint: the key {key!r} at {path or 'the top'} must be a string without '/'")
        here = f"{path}/{key}" if path else key
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            arrays[here] = np.asarray(to_device(value, "cpu"), order="C")  # safetensors garbles any other order
        elif isinstance(value, Mapping):
            rest[key] = take_arrays(value, here, arrays)
        else:
            rest[key] = plain(value, here)
    return rest


def plain(value: Any, path: str) -> Any:
    """Return what JSON can hold as it is; TypeError for anything else."""
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"checkpoint: {path} is a {type(value).__name__}, which no file can hold ({error})") from error
    return value


def environment(array: Array | None = None) -> dict[str, Any]:
    """What the last bit of a sum depends on, besides the state: versions, kernels, vectors, threads, machine."""
    import threadpoolctl

    kernels = kernels_for(np.empty(0) if array is None else array)
    threads = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    about = {
        "minires": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "kernels": kernels.__name__.rpartition(".")[2].removesuffix("_kernels"),
        "threads": max(threads, default=1),
    }
    return about | (kernels.settings() if hasattr(kernels, "settings") else {})


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say, of each thing that is different now, what it does to a training that goes on: "resumed, but not bit for bit
    as it was: kernels: numba then, numpy now"."""
    names = [*saved, *[name for name in now if name not in saved]]
    remarks = []
    for name in [name for name in names if saved.get(name) != now.get(name)]:
        words = f"{name}: {saved.get(name, 'not recorded')} then, {now.get(name, 'none')} now"
        if name in HARMLESS and name in saved and name in now:
            remarks.append(f"resumed with other {words}, and the same results")
        elif name not in HARMLESS:
            remarks.append(f"resumed, but not bit for bit as it was: {words}; the last digits may differ")
    return remarks


def steps_in(folder: Path) -> list[int]:
    """List the steps of which a folder holds a checkpoint, in rising order."""
    names = [path.stem.removeprefix("step-") for path in folder.glob("step-*.safetensors")]
    return sorted([int(name) for name in names if name.isdigit()])


def path_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies. ValueError, listing those there are, where there is none."""
    path = folder / f"step-{step:06d}.safetensors"
    if not path.exists():
        known = ", ".join([str(known) for known in steps_in(folder)]) or "none"
        raise ValueError(f"checkpoint: {folder} holds none of step {step}; there are: {known}")
    return path


def newest(folder: Path) -> Path:
    """Return the path of the last checkpoint in a folder. ValueError where there is none."""
    steps = steps_in(folder)
    if not steps:
        raise ValueError(f"checkpoint: {folder} holds none, so there is nothing to go on from: begin a new run")
    return path_of(folder, steps[-1])


def prune(folder: Path, keep: int, best: int | None = None) -> None:
    """Delete all checkpoints but the last `keep` and the one of step `best`."""
    steps = steps_in(folder)
    for step in steps[: max(0, len(steps) - keep)]:
        if step != best:
            path_of(folder, step).unlink()


def remove_leftovers(folder: Path) -> None:
    """Delete what a process that was killed while it wrote has left behind. Only for the one that holds the lock."""
    for path in folder.glob(".step-*"):
        path.unlink()
