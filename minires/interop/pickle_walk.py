"""What a pickle describes, found by reading its opcodes; nothing that it names is ever imported or called.

A pickle is a program for a small machine with a stack. Most of it builds lists, dicts, numbers and texts; the rest says
"call this function, of that module, with these arguments", which is why opening one can run anything. `walk` runs the
same program with a machine that has no call: a function is a name, `KNOWN` says for a few names what to note down
instead of calling them, and any other name ends the reading.

Tensors come out as `TensorAt`, which says where their numbers lie: reading those, after a look at how many there are,
is the business of `torch_files`.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from minires.kernels import Array

# PyTorch's names of its storages and dtypes, and what NumPy calls the numbers. bfloat16 has no name in NumPy.
DTYPES = {
    "Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "bfloat16", "Long": "i8", "Int": "i4", "Short": "i2",
    "Char": "i1", "Byte": "u1", "Bool": "b1",
}  # fmt: skip
TORCH_DTYPES = {
    "float32": "f4", "float": "f4", "float64": "f8", "double": "f8", "float16": "f2", "half": "f2",
    "bfloat16": "bfloat16", "int64": "i8", "long": "i8", "int32": "i4", "int": "i4", "int16": "i2", "short": "i2",
    "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "b1",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Name:
    """A function or class that the pickle names, as text: "torch._utils._rebuild_tensor_v2"."""

    full: str


@dataclass(frozen=True, eq=False)
class Storage:
    """A row of numbers in the file. dtype: NumPy's, "bfloat16", or "" for bytes. start: a view begins there."""

    key: str
    dtype: str
    size: int  # numbers, or bytes
    start: int = 0
    part: int | None = None  # numbers in the view; None: all


@dataclass(frozen=True, eq=False)
class TensorAt:
    """A tensor: which numbers of a storage it has. Nothing of it is checked yet."""

    storage: Storage
    dtype: str
    offset: Any
    shape: Any
    strides: Any


@dataclass(eq=False)
class ArrayToBe:
    """A NumPy array between its making and the state that is put into it."""

    array: Array | None = None


@dataclass(eq=False)
class NumpyDtype:
    """A NumPy dtype of numbers, whose byte order comes after it is made."""

    code: str
    order: str = "<"

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order.replace("|", "=") + self.code)


Persistent = Callable[[Any], Storage]
STORAGE_IN_BYTES = "torch.storage._load_from_bytes"  # in what `pickle.dump` makes of a tensor


class Refused(ValueError):
    """What the pickle describes is none of the things that weights are made of."""


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> TensorAt:
    """(…, requires_grad, backward_hooks, metadata): of these only the metadata changes the numbers."""
    if not isinstance(storage, Storage):
        raise Refused("it describes a tensor without a storage")
    if len(more) > 2 and more[2]:
        raise Refused("it holds a tensor with a conjugate or negative bit; save .clone()")
    if not storage.dtype:
        raise Refused("it describes a tensor of no dtype")
    return TensorAt(storage, storage.dtype, offset, shape, strides)


def rebuild_tensor_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, dtype: Any, *more: Any
) -> TensorAt:
    """A tensor of a dtype that has no storage of its own, over bytes."""
    if not isinstance(storage, Storage) or not isinstance(dtype, Name):
        raise Refused("it describes a tensor without a storage or a dtype")
    code = TORCH_DTYPES[dtype.full.removeprefix("torch.")]
    return TensorAt(storage, code, offset, shape, strides)


def rebuild_parameter(data: Any, *more: Any) -> Any:
    """(…, requires_grad, backward_hooks, state): the tensor is all that counts."""
    return data


