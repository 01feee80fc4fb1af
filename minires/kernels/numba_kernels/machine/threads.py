"""The kernels' threads: a few Python threads that sleep until a kernel has chunks for them.

A kernel's work is cut into chunks whose number depends on the arrays alone. Threads run the same compiled function,
which releases Python's lock, and take the next free chunk from a counter that they share:

    counter   0   1   2   3   4   5   6   7
    caller    ██  ██      ██      ██  ██       the caller begins at once
    worker            ██      ██          ██   the worker when it wakes, up to 100 µs later

A kernel of several phases has a counter for each, and a second one of chunks that are done: `wait` lets no thread go on
before the last chunk of a phase is done. Between phases threads look again and again, since to wake takes longer than
to wait. One that has waited long sleeps for a moment: where another process keeps a core busy, the last chunk's thread
may be waiting for that core, and the system moves it to one that is idle, but never to one where a thread only looks.

Sums go to one place per chunk and are added in the chunks' order, so results are the same to the last bit for any
number of threads. Who is late gets less to do: on a machine that is busy elsewhere only a chunk that was begun is
waited for, and not, as in OpenMP's loops, each thread's share; and Numba's parallel loops take three times as long to
compile. A forked child has no workers and starts its own; a second Python thread that comes while the workers are taken
does its chunks alone.

    set_num_threads, get_num_threads, running      how many threads there may be, and how many workers there are
    run                                            calls a compiled kernel on all of them
    phase, claim, complete, wait                   what kernels call, compiled into them
"""

import _thread
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from minires.kernels.numba_kernels.machine.scheduling import ask_for_short_slices

CHUNKS = 16  # of most kernels; some have fewer, where each needs much memory of its own
PHASES = 8  # that a kernel may have
LOOKS = 1000  # of a thread that waits, before it lets others run between two of them
PATIENCE = 1300  # before it sleeps between two of them: about 0.1 ms
NAP = 20  # microseconds; the system adds about 50
number_of_threads = 1


def set_num_threads(number: int) -> None:
    """Let kernels use this many threads, the calling one included; ValueError below 1."""
    global number_of_threads
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"set_num_threads: the number of threads must be a whole number from 1 up, got {number!r}")
    number_of_threads = number


def get_num_threads() -> int:
    """Return how many threads kernels use."""
    return number_of_threads


def running() -> int:
    """Return how many workers there are, asleep or busy: they start with the first kernel that is worth it."""
    return len(workers)


def initial_number() -> int:
    """Return MINIRES_NUM_THREADS, or as many threads as there are cores for this process, as far as it may use them."""
    text = os.environ.get("MINIRES_NUM_THREADS")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"MINIRES_NUM_THREADS must be a whole number from 1 up, got {text!r}")
        return int(text)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, quota()))


def quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores' time the container of this process gets, rounded up; a great many without a limit.

    The file holds the microseconds, or `max`, that its processes may compute in a period, and those of the period.
    """
    try:
        most, period = file.read_text().split()
        return -(-int(most) // int(period))
    except (OSError, ValueError):
        return sys.maxsize


class Worker:
    """A thread that sleeps until it is given a call."""

    def __init__(self) -> None:
        self.arguments: tuple[Any, ...] = ()
        self.error: BaseException | None = None
        self.busy = self.retired = False
        self.given, self.done = threading.Lock(), threading.Lock()
        self.given.acquire()
        self.done.acquire()

    def start(self) -> None:
        """Begin to sleep; RuntimeError if the system has no thread left.

        Not threading.Thread's start, which waits for the thread to run: for ever, if that finds no memory for it.
        """
        _thread.start_new_thread(self.loop, ())

    def loop(self) -> None:
        ask_for_short_slices()
        while True:
            self.given.acquire()
            self.busy = not self.retired
            if self.retired:
                return
            try:
                self.call(*self.arguments)
            except BaseException as error:
                self.error = error
                end_waiting(self.arguments[-1])
            self.arguments = ()
            self.busy = False
            self.done.release()

    def give(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.call, self.arguments, self.error = call, arguments, None
        self.given.release()

    def wait(self) -> None:
        """Wait for the call to end, and raise its error; a call that has not begun is taken back."""
        if self.given.acquire(blocking=False):
            self.arguments = ()
        else:
            self.done.acquire()
            if self.error is not None:
                raise self.error

    def retire(self) -> None:
        """End the thread; return when the call that it has begun is done, and it writes no more."""
        self.retired = True
        if self.given.locked():
            self.given.release()
        while self.busy:
            time.sleep(0.0005)


workers: list[Worker] = []
owner: dict[str, int] = {}  # of the workers: the thread whose kernel they compute, if there is one


def run(call: Callable[..., None], arguments: tuple[Any, ...], small: bool) -> None:
    """Run a compiled kernel, small ones on this thread alone; the counters of chunks are its last argument."""
    arguments = (*arguments, np.zeros(2 * PHASES, np.int64))
    if small or number_of_threads == 1 or owner:
        call(*arguments)
        return
    me = threading.get_ident()
    try:
        shared = owner.setdefault("thread", me) == me  # in one step: another thread may come at the same time
        if shared:
            run_with_workers(call, arguments)
    except BaseException:
        if owner.get("thread") == me:  # Ctrl-C may have come before `shared` was stored
            try:
                dismiss_workers(arguments[-1])
            finally:
                owner.clear()
        raise
    if shared:
        owner.clear()
    else:
        call(*arguments)


def run_with_workers(call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run a kernel on this thread and those of the workers that wake in time."""
    while len(workers) < number_of_threads - 1:
        workers.append(Worker())
        try:
            workers[-1].start()
        except RuntimeError:  # as many as the system allows must do
            workers.pop()
            break
    helping = workers[: number_of_threads - 1]
    for worker in helping:
        worker.give(call, arguments)
    call(*arguments)
    for worker in helping:
        worker.wait()


