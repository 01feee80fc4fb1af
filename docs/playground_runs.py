"""Records the trainings that the playground replays: the gradient's profile at eight moments of each.

    python docs/playground_runs.py        writes minires/playground/page/runs.json; two minutes on two cores

Plain and residual ResNet-56 on the digits at two learning rates, otherwise as `minires compare` trains: batches of 64,
He initialization, batch norm, SGD with momentum 0.9, weight decay 1e-4, a cosine over 80 steps, seed 0. The gradient is
measured in float64 on the first batch, at each moment the same, by the compiled kernels or, with MINIRES_KERNELS=numpy,
by NumPy's. Which of the two it was changes what a training in chaos comes to, as another seed would: the shape of a
profile can be repeated, its last digits cannot.
"""

import json
import math
from pathlib import Path

from minires import kernels
from minires.data import Loader, load_digits
from minires.lab.gradient_norms import measure
from minires.lab.networks import Network
from minires.optim import SGD, CosineAnnealingLR
from minires.runs import records
from minires.training import Trainer

RECORDING = Path(__file__).resolve().parent.parent / "minires" / "playground" / "page" / "runs.json"

DEPTH = 56
RATES = (0.05, 0.005)
MOMENTS = (0, 1, 2, 5, 10, 20, 40, 80)  # steps done
BATCH_SIZE = 64
SEED = 0


def record(skip, lr):
    """Train one network; return its profiles: log10 of ‖dL/dh‖ at the stem and every block, a row for each moment."""
    train_images, train_labels, _, _ = load_digits()
    batches = Loader(train_images, train_labels, BATCH_SIZE, drop_last=True, seed=SEED)
    network = Network(DEPTH, skip, "he", "batch", "relu")
    model = network.build(SEED)
    optimizer = SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    trainer = Trainer(model, batches, optimizer, CosineAnnealingLR(optimizer, MOMENTS[-1]))
    images, labels = next(batches.epoch(0))
    run = {"name": network.name, "lr": lr, "outputs": [], "log10_grad_h": [], "loss": []}
    for moment in MOMENTS:
        trainer.train(moment, ignore)
        norms = measure(model, images, labels)
        run["outputs"] = norms["outputs"]
        run["log10_grad_h"].append([round(value, 4) for value in norms["log10_grad_h"]])
        run["loss"].append(round(norms["loss"], 4))
        ratio = norms["log10_grad_h"][0] - norms["log10_grad_h"][-1]
        print(f"{network.name} lr {lr} step {moment:2}: stem over last block 10^{ratio:.2f}, loss {norms['loss']:.3f}")
    return run


def ignore(step):
    """What is measured at the moments is all that is kept."""


def main():
    recording = {
        "data": "digits", "batch_size": BATCH_SIZE, "seed": SEED, "kernels": kernels.in_use(), "moments": list(MOMENTS),
        "chance": round(math.log(10), 4), "runs": [record(skip, lr) for skip in (False, True) for lr in RATES],
    }
    text = json.dumps(recording, separators=(",", ":"), allow_nan=False)
    text = text.replace('{"name"', '\n{"name"').replace("],[", "],\n[")  # a line a profile
    records.write_bytes(RECORDING, f"{text}\n".encode())
    print(RECORDING)


if __name__ == "__main__":
    main()
