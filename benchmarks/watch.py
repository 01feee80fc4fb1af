"""Time what `debug.watch` costs: training steps of a network with NumPy kernels, watched and not, in turn.

    python benchmarks/watch.py                        ResNet-20, batch 128, 32×32 images
    python benchmarks/watch.py --batch-size 32 --out benchmarks/results/watch.json

Each round times one step of each kind, in seconds of the processor, so that what else runs on the machine counts
little; the overhead is the median over rounds of watched / unwatched − 1. Also timed is the one question that an engine
without a watch asks itself per op and pass.
"""

import argparse
import json
import os
import statistics
import sys
import time
import timeit
from pathlib import Path

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images, pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    return parser.parse_args()


def main():
    args = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(args.threads))
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    import numpy as np
    from cpu import machine

    from minires import Tensor, debug, kernels, models, ops
    from minires.engine import backward_order, per_thread
    from minires.optim import SGD

    kernels.use("numpy")
    rng = np.random.default_rng(0)
    images = Tensor(rng.standard_normal((args.batch_size, 3, args.size, args.size)).astype(np.float32))
    labels = rng.integers(0, 10, args.batch_size)
    model = models.make(args.model, seed=0)
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9)

    def step():
        loss = ops.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def watched_step():
        with debug.watch(nan=True, norm_below=1e-12, norm_above=1e6, ratio_above=1e3, action="raise"):
            step()

    ops_in_step = len(backward_order(ops.cross_entropy(model(images), labels)))
    seconds = {"unwatched": [], "watched": []}
    for round_number in range(args.rounds + 1):  # the first warms up
        for name, run in (("unwatched", step), ("watched", watched_step)):
            start = time.process_time()
            run()
            if round_number:
                seconds[name].append(time.process_time() - start)
    ratios = [watched / plain for watched, plain in zip(seconds["watched"], seconds["unwatched"], strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    names = {"per_thread": per_thread}
    question = timeit.timeit("per_thread.observer is not None", globals=names, number=1_000_000) / 1e6
    plain = statistics.median(seconds["unwatched"])
    share = 2 * ops_in_step * question / plain

    print(f"{args.model}, batch {args.batch_size}, {args.size}×{args.size}, NumPy kernels, {args.threads} threads")
    print(f"step {plain * 1e3:.0f} ms of processor time")
    print(f"watched {median - 1:+.1%} (quartiles {low - 1:+.1%} … {high - 1:+.1%})")
    print(f"not watched: {2 * ops_in_step} × {question * 1e9:.0f} ns, {share:.4%} of the step")
    if args.out:
        record = {"model": args.model, "batch_size": args.batch_size, "size": args.size, "threads": args.threads,
                  "machine": machine(), "step_cpu_s": plain, "overhead": median - 1,
                  "overhead_quartiles": [low - 1, high - 1], "unused_share": share}  # fmt: skip
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
