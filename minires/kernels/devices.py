"""Which device an array lives on, and how it gets to another."""

import numpy as np

from minires.kernels import Array


def device_of(array: Array) -> str:
    """Return "cpu", or "cuda:0" and so on for a CuPy array."""
    device = getattr(array, "device", "cpu")
    return f"cuda:{device.id}" if hasattr(device, "id") else "cpu"


def to_device(array: Array, device: str) -> Array:
    """Return the array on `device` ("cpu", "cuda", "cuda:1"): the same object if it is there already, else a copy.

    ValueError for a device that does not exist, RuntimeError where CuPy or the GPU is missing.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdigit())):
        raise ValueError(f'to: unknown device {device!r}; known: "cpu", "cuda", "cuda:0", "cuda:1", …')
    if kind == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    try:
        import cupy  # type: ignore[import-not-found]
    except ImportError as error:
        raise RuntimeError(
            f"to: device {device!r} needs CuPy, which is not installed; pip install cupy-cuda13x"
        ) from error
    if not cupy.is_available():
        raise RuntimeError(f"to: device {device!r} is not available: CuPy finds no GPU or no driver on this machine")
    with cupy.cuda.Device(int(number or 0)):
        return cupy.asarray(array)
