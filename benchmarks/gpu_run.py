"""All that a GPU has to show, in one run of at most eight minutes that can be cut after any step.

    python benchmarks/gpu_run.py                 # on a GPU: one line of JSON a step, in results/gpu_run.jsonl
    python benchmarks/gpu_run.py --only e f      # some of the steps
    python benchmarks/gpu_run.py --emulate --out run.jsonl     # without a GPU: b, d and e, small, on the CPU

The steps, the most telling first:

    a  minires doctor
    b  every kernel against NumPy's: all of pytest -m gpu
    c  training steps of ResNet-20 and ResNet-56, batches of 128 and 1024, against PyTorch (benchmarks/gpu.py)
    d  the gradients of minires compare, there and on the CPU
    e  20 training steps in float64 there and here, losses to 1e-8; one in float32, to 1e-5; 2,000 float32 steps
    f  a whole training step as one CUDA graph, if CuPy captures it
    g  PyTorch compiled, for the works of c: last, since compiling takes longest

Each step is a process of its own with a time limit. Its line is written when it ends, however it ends: a step that
fails, or takes too long, is a result too. --emulate puts the tests' stand-in for CuPy in its place.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "gpu_run.jsonl"

WORKS = ["resnet20-128", "resnet56-128", "resnet20-1024", "resnet56-1024"]
EAGER = [
    "minires fp32", "minires tf32", "torch fp32 contiguous", "torch fp32 channels_last", "torch tf32 channels_last",
]  # fmt: skip
COMPILED = ["torch fp32 compiled", "torch tf32 compiled"]


def command_of(step, emulate):
    """Return a step's command, and the most seconds that it may take."""
    python = [sys.executable]
    inside = [sys.executable, str(Path(__file__).resolve()), "--inside", step[0], *(["--emulate"] if emulate else [])]
    if step == "a":
        return [*python, "-m", "minires", "doctor"], 30
    if step == "b" and emulate:
        cases = "test_every_case_of_the_gradient_check and (conv2d or pool)"
        return [*python, "-m", "pytest", "tests/gpu", "-q", "-m", "not gpu", "-k", cases], 300
    if step == "b":
        return [*python, "-m", "pytest", "tests/gpu", "-q", "-m", "gpu"], 120
    if step.startswith(("c", "g")):
        work = step.partition(" ")[2]
        names = EAGER if step[0] == "c" else COMPILED
        return [*python, "benchmarks/gpu.py", "--work", work, "--only", *names, "--rounds", "20", "--out", "OUT"], 40
    return inside, 300 if emulate else {"d": 40, "e": 60, "f": 30}[step]


def all_steps(emulate):
    if emulate:
        return ["b", "d", "e"]
    return ["a", "b", *[f"c {work}" for work in WORKS], "d", "e", "f", *[f"g {work}" for work in WORKS]]


# The steps that are written here. Each returns what it found; what is not as it should be is an AssertionError.


def comparison(emulate):
    """d: the gradient of every layer before training, by `minires compare` on both devices."""
    from minires.cli.main import main

    options = ["--steps", "0"]
    if emulate:
        options += ["--depths", "8", "--seeds", "1", "--batch-size", "4"]
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        for device in ("cuda", "cpu"):
            out = Path(folder) / device
            assert main(["compare", *options, "--device", device, "--out", str(out)]) == 0, f"compare on {device}"
            (run,) = out.iterdir()
            reports[device] = json.loads((run / "report.json").read_text())
    worst, layers = 0.0, 0
    for there, here in zip(reports["cuda"]["networks"], reports["cpu"]["networks"], strict=True):
        for one, other in zip(there["runs"], here["runs"], strict=True):
            for name in ("grad_h", "grad_w"):
                found, expected = (np.array(run["initial"][name], float) for run in (one, other))
                worst = max(worst, float(np.nanmax(np.abs(found - expected) / np.abs(expected))))
                layers += found.size
    assert worst < 1e-3, f"a layer's gradient differs by {worst:.1e} of itself"
    return {"gradients": layers, "largest_relative_difference": worst}


def trained(device, dtype, steps, small, timed=False):
    """Train on random images; return the losses or, where only time counts, the last one and the seconds."""
    from minires import Tensor, models, ops, optim

    rng = np.random.default_rng(0)
    batch, size = (4, (8, 6)) if small else (128, (32, 32))
    images, labels = rng.standard_normal((batch, 3, *size)).astype(dtype), rng.integers(0, 10, batch)
    if small:
        model = models.network_of(models.BasicBlock, (1, 1, 1), (4, 6, 8), seed=0, shortcut="A")
    else:
        model = models.resnet20(seed=0)
    model = model.to(dtype).to(device)
    images, labels = (Tensor(array).to(device).data for array in (images, labels))
    sgd = optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    losses = []
    start = time.perf_counter()
    for step in range(steps):
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        if not timed or step + 1 == steps:  # to read a number is to wait
            losses.append(loss.item())
    return losses, time.perf_counter() - start


