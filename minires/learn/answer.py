"""The reader's answer as the examiner meets it: the functions of their file, each watched for the dtype it keeps."""

import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np

from minires.learn.exercise import Exercise
from minires.learn.wire import arrays_in


class MadeFloat64(Exception):
    """All arrays that a function was handed were float32, and it gave back float64; the text is the line that did."""


class ReadersError(Exception):
    """The reader's code raised. kind: the name of its exception; the text says where, with the reader's own line."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def answer_of(exercise: Exercise, module: Any) -> Any:
    """Return what an exercise's checks take: the module's functions, and beside them those of the exercise."""
    return functions_of(exercise.names, exercise.beside, module)


def functions_of(names: Sequence[str], beside: Mapping[str, Callable[..., Any]], module: Any) -> Any:
    functions: dict[str, Any] = {name: keeping_dtype(getattr(module, name)) for name in names}
    for name, function in beside.items():
        functions[name] = called_with(function, module)
    return SimpleNamespace(**functions)


def called_with(beside: Callable[..., Any], module: Any) -> Callable[..., Any]:
    return lambda *arguments: beside(module, *arguments)


def keeping_dtype(function: Any) -> Any:
    """Return the function, watched: it raises MadeFloat64 where float32 came in and float64 goes out."""
    if isinstance(function, type) or not callable(function):
        return function

    def watched(*arguments: Any) -> Any:
        copies = [copied(one) for one in arguments]
        result = function(*arguments)
        floats = [array for array in arrays_in(arguments) if array.dtype.kind == "f"]
        single = floats and all(array.dtype == np.float32 for array in floats)
        if single and any(is_float64(one) for one in parts_of(result)):
            raise MadeFloat64(line_that_made_float64(function, copies))
        return result

    return watched


def copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    return type(value)([copied(one) for one in value]) if type(value) in (tuple, list) else value


def parts_of(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple | list) else [result]


def is_float64(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype == np.float64


def line_that_made_float64(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    """Run a function once more, line by line; return the first of its file's lines behind which a float64 stands."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    found: list[int] = []
    lines: dict[FrameType, int] = {}  # where each running call of the file is

    def look(frame: FrameType, event: str, given: Any) -> Any:
        if frame.f_code.co_filename != code.co_filename:
            return None
        made = [one for one in frame.f_locals.values() if is_float64(one)] if event != "call" else []
        if event == "return" and any(is_float64(one) for one in parts_of(given)):
            lines[frame] = frame.f_lineno
            made.append(given)
        if made and not found and frame in lines:
            found.append(lines[frame])
        if event != "call":
            lines[frame] = frame.f_lineno
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    if not found:
        return ""
    return f"line {found[0]}, `{linecache.getline(code.co_filename, found[0]).strip()}`"
