"""A progress bar that knows which of its steps say nothing about the time remaining."""

import time
from typing import Any

from tqdm import tqdm


class ProgressBar(tqdm):
    """tqdm's bar. `update(n, timed=False)` moves it on by steps that are shown, but not counted on for the time left.

    A first step is such a one: it also compiles kernels.
    """

    def __init__(self, **options: Any) -> None:
        self.timed = 0  # steps
        self.seconds = 0.0  # that they took
        self.last = time.monotonic()
        super().__init__(**options)

    def update(self, n: int = 1, timed: bool = True) -> bool | None:
        now = time.monotonic()
        if timed:
            self.timed += n
            self.seconds += now - self.last
        self.last = now
        drawn: bool | None = super().update(n)
        return drawn

    @property
    def format_dict(self) -> dict[str, Any]:
        rate = self.timed / self.seconds if self.seconds > 0 else 0.0  # at a rate of 0 tqdm writes "?"
        return {**super().format_dict, "rate": None if self.n >= self.total else rate}
