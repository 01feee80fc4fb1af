"""How far along an experiment is: a bar at a terminal, plain lines elsewhere, nothing where nobody asked."""

import sys
from collections.abc import Callable
from typing import Any

from minires import kernels

LINES = 10  # of an experiment, where there is no terminal
WIDTH = 34  # of what is being done, beside a bar


class Progress:
    """Counts the units of an experiment's work. `shown`: on the standard error, else in silence.

        progress.start(100)                     100 units of about equal time
        progress.doing("train plain-56")
        progress.advance(3)

    Compiling kernels says nothing of the time that is left. at_start: is called when the work begins.
    """

    def __init__(self, shown: bool = False, prefix: str = "") -> None:
        self.shown, self.prefix = shown, prefix
        self.at_start: Callable[[], Any] = nothing
        self.words = ""
        self.total = self.done = 0.0
        self.timed = self.seconds = 0.0  # units that count for the time left, and what they took
        self.apart = 0.0  # seconds of units that do not
        self.compiled = kernels.compile_seconds()
        self.last = kernels.clock()
        self.bar: Any = None
        self.said = 0

    def start(self, total: float) -> None:
        """Say how many units there are; a second time, for another kind of work, it begins anew."""
        self.close()
        begin, self.at_start = self.at_start, nothing  # once
        begin()
        self.total, self.done, self.said = float(total), 0.0, 0
        self.timed = self.seconds = 0.0
        self.last = kernels.clock()
        if self.shown and sys.stderr.isatty():
            from minires.runs.progress import ProgressBar

            bar_format = f"{{desc:<{WIDTH}}} {{percentage:3.0f}}% |{{bar}}| {{elapsed}}<{{remaining}}"
            self.bar = ProgressBar(total=total, bar_format=bar_format)

    def doing(self, words: str) -> None:
        """Say what comes next."""
        self.words = words
        if self.bar is not None:
            self.bar.set_description(f"{self.prefix}{words}"[:WIDTH])

    def advance(self, units: float = 1, timed: bool = True) -> None:
        """Say that so many units are done. timed=False: they were quicker or slower than the others will be."""
        now = kernels.clock()
        self.done += units
        if timed:
            self.timed += units
            self.seconds += now - self.last
        else:
            self.apart += now - self.last
        self.last = now
        if self.bar is not None:
            self.bar.update(units, timed=timed)
        elif self.shown and self.done * LINES >= (self.said + 1) * self.total:
            self.said = int(self.done * LINES / self.total)
            left = self.left()
            remaining = "" if left is None or self.done >= self.total else f", about {left:.0f} s left"
            print(f"{self.prefix}{self.words}: {self.done / self.total:.0%}{remaining}", file=sys.stderr, flush=True)

    def left(self) -> float | None:
        """Return how many seconds the rest will take at the rate so far; None where that is not known."""
        return (self.total - self.done) * self.seconds / self.timed if self.timed else None

    @property
    def untimed(self) -> float:
        """The seconds up to now that say nothing of others: of compiling, and of units that were no measure."""
        return self.apart + kernels.compile_seconds() - self.compiled

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def nothing() -> None:
    pass
