"""A CuPy for machines without a GPU: arrays live in NumPy behind a wall, RawModule compiles for the CPU.

Strict where CuPy is, so that what runs here has a chance there: NumPy arrays and these do not mix, results are arrays
and never NumPy scalars, `asarray` is the way in, `get`, `item`, `float`… are the way out, and each way out is noted in
`waits`, since on a GPU it makes the CPU wait. Fresh memory is NaN, before and behind every array too, so that a number
that no kernel wrote, or that lies outside, shows; a kernel that writes outside is an AssertionError.
"""

import importlib.machinery
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from minires.kernels.emulation import cuda_on_cpu

GUARD = 64  # bytes before and behind the memory of an array, all bits one

waits: list[str] = []  # what made the CPU wait
launches: list[str] = []  # the kernels launched, ours and those CuPy has for its own functions


class Pointer:
    def __init__(self, address: int) -> None:
        self.ptr = address


class Device:
    def __init__(self, id: int = 0) -> None:
        self.id, self.compute_capability = id, "90"

    def use(self) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class ndarray:
    __array_ufunc__ = None  # numpy_array + this is refused

    def __init__(self, host: Any) -> None:
        assert isinstance(host, np.ndarray)
        self.host = host

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get() explicitly.")

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    strides = property(lambda self: self.host.strides)
    flags = property(lambda self: self.host.flags)
    T = property(lambda self: ndarray(self.host.T))
    data = property(lambda self: Pointer(self.host.ctypes.data))
    device = property(lambda self: Device())

    def get(self) -> Any:
        return self.leave("get").copy()

    def item(self) -> Any:
        return self.leave("item").item()

    def tolist(self) -> Any:
        return self.leave("tolist").tolist()

    def __float__(self) -> float:
        return float(self.leave("float"))

    def __int__(self) -> int:
        return int(self.leave("int"))

    def __index__(self) -> int:
        return int(self.leave("index").__index__())

    def __bool__(self) -> bool:
        return bool(self.leave("bool"))

    def leave(self, how: str) -> Any:
        waits.append(how)
        return self.host

    def __len__(self) -> int:
        return len(self.host)

    def __repr__(self) -> str:
        return f"fake({self.leave('repr')!r})"

    def __getitem__(self, index: Any) -> Any:
        return on_device(self.host[index_on_host(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        launches.append("setitem")
        self.host[index_on_host(index)] = on_host(value)


def on_host(value: Any) -> Any:
    """Take the wall away from the arrays in an argument; refuse NumPy's own."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)([on_host(one) for one in value])
    if isinstance(value, dict):
        return {name: on_host(one) for name, one in value.items()}
    return value


def index_on_host(index: Any) -> Any:
    """An index may hold NumPy arrays too: CuPy copies them to the GPU."""
    if isinstance(index, tuple):
        return tuple([index_on_host(one) for one in index])
    return index.host if isinstance(index, ndarray) else index


def on_device(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple | list):
        return type(value)([on_device(one) for one in value])
    return value


def through(function: Callable[..., Any], name: str) -> Any:
    """`function` of NumPy, for these arrays."""

    def call(*args: Any, **kwargs: Any) -> Any:
        launches.append(name)
        return on_device(function(*on_host(args), **on_host(kwargs)))

    made: Any = call
    made.__name__ = name
    if hasattr(function, "at"):
        made.at = lambda a, index, b: function.at(a.host, index_on_host(index), on_host(b))
    return made


def method(name: str) -> Callable[..., Any]:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        launches.append(name)
        return on_device(getattr(self.host, name)(*on_host(args), **on_host(kwargs)))

    return call


def in_place(name: str) -> Callable[..., Any]:
    def call(self: ndarray, other: Any) -> ndarray:
        launches.append(name)
        getattr(self.host, name)(on_host(other))
        return self

    return call


ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for _name in ARITHMETIC:
    setattr(ndarray, f"__{_name}__", method(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", method(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", in_place(f"__i{_name}__"))
for _name in "eq ne lt le gt ge neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", method(f"__{_name}__"))
for _name in "all any argmax argmin astype clip copy cumsum dot fill flatten max mean min prod ravel repeat reshape round squeeze std sum swapaxes take transpose var view".split():  # noqa: E501
    setattr(ndarray, _name, method(_name))
ndarray.__hash__ = None  # type: ignore[assignment]


def guarded(shape: Any, dtype: Any) -> Any:
    """Allocate: all bits one, NaN in floats, and as much before and behind."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.full(size + 2 * GUARD, 0xFF, np.uint8)
    return memory[GUARD : GUARD + size].view(dtype).reshape(shape)


def guards_hold(array: Any) -> bool:
    memory = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    if memory.dtype != np.uint8:
        return True  # made by a function of NumPy
    return bool((memory[:GUARD] == 0xFF).all() and (memory[-GUARD:] == 0xFF).all())


def empty(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray(guarded(shape, dtype))


def asarray(value: Any, dtype: Any = None, **_: Any) -> ndarray:
    if isinstance(value, ndarray):
        return value if dtype is None or value.dtype == dtype else method("astype")(value, dtype)
    value = np.asarray(value, dtype)
    array = guarded(value.shape, value.dtype)
    array[...] = value
    return ndarray(array)


def array(value: Any, dtype: Any = None, **_: Any) -> ndarray:
    return ndarray(value.host.astype(dtype or value.dtype)) if isinstance(value, ndarray) else asarray(value, dtype)


class Event:
    """A moment; here work is done when it is started, and the clock is the CPU's."""

    def record(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        waits.append("synchronize")


def get_elapsed_time(start: Event, end: Event) -> float:
    return 1e3 * (end.time - start.time)


class RawModule:
    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        wanted = tuple([option.replace("--std=c++17", "-std=c++20") for option in options])
        self.library = cuda_on_cpu.build(code, wanted)

    def get_function(self, name: str) -> Callable[..., None]:
        kernel = cuda_on_cpu.Kernel(self.library, name)

        def launch(grid: Any, block: Any, args: Any) -> None:
            launches.append(name)
            assert not any(isinstance(arg, np.ndarray) for arg in args), f"{name}: an array of NumPy's on the CPU"
            host = [arg.host if isinstance(arg, ndarray) else arg for arg in args]
            kernel(grid, block, host)
            for place, arg in enumerate(host):
                assert not isinstance(arg, np.ndarray) or guards_hold(arg), f"{name} wrote outside argument {place}"

        return launch


def make() -> types.ModuleType:
    """Return a module to be put in CuPy's place."""
    cupy: Any = types.ModuleType("cupy")
    for thing in (ndarray, empty, asarray, array, RawModule):
        thing.__module__ = "cupy"
        setattr(cupy, thing.__name__, thing)
    cupy.__version__, cupy.is_available = "fake", lambda: True
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0)
    cupy.cuda = types.SimpleNamespace(Device=Device, runtime=runtime, Event=Event, get_elapsed_time=get_elapsed_time)
    cupy.asnumpy = lambda value: value.get() if isinstance(value, ndarray) else np.asarray(value)
    as_strided = through(np.lib.stride_tricks.as_strided, "as_strided")
    cupy.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=as_strided))
    cupy.__getattr__ = from_numpy
    cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    module: types.ModuleType = cupy
    return module


def from_numpy(name: str) -> Any:
    """What CuPy has under NumPy's names: functions that take and give its arrays, and the types and constants."""
    if name.startswith("__"):
        raise AttributeError(name)
    thing = getattr(np, name)
    return through(thing, name) if callable(thing) and not isinstance(thing, type) else thing
