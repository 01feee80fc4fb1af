"""Where a backend is chosen, and the only place.

`kernels_for(array)` is a module: CuPy's kernels for a GPU array, else the CPU module in use. All kernel modules
offer the same functions with the same signatures, so an op writes `self.kernels.conv2d_forward(...)` and never asks
where its array lives.

    kernels.use("numpy")          # from here on, in every thread
    with kernels.use("numpy"):    # inside the block
        ...

The environment variable `MINIRES_KERNELS=numpy` chooses for the whole process.
"""

import importlib
import os
import sys
import time
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

CPU_KERNELS = ("numpy", "numba")

_cpu: ModuleType | None = None  # the CPU module in use; None until the first array asks
tf32 = False  # see use_tf32


def kernels_for(array: Array) -> ModuleType:
    """Return the kernel module for an array: CuPy's for a GPU array, else the CPU module in use."""
    if type(array) is not np.ndarray and type(array).__module__.partition(".")[0] == "cupy":
        return _load("cupy")
    if _cpu is None:
        _choose_cpu_kernels()
    assert _cpu is not None
    return _cpu


class use:
    """Choose the CPU kernels, for the process or, as a context manager, for a block.

    name: "numpy", readable, can be stepped through; or "numba", compiled.
    options: go to the module's `configure`, which gives back the values it replaced.

    ValueError for an unknown name or option, ImportError where the module's library is missing.
    """

    def __init__(self, name: str, **options: Any) -> None:
        if name not in CPU_KERNELS:
            raise ValueError(f"kernels.use: unknown kernels {name!r}; known: {', '.join(CPU_KERNELS)}")
        module = _load(name)
        if options and not hasattr(module, "configure"):
            raise ValueError(f"kernels.use: the {name} kernels take no options, got {', '.join(options)}")
        self.module = module
        self.replaced_options = module.configure(**options) if options else {}
        global _cpu
        self.replaced, _cpu = _cpu, module

    def __enter__(self) -> ModuleType:
        return self.module

    def __exit__(self, *error: object) -> None:
        global _cpu
        _cpu = self.replaced
        if self.replaced_options:
            self.module.configure(**self.replaced_options)


def use_tf32(enabled: bool) -> None:
    """Let convolutions of float32 on a GPU round their inputs to TF32, or not; off unless asked for.

    TF32 keeps 10 of float32's 23 bits of mantissa: tensor cores (compute capability 8.0 and above) multiply such
    numbers many times faster. Sums stay float32. Other devices and dtypes are not touched.
    """
    global tf32
    tf32 = bool(enabled)


def set_num_threads(number: int) -> None:
    """Let the Numba kernels use this many threads, as MINIRES_NUM_THREADS does. Results are the same for any number.

    ValueError below 1; ImportError where Numba is missing. NumPy's matrix products have threads of their own.
    """
    from minires.kernels.numba_kernels.machine import threads

    threads.set_num_threads(number)


def compile_ahead(fused: bool) -> None:
    """Let a second process begin to compile what the training of a network in float32 calls, fused or not.

    For a program that has other things to do first, such as reading its data. It does nothing where the kernels are in
    the cache, or others than Numba's in use; without it the first forward pass does the same.
    """
    if in_use() == "numba":
        from minires.kernels.numba_kernels.machine import ahead

        ahead.expect(ahead.FUSED if fused else ahead.UNFUSED)


def compile_seconds() -> float:
    """Return the seconds that this process has spent on compiling kernels, or loading compiled ones, so far."""
    compilation = sys.modules.get("minires.kernels.numba_kernels.machine.compilation")
    return compilation.seconds if compilation is not None else 0.0


def clock() -> float:
    """Return seconds on a clock that stands still while kernels are compiled: how long the rest takes goes by it."""
    return time.monotonic() - compile_seconds()


def in_use() -> str:
    """Return the name of the CPU kernels in use: "numpy" or "numba"."""
    return kernels_for(np.empty(0)).__name__.rpartition(".")[2].removesuffix("_kernels")


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"minires.kernels.{name}_kernels")


def _choose_cpu_kernels() -> None:
    """Take the environment's choice; else NumPy under a debugger; else Numba where it loads; else NumPy."""
    wanted = os.environ.get("MINIRES_KERNELS")
    if wanted:
        use(wanted)
    elif "debugpy" in sys.modules:
        print(
            "minires: a debugger is attached, so the NumPy kernels are used: they can be stepped through.",
            file=sys.stderr,
        )
        use("numpy")
    else:
        try:
            use("numba")
        except ImportError as error:
            print(f"minires: using the NumPy kernels, since Numba's could not be loaded ({error}).", file=sys.stderr)
            use("numpy")
