"""Measure training on several processes, and derive from it what many would give: docs/data_parallel.md.

    python benchmarks/parallel.py            # measures, writes results/parallel.json, then the tables of the page
    python benchmarks/parallel.py --again    # on a busy machine: the turns once more; faster steps take their places
    python benchmarks/parallel.py --page     # the tables alone, from that file

Measured: a step of one process with one thread, for several batch sizes; a step of 2 processes with 1 thread each
against 1 process with 2 threads, in turns; what 2 processes need to add up arrays of several sizes. Each runs in
processes of its own, and all see the same random images. Of the one thread the processor's time is kept, the median of
its steps; where processes wait for each other, the fastest step: other work on the machine adds to it and never takes
from it.

Derived: seconds of a step = fixed + per image · share (a line through the measured ones) + Allreduce. An Allreduce of
S bytes over p processes needs 2·log₂p·latency + 2·(p − 1)/p·S/bandwidth (Rabenseifner's algorithm: Thakur, Rabenseifner
and Gropp, 2005). Latency and bandwidth of this machine are fitted to what was measured; those of networks are assumed.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "parallel.json"
PAGE = HERE.parent / "docs" / "data_parallel.md"
BEGIN, END = "<!-- made by benchmarks/parallel.py -->\n", "<!-- end of what is made -->\n"

WORK = {
    "resnet20": {"title": "ResNet-20", "batch_size": 128, "sizes": [1, 4, 16, 64, 128], "options": {}},
    "resnet18": {
        "title": "ResNet-18 with CIFAR stem", "batch_size": 32, "sizes": [1, 4, 16, 32],
        "options": {"stem": "cifar", "num_classes": 10},
    },
}  # fmt: skip
PROCESSES = [2, 8, 64, 1024]
# Seconds and bytes a second, assumed: what such links are sold as, and what a small message takes over them.
NETWORKS = {
    "1 Gbit/s Ethernet": {"latency_s": 50e-6, "bytes_per_s": 125e6},
    "10 Gbit/s Ethernet": {"latency_s": 20e-6, "bytes_per_s": 1.25e9},
    "100 Gbit/s InfiniBand": {"latency_s": 2e-6, "bytes_per_s": 12.5e9},
}
MESSAGES = [2**n for n in range(10, 27, 2)]
TRAINING_IMAGES = 50_000  # of CIFAR-10
LARGEST_BATCH = 8192  # up to here Goyal et al. (2017) lost no accuracy on ImageNet


# What the processes that are measured do.


def step_seconds(name, batch_size, steps):
    """Train on so many random images; print a step's seconds, of the clock and of the processor, and its sum's."""
    import numpy as np

    from minires import models
    from minires.data import Loader
    from minires.optim import SGD
    from minires.parallel.processes import all_processes, started_by_mpiexec
    from minires.parallel.trainer import in_parallel
    from minires.training import Trainer

    work = WORK[name]
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch_size, 3, 32, 32), dtype=np.float32)
    labels = rng.integers(0, 10, batch_size)
    model = models.make(name, seed=0, fused=True, **work["options"])
    trainer = Trainer(model, Loader(images, labels, batch_size, seed=0), SGD(model.parameters(), 0.01, momentum=0.9))
    sums, sizes, rank = [], [], 0
    if started_by_mpiexec():
        processes = all_processes()
        rank, add_up = processes.rank, processes.sum_on_cpu

        def timed(array):
            start = time.perf_counter()
            add_up(array)
            sums.append(time.perf_counter() - start)
            sizes.append(array.nbytes)

        processes.sum_on_cpu = timed
        trainer = in_parallel(trainer, processes)
    times, processor = [], []
    for _ in range(steps + 2):  # the first two: compilers, memory
        start, used = time.perf_counter(), time.process_time()
        trainer.train(trainer.step + 1, lambda record: None)
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    if rank == 0:
        found = {"step_s": min(times[2:]), "processor_s": statistics.median(processor[2:])}
        if sums:
            found |= {"sum_s": min(sums[2:]), "bytes": sizes[-1]}
        print(json.dumps(found))


def sum_seconds():
    """Add up arrays of several sizes; print the least seconds of each."""
    import numpy as np

    from minires.parallel.processes import all_processes

    processes, found = all_processes(), {}
    for size in MESSAGES:
        array, times = np.zeros(size // 4, np.float32), []
        for _ in range(60):
            processes.told_to_all(0)  # all begin together
            start = time.perf_counter()
            processes.sum(array)
            times.append(time.perf_counter() - start)
        found[size] = min(times)
    if processes.rank == 0:
        print(json.dumps(found))


def run(number, threads, *arguments):
    """Run this script on so many processes with so many threads each; return what it printed."""
    environment = {**os.environ, "MINIRES_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    environment["PYTHONPATH"] = str(HERE.parent)
    command = [sys.executable, __file__, *map(str, arguments)]
    if number > 1:
        command = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(number), *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(rounds, steps):
    import numba
    import numpy

    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version(),
               "numpy": numpy.__version__, "numba": numba.__version__, "mpi": mpi_version(),
               "load": os.getloadavg()[0]}  # fmt: skip
    record = {"machine": machine, "rounds": rounds, "steps": steps, "messages": run(2, 1, "--sums"), "work": {}}
    for name, work in WORK.items():
        turns = {"one": [], "two": []}
        for _ in range(rounds):
            turns["one"].append(run(1, 2, "--step", name, work["batch_size"], "--steps", steps))
            turns["two"].append(run(2, 1, "--step", name, work["batch_size"], "--steps", steps))
        by_size = {size: run(1, 1, "--step", name, size, "--steps", steps)["processor_s"] for size in work["sizes"]}
        record["work"][name] = {
            "batch_size": work["batch_size"],
            "bytes": turns["two"][0]["bytes"],
            "seconds_by_batch": by_size,
            "one_process_two_threads_s": min([turn["step_s"] for turn in turns["one"]]),
            "two_processes_one_thread_s": min([turn["step_s"] for turn in turns["two"]]),
            "sum_s": min([turn["sum_s"] for turn in turns["two"]]),
        }
        print(json.dumps(record["work"][name]), flush=True)
    return record


def measure_again(record, rounds, steps):
    """Take turns once more, and keep of both the faster steps."""
    for name, work in record["work"].items():
        for _ in range(rounds):
            for key, number, threads in (("one_process_two_threads_s", 1, 2), ("two_processes_one_thread_s", 2, 1)):
                found = run(number, threads, "--step", name, work["batch_size"], "--steps", steps)
                work[key] = min(work[key], found["step_s"])
                work["sum_s"] = min(work["sum_s"], found.get("sum_s", work["sum_s"]))
    record["rounds"] += rounds
    return record


def mpi_version():
    from mpi4py import MPI

    return " ".join(MPI.Get_library_version().splitlines()[0].split())


# What follows from it.


def line_through(points):
    """Return intercept and slope of the least squares line in the points' relative errors."""
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True))
    slope /= sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    return mean_y - slope * mean_x, slope


