"""`gpu`, the fixture through which one test body runs on a GPU, and everywhere with the kernels built for the CPU."""

import os

import pytest

from minires.kernels import devices, emulation, kernels_for
from minires.kernels.emulation import cuda_on_cpu


def need_emulation():
    """Skip the test where no GPU can be played; in the gate (CI set), fail."""
    missing = emulation.problem()
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}; and the gate skips nothing")
        pytest.skip(missing)


@pytest.fixture
def emulated():
    need_emulation()


@pytest.fixture(params=["on the CPU", pytest.param("on a GPU", marks=pytest.mark.gpu)], scope="module")
def gpu(request):
    """The module `cupy`: in the first run the fake one, whose kernels run on the CPU, in the second the real one."""
    if request.param == "on a GPU":
        problem = devices.gpu_problem()
        if problem:
            pytest.skip(problem)
        import cupy

        yield cupy
        return
    need_emulation()
    with emulation.gpu() as cupy:
        yield cupy


@pytest.fixture(params=["forward", "backward"], scope="module")
def thread_order(request, gpu):
    """Which thread of a block runs first, on the CPU; on a GPU nobody can say, so once is enough."""
    if gpu.__version__ != "fake" and request.param == "backward":
        pytest.skip("a GPU has one order, its own")
    before, cuda_on_cpu.thread_order = cuda_on_cpu.thread_order, request.param
    yield request.param
    cuda_on_cpu.thread_order = before


@pytest.fixture(scope="module")
def cupy_kernels(gpu):
    """The kernels that an array of `gpu` gets."""
    return kernels_for(gpu.asarray([1.0]))
