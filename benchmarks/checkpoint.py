"""Time a complete checkpoint: ResNet-20 after a step of SGD with momentum, collected, written, synced and renamed.

    python benchmarks/checkpoint.py --out benchmarks/results/checkpoint.json

Beside it PyTorch's `torch.save` of the same tensors to a synced file, where PyTorch is installed: neither checksum nor
rename. The time depends on the disk below --folder more than on anything else, so put it where your runs are.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
from cpu import machine  # noqa: E402

from minires import models, training  # noqa: E402
from minires.data import Loader  # noqa: E402
from minires.optim import SGD  # noqa: E402
from minires.runs import checkpoint  # noqa: E402
from minires.runs.ema import EMA  # noqa: E402
from minires.runs.state import TrainingState  # noqa: E402


def trained(model_name, with_ema):
    """Return a trainer with complete state, after one step on random images."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((4, 3, 32, 32), np.float32)
    model = models.make(model_name, seed=0)
    loader = Loader(images, np.arange(4), 4, prefetch=0)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    trainer = training.Trainer(model, loader, optimizer, ema=EMA(model) if with_ema else None)
    trainer.train(1, lambda record: None)
    return trainer


def with_torch(trainer, path):
    """Return a function that saves the same arrays as PyTorch does, or None."""
    try:
        import torch
    except ImportError:
        return None
    tensors = {name: torch.from_numpy(array) for name, array in trainer.model.state_dict().items()}
    momentum = {i: torch.from_numpy(kept["momentum_buffer"]) for i, kept in enumerate(trainer.optimizer.state.values())}

    def save():
        with path.open("wb") as file:
            torch.save({"model": tensors, "optimizer": momentum}, file)
            file.flush()
            os.fsync(file.fileno())

    return save


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="the disk to write to")
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=".checkpoint-benchmark-", dir=args.folder))
    rows = {}
    try:
        for name, with_ema in (("MiniRes", False), ("MiniRes with EMA", True)):
            trainer = trained(args.model, with_ema)
            state = TrainingState(trainer)
            step = iter(range(1_000_000))
            rows[name] = timed(
                lambda: checkpoint.save(folder, next(step), state.state_dict()), args.rounds  # noqa: B023
            )
            path = checkpoint.newest(folder)
            rows[name]["megabytes"] = path.stat().st_size / 1e6
            rows[name]["load_ms"] = timed(lambda: state.load_state_dict(checkpoint.load(path)[0]), 5)["median_ms"]  # noqa: B023
            save = with_torch(trainer, folder / "checkpoint.pt")
        if save is not None:
            rows["torch.save"] = timed(save, args.rounds)
            rows["torch.save"]["megabytes"] = (folder / "checkpoint.pt").stat().st_size / 1e6
    finally:
        shutil.rmtree(folder)
    for name, row in rows.items():
        low, high = row["quartiles_ms"]
        print(f"{name:18} {row['median_ms']:6.1f} ms ({low:.1f} … {high:.1f}), {row['megabytes']:.1f} MB")
    if args.out:
        record = {"work": {"model": args.model, "rounds": args.rounds}, "machine": machine(), "results": rows}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


def timed(function, rounds):
    """Run a function `rounds` times; return the quartiles of its time in ms."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    low, median, high = [1e3 * second for second in statistics.quantiles(seconds, n=4)]
    return {"median_ms": median, "quartiles_ms": [low, high]}


if __name__ == "__main__":
    main()
