"""Time MiniRes and PyTorch side by side on the CPU, and measure the peak memory of each.

    python benchmarks/cpu.py                                  ResNet-20, batch 128, one training step
    python benchmarks/cpu.py --model resnet56 --threads 1

All contenders run in turn in one process, so that a machine that slows down slows all of them; medians and quartiles
are reported, and the ratio to the faster PyTorch layout. Peak memory is the resident set of a process that does nothing
else than three steps, imports included. Results go to benchmarks/results/ as JSON with the machine's description.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], help="for resnet18 to resnet152")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images, pixels")
    parser.add_argument("--inference", action="store_true", help="one forward pass in evaluation mode instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def interleaved(steps, rounds):
    """Run all steps in turn; return the seconds of each, round by round."""
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # once more for itself: the contender before has filled the caches
            seconds[name].append(timed(step))
    return seconds


def peak_memory(name):
    """Return the peak resident set, MB, of a process that runs only this contender."""
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--memory-of", name], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure_memory(name, work):
    import contenders

    step = contenders.make(name, work)
    for _ in range(3):
        step()
    print(resident_peak())


def resident_peak():
    """Return this process's peak resident set, MB. Linux's ru_maxrss will not do: it starts at the parent's."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def machine():
    """Describe the machine and the libraries."""
    import numpy

    description = {"platform": platform.platform(), "python": platform.python_version(), "numpy": numpy.__version__}
    for library in ("numba", "torch"):
        try:
            description[library] = __import__(library).__version__
        except ImportError:
            description[library] = None
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description["processor"] = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        description["processor"] = platform.processor()
    description["cores"] = os.cpu_count()
    return description


def main():
    args = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(args.threads))
    os.environ.setdefault("NUMBA_NUM_THREADS", str(args.threads))
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    import contenders

    options = {"stem": args.stem} if args.stem else {}
    work = {"model": args.model, "options": options, "batch_size": args.batch_size, "size": args.size}
    work["training"] = not args.inference
    if args.memory_of:
        return measure_memory(args.memory_of, work)

    names = args.only or contenders.available()
    steps = {name: contenders.make(name, work) for name in names}
    first = {name: step() for name, step in steps.items()}
    spread = max(first.values()) - min(first.values())
    assert spread <= 1e-3 * max(1, abs(max(first.values()))), f"the contenders disagree: {first}"

    seconds = interleaved(steps, args.rounds)
    rows = {}
    for name in names:
        low, median, high = statistics.quantiles(seconds[name], n=4)
        rows[name] = {"median_s": median, "quartiles_s": [low, high], "peak_memory_mb": peak_memory(name)}
    peers = [name for name in names if name.startswith("torch")]
    best = min(peers, key=lambda name: rows[name]["median_s"]) if peers else None
    print(
        f"{args.model}, batch {args.batch_size}, {args.size}×{args.size}, "
        f"{'inference' if args.inference else 'training step'}, {args.threads} threads"
    )
    print(f"{'':22}{'median ms':>10}{'quartiles':>16}{'ratio':>8}{'peak MB':>10}{'ratio':>8}")
    for name, row in rows.items():
        if best:
            row["time_ratio"] = row["median_s"] / rows[best]["median_s"]
            row["memory_ratio"] = row["peak_memory_mb"] / rows[best]["peak_memory_mb"]
        low, high = row["quartiles_s"]
        print(
            f"{name:22}{row['median_s'] * 1e3:10.0f}{low * 1e3:9.0f} …{high * 1e3:5.0f}{row.get('time_ratio', 0):8.2f}"
            f"{row['peak_memory_mb']:10.0f}{row.get('memory_ratio', 0):8.2f}"
        )
    if args.out:
        record = {"work": work, "threads": args.threads, "best_peer": best, "machine": machine(), "results": rows}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
