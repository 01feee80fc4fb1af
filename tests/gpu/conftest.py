"""`gpu`, the fixture through which one test body runs on a GPU, and everywhere with the kernels built for the CPU."""

import os
import shutil
import sys

import cuda_on_cpu
import fake_cupy
import pytest

from minires.kernels import devices, kernels_for


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
    if shutil.which("g++") is None:
        if os.environ.get("CI"):
            pytest.fail("g++ is missing, and the gate skips nothing: it builds the GPU kernels for the CPU")
        pytest.skip("g++ is missing, which builds the GPU kernels for the CPU")
    ours = [name for name in sys.modules if name.startswith("minires.kernels.cupy_kernels")]
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ours:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(devices, "gpu_problem", lambda: None)
        yield fake_cupy.install(monkeypatch)
        for name in [name for name in sys.modules if name.startswith("minires.kernels.cupy_kernels")]:
            del sys.modules[name]


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