def training(emulate):
    """e: the losses of a training on both devices."""
    few = {"small": emulate}
    steps = 20
    found, expected = (np.array(trained(device, "float64", steps, **few)[0]) for device in ("cuda", "cpu"))
    double = float(np.abs(found / expected - 1).max())
    first, expected = (trained(device, "float32", 1, **few)[0][0] for device in ("cuda", "cpu"))
    single = abs(first / expected - 1)
    many = 3 if emulate else 2000
    losses, seconds = trained("cuda", "float32", many, **few, timed=True)
    result = {
        "float64_steps": steps, "float64_relative": double, "float32_first_relative": single,
        "fast_steps": many, "fast_seconds": seconds, "steps_per_second": many / seconds, "last_loss": losses[-1],
    }  # fmt: skip
    assert double < 1e-8, f"the losses in float64 differ by {double:.1e}: {result}"
    assert single < 1e-5, f"the first loss in float32 differs by {single:.1e}: {result}"
    assert np.isfinite(losses[-1]), f"the loss after {many} steps is {losses[-1]}: {result}"
    return result


def cuda_graph(emulate):
    """f: a step captured once and launched again and again, against the same steps one kernel after the other."""
    import cupy

    from minires import Tensor, models, ops, optim

    rng = np.random.default_rng(0)
    images = cupy.asarray(rng.standard_normal((128, 3, 32, 32), dtype=np.float32))
    labels = cupy.asarray(rng.integers(0, 10, 128))
    losses, seconds, steps = {}, {}, 20
    for how in ("kernel by kernel", "one graph"):
        model = models.resnet20(seed=0, fused=True).to("cuda")
        sgd = optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

        def step(model=model, sgd=sgd):
            loss = ops.cross_entropy(model(Tensor(images)), labels)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            return loss

        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            for _ in range(3):  # kernels are compiled, and the pool has its memory
                loss = step()
            stream.synchronize()
            if how == "one graph":
                stream.begin_capture()
                loss = step()
                graph = stream.end_capture()
            start = time.perf_counter()
            for _ in range(steps):
                if how == "one graph":
                    graph.launch(stream)
                else:
                    loss = step()
            stream.synchronize()
            seconds[how] = (time.perf_counter() - start) / steps
            losses[how] = float(loss.data.get())
    result = {"losses": losses, "seconds_per_step": seconds}
    assert abs(losses["one graph"] / losses["kernel by kernel"] - 1) < 1e-5, f"another loss: {result}"
    return result


def inside(step, emulate):
    """Do one of the steps above, in a process of its own, and print what it found as the last line."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "gpu")]
    from minires.kernels import emulation

    with emulation.gpu() if emulate else contextlib.nullcontext():
        print(json.dumps({"d": comparison, "e": training, "f": cuda_graph}[step](emulate)))


# The run.


def carried_out(step, emulate, limit):
    """Run one step; return its line."""
    command, own_limit = command_of(step, emulate)
    limit = min(limit, own_limit)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [str(out) if word == "OUT" else word for word in command]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
            outcome = "done" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started
            output, _ = process.communicate()
            outcome = "took too long"
        line = {"step": step, "outcome": outcome, "seconds": round(time.perf_counter() - start, 2),
                "limit_s": round(limit), "emulated": emulate, "rc": process.returncode}  # fmt: skip
        if out.exists():  # also of one that was stopped: what it had measured
            line["result"] = json.loads(out.read_text())
    last = output.strip().rpartition("\n")[2]
    if outcome == "done" and step in ("d", "e", "f"):
        line["result"] = json.loads(last)
    elif step == "b":
        line["result"] = last.strip("= ")
    if step == "a" or outcome != "done":
        line["output"] = output[-4000:]
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulate", action="store_true", help="steps b, d and e without a GPU, at small sizes")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="the letters of the steps to do")
    parser.add_argument("--seconds", type=float, default=480, help="for all steps together (480)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file that a line is added to after each step")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return inside(args.inside, args.emulate)
    sys.path.insert(0, str(ROOT))
    from minires.kernels.devices import gpu_problem

    if not args.emulate and gpu_problem():
        sys.exit(f"benchmarks/gpu_run.py: {gpu_problem()}; --emulate does what can be done without")
    failed, end = 0, time.monotonic() + args.seconds
    for step in all_steps(args.emulate):
        if args.only and step[0] not in args.only:
            continue
        left = end - time.monotonic()
        line = (
            carried_out(step, args.emulate, left)
            if left > 5
            else {"step": step, "outcome": "no time left", "emulated": args.emulate}
        )
        failed += line["outcome"] != "done"
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"{step:16} {line['outcome']:14} {line.get('seconds', 0):7.1f} s  {str(line.get('result', ''))[:90]}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
