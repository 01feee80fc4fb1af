"""The formats of the files that a run leaves: JSON, lines of JSON, and tables of comma-separated values.

Every whole file is written beside its place and moved there, so a reader never sees half of one. JSON knows no NaN and
no infinity: those numbers are written as null.
"""

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, atomically: whatever goes wrong, power included, there is the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name itself is on the disk only when the folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    text = json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any:
    """Read a JSON file. ValueError, naming the file, where it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{path.parent} holds no {path.name}: no run folder, or the run did not get that far"
        if not path.parent.is_dir():
            message = f"there is no folder {path.parent}; give a run's folder, such as those in runs/"
        raise ValueError(message) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error})") from error


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records with the same keys as a table with one header line, atomically; None as an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if records:
        writer.writerow(records[0])
    for record in records:
        writer.writerow(finite(record).values())
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table with a header line; its values are text. ValueError where the file is missing or is no table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except FileNotFoundError as error:
        raise ValueError(f"{path.parent} holds no {path.name}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no table ({error})") from error


def sync(path: Path) -> None:
    """Have the operating system put what was written to a file, if there is one, onto the disk."""
    if path.exists():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line of JSON to a file. A run that is killed loses no line that was added."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a JSON-lines file; a last line that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def truncate_jsonl(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Leave out the lines that `keep` does not keep, and a last line that was cut off; no file is like an empty one."""
    kept = [record for record in read_jsonl(path) if keep(record)] if path.exists() else []
    text = "".join([json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in kept])
    write_bytes(path, text.encode())


def finite(content: Any) -> Any:
    """Return plain Python data with NumPy's numbers as Python's, and None for NaN and infinity."""
    if isinstance(content, Mapping):
        return {str(key): finite(value) for key, value in content.items()}
    if isinstance(content, str) or content is None:
        return content
    if isinstance(content, np.ndarray | np.generic):
        return finite(content.tolist())
    if isinstance(content, Iterable):
        return [finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
