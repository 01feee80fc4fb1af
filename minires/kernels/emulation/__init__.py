"""A GPU that the CPU plays: the CUDA sources built by g++, launched by a CuPy whose arrays lie in NumPy.

    with emulation.gpu() as cupy:        inside, `import cupy` and tensor.to("cuda") find the one that is played
        x = cupy.asarray(np.ones(5, np.float32))

For the tests, and for chapter 19: it shows what a kernel computes and what it must not do, and it is slow. The CuPy is
`fake_cupy.py`; `cuda_on_cpu.py` builds and launches, `cuda_cpu.h` plays blocks, threads and barriers.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from minires.kernels import devices
from minires.kernels.emulation import cuda_on_cpu, fake_cupy

OURS = "minires.kernels.cupy_kernels"


def problem() -> str | None:
    """Return one sentence on what is missing to play a GPU, or None where all is there."""
    if not sys.platform.startswith("linux"):
        return f"the emulated GPU needs Linux and its g++, and this is {sys.platform}"
    if shutil.which("g++") is None:
        return "the emulated GPU is built by g++, which is not here; on Debian: apt install g++"
    return None


@contextmanager
def gpu(threads: str = "forward") -> Iterator[ModuleType]:
    """Inside the block there is a GPU, played by the CPU; the value is the module that `import cupy` finds there.

    threads: which thread of a block runs first, "forward" the first one, "backward" the last one. A real GPU promises
    no order, so a right kernel gives the same numbers in both.
    RuntimeError where `problem()` is not None; ValueError for another order.
    """
    missing = problem()
    if missing:
        raise RuntimeError(f"emulation.gpu: {missing}")
    if threads not in ("forward", "backward"):
        raise ValueError(f'emulation.gpu: threads must be "forward" or "backward", got {threads!r}')
    before = {name: module for name, module in sys.modules.items() if name == "cupy" or name.startswith(OURS)}
    real_problem, order = devices.gpu_problem, cuda_on_cpu.thread_order
    for name in before:
        del sys.modules[name]
    sys.modules["cupy"] = cupy = fake_cupy.make()
    devices.gpu_problem = no_problem  # type: ignore[assignment]
    cuda_on_cpu.thread_order = threads
    try:
        yield cupy
    finally:
        devices.gpu_problem, cuda_on_cpu.thread_order = real_problem, order
        for name in [name for name in sys.modules if name == "cupy" or name.startswith(OURS)]:
            del sys.modules[name]
        sys.modules.update(before)


def no_problem() -> None:
    return None