def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A subclass of Tensor, such as a Parameter with attributes: the tensor in it."""
    return called(function, arguments)


def numpy_dtype(code: Any, *flags: Any) -> NumpyDtype:
    if isinstance(code, str) and code.lstrip("<>=|") in ("f2", "f4", "f8", "b1", "?") + tuple(
        [f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)]
    ):
        return NumpyDtype(code.lstrip("<>=|"))
    raise Refused(f"it holds a NumPy array of {short(code)}, not of numbers")


def numpy_scalar(dtype: Any, data: Any) -> Any:
    return from_bytes(dtype, data, ()).item()


def numpy_array(*ignored: Any) -> ArrayToBe:
    return ArrayToBe()


def numpy_frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> ArrayToBe:
    return ArrayToBe(from_bytes(dtype, data, shape, order == "F"))


def encode(text: str, encoding: str) -> bytes:
    """Bytes that an old protocol wrote as text."""
    if encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise Refused(f"it describes bytes in the encoding {short(encoding)}")
    return text.encode(encoding)


def as_dict(*arguments: Any) -> dict[Any, Any]:
    """collections.OrderedDict(), of nothing or of pairs."""
    pairs = arguments[0] if arguments else ()
    return dict_of([item for pair in (pairs.items() if isinstance(pairs, dict) else pairs) for item in pair])


def empty_dict(*arguments: Any) -> dict[Any, Any]:
    """A defaultdict, whose factory is not needed; a Namespace before its state."""
    return {}


def as_list(*arguments: Any) -> list[Any]:
    """A set, a torch.Size: their items, in order."""
    return list(arguments[0]) if arguments else []


def as_text(*arguments: Any) -> str:
    """A path or a device: its parts."""
    return "/".join([str(part) for part in arguments if isinstance(part, str | int)])


# What may stand in a pickle of weights, and what is noted down for it. None: it may be named, and not called.
KNOWN: dict[str, Callable[..., Any] | None] = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
    STORAGE_IN_BYTES: None,
    "torch.nn.parameter.Parameter": None,
    "torch.nn.parameter.Buffer": None,
    "torch.Tensor": None,
    "torch.Size": as_list,
    "torch.device": as_text,
    "torch.storage.UntypedStorage": None,
    **{f"torch.{kind}Storage": None for kind in DTYPES},
    **{f"torch.{dtype}": None for dtype in TORCH_DTYPES},
    "numpy.dtype": numpy_dtype,
    "numpy.ndarray": None,
    "_codecs.encode": encode,
    "collections.OrderedDict": as_dict,
    "collections.Counter": as_dict,
    "collections.defaultdict": empty_dict,
    "argparse.Namespace": empty_dict,
}
for core in ("numpy.core", "numpy._core"):
    KNOWN[f"{core}.multiarray.scalar"] = numpy_scalar
    KNOWN[f"{core}.multiarray._reconstruct"] = numpy_array
    KNOWN[f"{core}.numeric._frombuffer"] = numpy_frombuffer
for module in ("builtins", "__builtin__"):
    KNOWN |= {f"{module}.{kind}": as_list for kind in ("set", "frozenset")}
    KNOWN |= {f"{module}.{kind}": None for kind in ("int", "float", "str", "bool", "list", "dict", "tuple")}
for module in ("pathlib", "pathlib._local"):
    KNOWN |= {f"{module}.{kind}": as_text for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")}


def walk(stream: BinaryIO, persistent: Persistent) -> Any:
    """Return what the pickle at the stream's place describes, and leave the stream behind it.

    persistent: makes a storage of what the pickle says instead of its numbers.
    Refused, a ValueError, names what is no part of weights; ValueError for a pickle that is damaged or cut off.
    """
    machine = Machine(persistent)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return finished(machine.stack.pop())
            step = STEPS.get(opcode.name)
            if step is None:
                raise Refused(f"it has the pickle opcode {opcode.name}, which no weights need")
            step(machine, argument)
    except Refused:
        raise
    # What a program that makes no sense runs into, in this machine or in genops.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its pickle is damaged or cut off ({short(error)})") from error
    raise ValueError("its pickle is cut off")


class Machine:
    """The stack, the stacks that a mark has set aside, and the memo."""

    def __init__(self, persistent: Persistent) -> None:
        self.persistent = persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def take(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return items

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"{kind.__name__} expected, found {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def name(self, full: str) -> None:
        """A function or class is named: go no further where it is not one of KNOWN."""
        if full not in KNOWN:
            raise Refused(f"it needs {full}, {not_known(full)}")
        self.push(Name(full))

    def call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Name) and function.full == STORAGE_IN_BYTES:
            self.push(self.persistent((STORAGE_IN_BYTES, *arguments)))
        else:
            self.push(called(function, arguments))

    def build(self) -> None:
        """The state of an object, put into it."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, ArrayToBe):
            _, shape, dtype, fortran, data = state
            target.array = from_bytes(dtype, data, shape, bool(fortran))
        elif isinstance(target, NumpyDtype):
            target.order = {"<": "<", ">": ">", "|": "|", "=": "="}[state[1]]
        elif isinstance(target, dict) and isinstance(state, dict):
            if "_metadata" not in state:  # a Namespace's arguments; _metadata is an attribute of state dicts
                target.update(state)
        elif not isinstance(target, TensorAt):
            raise TypeError(f"a state for a {type(target).__name__}")


def called(function: Any, arguments: Any) -> Any:
    """What to note down for a call of a name with arguments. Refused for a name that is not to be called."""
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise TypeError("a call of no name")
    note = KNOWN[function.full]
    if note is None:
        raise Refused(f"it calls {function.full}, which weights do not need")
    return note(*arguments)


