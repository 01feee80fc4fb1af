"""Which device an array lives on, how it gets to another, and what is missing where there is no GPU to be had."""

import ctypes
import functools
import importlib.util
from typing import Any

import numpy as np

from minires.kernels import Array

INSTALL = "pip install 'minires-engine[cuda13]' (or 'minires-engine[cuda12]' for a driver older than 580)"


def device_of(array: Array) -> str:
    """Return "cpu", or "cuda:0" and so on for a CuPy array."""
    device = getattr(array, "device", "cpu")
    return f"cuda:{device.id}" if hasattr(device, "id") else "cpu"


def described(array: Any) -> str:
    """Return what an error says of an array: "(16, 8) float32 on cpu"; of what is no plain array, its type too."""
    kind = type(array).__name__
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        return f"a {kind}"
    return f"{'' if kind == 'ndarray' else f'a {kind} '}{array.shape} {array.dtype} on {device_of(array)}"


def alike(one: Any, other: Any) -> bool:
    """Say whether two arrays are of one kind, shape and dtype, on one device."""
    if type(one) is not type(other) or not hasattr(one, "dtype"):
        return False
    return one.shape == other.shape and one.dtype == other.dtype and device_of(one) == device_of(other)


def read_only(array: Array) -> bool:
    """Say whether NumPy refuses to write into the array; CuPy refuses nothing."""
    return isinstance(array, np.ndarray) and not array.flags.writeable


def to_device(array: Array, device: str) -> Array:
    """Return the array on `device` ("cpu", "cuda", "cuda:1"): the same object if it is there already, else a copy.

    "cuda" is the GPU in use, at first number 0; "cuda:1" makes number 1 the one in use: a thread computes on one at a
    time. ValueError for a device that does not exist, RuntimeError where CuPy or the GPU is missing.
    """
    kind, colon, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not (number.isascii() and number.isdigit()))):
        raise ValueError(f'to: unknown device {device!r}; known: "cpu", "cuda", "cuda:0", "cuda:1", …')
    if kind == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    problem = gpu_problem()
    if problem:
        raise RuntimeError(f"to: device {device!r} is not available: {problem}")
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    if number and int(number) >= count:
        raise ValueError(f'to: device {device!r} does not exist: the GPUs here are "cuda:0" to "cuda:{count - 1}"')
    if number:
        cupy.cuda.Device(int(number)).use()
    return cupy.asarray(array)


@functools.cache  # nothing is installed or plugged in while a process runs, and the trial takes a while
def gpu_problem() -> str | None:
    """Return one sentence on what is missing to compute on a GPU, or None where all is there.

    Found out by trying: one addition makes CuPy compile a kernel (NVRTC), one product calls cuBLAS.
    """
    driver = has_driver()
    if importlib.util.find_spec("cupy") is None:
        found = "an NVIDIA driver is installed, CuPy is not" if driver else "neither an NVIDIA driver nor CuPy is here"
        return f"{found}; {INSTALL}"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is installed but cannot be imported ({first_line(error)}); {INSTALL}"
    try:
        if not cupy.is_available():
            if driver:
                return "CuPy and an NVIDIA driver are installed, but the driver shows no GPU that CuPy can use"
            return "CuPy is installed, but there is no NVIDIA driver on this machine; install one, or use the CPU"
        two = cupy.ones((1, 1), np.float32) + np.float32(1)
        float((two @ two)[0, 0])
    except Exception as error:  # whatever it is, it is the answer
        return trial_problem(error)
    return None


def trial_problem(error: Exception) -> str:
    """Say in one sentence what a failed first computation on the GPU lacked."""
    text = f"{type(error).__name__} {error}".lower()
    for library, package in (("nvrtc", "nvidia-cuda-nvrtc"), ("cublas", "nvidia-cublas")):
        if library in text:
            return (
                f"CuPy finds the GPU but not the library {library} ({first_line(error)}); "
                f"pip install {package} (for CUDA 12: {package}-cu12)"
            )
    if "insufficientdriver" in text:
        return f"the NVIDIA driver is older than this CuPy's CUDA; update it, or {INSTALL}"
    return f"CuPy finds the GPU but a first computation failed: {type(error).__name__}: {first_line(error)}"


def has_driver() -> bool:
    """Tell whether the library that comes with NVIDIA's driver is there."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            continue
    return False


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def gpu_description() -> dict[str, Any]:
    """Name, driver, CUDA, memory and number of the GPU in use; only where `gpu_problem` is None."""
    import cupy

    runtime = cupy.cuda.runtime
    device = runtime.getDevice()
    properties = runtime.getDeviceProperties(device)
    free, total = runtime.memGetInfo()
    return {
        "device": f"cuda:{device}",
        "name": properties["name"].decode(),
        "count": runtime.getDeviceCount(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": total,
        "free_bytes": free,
        "driver_cuda": runtime.driverGetVersion(),
        "runtime_cuda": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }
