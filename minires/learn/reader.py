"""The reader's folder: the files of the exercises, and how far the reader is (`progress.json`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from minires.learn.examiner import Wrong, describe_crash
from minires.learn.exercise import Exercise

FOLDER = "my_minires"


def write_exercise(exercise: Exercise, folder: Path) -> Path:
    """Write the file with the gaps; ValueError if it is there already."""
    path = exercise.path(folder)
    if path.exists():
        raise ValueError(f"{path} is there already, and stays as it is; to begin again, move it away first")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(exercise.text, encoding="utf-8")
    return path


def load(exercise: Exercise, folder: Path) -> ModuleType:
    """Run the reader's file and return its module; `Wrong` if it cannot be run or lacks a name."""
    path = exercise.path(folder)
    if not path.exists():
        raise ValueError(f"{path} is not there; `minires learn {exercise.chapter}` writes it")
    mine = ModuleType(path.stem)
    mine.__file__ = str(path)
    try:
        # Compiled here and not imported: the import system would keep compiled files and answers of a second ago.
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), mine.__dict__)
    except Exception as error:
        raise Wrong(f"{path.name} cannot be run: {describe_crash(error, str(path))}") from error
    for name in exercise.names:
        if not hasattr(mine, name):
            raise Wrong(f"{path.name} does not define {name}")
    return mine


def examine(exercise: Exercise, mine: ModuleType) -> Iterator[str]:
    """Yield what is right, line by line; `Wrong` at the first thing that is not, or where the reader's code crashes."""
    try:
        yield from exercise.check(mine)
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(f"it stops at {describe_crash(error, mine.__file__ or '')}") from error


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
