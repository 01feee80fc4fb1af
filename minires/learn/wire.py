"""Messages between the examiner and the process that runs the reader's code: values as JSON, arrays as their bytes.

The examiner reads what a program wrote that it does not trust, so nothing is unpickled: what comes out of `unpack` is
numbers, text, lists, arrays of them, and a `Foreign` that holds no more than the name of the type of anything else.
"""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from minires.kernels import Array

LENGTH = struct.Struct(">Q")
LARGEST = 64 * 2**20  # bytes of a message: what an exercise gives back is far smaller
PLAIN = "fiubcUS"  # kinds of dtype whose bytes are their meaning


class Foreign:
    """Something that cannot be sent; its class has the name that it had on the other side."""


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Return the next message, None at the end of the stream. ValueError for what is no message."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 2**20} MiB")
    data = stream.read(length)
    if len(data) < length:
        return None
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("this is no message")
    return message


def pack(value: Any, functions: list[Callable[..., Any]] | None = None) -> Any:
    """Turn a value into what JSON can hold. functions: where callables are put, which are then sent by number."""
    if value is None or isinstance(value, bool | int | float | str) and not isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in PLAIN:
        array = np.asarray(value)
        data = base64.b64encode(array.tobytes()).decode()
        packed = {"array": data, "dtype": array.dtype.str, "shape": list(array.shape)}
        return packed | {"scalar": True} if isinstance(value, np.generic) else packed
    if isinstance(value, tuple | list):
        return {type_of(value): [pack(one, functions) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(one, functions)] for key, one in value.items()]}
    if value is ...:
        return {"gap": True}
    if functions is not None and callable(value):
        functions.append(value)
        return {"function": len(functions) - 1}
    of = f" of {value.dtype}" if isinstance(value, np.ndarray) else ""
    return {"foreign": f"{type(value).__name__}{of}"}


def type_of(value: tuple[Any, ...] | list[Any]) -> str:
    return "tuple" if isinstance(value, tuple) else "list"


def unpack(packed: Any, function: Callable[[int], Any] | None = None) -> Any:
    """Undo `pack`. function: gives a stand-in for a callable's number. ValueError for what `pack` never makes."""
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        dtype = np.dtype(packed["dtype"])
        if dtype.kind not in PLAIN:
            raise ValueError(f"an array of {dtype} cannot be sent")
        array = np.frombuffer(base64.b64decode(packed["array"]), dtype).reshape(packed["shape"]).copy()
        return array[()] if packed.get("scalar") else array
    if "tuple" in packed:
        return tuple([unpack(one, function) for one in packed["tuple"]])
    if "list" in packed:
        return [unpack(one, function) for one in packed["list"]]
    if "dict" in packed:
        return {unpack(key): unpack(one, function) for key, one in packed["dict"]}
    if "gap" in packed:
        return ...
    if "function" in packed and function is not None:
        return function(packed["function"])
    return type(str(packed.get("foreign")), (Foreign,), {})()


def arrays_in(value: Any) -> Iterator[Array]:
    """Yield the arrays of a value, also of lists and tuples in it."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from arrays_in(one)
