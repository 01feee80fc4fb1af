"""pdb without the frames of NumPy, CuPy, Numba and contextlib: `step` goes from MiniRes to MiniRes."""

import pdb
import sys
from collections.abc import Callable
from typing import IO, Any

SKIPPED = ["numpy*", "cupy*", "numba*", "llvmlite*", "contextlib"]


def set_trace() -> None:
    """Stop here, in pdb. `PYTHONBREAKPOINT=minires.debug.set_trace` makes every breakpoint() do so."""
    pdb.Pdb(skip=SKIPPED).set_trace(sys._getframe().f_back)


def step_into(function: Callable[..., Any], *arguments: Any, commands: IO[str] | None = None) -> Any:
    """Call a function and stop at its first line, in pdb; in an editor's debugger, stop before the call.

    commands: what pdb reads, in place of the keyboard.
    """
    if "pydevd" in sys.modules:  # VS Code's and PyCharm's debugger
        breakpoint()
        return function(*arguments)  # step in here
    before = sys.gettrace()  # of an outer debugger or of coverage: runcall ends with none
    try:
        return pdb.Pdb(skip=SKIPPED, stdin=commands, stdout=commands and sys.stdout).runcall(function, *arguments)
    finally:
        sys.settrace(before)