def this_machine(record):
    """Fit latency and bandwidth to the measured sums of two processes: 2·latency + bytes/bandwidth."""
    fixed, per_byte = line_through([(int(size), seconds) for size, seconds in record["messages"].items()])
    return {"latency_s": max(fixed, 0) / 2, "bytes_per_s": 1 / per_byte}


def links(record):
    return {"this machine's memory": this_machine(record), **NETWORKS}


def allreduce_seconds(p, size, link):
    if p == 1:
        return 0.0
    return 2 * math.log2(p) * link["latency_s"] + 2 * (p - 1) / p * size / link["bytes_per_s"]


def derived(work, link, p, per_process=None):
    """Return share, seconds and images a second of p processes, with the batch of one process or one each as large."""
    fixed, per_image = line_through([(int(size), seconds) for size, seconds in work["seconds_by_batch"].items()])
    share = per_process or work["batch_size"] / p
    computing = max(fixed, 0) + per_image * max(share, 1)
    adding = allreduce_seconds(p, work["bytes"], link)
    return {"share": share, "computing": computing, "adding": adding, "images_per_s": share * p / (computing + adding)}


def largest(condition):
    """Return the largest p = 2, 4, 8, … up to 2²⁰ that fulfils a condition; 1 where none does."""
    best = 1
    for exponent in range(1, 21):
        best = 2**exponent if condition(2**exponent) else best
    return best


def up_to(p):
    """Say for which numbers of processes something holds, where p is the largest."""
    return "for none" if p == 1 else "for any number" if p == 2**20 else f"up to {p:,} processes"


def measured_table(record):
    head = "| network | Allreduce of | 1 process, 2 threads | 2 processes, 1 thread | of it, Allreduce | ratio |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, work in record["work"].items():
        one, two = work["one_process_two_threads_s"], work["two_processes_one_thread_s"]
        lines.append(
            f"| {WORK[name]['title']}, {work['batch_size']} images | {work['bytes']:,} bytes | {1e3 * one:.0f} ms | "
            f"{1e3 * two:.0f} ms | {1e3 * work['sum_s']:.1f} ms | {two / one:.2f} |"
        )
    return "\n".join(lines)


