"""Time what data costs: loading CIFAR-10, making a batch of it, and what of that a training step notices.

    python benchmarks/data.py --data-dir FOLDER      FOLDER holds cifar-10-batches-bin, or the download goes there

Loading runs in fresh processes, whose peak memory is compared with that of one that only imports. A batch is cut,
cropped, flipped and normalized, 128 images. A training step of ResNet-20 runs in turn on a batch that is there already,
on one made when it is asked for, and on one that the loader's thread made ahead. A batch's share is its median time
over the fastest of these steps. Results go to benchmarks/results/ as JSON with the machine's description.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="where cifar-10-batches-bin is (MINIRES_DATA, else a cache)")
    parser.add_argument("--kernels", nargs="*", default=["numpy", "numba"], choices=["numpy", "numba"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    parser.add_argument("--load", choices=["yes", "no"], help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_loading(data_dir, load):
    """In a process of its own: print the seconds of loading and the peak memory in MB."""
    from cpu import resident_peak

    from minires import data, kernels

    kernels.use("numpy")
    start, start_cpu = time.perf_counter(), time.process_time()
    dataset = data.load("cifar10", data_dir) if load == "yes" else None
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(seconds, cpu, resident_peak() * 1.048576, len(dataset.train_images) if dataset else 0)


def loading(rounds):
    """Return the seconds of loading, and the memory it adds to a process, MB."""
    seconds, cpu, peaks = [], [], {"yes": [], "no": []}
    for _ in range(rounds):
        for load in peaks:
            command = [sys.executable, __file__, *sys.argv[1:], "--load", load]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            elapsed, busy, peak, images = done.stdout.split()
            peaks[load].append(float(peak))
            if images != "0":
                seconds.append(float(elapsed))
                cpu.append(float(busy))
    memory = statistics.median(peaks["yes"]) - statistics.median(peaks["no"])
    times = {"fastest_s": min(seconds), "median_s": statistics.median(seconds), "cpu_s": statistics.median(cpu)}
    return times | {"memory_mb": memory}


def make_loader(dataset, prefetch):
    from minires import data

    return data.Loader(
        dataset.train_images, dataset.train_labels, 128, augmentation=data.make_augmentation(["crop", "flip"]),
        mean=dataset.mean, std=dataset.std, prefetch=prefetch,
    )  # fmt: skip


def making(dataset, batches=200):
    """Return the seconds that each of some batches takes to make."""
    stream = make_loader(dataset, 0).stream()
    seconds = []
    for _ in range(batches):
        start = time.perf_counter()
        next(stream)
        seconds.append(time.perf_counter() - start)
    return seconds


def stepping(dataset, kernel_name, rounds):
    """Return the seconds of a training step by where its batch comes from, and those it waits for the batch."""
    from minires import Tensor, kernels, models, ops, optim

    with kernels.use(kernel_name):
        model = models.make("resnet20", seed=0)
        sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        ready = next(make_loader(dataset, 0).stream())
        streams = {"ready": None, "made on demand": make_loader(dataset, 0).stream()}
        streams["made ahead"] = make_loader(dataset, 2).stream()
        seconds = {name: [] for name in streams}
        waits = {name: [] for name in streams}
        for turn in range(rounds + 2):
            for name, stream in streams.items():
                start = time.perf_counter()
                images, labels = ready if stream is None else next(stream)
                wait = time.perf_counter() - start
                sgd.zero_grad()
                ops.cross_entropy(model(Tensor(images)), labels).backward()
                sgd.step()
                if turn >= 2:  # after the compilation and the first, cold turn
                    waits[name].append(wait)
                    seconds[name].append(time.perf_counter() - start)
        streams["made ahead"].close()
    return {
        name: {
            "fastest_s": min(seconds[name]),
            "median_s": statistics.median(seconds[name]),
            "wait_s": statistics.median(waits[name]),
        }
        for name in streams
    }


def main():
    args = arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, str(args.threads))
    sys.path.insert(0, str(HERE.parent))
    if args.load:
        return measure_loading(args.data_dir, args.load)
    from cpu import machine

    from minires import data

    dataset = data.load("cifar10", args.data_dir)
    load = loading(5)
    times = f"{load['fastest_s']:.2f} s at best, {load['median_s']:.2f} median, {load['cpu_s']:.2f} of the processor"
    print(f"loading CIFAR-10: {times}; {load['memory_mb']:.0f} MB more memory (bounds: 1 s, 200 MB)")
    making(dataset, 20)
    seconds = making(dataset)
    batch = statistics.median(seconds)
    low, _, high = statistics.quantiles(seconds, n=4)
    print(f"a batch of 128:   {batch * 1e3:.2f} ms, quartiles {low * 1e3:.2f} … {high * 1e3:.2f}")
    record = {"threads": args.threads, "machine": machine(), "loading": load}
    record |= {"batch": {"median_s": batch, "quartiles_s": [low, high]}, "steps": {}}
    bounds = {"numpy": 0.03, "numba": 0.10}
    for name in args.kernels:
        steps = stepping(dataset, name, args.rounds)
        share = batch / min([row["fastest_s"] for row in steps.values()])  # a busy machine flatters no share
        record["steps"][name] = {**steps, "share": share, "bound": bounds[name]}
        print(f"\nResNet-20, {name} kernels: a batch costs {share:.2%} of a step (bound: {bounds[name]:.0%})")
        for source, row in steps.items():
            fastest, median, wait = (row[key] * 1e3 for key in ("fastest_s", "median_s", "wait_s"))
            print(
                f"  batch {source:15}{fastest:8.1f} ms a step at best, {median:8.1f} median, {wait:6.2f} of it waiting"
            )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
