"""The formats of the files that a run leaves: JSON, lines of JSON, and tables of comma-separated values.

Every whole file is written beside its place and moved there, so a reader never sees half of one. JSON knows no NaN and
no infinity: those numbers are written as null. Only formats are read here: `run_files` knows what each file must hold.
"""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minires.data.disk import naming, read_plain, temporary_name


class Damaged(ValueError):
    """A file that is there, but not in its format; the message names it."""


class Missing(ValueError):
    """A file that is not there; the message says what to do."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, atomically: whatever goes wrong, power included, there is the old file or the new one.

    OSError, naming the file and the cure, where it cannot be written.
    """
    temporary = temporary_name(path)
    with naming(path):
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
    """Read a JSON file. `Missing`, or `Damaged` where it is no JSON."""
    return parse_json(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a plain file of UTF-8. `Missing`, or `Damaged` where it is something else, with the line."""
    try:
        content = read_plain(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{path.parent} holds no {path.name}: no run folder, or the run did not get that far"
        if not path.parent.is_dir():
            message = f"there is no folder {path.parent}; give a run's folder, such as those in runs/"
        raise Missing(message) from error
    except ValueError as error:
        raise Damaged(str(error)) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Damaged(f"{path}, line {line}: there are bytes that are no UTF-8") from error


def parse_json(text: str, place: str) -> Any:
    """Return a JSON text as plain values. `Damaged`, with the place, where it is none, or no text can be made of it."""
    try:
        content = json.loads(text, parse_constant=refuse_constant)
        if re.search(r"\\u[dD][89a-fA-F]", text):  # half a character: nothing can print it
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f" at line {error.lineno}" if "\n" in text else ""
        raise Damaged(f"{place} is not JSON ({error.msg}{line})") from error
    except UnicodeEncodeError as error:
        raise Damaged(f"{place} is not JSON (half of a character)") from error
    except ValueError as error:
        raise Damaged(f"{place} is not JSON ({error})") from error
    except RecursionError as error:
        raise Damaged(f"{place} is not JSON that can be read (too many brackets in brackets)") from error
    return content


def refuse_constant(name: str) -> None:
    raise ValueError(f"it knows no {name}")


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
    """Read a table with a header line; its values are text. `Missing`, or `Damaged` where it is no table."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        head, *rows = [row for row in reader if row]
    except csv.Error as error:
        raise Damaged(f"{path}, line {reader.line_num}: it is no table ({error})") from error
    except ValueError as error:
        raise Damaged(f"{path} is no table: it is empty") from error
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise Damaged(f"{path}, line {number}: {len(row)} cells, where the head has {len(head)}")
    return [dict(zip(head, row, strict=True)) for row in rows]


def sync(path: Path) -> None:
    """Have the operating system put what was written to a file, if there is one, onto the disk."""
    if path.exists():
        with naming(path), path.open("rb") as file:
            os.fsync(file.fileno())


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line of JSON to a file. A run that is killed loses no line that was added."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a JSON-lines file; a last line that was cut off is left out. `Missing`, or `Damaged`."""
    lines = read_text(path).split("\n")
    return [parse_json(line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], start=1)]


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
