"""`python inside.py KIND NUMBER -- ARGUMENTS`: `minires ARGUMENTS` in a process to which something happens from within.

memory N   no more address space than now and N MiB (RLIMIT_AS), once all is imported
clock N    the clock stands still, and from the N-th look on goes back by an hour at each look
fsync N    no space left on the device (ENOSPC) at the N-th sync of a file
size N     no file may become larger than N KiB (RLIMIT_FSIZE)
"""

import errno
import os
import resource
import signal
import sys
import time

from minires import runs  # noqa: F401  all that a training imports
from minires.cli.main import main
from minires.runs import records


def limit_memory(number):
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + (number << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def turn_clock_back(number):
    began, looks, moment = time.time(), [0], time.perf_counter()

    def hours():
        looks[0] += 1
        return 3600.0 * max(0, looks[0] - number)

    formatted, local = time.strftime, time.localtime
    time.time = lambda: began - hours()
    time.perf_counter = time.monotonic = lambda: moment - hours()
    time.localtime = lambda seconds=None: local(began - hours() if seconds is None else seconds)
    time.strftime = lambda form, moment=None: formatted(form, time.localtime() if moment is None else moment)


def fill_disk(number):
    sync, calls = os.fsync, [0]

    def full(file):
        calls[0] += 1
        if calls[0] >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    records.os.fsync = full


def limit_size(number):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number << 10, number << 10))


KINDS = {"memory": limit_memory, "clock": turn_clock_back, "fsync": fill_disk, "size": limit_size}

if __name__ == "__main__":
    kind, number, _, *arguments = sys.argv[1:]
    KINDS[kind](int(number))
    sys.exit(main(arguments))
