"""The files of a run's folder, read and checked by one function: `read(folder, "metrics.jsonl")`.

`FILES` says of each what it holds, and what to do where it holds something else: an error names the file, the line or
the key, and the cure. How the files are written is in `records`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minires.runs import records
from minires.runs.shapes import COUNT, EXPONENT, FLAG, NUMBER, SECTION, SHARE, TEXT, Maybe, OneOf, OrNull, check

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class RunFile:
    """What a file holds, of what shape, and how to have it right again. `also` checks what is between the values."""

    shape: Any
    cure: str
    also: Callable[[Any], None] = lambda content: None


class AtLine(ValueError):
    """What is wrong with a line or row, counted from 0."""

    def __init__(self, index: int, words: object) -> None:
        super().__init__(words)
        self.index = index


def read(folder: str | os.PathLike[str], name: str) -> Any:
    """Return what a file of a run's folder holds: a dict for .json, a list of dicts for .jsonl and .csv.

    name: one of `FILES`. A last line of metrics that was cut off, as by a kill, is left out.
    ValueError, naming the file, the place in it and the cure, where it is missing, no plain file, damaged, or holds a
    value of another kind than it must.
    """
    path, file = Path(folder) / name, FILES[name]
    try:
        if path.suffix == ".json":
            content = records.read_json(path)
            check(content, file.shape)
        elif path.suffix == ".jsonl":
            content = records.read_jsonl(path)
            check_rows(content, file.shape)
        else:
            content = parsed(records.read_csv(path), file.shape)
        file.also(content)
    except records.Damaged as error:
        raise ValueError(f"{error}; {file.cure}") from error
    except AtLine as error:
        line = error.index + (2 if path.suffix == ".csv" else 1)  # a table has a head
        raise ValueError(f"{path}, line {line}: {error}; {file.cure}") from error
    except records.Missing:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {file.cure}") from error
    return content


def check_rows(rows: Rows, shape: Any) -> None:
    for index, row in enumerate(rows):
        try:
            check(row, shape)
        except ValueError as error:
            raise AtLine(index, error) from error


def parsed(rows: list[dict[str, str]], shape: dict[str, Any]) -> Rows:
    """Return a table's rows with values in place of text. Its columns are those of the shape, in any order."""
    for index, row in enumerate(rows):
        if set(row) != set(shape):
            raise AtLine(index, f"the columns must be {', '.join(shape)}")
    typed: Rows = []
    for index, row in enumerate(rows):
        typed.append({})
        for name, cell in row.items():
            try:
                typed[-1][name] = shape[name].parse(cell)
            except ValueError:
                raise AtLine(index, f"{name} is {cell!r:.40}, and must be {shape[name].words}") from None
    check_rows(typed, shape)
    return typed


def check_order(rows: Rows) -> None:
    """Steps come one after the other, and so do evaluations."""
    last = {"loss": 0, "evaluation": -1}
    for index, row in enumerate(rows):
        kind = "loss" if "loss" in row else "evaluation"
        if row["step"] <= last[kind]:
            raise AtLine(index, f"step {row['step']} comes after step {last[kind]}")
        last[kind] = row["step"]


def check_numbering(rows: Rows) -> None:
    for index, row in enumerate(rows):
        if row["image"] != index:
            raise AtLine(index, f"image {row['image']} stands in the place of image {index}")


def check_networks(report: dict[str, Any]) -> None:
    """A comparison's networks that were measured say what they are, and have one figure a layer in all their runs."""
    for number, network in enumerate(report.get("networks", [])):
        if network["runs"]:
            check(network, SWITCHES, f"networks[{number}]")
        lengths = set()
        for run in network["runs"]:
            trained = run["trained"] or {"gradients": None, "moments": []}
            for norms in (run["initial"], trained["gradients"], *trained["moments"]):
                if norms:
                    lengths.add(tuple([len(norms[name]) for name in NORMS]))
        if len(lengths) > 1:
            raise ValueError(f"networks[{number}] has runs of different numbers of layers")


METRICS = OneOf({
    "loss": {"step": COUNT, "epoch": Maybe(COUNT), "loss": NUMBER, "accuracy": SHARE, "lr": NUMBER},
    "validation_loss": {"step": COUNT, "validation_loss": NUMBER, "validation_accuracy": SHARE, "epoch": Maybe(COUNT)},
    "test_loss": {"step": COUNT, "test_loss": NUMBER, "test_accuracy": SHARE, "epoch": Maybe(COUNT)},
})  # fmt: skip
NORMS = {"log10_grad_h": [EXPONENT], "log10_grad_w": [EXPONENT], "log10_relative_grad_w": [EXPONENT]}
TRAINED = {
    "losses": [NUMBER], "diverged_at": OrNull(COUNT), "test_accuracy": SHARE, "gradients": OrNull(NORMS),
    "moments": [{"step": COUNT, **NORMS}],
}  # fmt: skip
SWITCHES = {
    "name": TEXT, "depth": COUNT, "skip": OrNull(FLAG), "init": OrNull(TEXT), "norm": OrNull(TEXT),
    "activation": OrNull(TEXT), "lr": NUMBER, "label": TEXT,
    "classes": COUNT,
}  # fmt: skip
NETWORK = {"name": TEXT, "runs": [{"seed": COUNT, "initial": NORMS, "trained": OrNull(TRAINED)}]}
REPORT = OneOf({
    "networks": {
        "steps": COUNT, "data": TEXT, "batch_size": COUNT, "seeds": [COUNT], "trained_seeds": [COUNT],
        "networks": [NETWORK],
    },
    "experiment": {"experiment": TEXT, "settings": SECTION, "tables": SECTION, "verdict": TEXT},
    "model": {"model": TEXT, "parameters": Maybe(COUNT), "outcome": Maybe(TEXT), "steps": Maybe(COUNT)},
})  # fmt: skip
EVALUATION = {
    "data": TEXT, "part": TEXT, "images": COUNT, "step": COUNT, "loss": NUMBER, "accuracy": SHARE, "classes": [TEXT],
    "class_accuracy": SECTION,
}  # fmt: skip

FILES = {
    "config.json": RunFile(
        {"command": Maybe(TEXT), "arguments": {"finetune": Maybe({"source": TEXT})}},
        "put back a copy of it, or begin a new run",
    ),
    "metrics.jsonl": RunFile(METRICS, "mend that line or delete it", check_order),
    "report.json": RunFile(
        REPORT,
        "minires train --resume RUN writes a training's anew, minires compare or lab makes another",
        check_networks,
    ),
    "evaluation.json": RunFile(EVALUATION, "minires evaluate RUN writes it anew"),
    "predictions.csv": RunFile(
        {"image": COUNT, "label": TEXT, "prediction": TEXT, "probability": SHARE},
        "minires evaluate RUN writes it anew",
        check_numbering,
    ),
}