def dismiss_workers(counter: Any) -> None:
    """End all workers after an error, or Ctrl-C: one that is still busy must not be taken for a free one."""
    leaving = workers.copy()
    workers.clear()
    end_waiting(counter)
    for worker in leaving:
        worker.retire()


def end_waiting(counter: Any) -> None:
    """Count all chunks of all phases as done, for threads that wait for the chunk of one that failed."""
    counter[1::2] = 1 << 62


def forget_workers() -> None:
    """In a forked child: threads are not inherited."""
    workers.clear()
    owner.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)


# What kernels call, twice: in Python, for the process without the compiler (NUMBA_DISABLE_JIT=1), and below, under the
# same names, as instructions of the processor.

counting = threading.Lock()


def phase(counter, number):
    """Return the counters of a phase, the first being 0."""
    return counter[2 * number : 2 * number + 2]


def claim(counter):
    """Return the next free chunk: the counter's value, which becomes one more."""
    return add_one(counter, 0)


def complete(counter):
    """Count a chunk as done."""
    add_one(counter, 1)


def wait(counter, chunks):
    """Return when so many chunks are done."""
    while counter[1] < chunks:
        time.sleep(0)


def add_one(counter, i):
    with counting:
        counter[i] += 1
        return counter[i] - 1


@intrinsic
def add_one_atomically(context, counter, i):
    """Add one, and return what was there before; no other thread can come between."""

    def generate(context, builder, signature, arguments):
        address = counter_pointer(context, builder, signature, arguments)
        return builder.atomic_rmw("add", address, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return numba.int64(counter, numba.int64), generate


@intrinsic
def load_atomically(context, counter, i):
    """Return what is there now; what other threads wrote before they counted can be seen from here on."""

    def generate(context, builder, signature, arguments):
        address = counter_pointer(context, builder, signature, arguments)
        return builder.load_atomic(address, "acquire", 8)

    return numba.int64(counter, numba.int64), generate


@intrinsic
def let_others_run(context):
    """Give the processor to another thread that is ready to run here, if there is one: POSIX's sched_yield."""

    def generate(context, builder, signature, arguments):
        call_posix(builder, "sched_yield")
        return context.get_dummy_value()

    return numba.void(), generate


@intrinsic
def take_a_nap(context):
    """Leave the processor idle for a moment: POSIX's usleep."""

    def generate(context, builder, signature, arguments):
        call_posix(builder, "usleep", ir.Constant(ir.IntType(32), NAP))
        return context.get_dummy_value()

    return numba.void(), generate


def call_posix(builder: Any, name: str, *numbers: Any) -> None:
    """Append a call of a function of the system, of 32-bit numbers; nothing where it is not POSIX."""
    if os.name == "posix":
        kind = ir.FunctionType(ir.IntType(32), [number.type for number in numbers])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), numbers)


def counter_pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


if not numba.config.DISABLE_JIT:

    @numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def phase(counter, number):
        return counter[2 * number : 2 * number + 2]

    @numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def claim(counter):
        return add_one_atomically(counter, 0)

    @numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def complete(counter):
        add_one_atomically(counter, 1)

    @numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def wait(counter, chunks):
        looked = 0
        while load_atomically(counter, 1) < chunks:
            looked += 1
            if looked > PATIENCE:
                take_a_nap()
            elif looked > LOOKS:
                let_others_run()


number_of_threads = initial_number()
