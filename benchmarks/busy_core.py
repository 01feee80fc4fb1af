"""A training step while another process keeps one of the cores busy: with one thread, and with two.

    python benchmarks/busy_core.py                    results/busy_core.json: a row for each priority of that process
    python benchmarks/busy_core.py --turns 5          a quick look

The other process counts to infinity on one core, at the usual priority or the lowest (nice 19), and is stopped
(SIGSTOP) in the rows without it. All rows take turns in one process, so a machine that slows down slows all of them.
Wall time, and processor time of all threads; medians and quartiles over the turns. The load average before the start is
written down too: what else runs on the machine is in all numbers.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

OUT = Path(__file__).resolve().parent / "results" / "busy_core.json"
STEPS = 4  # timed together, after one that is not
PRIORITIES = {"no other process": None, "other process, nice 19": 19, "other process, nice 0": 0}


def spinner(core, nice):
    """Start a process that keeps a core busy, stopped for now."""

    def prepare():
        os.sched_setaffinity(0, {core})
        os.nice(nice)

    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=prepare)
    process.send_signal(signal.SIGSTOP)
    return process


def measure(step):
    """Return wall and processor seconds of a step, the mean of a few."""
    step()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - wall) / STEPS, (time.process_time() - processor) / STEPS


def summary(pairs):
    rows = {}
    for name, seconds in zip(("wall", "processor"), zip(*pairs, strict=True), strict=True):
        low, median, high = statistics.quantiles(seconds, n=4)
        rows |= {f"{name}_ms": median * 1e3, f"{name}_quartiles_ms": [low * 1e3, high * 1e3]}
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="that is kept busy")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    load = os.getloadavg()[0]

    import contenders
    import cpu

    from minires import kernels

    work = {"model": args.model, "options": {}, "batch_size": 128, "size": 32, "training": True}
    step = contenders.make("minires numba", work)
    for _ in range(3):
        step()
    others = {name: None if nice is None else spinner(args.core, nice) for name, nice in PRIORITIES.items()}
    found = {(name, threads): [] for name in others for threads in (1, 2)}
    try:
        for _ in range(args.turns):
            for name, other in others.items():
                if other is not None:
                    other.send_signal(signal.SIGCONT)
                for threads in (1, 2):
                    kernels.set_num_threads(threads)
                    found[name, threads].append(measure(step))
                if other is not None:
                    other.send_signal(signal.SIGSTOP)
    finally:
        for other in others.values():
            if other is not None:
                other.kill()
    rows = []
    for name in others:
        one, two = ([wall for wall, _ in found[name, threads]] for threads in (1, 2))
        ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
        rows.append({"beside": name, "1 thread": summary(found[name, 1]), "2 threads": summary(found[name, 2]),
                     "wall_ratio": ratio})
        print(f"{name:24}1 thread {rows[-1]['1 thread']['wall_ms']:6.1f} ms, 2 threads "
              f"{rows[-1]['2 threads']['wall_ms']:6.1f} (processor {rows[-1]['2 threads']['processor_ms']:.1f}), "
              f"ratio {ratio:.2f}")
    record = {"work": work, "turns": args.turns, "steps_a_turn": STEPS, "load_average": load,
              "machine": cpu.machine(), "rows": rows}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
