"""Time MiniRes, PyTorch and DeZero side by side on the CPU, and measure the peak memory of each.

    python benchmarks/cpu.py                                  all of JOBS that this processor's folder does not hold
    python benchmarks/cpu.py --again                          all of them once more
    python benchmarks/cpu.py --model resnet56 --threads 1     one comparison, on the screen

A job runs in processes of its own, one after the other. In each all contenders take turns, so that a machine that
slows down slows all of them; medians and quartiles are reported, and the ratio to the faster PyTorch layout. One
process can be much slower than the next, so the one with the median ratio is kept, and the ratios of all. DeZero,
which takes fifty times as long, and the NumPy kernels and torch.compile, whose threads go on spinning beside the next
contender, are timed in processes of their own. Peak memory is the resident set of a process that does nothing else
than three steps, imports included. Each job is one JSON file, in a folder named by the processor, since ratios differ
from one to the next; `report.py` makes the page and the figure from them. Nothing else should run meanwhile.
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
RESULTS = HERE / "results" / "cpu"
SECONDS = 5  # for the turns of one process; at least three turns are taken
PROCESSES = 5  # of a job
EXTRAS = ("--numpy", "--memory", "--peers", "--per-op")  # measured once, in processes of their own or after the turns
ALONE = ("minires numpy", "torch compile", "dezero")

# file, model, options of the command line. The first in each group measures memory, ops and the peers that run alone.
JOBS = [
    ("resnet20-training-2", ["--model", "resnet20", "--numpy", "--memory", "--peers", "--per-op"]),
    ("resnet20-inference-2", ["--model", "resnet20", "--inference", "--numpy"]),
    ("resnet20-training-1", ["--model", "resnet20", "--threads", "1"]),
    ("resnet20-inference-1", ["--model", "resnet20", "--inference", "--threads", "1"]),
    ("resnet56-training-2", ["--model", "resnet56"]),
    ("resnet56-inference-2", ["--model", "resnet56", "--inference"]),
    ("resnet56-training-1", ["--model", "resnet56", "--threads", "1"]),
    ("resnet110-training-2", ["--model", "resnet110"]),
    ("resnet110-inference-2", ["--model", "resnet110", "--inference"]),
    ("resnet18-cifar-training-2", ["--model", "resnet18", "--stem", "cifar", "--batch-size", "32", "--memory"]),
    ("resnet18-cifar-inference-2", ["--model", "resnet18", "--stem", "cifar", "--batch-size", "32", "--inference"]),
    ("resnet18-cifar-training-1", ["--model", "resnet18", "--stem", "cifar", "--batch-size", "32", "--threads", "1"]),
    ("resnet18-training-2", ["--model", "resnet18", "--batch-size", "8", "--size", "224"]),
    ("resnet18-inference-2", ["--model", "resnet18", "--batch-size", "8", "--size", "224", "--inference"]),
    ("resnet50-training-2", ["--model", "resnet50", "--batch-size", "8", "--size", "224", "--memory", "--per-op"]),
    ("resnet50-inference-2", ["--model", "resnet50", "--batch-size", "8", "--size", "224", "--inference"]),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="do not keep what this processor's folder holds")
    parser.add_argument("--model", help="one comparison of this model only")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], help="for resnet18 to resnet152")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images, pixels")
    parser.add_argument("--inference", action="store_true", help="one forward pass in evaluation mode instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the contenders' turns")
    parser.add_argument("--numpy", action="store_true", help="time the NumPy kernels too")
    parser.add_argument("--peers", action="store_true", help="time torch.compile and DeZero too")
    parser.add_argument("--memory", action="store_true", help="measure peak memory")
    parser.add_argument("--per-op", action="store_true", help="the time of each op of MiniRes's training step")
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def interleaved(steps, seconds):
    """Run all steps in turn while there is time; return the seconds of each, turn by turn, and of the first steps.

    Before a short step is timed it runs once for itself: the contender before has filled the caches.
    """
    first = {name: timed(step) for name, step in steps.items()}
    second = {name: timed(step) for name, step in steps.items()}
    found = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while len(next(iter(found.values()))) < 3 or time.perf_counter() < end:
        for name, step in steps.items():
            if second[name] < 0.4:
                step()
            found[name].append(timed(step))
    return found, first


def subprocess_json(*more):
    """Run this file once more with the same arguments and `more`; return what it prints, or the end of its errors."""
    own = [word for word in sys.argv[1:] if word not in EXTRAS]
    command = [sys.executable, __file__, *own, *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        return None, "no result after 400 s"
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
    return json.loads(done.stdout.splitlines()[-1]), None


def resident_peak():
    """Return this process's peak resident set, MB. Linux's ru_maxrss will not do: it starts at the parent's."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def processor():
    """Name the processor for a folder: vendor, family and model, or what the platform says where there is no /proc."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        words = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines[:30] if ":" in line}
        text = f"{words['vendor_id']} family {words['cpu family']} model {words['model']}"
    except (OSError, KeyError):
        text = platform.processor() or platform.machine()
    return "-".join(text.lower().split())


def caches():
    """Name the sizes of the first core's caches, where Linux tells: {"L2": "1024K"}."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (folder / "type").read_text().strip() != "Instruction":
                found["L" + (folder / "level").read_text().strip()] = (folder / "size").read_text().strip()
        except OSError:
            pass
    return found


