"""A progress bar that knows what says nothing about the time remaining: compiling, and steps unlike the others."""

from typing import Any

from tqdm import tqdm

from minires import kernels


class ProgressBar(tqdm):
    """tqdm's bar, whose time left counts no compilation, whenever that is.

    `update(n, timed=False)` moves it on by steps that are shown, but not counted on either, such as a first one.
    """

    def __init__(self, **options: Any) -> None:
        self.timed = 0  # steps
        self.seconds = 0.0  # that they took
        self.last = kernels.clock()
        super().__init__(**options)

    def update(self, n: int = 1, timed: bool = True) -> bool | None:
        now = kernels.clock()
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
