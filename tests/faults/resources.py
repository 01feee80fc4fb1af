"""What a process holds: resident memory, file descriptors, threads; and whether they stay as they are."""

import os
import threading
from pathlib import Path
from statistics import median, median_low


def resources():
    """Return resident memory in MiB, and the numbers of open files and of threads, of this process. On Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    tasks = len(list(Path("/proc/self/task").iterdir()))
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": tasks,
        "python threads": threading.active_count(),
    }


def tenth(curve, number):
    """Return the samples of one tenth of a curve, counted from 0."""
    return curve[number * len(curve) // 10 : (number + 1) * len(curve) // 10]


def growth(curve):
    """Return by how much the last tenth of a curve holds more memory than the second, as a share."""
    first, last = (median([sample["rss"] for sample in tenth(curve, number)]) for number in (1, 9))
    return last / first - 1


def not_flat(curve, share=0.02):
    """List in words what has grown from the second tenth to the last: memory by more than a share, anything else."""
    found = []
    if growth(curve) > share:
        found.append(f"resident memory grew by {growth(curve):.1%}")
    for name in ("files", "threads", "python threads"):
        first, last = (median_low([sample[name] for sample in tenth(curve, number)]) for number in (1, 9))
        if last > first:
            found.append(f"{name}: {first} then, {last} now")
    return found
