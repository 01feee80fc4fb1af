"""Time MiniRes and PyTorch side by side on a GPU: training steps, peak memory, and each kernel against its roofline.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json
    python benchmarks/gpu.py --work resnet20-128 --rounds 50

In each round every contender does one step, timed by events on the device; medians and quartiles are reported, and the
ratio to PyTorch's eager mode in the same precision, its better memory layout. Peak memory is what a contender's
allocator has taken from the device after ten steps in a process of its own.

A kernel's roofline is the least time it could take: its floating-point operations at the rate of a large matrix
product, or the bytes of its arrays, each moved once, at the rate of a large copy, whichever takes longer. Both rates
are measured first.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

WORK = {
    "resnet20-128": {"model": "resnet20", "options": {}, "batch_size": 128, "size": 32},
    "resnet20-1024": {"model": "resnet20", "options": {}, "batch_size": 1024, "size": 32},
    "resnet56-128": {"model": "resnet56", "options": {}, "batch_size": 128, "size": 32},
    "resnet56-1024": {"model": "resnet56", "options": {}, "batch_size": 1024, "size": 32},
    "resnet50-64": {"model": "resnet50", "options": {"num_classes": 1000}, "batch_size": 64, "size": 224},
}

# name: (engine, TF32, how PyTorch keeps and runs the network)
CONTENDERS = {
    "minires fp32": ("minires", False, ""),
    "minires tf32": ("minires", True, ""),
    "torch fp32 contiguous": ("torch", False, "contiguous"),
    "torch fp32 channels_last": ("torch", False, "channels_last"),
    "torch tf32 contiguous": ("torch", True, "contiguous"),
    "torch tf32 channels_last": ("torch", True, "channels_last"),
    "torch fp32 compiled": ("torch", False, "compiled"),
    "torch tf32 compiled": ("torch", True, "compiled"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", nargs="*", default=list(WORK), choices=list(WORK), metavar="NAME", help=", ".join(WORK)
    )
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def minires_step(work, tf32):
    """Return a function that does one training step and gives its loss, still on the GPU."""
    import contenders
    import cupy

    from minires import Tensor, kernels, models, ops, optim

    model = models.make(work["model"], seed=0, fused=True, **work["options"]).to("cuda")
    images, labels = contenders.images_and_labels(work["batch_size"], work["size"], model.fc.weight.shape[0])
    images, labels = cupy.asarray(images), cupy.asarray(labels)
    sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step():
        kernels.use_tf32(tf32)
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return loss

    return step


def torch_step(work, tf32, form):
    """The same in PyTorch. form: "contiguous", "channels_last", or "compiled", which is channels_last too."""
    import contenders
    import torch
    import torch_models

    model = torch_models.make(work["model"], **work["options"])
    torch_models.load(model, contenders.weights(work["model"], **work["options"]))
    images, labels = contenders.images_and_labels(work["batch_size"], work["size"], model.fc.weight.shape[0])
    layout = torch.contiguous_format if form == "contiguous" else torch.channels_last
    model = model.cuda().to(memory_format=layout)
    images, labels = torch.from_numpy(images).cuda().to(memory_format=layout), torch.from_numpy(labels).cuda()
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(model) if form == "compiled" else model
    torch.backends.cudnn.benchmark = True

    def step():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        loss = torch.nn.functional.cross_entropy(forward(images), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return loss

    return step


def make(name, work):
    engine, tf32, form = CONTENDERS[name]
    return minires_step(work, tf32) if engine == "minires" else torch_step(work, tf32, form)


def milliseconds(name, step):
    """Time one step by events of the library that runs it."""
    if CONTENDERS[name][0] == "minires":
        import cupy

        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        step()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end)
    import torch

    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def bytes_taken(engine):
    """Return what an engine's allocator has taken from the device and not given back."""
    if engine == "minires":
        import cupy

        return cupy.get_default_memory_pool().total_bytes()
    import torch

    return torch.cuda.max_memory_reserved()


def peak_memory(name, work_name):
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", name, work_name], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def peaks():
    """Measure the device: bytes a second of a large copy, operations a second of a large float32 product."""
    import cupy

    a = cupy.random.default_rng(0).random((8192, 8192), dtype=cupy.float32)
    b, out = a.copy(), cupy.empty_like(a)

    def best(work):
        times = []
        for _ in range(10):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(cupy.cuda.get_elapsed_time(start, end) / 1e3)
        return min(times)

    copy = best(lambda: cupy.copyto(out, a))
    product = best(lambda: cupy.matmul(a, b, out=out))
    return {"bytes_per_s": 2 * a.nbytes / copy, "operations_per_s": 2 * 8192**3 / product}


