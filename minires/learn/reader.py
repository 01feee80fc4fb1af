"""The reader's folder: the files of the exercises, and how far the reader is (`progress.json`)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minires.learn.answer import MadeFloat64, ReadersError
from minires.learn.examiner import Wrong, describe_crash
from minires.learn.exercise import Exercise
from minires.learn.isolation import Isolated

FOLDER = "my_minires"


def write_exercise(exercise: Exercise, folder: Path) -> Path:
    """Write the file with the gaps; ValueError if it is there already."""
    path = exercise.path(folder)
    if path.exists():
        raise ValueError(f"{path} is there already, and stays as it is; to begin again, move it away first")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(exercise.text, encoding="utf-8")
    return path


def open_answer(exercise: Exercise, folder: Path) -> Isolated:
    """Return the reader's file, to be run in a process of its own; ValueError if there is none."""
    path = exercise.path(folder)
    if not path.exists():
        raise ValueError(f"{path} is not there; `minires learn {exercise.chapter}` writes it")
    return Isolated(exercise, path)


def examine(exercise: Exercise, mine: Any, seed: int = 0, names: Sequence[str] = ()) -> Iterator[str]:
    """Yield what is right, line by line; `Wrong` at the first thing that is not, or where the reader's code crashes.

    mine: what `open_answer` or `answer.answer_of` gives. names: the functions to examine; all, where none is given.
    """
    try:
        for name in names or exercise.names:
            yield from exercise.checks[name](mine, seed)
    except Wrong:
        raise
    except ReadersError as error:
        raise Wrong(f"it stops at {error}") from error
    except MadeFloat64 as error:
        raise Wrong(f"float32 came in, and float64 goes out: {error}") from error
    except Exception as error:
        raise Wrong(f"it stops at {describe_crash(error, '')}") from error


def read_progress(folder: Path) -> dict[str, Any]:
    """Return {"7": {"passed": true, "hints": 2}, …}; empty where there is none. ValueError for a damaged file."""
    path = folder / "progress.json"
    if not path.exists():
        return {}
    try:
        progress = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(entry, dict) for entry in progress.values()):
            raise ValueError("not a table of chapters")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); delete it: only the marks are lost, not your files"
        ) from error
    return progress


def note(folder: Path, chapter: int, **facts: Any) -> None:
    """Write facts about a chapter into progress.json."""
    progress = read_progress(folder)
    progress[str(chapter)] = {**progress.get(str(chapter), {}), **facts}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(progress, indent=2, sort_keys=True)
    (folder / "progress.json").write_text(text + "\n", encoding="utf-8")
