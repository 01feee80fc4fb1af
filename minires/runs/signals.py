"""Signals that ask a training to stop, heard at once and obeyed after a whole step."""

import signal
import threading
from collections.abc import Generator
from contextlib import closing
from types import FrameType
from typing import Any

from minires.data import Loader
from minires.data.loader import Batch


class StopRequested(Exception):
    """A signal has asked the training to stop. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class SignalHandler:
    """In its block, Ctrl-C, SIGTERM and a closed terminal take a note, which `check()` raises at a good moment.

    A second signal of the same kind does what it always does. Outside the main thread signals are left alone.
    """

    def __enter__(self) -> "SignalHandler":
        self.received = 0  # the number of the last signal
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
        self.received = number
        signal.signal(number, self.before[number])

    def check(self) -> None:
        """Raise `StopRequested` where a signal was heard."""
        if self.received:
            raise StopRequested(self.received)


class StoppableLoader(Loader):
    """The batches of another loader, but none after a signal: the step before is the last one."""

    def __init__(self, loader: Loader, signals: SignalHandler) -> None:
        vars(self).update(vars(loader))  # the same images, order and augmentation
        self.signals = signals

    def epoch(self, number: int, start: int = 0) -> Generator[Batch, None, None]:
        return self.until_stopped(super().epoch(number, start))

    def stream(self, step: int = 0) -> Generator[Batch, None, None]:
        return self.until_stopped(super().stream(step))

    def until_stopped(self, batches: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        with closing(batches):
            for batch in batches:
                self.signals.check()
                yield batch
