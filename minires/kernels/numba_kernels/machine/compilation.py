"""When and how kernels are compiled: on first use, once per machine, each for the dtypes it names and for nothing else.

    @kernel("void(real[::1], real[::1], int64, int64[::1])")
    def negate(x, y, size, counter):
        chunk = claim(counter)
        while chunk < CHUNKS:
            ...
            chunk = claim(counter)

    negate(x, y, size)

`real` stands for float32 and float64. The first call with float32 arrays compiles the float32 version, or loads it
from the cache: a folder named by the hash of all sources here, so that a change in any helper makes all kernels anew
(Numba by itself looks only at the file of the kernel). MINIRES_CACHE names another place for it. The counter of the
chunks, which threads share, comes from `threads.run`.
"""

import _thread
import functools
import gc
import hashlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import event
from numba.core.options import DefaultOptions

from minires.kernels.numba_kernels.machine import threads
from minires.kernels.numba_kernels.machine.inlining import put_into_kernels

# What the compiler may do: round a·b + c once, divide by a reciprocal, forget the sign of 0. NaN and Inf it must keep,
# and the order of sums: with (s − shift) + x for s + (x − shift) the rounding errors of a long sum all have one sign.
FASTMATH = {"contract", "arcp", "nsz", "afn"}
COMPILED = "fd"  # dtype.char of float32 and float64; for other dtypes the NumPy kernels are called
OPTIONS = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True}

all_kernels: list["Kernel"] = []
# Each is called with the name of a kernel that is about to be compiled, and with what shows that to the user.
before_compiling: list[Callable[[str, Callable[[], None]], None]] = []
seconds = 0.0  # that this process has spent on compiling kernels, or loading them, so far
one_at_a_time = threading.RLock()  # compilations: several threads may use a kernel for the first time


class Kernel:
    """A function that is compiled when it is first called, for the dtype of its first argument, an array."""

    def __init__(
        self, function: Callable[..., None], signature: Any, dtypes: tuple[str, ...], threads_from: int | None
    ) -> None:
        self.name = function.__name__
        self.signatures = dict.fromkeys(dtypes, signature)
        if isinstance(signature, str):
            self.signatures = {dtype: signature.replace("real", dtype) for dtype in dtypes}
        self.threads_from = threads_from
        self.ready: set[str] = set()  # dtype.char of the versions that are compiled
        self.compiled: Any = function
        if not numba.config.DISABLE_JIT:
            numba.config.CACHE_DIR, replaced = str(cache_folder()), numba.config.CACHE_DIR
            self.compiled = numba.njit(cache=True, no_cfunc_wrapper=True, **OPTIONS)(function)
            numba.config.CACHE_DIR = replaced
        all_kernels.append(self)

    def __call__(self, *arguments: Any) -> None:
        first = arguments[0]
        if first.dtype.char not in self.ready:  # dtype.name takes ten times as long
            self.compile(first.dtype.name)
        if self.threads_from is None:
            self.compiled(*arguments)
        else:
            threads.run(self.compiled, arguments, first.size < self.threads_from)

    def compile(self, dtype: str) -> None:
        """Compile or load the version for a dtype; TypeError for one that the kernel does not have."""
        if dtype not in self.signatures:
            raise TypeError(f"{self.name}: no kernel for {dtype}; it has {', '.join(self.signatures)}")
        with InterruptLater():
            undisturbed(self.compile_version, dtype)

    def compile_version(self, dtype: str) -> None:
        global seconds
        with one_at_a_time:
            start = time.perf_counter()
            if not numba.config.DISABLE_JIT and np.dtype(dtype).char not in self.ready:
                progress = Progress(self, dtype)
                for call in before_compiling:
                    call(self.name, progress.show)
                self.compiled.disable_compile(False)
                with event.install_listener("numba:compile", progress), Uncollected():
                    self.compiled.compile(self.signatures[dtype])
                self.compiled.disable_compile()  # no input may start a compilation
                progress.clear()
            self.ready.add(np.dtype(dtype).char)
            seconds += time.perf_counter() - start


def kernel(
    signature: Any, dtypes: tuple[str, ...] = ("float32", "float64"), threads_from: int | None = 1 << 15
) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a function, whose last argument is the counter of its chunks.

    signature: text as above, or, where there are records among the arguments, Numba's own form of it.

    threads_from: with fewer numbers than this in the first argument waking other threads costs more than it gives.
    None: a kernel for one thread, without chunks and counter.
    """

    def make(function: Callable[..., None]) -> Kernel:
        return Kernel(function, signature, dtypes, threads_from)

    return make


FLOATS = numba.float32[::1]  # the type of a flat array


def record(fields: type, of: Any) -> Any:
    """Return Numba's type of a NamedTuple whose fields are all of one type: of arrays, or of sizes."""
    return numba.types.NamedUniTuple(of, len(fields._fields), fields)  # type: ignore[attr-defined]


