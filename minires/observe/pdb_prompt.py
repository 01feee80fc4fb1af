"""pdb without the frames of NumPy, CuPy, Numba and contextlib: `step` goes from MiniRes to MiniRes."""

import pdb
import sys
from collections.abc import Callable
from types import FrameType
from typing import IO, Any

SKIPPED = ["numpy*", "cupy*", "numba*", "llvmlite*", "contextlib"]


def set_trace() -> None:
    """Stop here, in pdb. `PYTHONBREAKPOINT=minires.debug.set_trace` makes every breakpoint() do so."""
    pdb.Pdb(skip=SKIPPED).set_trace(sys._getframe().f_back)


class FirstLine(pdb.Pdb):
    """pdb that calls a function and stops at its first line, with all callers in sight for `where` and `up`."""

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.is_first = True
        before = sys.gettrace()  # of an outer debugger or of coverage
        self.reset()
        bottom = sys._getframe()
        while before is None and bottom.f_back is not None:  # an outer debugger's frames are its own
            bottom = bottom.f_back
        self.botframe = bottom
        sys.settrace(self.trace_dispatch)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    def user_call(self, frame: FrameType, argument_list: None) -> None:
        if self.is_first:
            self.is_first = False
        else:
            super().user_call(frame, argument_list)


def step_into(function: Callable[..., Any], *arguments: Any, commands: IO[str] | None = None) -> Any:
    """Call a function and stop at its first line, in pdb; in an editor's debugger, stop before the call.

    commands: what pdb reads, in place of the keyboard.
    """
    if "pydevd" in sys.modules:  # VS Code's and PyCharm's debugger
        breakpoint()
        return function(*arguments)  # step in here
    # nosigint: else pdb keeps Ctrl-C to itself, also after its `continue`.
    debugger = FirstLine(skip=SKIPPED, stdin=commands, stdout=commands and sys.stdout, nosigint=True)
    return debugger.call(function, arguments)
