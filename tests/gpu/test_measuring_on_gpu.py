"""Counting launches, and the benchmark's table of kernels: what they count is what a step does."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minires import models, ops
from minires.cli.main import main
from minires.engine import Tensor


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bench_counts_the_launches_of_a_step(gpu, capsys):
    assert main(["bench", "--launches", "--batch-size", "2", "--size", "4"]) == 0
    counted = {line.split()[0]: int(line.split()[1]) for line in capsys.readouterr().out.splitlines()}
    assert counted["sgd_step"] == counted["cross_entropy_rows"] == 1
    assert counted["batch_norm_normalize"] == counted["batch_norm_gradients"] == 19
    assert sum(number for name, number in counted.items() if name.startswith("conv2d")) == 19 + 18 + 19
    assert counted.pop("all") == sum(counted.values())


def test_the_table_of_kernels_has_every_launch_and_every_operation(gpu, benchmark):
    model = models.resnet20(fused=True).to("cuda")
    images, labels = Tensor(np.ones((2, 3, 8, 8), np.float32)).to("cuda"), gpu.asarray(np.array([1, 2]))

    def step():
        ops.cross_entropy(model(images), labels).backward()

    # one operation takes a second, a byte nothing: the rooflines add up to the operations
    table = benchmark.kernel_table(step, {"bytes_per_s": 1e30, "operations_per_s": 1.0})
    forward = [row["roofline_ms"] for name, row in table.items() if name.startswith("conv2d_forward")]
    stem = 3 * 16 * 9 * 64
    stages = [(16, 16, 64, 6), (16, 32, 16, 1), (32, 32, 16, 5), (32, 64, 4, 1), (64, 64, 4, 5)]
    multiplications = 2 * (stem + sum(C * F * 9 * pixels * layers for C, F, pixels, layers in stages))
    assert sum(forward) / 1e3 == pytest.approx(2 * multiplications, rel=1e-6)
    assert table["batch_norm_statistics"]["launches"] == 19
    assert list(table) == sorted(table, key=lambda name: -table[name]["ms"])


def test_bytes_are_those_of_all_arrays_once(gpu, benchmark):
    x = Tensor(gpu.asarray(np.ones(10, np.float32)))
    table = benchmark.kernel_table(lambda: ops.relu(x), {"bytes_per_s": 1.0, "operations_per_s": 1e30})
    assert table["relu_forward"]["roofline_ms"] == 80e3


def test_without_a_gpu_the_benchmark_says_why(benchmark, monkeypatch):
    from minires.kernels import devices

    monkeypatch.setattr(devices, "gpu_problem", lambda: "there is none")
    monkeypatch.setattr(benchmark.sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="benchmarks/gpu.py: there is none"):
        benchmark.main()