# Numba counts the references to every array that a function is handed, by an atomic addition, with all vector registers
# spilled around it: in an inner loop more than all else there. An option of Numba's own, which it need not keep, leaves
# it out; without it the results are the same, and slower.
UNCOUNTED = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}

# A function that kernels call; it is compiled into each of them. It neither makes nor returns arrays.
helper: Any = put_into_kernels(**UNCOUNTED, **OPTIONS)

# The same for a function of so many arguments, or called so often, that no call may be left of it.
inlined: Any = put_into_kernels(forceinline=True, **UNCOUNTED, **OPTIONS)

# The same for a function that makes or returns an array, and is called outside all inner loops.
array_helper: Any = put_into_kernels(**OPTIONS)

# A long stretch of one kernel, as a function for the reader: it is pasted into the kernel before the compiler begins.
section: Any = put_into_kernels(inline="always", **OPTIONS)


class InterruptLater:
    """Inside, Ctrl-C is remembered and raised at the end, a second one at once.

    The compiler's destructors run Python code, where Python drops a KeyboardInterrupt: it would be lost.
    """

    def __enter__(self) -> None:
        self.interrupted = False
        main = threading.current_thread() is threading.main_thread()
        self.deferring = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.deferring:
            signal.signal(signal.SIGINT, self.remember)

    def remember(self, number: int, frame: object) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        if self.deferring:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.interrupted:
            raise KeyboardInterrupt


class Uncollected:
    """Inside, Python looks for no reference cycles: the compiler makes very many objects, and needs most of them."""

    def __enter__(self) -> None:
        self.enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *error: object) -> None:
        if self.enabled:
            gc.enable()


STACK = 1 << 26  # bytes, for the compiler's recursion: not every system gives a thread as much as the main thread


def undisturbed(work: Callable[[str], None], argument: str) -> None:
    """Call work(argument) in a thread of its own, where no signal handler runs, and return when it is done.

    Signal handlers run in the main thread, wherever it is. An exception of theirs in the middle of a compilation would
    leave the kernel, or a helper of many, half made, and unusable for as long as the process lives. Here it is raised
    when the compilation has ended; a KeyboardInterrupt at once, and the compilation goes on in its thread.
    """
    if threading.current_thread() is not threading.main_thread():
        work(argument)
        return
    errors: list[BaseException] = []
    taken, done = threading.Lock(), threading.Lock()
    done.acquire()

    def call() -> None:
        if taken.acquire(blocking=False):
            try:
                work(argument)
            except BaseException as error:
                errors.append(error)
            done.release()

    before = threading.stack_size(STACK)
    try:
        _thread.start_new_thread(call, ())  # not threading.Thread's start: see `threads.Worker.start`
    except RuntimeError:  # no thread is to be had
        call()
    finally:
        threading.stack_size(before)
    try:
        while not done.acquire(timeout=10):
            call()  # if the thread never began, for lack of memory
    except KeyboardInterrupt:
        raise
    except BaseException:
        done.acquire()
        raise
    if errors:
        raise errors[0]


class Progress(event.Listener):
    """The line on stderr while a kernel compiles, once a process where that is no terminal. Loading from the cache
    starts no event, and shows nothing."""

    said = False

    def __init__(self, kernel: Kernel, dtype: str) -> None:
        self.kernel, self.dtype, self.shown = kernel, dtype, False

    def show(self) -> None:
        total = sum(self.dtype in kernel.signatures for kernel in all_kernels)
        done = sum(np.dtype(self.dtype).char in kernel.ready for kernel in all_kernels)
        if sys.stderr.isatty():
            line = f"\r\033[Kcompiling {done + 1} of {total} kernels, once"
            print(line, end="", file=sys.stderr, flush=True)
        elif not Progress.said:
            print("minires: compiling kernels, once", file=sys.stderr, flush=True)
        self.shown = Progress.said = True

    def clear(self) -> None:
        if self.shown and sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def on_start(self, compilation: event.Event) -> None:
        if compilation.data["dispatcher"] is self.kernel.compiled:  # else it is a helper
            self.show()

    def on_end(self, compilation: event.Event) -> None:
        pass


@functools.cache
def cache_folder() -> Path:
    """Return the folder of this version's compiled kernels; ImportError where it cannot be written."""
    folder = cache_root() / "kernels" / sources_hash()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImportError(f"the cache {folder} cannot be written, {error}; MINIRES_CACHE names another") from error
    return folder


def cache_root() -> Path:
    """Return MINIRES_CACHE, or the platform's folder for caches."""
    if os.environ.get("MINIRES_CACHE"):
        return Path(os.environ["MINIRES_CACHE"]).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minires" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minires"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minires"


def sources_hash(folder: Path = Path(__file__).parent.parent) -> str:
    """Return a hash of all source files of this package."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
