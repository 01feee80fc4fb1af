"""`minires train`: train a network of the ResNet family, with records of every step."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

MODEL_OPTIONS = ("depth", "width", "shortcut", "stem", "norm", "activation", "init", "block")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="resnet20", metavar="NAME",
                        help="resnet20, preact_resnet56, resnet18, wide_resnet, … (resnet20)")
    parser.add_argument("--data", default="digits", choices=["digits"], help="the data set (digits)")
    parser.add_argument("--split", default="random", metavar="NAME", help="random, or the harder last360 (random)")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="times through the training images (20)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images in a batch (32)")
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate at the start (0.1)")
    parser.add_argument("--momentum", type=float, default=0.9, help="SGD's momentum (0.9)")
    parser.add_argument("--weight-decay", type=float, default=1e-3, help="SGD's weight decay (0.001, for few images)")
    parser.add_argument("--schedule", default="cosine", choices=["cosine", "multistep"],
                        help="the learning rate: half a cosine down to 0, or a tenth after 1/2 and 3/4 (cosine)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of weights and batches (0)")
    model = parser.add_argument_group("the model, where it should differ from the paper's")
    model.add_argument("--skip", choices=["off", "on"], default="on", help="off: the plain twin (on)")
    model.add_argument("--norm", metavar="NAME", help="batch or none")
    model.add_argument("--init", metavar="NAME", help="initialization: he, pytorch, zero_gamma, fixup, …")
    model.add_argument("--activation", metavar="NAME", help="relu, elu, selu, …")
    model.add_argument("--shortcut", metavar="NAME", help="A, B, C or always")
    model.add_argument("--block", metavar="NAME", help="basic, bottleneck, preact, …")
    model.add_argument("--stem", metavar="NAME", default="cifar", help="cifar, for small images, or imagenet (cifar)")
    model.add_argument("--depth", type=int, metavar="N", help="of wide_resnet: layers")
    model.add_argument("--width", type=int, metavar="N", help="factor on the channels")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return train_model(args)


def train_model(args: argparse.Namespace) -> int:
    """Build what the arguments say, train it, and write the run's records as they come."""
    import numpy as np
    from tqdm import tqdm

    from minires import models, records, training
    from minires.data import Loader, load_digits
    from minires.optim import SGD

    if args.epochs < 1:
        raise ValueError(f"--epochs must be at least 1, got {args.epochs}")
    train_images, train_labels, test_images, test_labels = load_digits(args.split)
    model = models.make(args.model, in_channels=1, num_classes=10, seed=args.seed, **model_options(args))
    batches = Loader(train_images, train_labels, args.batch_size, seed=args.seed)
    optimizer = SGD(model.parameters(), args.lr, momentum=args.momentum, weight_decay=args.weight_decay)
    steps = args.epochs * len(batches)
    schedule = make_schedule(args.schedule, optimizer, steps)

    arguments = {name: value for name, value in vars(args).items() if name not in ("command", "run", "traceback")}
    folder = records.new_run(args.out, "train", args.model, arguments)
    evaluations: list[training.Record] = []
    bar = tqdm(total=steps, bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}")

    def log(record: training.Record) -> None:
        records.append_jsonl(folder / "metrics.jsonl", record)
        bar.update()
        if "test_accuracy" in record:
            evaluations.append(record)
            bar.set_description(f"epoch {record['epoch'] + 1}: test accuracy {record['test_accuracy']:.1%}")

    code, outcome = 0, "finished"
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # train says when the numbers run away
            training.train(model, batches, optimizer, schedule, steps, log, (test_images, test_labels))
    except FloatingPointError as error:
        code, outcome = 1, str(error)
    except KeyboardInterrupt:
        code, outcome = 130, "interrupted"
    bar.close()
    report(folder, args.model, model, outcome, bar.n, evaluations)
    if code:
        print(f"minires train: {outcome}", file=sys.stderr)
    return code


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """Collect the options of the model that were given."""
    given = {name: getattr(args, name) for name in MODEL_OPTIONS if getattr(args, name) is not None}
    return {"skip": args.skip == "on", **given}


def make_schedule(name: str, optimizer: Any, steps: int) -> Any:
    """Make a schedule that steps once a batch."""
    from minires.optim import CosineAnnealingLR, MultiStepLR

    if name == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    return MultiStepLR(optimizer, sorted({max(1, steps // 2), max(1, 3 * steps // 4)}))


def report(folder: Path, name: str, model: Any, outcome: str, steps: int, evaluations: list[dict[str, Any]]) -> None:
    """Write report.json and say what it holds."""
    from minires import records

    last = evaluations[-1] if evaluations else {}
    records.write_json(folder / "report.json", {
        "model": name,
        "parameters": sum([parameter.size for parameter in model.parameters()]),
        "outcome": outcome,
        "steps": steps,
        "test_accuracy": last.get("test_accuracy"),
        "test_loss": last.get("test_loss"),
    })
    if last:
        accuracy, loss = last["test_accuracy"], last["test_loss"]
        print(f"{name}: test accuracy {accuracy:.2%}, test loss {loss:.4f} after {last['step']} steps")
    print(f"{folder}: config.json, metrics.jsonl, report.json")
