"""The tests of ops and kernels, the same bodies as on the CPU, on a GPU and on the CPU behind the fake CuPy."""

import bodies
import pytest

from minires.gradient_check import cases

pytestmark = pytest.mark.usefixtures("on_this_gpu")


@pytest.fixture(scope="module")
def on_this_gpu(gpu):
    bodies.place.gpu = gpu


finite_differences = bodies.on_gpu(
    "ops/test_finite_differences.py", gradcheck=bodies.same_as_on_the_cpu, ops=bodies.OpsOnGpu()
)
naive_loops = bodies.on_gpu("ops/test_naive_loops.py", kernels=bodies.KernelsOnGpu())
globals().update({f"{name}_as_on_the_cpu": test for name, test in finite_differences.items()})
globals().update({f"{name}_against_loops": test for name, test in naive_loops.items()})
try:
    against_torch = bodies.on_gpu("ops/test_ops_against_torch.py", compare=bodies.same_as_torch, ops=bodies.OpsOnGpu())
    globals().update({f"{name}_against_torch": test for name, test in against_torch.items()})
except pytest.skip.Exception:  # no PyTorch here

    def test_against_torch():
        pytest.importorskip("torch")


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda case: case.name)
def test_every_case_of_the_gradient_check(case, monkeypatch):
    monkeypatch.setattr(cases, "ops", bodies.OpsOnGpu())
    bodies.same_as_on_the_cpu(case.fn, *case.arguments.values())