def from_bytes(dtype: Any, data: Any, shape: Any, fortran: bool = False) -> Array:
    """The array of these bytes, a copy of them; the sizes are compared first."""
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin-1")
    if not isinstance(dtype, NumpyDtype) or not isinstance(data, bytes) or not isinstance(shape, tuple | list):
        raise TypeError("a NumPy array without dtype, bytes or shape")
    kind = dtype.dtype()
    if not all([type(size) is int and size >= 0 for size in shape]) or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"a NumPy array of {len(data)} bytes that should have another number")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C").astype(kind.newbyteorder("="))


def dict_of(items: list[Any]) -> dict[Any, Any]:
    """A dict of keys and values in turn. Its keys are plain: hashing a tuple in a tuple, and so on, has no bottom."""
    for key in items[::2]:
        if not isinstance(key, str | int | float | bytes | None):
            raise Refused(f"it has a dict with a {type(key).__name__} as key")
    return dict(zip(items[::2], items[1::2], strict=True))


def finished(value: Any) -> Any:
    """What stands for a value when the pickle is read."""
    return value.array if isinstance(value, ArrayToBe) else value


def short(value: object) -> str:
    """A few words of a value or an error; a damaged file can have long ones."""
    text = str(value) if isinstance(value, str | Exception) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}…"


def not_known(full: str) -> str:
    """Say what a name that is not known usually means."""
    if full.startswith(("torch._utils._rebuild", "torch._tensor._rebuild")) or full.endswith("Storage"):
        return "a kind of tensor that MiniRes has not: a dense one of real numbers, .detach().clone(), can be read"
    if full.startswith("torch.") and full.count(".") == 1 and full[6:].islower():
        return "a dtype that NumPy has not; convert in PyTorch with .float()"
    if full.startswith(("torch.nn.", "torchvision.", "timm.", "models.", "model.", "resnet", "networks.", "__main__.")):
        return (
            "code of a model: the file holds a whole model, not its weights alone. In PyTorch, with the model's own "
            "code at hand: torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW)"
        )
    return "which is code, and no part of weights; nothing of it was run"


def set_items(machine: Machine, items: list[Any]) -> None:
    machine.top(dict).update(dict_of(items))


def set_one(machine: Machine) -> None:
    set_items(machine, list(machine.take(2)))


def set_many(machine: Machine) -> None:
    set_items(machine, machine.since_mark())


def append_one(machine: Machine) -> None:
    item = machine.stack.pop()
    machine.top(list).append(item)


def append_many(machine: Machine) -> None:
    items = machine.since_mark()
    machine.top(list).extend(items)


def remember(machine: Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


def pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.since_mark()


def pop_mark(machine: Machine) -> None:
    machine.since_mark()


def stack_name(machine: Machine) -> None:
    module, name = machine.take(2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a name that is no text")
    machine.name(f"{module}.{name}")


def new_object(machine: Machine, with_keywords: bool) -> None:
    if with_keywords and machine.stack.pop():
        raise Refused("it makes an object with keywords, which weights do not need")
    machine.call(*machine.take(2))


def push(machine: Machine, value: Any) -> None:
    machine.push(value)


Step = Callable[[Machine, Any], None]
STEPS: dict[str, Step] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: pop(machine),
    "POP_MARK": lambda machine, _: pop_mark(machine),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: machine.push(dict_of(machine.since_mark())),
    "SETITEM": lambda machine, _: set_one(machine),
    "SETITEMS": lambda machine, _: set_many(machine),
    "APPEND": lambda machine, _: append_one(machine),
    "APPENDS": lambda machine, _: append_many(machine),
    "ADDITEMS": lambda machine, _: append_many(machine),
    "MEMOIZE": lambda machine, _: remember(machine, len(machine.memo)),
    "GLOBAL": lambda machine, names: machine.name(names.replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda machine, _: stack_name(machine),
    "REDUCE": lambda machine, _: machine.call(*machine.take(2)),
    "NEWOBJ": lambda machine, _: new_object(machine, False),
    "NEWOBJ_EX": lambda machine, _: new_object(machine, True),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.push(machine.persistent(machine.stack.pop())),
    **dict.fromkeys(["PUT", "BINPUT", "LONG_BINPUT"], remember),
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET"], lambda machine, place: machine.push(machine.memo[place])),
    **dict.fromkeys(
        ["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
         "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
         "BINBYTES8"],
        push,
    ),
    "BYTEARRAY8": lambda machine, data: machine.push(bytes(data)),
}  # fmt: skip
