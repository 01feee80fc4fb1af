"""Signals that ask a training to stop, heard at once and obeyed after a whole step."""

import signal
import threading
from types import FrameType
from typing import Any


class Stopped(Exception):
    """The training was asked to stop, by a signal, and did so after a whole step."""


class Signals:
    """In its block, Ctrl-C, SIGTERM and a closed terminal take a note; `check()` raises `Stopped` at a good moment.

    A second signal of the same kind does what it always does. Outside the main thread signals are left alone.
    """

    number = 0

    def __enter__(self) -> "Signals":
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self.before[number])

    def check(self) -> None:
        if self.number:
            raise Stopped(signal.Signals(self.number).name)
