"""The examiner's side of the process that runs the reader's code.

`Isolated` starts `minires.learn.child` and looks like the reader's module: calling a function of it sends the arguments
over and gives back what came out. What is right is computed and compared here; of what the other process claims nothing
is believed. It has a number of seconds, 1 GiB of memory (on Linux), and a number of bytes to print; every way in which
it may end by itself is a `Wrong` with a sentence.

Windows has neither limits for a process nor groups of processes: there the time, the output and all comparisons hold,
the memory is not limited.
"""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from minires.learn.answer import MadeFloat64, ReadersError
from minires.learn.examiner import Wrong
from minires.learn.exercise import Exercise
from minires.learn.wire import arrays_in, pack, receive, send, unpack

SECONDS = 5.0  # for the reader's code, all calls together
START_SECONDS = 60.0  # for Python and NumPy to start, of which the reader is not to blame
TRAIN_SECONDS = 600.0
OUTPUT = 64 * 2**10  # bytes that may be printed
SHOWN_LINES = 20
FAULT = r"(?m)^(?:Timeout \(|Fatal Python error)"  # where faulthandler begins


class Isolated:
    """The reader's module, in a process of its own. A context manager; `Wrong` for all that stops it."""

    def __init__(self, exercise: Exercise, path: Path, seconds: float = SECONDS) -> None:
        self.exercise, self.path, self.seconds = exercise, path.absolute(), seconds
        self.left = seconds
        self.printed = bytearray()
        self.count = 0  # bytes printed, kept or not
        self.inbox: queue.Queue[Any] = queue.Queue()
        self.now = "its first lines"
        self.data = path.read_bytes()
        try:
            self.text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Wrong(f"{path.name} is not text in UTF-8 ({error}); save it as UTF-8") from error

    def share(self, number: int) -> None:
        """Take only one part of so many of the time, for an examination that is made of several."""
        self.seconds = self.left = SECONDS / number

    def __enter__(self) -> "Isolated":
        environment = os.environ | {
            "MINIRES_KERNELS": "numpy",
            "PYTHONIOENCODING": "utf-8:backslashreplace",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        # The package that runs here, not another that the child might find first.
        here = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minires.learn.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=os.name == "posix",
        )
        self.reading = [threading.Thread(target=one, daemon=True) for one in (self.collect, self.listen)]
        for thread in self.reading:
            thread.start()
        try:
            if "ready" not in self.message(START_SECONDS):
                raise Wrong("the process for the reader's code did not start")
            load = {
                "chapter": self.exercise.chapter,
                "file": self.exercise.file,
                "names": list(self.exercise.names),
                "path": str(self.path),
                "text": self.text,
                "cpu_seconds": int(START_SECONDS + max(self.seconds, TRAIN_SECONDS)),
            }
            self.tell({"load": load})
            try:
                self.outcome({})
            except ReadersError as error:
                raise Wrong(f"{self.path.name} cannot be run: {error}") from error
            self.tell({"missing": True})
            missing = self.outcome({})
            if missing:
                raise Wrong(f"{self.path.name} does not define {missing[0]}")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()
        if kind is None:
            self.check_output()
            self.check_file()
        else:
            with contextlib.suppress(Wrong):
                self.check_file()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.exercise.names and name not in self.exercise.beside:
            raise AttributeError(name)
        return lambda *arguments: self.call(name, arguments)

    def call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call one of the reader's functions on copies; arrays that it writes into are written into here as well."""
        self.now = name
        functions: list[Callable[..., Any]] = []
        self.tell({"call": name, "arguments": pack(arguments, functions)})
        return self.outcome(dict(enumerate(functions)), list(arrays_in(arguments)))

    def train(self, steps: int) -> list[float]:
        """Return the losses of a training with the reader's functions in the engine."""
        self.now, self.left = "the training", TRAIN_SECONDS
        self.tell({"train": steps})
        losses = self.outcome({})
        if not isinstance(losses, list) or len(losses) != steps or not all(isinstance(loss, float) for loss in losses):
            raise Wrong("the training gave back no losses")
        return losses

    def outcome(self, functions: dict[int, Callable[..., Any]], arrays: list[Any] | None = None) -> Any:
        """Answer what the child asks until it has a result; return that, or raise what stopped it."""
        while True:
            message = self.message()
            self.check_output()
            if "asks" in message:
                self.reply(functions, message)
                continue
            try:
                if message["refused"]:
                    raise Wrong(f"{self.now}: {message['refused'][0]}")
                for i, packed in message["changed"]:
                    (arrays or [])[i][...] = unpack(packed)
                if "value" in message:
                    return unpack(message["value"])
            except (LookupError, TypeError, ValueError) as error:
                raise Wrong(f"{self.now}: what came back cannot be read; does it write into open files?") from error
            if "float64" in message:
                raise MadeFloat64(str(message["float64"]))
            raise self.stopped(str(message.get("kind")), str(message.get("stopped")))

    def reply(self, functions: dict[int, Callable[..., Any]], message: dict[str, Any]) -> None:
        """Compute a function that was handed over; what it raises is raised there, at the reader's line."""
        try:
            answer = {"value": pack(functions[message["asks"]](*unpack(message["arguments"])))}
        except Exception as error:
            if isinstance(error, Wrong):
                raise
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.tell(answer)

    def stopped(self, kind: str, text: str) -> Exception:
        if kind == "EOFError":
            text += "\n  it asks for input; nobody answers while it is examined: take the input() out"
        elif kind == "SystemExit":
            text += "\n  it leaves Python (sys.exit, exit, quit), which is no answer: take that out"
        elif kind == "MemoryError":
            text += "\n  it wants more than 1 GiB of memory; is there a list or an array that grows without end?"
        return ReadersError(kind, text)

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        message = message | {"seconds": self.left}
        with contextlib.suppress(OSError):  # a child that has gone is noticed where its message is missing
            send(self.process.stdin, message)

    def message(self, seconds: float | None = None) -> dict[str, Any]:
        """Wait for the child's next message, for what is left of its time; `Wrong` where none will come."""
        begun = time.monotonic()
        found = self.wait(self.left if seconds is None else seconds)
        if seconds is None:
            self.left -= time.monotonic() - begun
        if isinstance(found, dict):
            return found
        self.kill()
        self.check_output()
        if isinstance(found, Exception):
            raise Wrong(f"{self.now}: what came back cannot be read: {found}; does it write into open files?")
        raise Wrong(f"{self.now}: {self.how_it_ended()}{self.last_line()}")

    def wait(self, seconds: float) -> Any:
        """Return what comes into the inbox; `Wrong` after too long, and where too much is printed meanwhile."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                return self.inbox.get(timeout=min(max(left, 0.01), 0.2))
            except queue.Empty:
                self.check_output()
                if left <= 0:
                    self.kill()
                    at = self.last_line()
                    raise Wrong(
                        f"{self.now}: stopped after {self.seconds:g} seconds{at}: a loop that never ends?"
                    ) from None

    def how_it_ended(self) -> str:
        code = self.process.wait()
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"Python itself crashed, or was killed ({name})"
        return f"its process ended by itself, with exit code {code} (os._exit?), which is no answer"

    def last_line(self) -> str:
        """Name the innermost line of the reader's file in what faulthandler printed, if it did."""
        for thread in self.reading:
            thread.join(timeout=2)
        text = self.printed.decode("utf-8", "replace")
        found = re.search(rf'File "{re.escape(str(self.path))}", line (\d+) in', text)
        if not found:
            return ""
        number, lines = int(found[1]), self.text.splitlines()
        return f", at line {number}, `{lines[number - 1].strip()}`" if 0 < number <= len(lines) else ""

    def listen(self) -> None:
        """Put the child's messages into the inbox, in a thread of its own; None where they end."""
        assert self.process.stdout is not None
        try:
            while (message := receive(self.process.stdout)) is not None:
                self.inbox.put(message)
            self.inbox.put(None)
        except Exception as error:  # whatever the reader's code wrote there
            self.inbox.put(error)

    def collect(self) -> None:
        """Keep the beginning of what the child prints, and count the rest, in a thread of its own."""
        assert self.process.stderr is not None
        while data := self.process.stderr.read1(2**16):  # type: ignore[attr-defined]
            self.count += len(data)
            self.printed += data[: max(2 * OUTPUT - len(self.printed), 0)]

    def check_output(self) -> None:
        if self.count > OUTPUT:
            self.kill()
            raise Wrong(f"{self.now}: it prints more than {OUTPUT // 2**10} KiB; is a print in a loop?")

    def check_file(self) -> None:
        """Put the reader's file back if their code changed it, which is `Wrong`."""
        try:
            intact = self.path.read_bytes() == self.data
        except OSError:
            intact = False
        if not intact:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.data)
            raise Wrong(f"{self.path.name} changed or removed itself while it ran; it is back as it was")

    def output(self) -> list[str]:
        """What the reader's code printed: the first lines."""
        text = re.split(FAULT, self.printed.decode("utf-8", "replace"), maxsplit=1)[0]
        lines = text.splitlines()
        return lines[:SHOWN_LINES] + ([f"… and {len(lines) - SHOWN_LINES} more lines"] if lines[SHOWN_LINES:] else [])

    def kill(self) -> None:
        """End the child, and whatever it began."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.process.kill()

    def end(self) -> None:
        self.kill()
        self.process.wait()
        for thread in self.reading:
            thread.join(timeout=2)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