def machine():
    """Describe the machine and the libraries."""
    import importlib.metadata

    description = {"platform": platform.platform(), "python": platform.python_version()}
    for library in ("numpy", "numba", "torch", "dezero"):
        try:
            description[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            description[library] = None
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description["processor"] = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags")).split()
        description["vectors"] = [flag for flag in ("avx2", "fma", "avx512f") if flag in flags]
    except (OSError, StopIteration):
        description["processor"] = platform.processor()
    description["family_and_model"] = processor()
    description["caches"] = caches()
    description["cores"] = os.cpu_count()
    return description


def summary(seconds, first_s):
    low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return {"median_s": median, "quartiles_s": [low, high], "turns": len(seconds), "first_s": first_s}


def per_op(work):
    """Return the rows of MiniRes's profile, and the rate of a matrix product that they are compared with."""
    import contenders

    from minires import kernels, models, optim
    from minires.observe import profiling

    with kernels.use("numba"):
        model = models.make(work["model"], seed=0, fused=True, **work["options"])
        images, labels = contenders.images_and_labels(work["batch_size"], work["size"], model.fc.weight.shape[0])
        sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        profile = profiling.profile_step(model, sgd, contenders.channels_last(images), labels, rounds=15)
        peak = profiling.measured_peak()
    rows = [{**vars(row), "gflops": row.flops / row.seconds / 1e9, "of_peak": row.flops / row.seconds / peak}
            for row in profile.rows]
    idle = overhead(contenders.make("minires numba", work))
    inside = sum(row.seconds for row in profile.rows) + profile.optimizer_s
    return {"overhead_s": idle, "peak_gflops": peak / 1e9, "rows": rows, "observed_s": inside,
            "optimizer_s": profile.optimizer_s, "step_s": profile.step_s}


def overhead(step):
    """Return the seconds of a step whose compiled kernels return at once: Python, the graph, memory, NumPy's part."""
    import numpy as np

    from minires.kernels.numba_kernels.machine.compilation import Kernel

    step()
    call, Kernel.__call__ = Kernel.__call__, lambda *arguments: None
    try:
        with np.errstate(all="ignore"):
            return statistics.median(timed(step) for _ in range(15))
    finally:
        Kernel.__call__ = call


def compare(args, work):
    """Run one job in this process; print the table and write the record."""
    import contenders

    possible = contenders.available()
    names = args.only or [name for name in possible if name not in ALONE]
    steps = {name: contenders.make(name, work) for name in names}
    losses = {name: step() for name, step in steps.items()}
    spread = max(losses.values()) - min(losses.values())
    assert spread <= 1e-3 * max(1, abs(max(losses.values()))), f"the contenders disagree: {losses}"
    seconds, _ = interleaved(steps, args.seconds)
    rows = {name: summary(seconds[name], None) for name in names}
    missing = {}
    wanted = ["minires numpy"] * args.numpy + ["torch compile", "dezero"] * args.peers
    for name in [name for name in wanted if name in possible]:
        rows[name], missing[name] = subprocess_json("--alone", name)
    if args.memory:
        for name in [name for name in rows if rows[name] and name in (*names, "minires numpy")]:
            rows[name]["peak_memory_mb"], missing[name] = subprocess_json("--memory-of", name)
    rows = {name: row for name, row in rows.items() if row}
    missing = {name: why for name, why in missing.items() if why}
    show(args, work, rows, missing)
    if args.out:
        best = best_peer(rows)
        record = {"work": work, "threads": args.threads, "best_peer": best, "machine": machine(), "results": rows,
                  "missing": missing, "load_average": os.getloadavg()[0]}
        if args.per_op:
            record["per_op"] = per_op(work)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


def best_peer(rows):
    """Return the faster of PyTorch's two layouts."""
    peers = [name for name in ("torch contiguous", "torch channels_last") if name in rows]
    return min(peers, key=lambda name: rows[name]["median_s"]) if peers else None


def show(args, work, rows, missing):
    best = best_peer(rows)
    kind = "training step" if work["training"] else "inference"
    print(f"{work['model']}, batch {work['batch_size']}, {work['size']}×{work['size']}, {kind}, {args.threads} threads")
    print(f"{'':22}{'median ms':>10}{'quartiles':>16}{'ratio':>8}{'peak MB':>10}{'ratio':>8}")
    for name, row in rows.items():
        memory = ""
        if best:
            row["time_ratio"] = row["median_s"] / rows[best]["median_s"]
        if row.get("peak_memory_mb"):
            memory = f"{row['peak_memory_mb']:10.0f}"
            if best and rows[best].get("peak_memory_mb"):
                row["memory_ratio"] = row["peak_memory_mb"] / rows[best]["peak_memory_mb"]
                memory += f"{row['memory_ratio']:8.2f}"
        low, high = row["quartiles_s"]
        print(f"{name:22}{row['median_s'] * 1e3:10.1f}{low * 1e3:9.1f} …{high * 1e3:7.1f}"
              f"{row.get('time_ratio', 0):6.2f}{memory}")
    for name, why in missing.items():
        print(f"{name:22}not measured: {why}")


def alone(name, work):
    """Time one contender in this process; print the result as JSON."""
    import contenders

    step = contenders.make(name, work)
    seconds, first = interleaved({name: step}, 6)
    print(json.dumps(summary(seconds[name], first[name])))


def memory_of(name, work):
    import contenders

    step = contenders.make(name, work)
    for _ in range(3):
        step()
    print(json.dumps(resident_peak()))


def together(records):
    """Return one record of a job's processes: that of the median ratio, all ratios, what only the first measured."""

    def ratio(record):
        return record["results"]["minires numba"]["time_ratio"]

    first, chosen = records[0], sorted(records, key=ratio)[len(records) // 2]
    rows = {name: {**row, **chosen["results"].get(name, {})} for name, row in first["results"].items()}
    for row in rows.values():
        row["time_ratio"] = row["median_s"] / rows[chosen["best_peer"]]["median_s"]
    return {**first, "results": rows, "best_peer": chosen["best_peer"], "ratios": sorted(map(ratio, records)),
            "load_averages": [round(record["load_average"], 2) for record in records]}


def all_jobs(again):
    """Run every job whose file is missing, in processes of its own."""
    start = time.perf_counter()
    for name, options in JOBS:
        out, found = RESULTS / processor() / f"{name}.json", []
        for number in range(PROCESSES if again or not out.exists() else 0):
            wanted = options if number == 0 else [word for word in options if word not in EXTRAS]
            done = subprocess.run([sys.executable, __file__, *wanted, "--out", str(out)])
            if done.returncode:
                print(f"{name}: failed with exit code {done.returncode}", file=sys.stderr)
            else:
                found.append(json.loads(out.read_text()))
        if found:
            out.write_text(json.dumps(together(found), indent=2) + "\n")
    print(f"{time.perf_counter() - start:.0f} s; now: python benchmarks/report.py")


def main():
    args = arguments()
    if args.model is None:
        return all_jobs(args.again)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINIRES_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    options = {"stem": args.stem} if args.stem else {}
    work = {"model": args.model, "options": options, "batch_size": args.batch_size, "size": args.size}
    work["training"] = not args.inference
    if args.memory_of:
        return memory_of(args.memory_of, work)
    if args.alone:
        return alone(args.alone, work)
    compare(args, work)


if __name__ == "__main__":
    main()