def scaling_table(record, work, per_process=None):
    """Speed-up over one process, for each number of processes and each link."""
    titles = list(links(record))
    first = "images each" if per_process is None else "batch"
    lines = [f"| processes | {first} | computing | {' | '.join(titles)} |", "|---|---|---|" + "---|" * len(titles)]
    alone = derived(work, this_machine(record), 1, per_process)["images_per_s"]
    for p in PROCESSES:
        rows = [derived(work, link, p, per_process) for link in links(record).values()]
        if rows[0]["share"] < 1:
            lines.append(f"| {p:,} | under 1 | | {' | '.join(['none'] * len(titles))} |")
            continue
        size = f"{rows[0]['share']:g}" if per_process is None else f"{per_process * p:,}"
        ups = [f"{row['images_per_s'] / alone:,.1f}×" for row in rows]
        lines.append(f"| {p:,} | {size} | {1e3 * rows[0]['computing']:.1f} ms | {' | '.join(ups)} |")
    return "\n".join(lines)


def ends(record, work):
    """Say where it ends: by the network, by the batch that stays, by the batch that grows."""
    lines = []
    for title, link in links(record).items():

        def computes_longer(p, link=link):
            row = derived(work, link, p)
            return row["share"] >= 1 and row["computing"] > row["adding"]

        def most_of_it(p, link=link):
            row = derived(work, link, p, work["batch_size"])
            return row["computing"] > row["adding"]

        p, q = largest(computes_longer), largest(most_of_it)
        shared, grown = up_to(p), up_to(q)
        if p == largest(lambda p: p <= work["batch_size"]):
            shared = "for any number that the batch has images for"
        lines.append(
            f"- {title} ({1e6 * link['latency_s']:.0f} µs, {link['bytes_per_s'] / 1e9:.3g} GB/s): with one batch a "
            f"step computes longer than it adds {shared}; with a batch for each, {grown}."
        )
    batch = work["batch_size"]
    lines.append(
        f"- The batch: one of {batch} images is enough for {batch} processes. With {batch} images for each, "
        f"{LARGEST_BATCH // batch} processes have {LARGEST_BATCH:,} in a step, the most that Goyal et al. trained "
        f"with on ImageNet without loss; {PROCESSES[-1]:,} have {PROCESSES[-1] * batch:,}, "
        f"{PROCESSES[-1] * batch / TRAINING_IMAGES:.1f} times all training images of CIFAR-10."
    )
    return "\n".join(lines)


def section(record):
    """Return the part of the page that is made of numbers."""
    machine = ", ".join([f"{key} {value}" for key, value in record["machine"].items() if key != "load"])
    parts = [
        f"The fastest of {record['rounds']} rounds of {record['steps']} steps or more, on random images of 32×32; "
        f"{machine}. The machine had {record['machine']['load']:.0f} processes to run at a time while this was "
        "measured, so the first table compares what luck allowed; the others take the processor's time, which that "
        "hardly changes.\n",
        measured_table(record),
    ]
    for name, work in record["work"].items():
        fixed, per_image = line_through([(int(size), seconds) for size, seconds in work["seconds_by_batch"].items()])
        title = WORK[name]["title"]
        parts += [
            f"\n### {title}\n",
            f"One process, one thread: {1e3 * max(fixed, 0):.1f} ms and {1e3 * per_image:.2f} ms an image. The fastest "
            f"Allreduce of two processes took {1e3 * work['sum_s']:.1f} ms, where this machine's latency and bandwidth "
            f"say {1e3 * allreduce_seconds(2, work['bytes'], this_machine(record)):.1f} ms. Speed-up over one process, "
            f"the batch of {work['batch_size']} images shared by all:\n",
            scaling_table(record, work),
            f"\nThe same with {work['batch_size']} images for each process, so that the batch grows with them:\n",
            scaling_table(record, work, work["batch_size"]),
            "\nWhere it ends:\n",
            ends(record, work),
        ]
    return "\n".join(parts) + "\n"


def page(record):
    """Return the page with the numbers of a record."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section(record)}\n{END}{rest.split(END)[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="write the page from the results there are")
    parser.add_argument("--again", action="store_true", help="take the turns once more and keep the faster steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--sums", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        return step_seconds(args.step[0], int(args.step[1]), args.steps)
    if args.sums:
        return sum_seconds()
    if not args.page:
        sys.path.insert(0, str(HERE.parent))
        if args.again:
            record = measure_again(json.loads(RESULTS.read_text()), args.rounds, args.steps)
        else:
            record = measure(args.rounds, args.steps)
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(RESULTS.read_text())), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
