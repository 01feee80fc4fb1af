"""Compare onnxruntime with MiniRes over the whole family, images of their own sizes, and over random small networks.

    python benchmarks/onnx_parity.py --out benchmarks/results/onnx_parity.json
    python benchmarks/onnx_parity.py --only resnet1202 preact_resnet1001

The tests have smaller images, fewer depths and the same random networks. What is reported is the largest difference
between the two engines' outputs over the largest output; 1e-5 and more is a failure. A model is done when its line is
printed, and its numbers are in the file.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "interop")]
LIMIT = 1e-5


def difference(model, path, shape, batch):
    """Return the largest difference of the outputs over the largest output."""
    import onnxruntime

    from minires import Tensor, no_grad

    images = np.random.default_rng(batch).standard_normal((batch, *shape)).astype(np.float32)
    with no_grad():
        expected = model.eval()(Tensor(images)).data
    (got,) = onnxruntime.InferenceSession(path).run(None, {"input": images})
    largest = float(np.abs(expected).max())
    return float(np.abs(got - expected).max()) / (largest or 1.0)  # a random network can give zeros alone


def settle(model):
    """Bring a fresh network near what training makes of it: quiet branches, running statistics of a batch.

    Else the depth alone decides: with mean 0 and variance 1 the deepest overflow in evaluation, and with loud branches
    every block enlarges the rounding of those before it, in any engine.
    """
    from minires import Tensor, nn, no_grad

    for _, module in model.named_modules():
        if hasattr(module, "branch_end"):
            end = getattr(module, module.branch_end)
            last = end if isinstance(end, nn.BatchNorm2d) else getattr(module, module.branch[-1])
            last.weight.data *= 0.1
    norms = [module for _, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    images = np.random.default_rng(0).standard_normal((2, *model.input_shape)).astype(np.float32)
    with no_grad():
        model.train()(Tensor(images))
    return model.eval()


def family():
    """Yield name, model and image shape of each network of the family, in its plain and in its fused form."""
    from minires import models

    for name in models.MODELS:
        options = {"depth": 16, "width": 4} if name == "wide_resnet" else {}
        for fused in (False, True):
            model = models.make(name, seed=0, fused=fused, **options)
            yield f"{name}{', fused' if fused else ''}", settle(model), model.input_shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these members of the family alone")
    parser.add_argument("--random", type=int, default=100, metavar="N", help="random networks (100)")
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    args = parser.parse_args()
    import onnx
    import onnxruntime
    from random_networks import random_network

    from minires import interop
    from minires.interop.onnx_file import IR_VERSION, OPSET

    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "opset": OPSET, "ir": IR_VERSION}
    report = {"versions": versions, "limit": LIMIT, "family": {}, "random": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"

        def compare(part, name, model, shape):
            start = time.perf_counter()
            interop.save_onnx(model, path, shape)
            seconds = time.perf_counter() - start
            worst = max(difference(model, path, shape, batch) for batch in (1, 2))
            report[part][name] = {"difference": worst, "export_s": round(seconds, 2), "bytes": path.stat().st_size}
            if part == "family":
                print(f"{name:32} {worst:9.2e}  {seconds:7.1f} s  {path.stat().st_size / 2**20:8.1f} MiB", flush=True)
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

        for name, model, shape in family():
            if args.only is None or name.removesuffix(", fused") in args.only:
                compare("family", name, model, shape)
        for seed in range(args.random):
            compare("random", str(seed), *random_network(seed))
    for part in ("family", "random"):
        found = [row["difference"] for row in report[part].values()]
        if found:
            failed = sum(not value < LIMIT for value in found)
            print(f"{part}: {len(found)} networks, worst {max(found):.2e}, {failed} at {LIMIT:g} or above")
    return int(any(not row["difference"] < LIMIT for part in ("family", "random") for row in report[part].values()))


if __name__ == "__main__":
    sys.exit(main())
