"""`minires bench`: how long a training step and an inference take here, with which kernels; --profile: op by op."""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from minires.cli.as_json import add_json, print_json
from minires.cli.train import check_size

EXAMPLES = [
    ("minires bench", "ResNet-20, batches of 128"),
    ("minires bench --model resnet50 --batch-size 8 --profile", "op by op"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="resnet20", metavar="NAME", help="resnet20, resnet18, … (resnet20)")
    parser.add_argument("--stem", choices=("cifar", "imagenet"), help="of resnet18 to resnet152 (imagenet)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="options of the model, as for minires train: model.depth=16 model.width=4")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="images at a time (128)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="height and width of the images (the model's own)")
    parser.add_argument("--kernels", nargs="+", choices=("numpy", "numba"), metavar="NAME",
                        help="numpy, numba or both (what is in use)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the Numba kernels (one a core)")
    parser.add_argument("--unfused", action="store_true", help="batch norm, residual add and relu as ops of their own")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="repeats, of which median and quartiles (7)")
    parser.add_argument("--profile", action="store_true", help="the time of each op of a training step instead")
    add_json(parser, "print the times as JSON")
    parser.add_argument("--launches", action="store_true", help="the kernels of a training step on a GPU instead")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from minires import kernels, models, optim
    from minires.runs.building import has_fused_form

    for name in ("batch_size", "rounds", "size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    options = model_options(args)
    results = []
    has_fused = not args.unfused and has_fused_form(options)
    if args.threads is not None:
        kernels.set_num_threads(args.threads)
    if args.launches:
        model = models.make(args.model, **{"seed": 0, "fused": has_fused, **options}).to("cuda")
        show_launches(launches_of(model, args.batch_size, args.size), args.json)
        return 0
    rng = np.random.default_rng(0)
    for name in args.kernels or [kernels.in_use()]:
        with kernels.use(name):
            given = {"seed": 0, "fused": has_fused and name != "numpy", **options}
            model = models.make(args.model, **given)
            channels, height, width = model.input_shape or (3, 32, 32)
            size = (args.size or height, args.size or width)
            images = rng.standard_normal((args.batch_size, channels, *size), dtype=np.float32)
            labels = rng.integers(0, model.fc.weight.shape[0], args.batch_size)
            sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
            if not args.json:
                print(f"{args.model}, {args.batch_size} images of {size[0]}×{size[1]}, {name} kernels"
                      f"{', fused' if given['fused'] else ''}")
            what = {"model": args.model, "batch_size": args.batch_size, "size": size, "kernels": name,
                    "fused": given["fused"]}  # fmt: skip
            if args.profile:
                profile = profile_of(model, sgd, images, labels, args.rounds, args.json)
                results.append({**what, **profile})
                continue
            for row in times(model, sgd, images, labels, args.rounds):
                results.append({**what, **row})
                if not args.json:
                    show(row, args.batch_size)
    if args.json:
        print_json(results)
    return 0


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the model is made with, as the command line says it."""
    from minires.models.registry import CIFAR_MODELS
    from minires.runs.settings import parsed

    options = {"stem": args.stem} if args.stem else {}
    if args.stem and args.model in [*CIFAR_MODELS, "wide_resnet"]:
        raise ValueError(
            f"--stem is for resnet18 to resnet152, not for {args.model}: leave it out, or add --model resnet18"
        )
    for setting in args.set:
        keys, value = parsed(setting)
        if len(keys) != 2 or keys[0] != "model" or keys[1] == "name":
            raise ValueError(f"--set is for options of the model here, such as model.depth=16, not {setting!r}")
        options[keys[1]] = value
    check_size(args.model, options)
    return options


def launches_of(model, batch_size: int, size: int | None) -> Counter[str]:
    """Count how often each of our GPU kernels is launched in a training step; CuPy's own small ones come on top."""
    import numpy as np

    from minires import ops, optim
    from minires.engine import Tensor
    from minires.kernels.cupy_kernels.launching import launches

    channels, height, width = model.input_shape or (3, 32, 32)
    images = Tensor(np.zeros((batch_size, channels, size or height, size or width), np.float32)).to("cuda")
    labels = Tensor(np.zeros(batch_size, np.int64)).to("cuda").data
    before = launches.copy()
    ops.cross_entropy(model(images), labels).backward()
    optim.SGD(model.parameters(), lr=0.01, momentum=0.9).step()
    return launches - before


def show_launches(counted: Counter[str], as_json: bool) -> None:
    if as_json:
        print_json(dict(counted.most_common()))
        return
    for name, number in counted.most_common():
        print(f"{name:34}{number:6}")
    print(f"{'all':34}{counted.total():6}")


def profile_of(model, sgd, images, labels, rounds: int, quiet: bool) -> dict[str, Any]:
    """Time the ops of a training step, print them unless `quiet`, and return them with the peak, FLOP/s."""
    from minires.observe import profiling

    profile, peak = profiling.profile_step(model, sgd, images, labels, rounds), profiling.measured_peak()
    if not quiet:
        print(profiling.profile_text(profile, peak))
    facts = asdict(profile)
    return {"ops": facts.pop("rows"), **facts, "peak_flops_per_s": peak, "rounds": rounds}


def show(row: dict[str, Any], images: int) -> None:
    once = "step" if row["what"] == "training step" else "pass"
    low, high = [1e3 * seconds for seconds in row["quartiles_s"]]
    median = row["median_s"]
    print(f"  {row['what']:<14}{median * 1e3:9.1f} ms   quartiles {low:.1f} … {high:.1f}   "
          f"{images / median if median > 0 else 0:8.0f} images/s   first {once} {row['first_s']:.2f} s")


def times(model, sgd, images, labels, rounds: int) -> Iterator[dict[str, Any]]:
    """Time training steps, then inferences: yield the median, the quartiles and the first of each, seconds."""
    import numpy as np

    from minires import Tensor, no_grad, ops

    def train() -> None:
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()

    def infer() -> None:
        with no_grad():
            model(Tensor(images))

    for what, step in (("training step", train), ("inference", infer)):
        model.train(step is train)
        start = time.perf_counter()
        step()
        first = time.perf_counter() - start
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        low, median, high = np.percentile(seconds, [25, 50, 75]).tolist()
        yield {"what": what, "median_s": median, "quartiles_s": [low, high], "first_s": first, "rounds": rounds}
