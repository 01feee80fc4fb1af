"""What Linux's scheduler is asked for, so that a worker helps although another process keeps its core busy.

A worker that wakes finds the other process in the midst of its slice, some milliseconds long, and before that ends the
kernel is done: the worker comes too late to most of them. Who asks for short slices is put first when it wakes, as long
as it has not had more than its share: it gets its turns earlier, and not more of them.
"""

import ctypes
import platform
import struct
import sys

SHORT = 100_000  # nanoseconds, the least that can be asked for
NUMBERS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # of the system's calls sched_setattr and sched_getattr
ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # their struct sched_attr: size, policy, flags, nice, priority, runtime, …
USUAL, BATCH = 0, 3  # the policies whose runtime is a wish, since Linux 6.12; before, it was passed over


def ask_for_short_slices() -> bool:
    """Ask for the thread that calls this, whose priority stays as it is; False where that cannot be asked."""
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        return False
    set_attributes, get_attributes = NUMBERS[platform.machine()]
    given = ctypes.create_string_buffer(ATTRIBUTES.size)
    try:
        call = ctypes.CDLL(None).syscall
        if call(get_attributes, 0, given, ATTRIBUTES.size, 0) != 0:
            return False
        size, policy, flags, nice, priority, _, deadline, period = ATTRIBUTES.unpack(given.raw)
        if policy not in (USUAL, BATCH):
            return False
        wanted = ATTRIBUTES.pack(size, policy, flags, nice, priority, SHORT, deadline, period)
        return bool(call(set_attributes, 0, wanted, 0) == 0)
    except (OSError, AttributeError):
        return False
