"""The process in which the reader's code runs: `python -m minires.learn.child`, begun by `minires.learn.isolation`.

It loads the file, calls what it is told to call, and sends back what came out, together with the arguments that were
written into. It judges nothing. Before the reader's first line runs, the memory is limited (on Linux; macOS and Windows
do not keep to it), standard input is empty, output goes where it is counted, and a hook refuses other processes and the
removal of files.
"""

import faulthandler
import linecache
import os
import sys
import traceback
import warnings
from types import ModuleType
from typing import IO, Any, NoReturn

import numpy as np

from minires import kernels
from minires.learn import chapters, digits
from minires.learn.answer import MadeFloat64, functions_of
from minires.learn.examiner import describe_crash
from minires.learn.wire import arrays_in, pack, receive, send, unpack

MEMORY = 2**30  # bytes that the reader's code may take
FILE_SIZE = 100 * 2**20

PROCESSES = (
    "os.fork",
    "os.forkpty",
    "os.system",
    "os.exec",
    "os.spawn",
    "os.posix_spawn",
    "subprocess.Popen",
    "os.kill",
)
REMOVALS = ("os.remove", "os.rmdir", "os.rename", "os.truncate", "shutil.rmtree", "shutil.move")


class Refused(RuntimeError):
    """The reader's code did what an exercise has no use for."""


class Child:
    """The child's side of the conversation."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self.source, self.sink = source, sink
        self.refused: list[str] = []
        self.path, self.seconds = "", 1.0

    def next(self) -> dict[str, Any]:
        message = receive(self.source)
        if message is None:
            os._exit(0)  # the examiner has gone
        self.seconds = float(message["seconds"])
        return message

    def converse(self) -> None:
        send(self.sink, {"ready": True})
        first = self.next()["load"]
        self.path = first["path"]
        exercise, names = chapters.find(first["chapter"], first["file"]), first["names"]
        limit_resources(first["cpu_seconds"])
        sys.dont_write_bytecode = True  # which Python moves into place, as the hook would see
        sys.addaudithook(self.audit)
        module = module_at(self.path)
        linecache.cache[self.path] = (len(first["text"]), None, first["text"].splitlines(keepends=True), self.path)
        self.do(lambda: exec(compile(first["text"], self.path, "exec"), module.__dict__))
        mine = None
        while True:
            message = self.next()
            if "missing" in message:
                self.do(lambda: [name for name in names if not hasattr(module, name)])
            elif "train" in message:
                self.do(lambda steps=message["train"]: train(exercise, module, steps))
            else:
                mine = mine or functions_of(names, exercise.beside, module)
                arguments = unpack(message["arguments"], self.called_back)
                self.do(getattr(mine, message["call"]), *arguments)

    def do(self, function: Any, *arguments: Any) -> None:
        """Call something of the reader's, and send what came of it."""
        before = [array.copy() for array in arrays_in(arguments)]
        # Shortly before the examiner's patience ends, the line that it is at is printed.
        faulthandler.dump_traceback_later(max(0.75 * self.seconds, 0.05), exit=False)
        try:
            outcome: dict[str, Any] = {"value": pack(function(*arguments))}
        except MadeFloat64 as error:
            outcome = {"float64": str(error)}
        except BaseException as error:  # sys.exit and a KeyboardInterrupt of the reader's own are stops like any other
            outcome = {"kind": kind_of(error), "stopped": said_of(error, self.path)}
        finally:
            faulthandler.cancel_dump_traceback_later()
        after = list(arrays_in(arguments))
        changed = [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if not same(one, other)]
        outcome["changed"] = [[i, pack(after[i])] for i in changed if after[i].shape == before[i].shape]
        outcome["refused"] = self.refused
        sys.stdout.flush()
        send(self.sink, outcome)

    def called_back(self, number: int) -> Any:
        """Return a function that the examiner computes."""

        def ask(*arguments: Any) -> Any:
            sys.stdout.flush()
            send(self.sink, {"asks": number, "arguments": pack(tuple(arguments))})
            reply = self.next()
            if "error" in reply:
                raise ValueError(f"the function that was handed in says {reply['error']}")
            return unpack(reply["value"])

        return ask

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROCESSES:
            self.refuse("it starts or stops another process, which no exercise needs")
        elif event in REMOVALS:
            self.refuse(f"it removes or moves a file ({arguments[0]}), which no exercise needs")
        elif event == "open" and self.is_own(arguments[0]) and writes(arguments[1], arguments[2]):
            self.refuse("it opens its own file to write into it")

    def is_own(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)) == os.path.abspath(self.path)

    def refuse(self, what: str) -> NoReturn:
        self.refused.append(what)
        raise Refused(what)


def module_at(path: str) -> ModuleType:
    """Return an empty module for a file, in the package of its folder: files of the reader's engine import others."""
    folder, name = os.path.split(path)
    above, package = os.path.split(folder)
    name = os.path.splitext(name)[0]
    module = ModuleType(f"{package}.{name}")
    module.__file__, module.__package__ = path, package
    sys.path.insert(0, above)
    sys.modules[f"{package}.{name}"] = module  # for whoever imports it back
    return module


def writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))


def same(one: Any, other: Any) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def kind_of(error: BaseException) -> str:
    return "MemoryError" if isinstance(error, MemoryError) else type(error).__name__


def said_of(error: BaseException, path: str) -> str:
    if isinstance(error, RecursionError):
        traceback.clear_frames(error.__traceback__)
    return describe_crash(error, path)


def train(exercise: Any, module: ModuleType, steps: int) -> list[float]:
    with exercise.plug(module):
        return digits.losses(steps)


def limit_resources(cpu_seconds: int) -> None:
    """Limit memory, processor time and the size of files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as pages:
            used = int(pages.read().split()[0]) * resource.getpagesize()
        lower(resource, resource.RLIMIT_AS, used + MEMORY)
    lower(resource, resource.RLIMIT_CPU, cpu_seconds)
    lower(resource, resource.RLIMIT_FSIZE, FILE_SIZE)
    lower(resource, resource.RLIMIT_CORE, 0)


def lower(resource: Any, which: int, limit: int) -> None:
    _, hard = resource.getrlimit(which)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (limit, hard))


def main() -> None:
    """Keep the two pipes for the conversation; give the reader's code an empty input, and its output to the third."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    faulthandler.enable()
    kernels.use("numpy")
    warnings.simplefilter("ignore", RuntimeWarning)  # what overflows and gets out is said by the examiner
    np.zeros(1) @ np.zeros(1)  # the library of matrix products makes its threads before memory is limited
    Child(source, sink).converse()


if __name__ == "__main__":
    main()