def operations(name, call_arguments):
    """Return the floating-point operations of a convolution, from the sizes it was launched with; 0 for the rest."""
    if not name.startswith("conv2d"):
        return 0
    N, C, _, _, F, KH, KW, I, J = [int(number) for number in call_arguments[-13:-4]]
    return 2 * N * F * I * J * C * KH * KW


def kernel_table(step, peak):
    """Run one step with every launch of our kernels timed; return a row for each kernel, the longest first."""
    import cupy

    from minires.kernels.cupy_kernels import launching

    original, rows = launching.kernel, {}

    def timed(file, name, dtype):
        function = original(file, name, dtype)

        def call(grid, block, call_arguments):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            function(grid, block, call_arguments)
            end.record()
            end.synchronize()
            moved = sum(argument.nbytes for argument in call_arguments if isinstance(argument, cupy.ndarray))
            least = max(moved / peak["bytes_per_s"], operations(name, call_arguments) / peak["operations_per_s"])
            row = rows.setdefault(name, {"launches": 0, "ms": 0.0, "roofline_ms": 0.0})
            row["launches"] += 1
            row["ms"] += cupy.cuda.get_elapsed_time(start, end)
            row["roofline_ms"] += least * 1e3

        return call

    launching.kernel = timed
    try:
        step()
    finally:
        launching.kernel = original
    return dict(sorted(rows.items(), key=lambda item: -item[1]["ms"]))


def machine():
    import numpy

    from minires.kernels.devices import gpu_description

    about = {"platform": platform.platform(), "python": platform.python_version(), "numpy": numpy.__version__}
    try:
        import torch

        about |= {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version()}
    except ImportError:
        about["torch"] = None
    return about | gpu_description()


def measure(work_name, names, rounds, peak):
    """Measure one work; a contender that fails is reported with its error, and the others go on."""
    work, steps, rows = WORK[work_name], {}, {}
    for name in names:
        try:
            step = make(name, work)
            first = float(step().item())
            for _ in range(10):  # compilers, cuDNN's search and the memory pools have settled
                step()
            steps[name], rows[name] = step, {"first_loss": first}
        except Exception as error:
            rows[name] = {"error": f"{type(error).__name__}: {error}"}
    times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(milliseconds(name, step))
    for name in steps:
        low, median, high = statistics.quantiles(times[name], n=4)
        rows[name] |= {"median_ms": median, "quartiles_ms": [low, high], "peak_bytes": peak_memory(name, work_name)}
    for name in steps:
        precision = name.split()[1]
        eager = [rows[other]["median_ms"] for other in steps if other.startswith(f"torch {precision} c") and
                 not other.endswith("compiled")]  # fmt: skip
        if eager:
            rows[name]["ratio_to_eager"] = rows[name]["median_ms"] / min(eager)
    kernels = {name: kernel_table(step, peak) for name, step in steps.items() if name.startswith("minires")}
    return {"work": work, "contenders": rows, "kernels": kernels}


def show(work_name, result):
    print(f"\n{work_name}\n{'':26}{'median ms':>10}{'quartiles':>18}{'ratio':>8}{'GiB':>8}")
    for name, row in result["contenders"].items():
        if "error" in row:
            print(f"{name:26}{row['error']}")
            continue
        low, high = row["quartiles_ms"]
        ratio, taken = row.get("ratio_to_eager", float("nan")), row["peak_bytes"] / 2**30
        print(f"{name:26}{row['median_ms']:10.2f}{low:10.2f} …{high:6.2f}{ratio:8.2f}{taken:8.2f}")
    for name, table in result["kernels"].items():
        print(f"\n{name}, {sum(row['launches'] for row in table.values())} launches of our kernels")
        print(f"{'':34}{'launches':>10}{'ms':>10}{'roofline':>10}")
        for kernel, row in table.items():
            print(f"{kernel:34}{row['launches']:10}{row['ms']:10.3f}{row['roofline_ms'] / row['ms']:10.0%}")


def main():
    args = arguments()
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    if args.memory_of:
        name, work_name = args.memory_of
        step = make(name, WORK[work_name])
        for _ in range(10):
            step()
        return print(bytes_taken(CONTENDERS[name][0]))
    from minires.kernels.devices import gpu_problem

    if gpu_problem():
        sys.exit(f"benchmarks/gpu.py: {gpu_problem()}")
    record = {"machine": machine(), "peaks": peaks(), "results": {}}
    for work_name in args.work:
        result = measure(work_name, args.only, args.rounds, record["peaks"])
        record["results"][work_name] = result
        show(work_name, result)
        if args.out:  # after each, so that a machine that is lost later leaves what it has measured
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
