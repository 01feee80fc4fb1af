"""Op, the order of the backward pass, and Tensor: automatic differentiation in one file.

An op computes an array from arrays (`forward`) and, handed the gradient of the loss with respect to its output, the
gradient with respect to each input (`backward`). A tensor made by an op remembers the op, the op its inputs: that is
the graph. `Tensor.backward` walks it from the loss to the leaves, one op at a time, over a plain list.
"""

from __future__ import annotations

import copy
import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from minires.kernels import Array, kernels_for
from minires.kernels.devices import device_of, to_device


class PerThread(threading.local):
    """What each thread has of its own: whether graphs are recorded, the module its forward pass is in, who looks on."""

    recording: bool = True
    module: Any = None  # the module whose forward runs
    module_path: str = ""  # its dotted name: "layer2.1.conv1"
    observer: Observer | None = None


per_thread = PerThread()


class no_grad:
    """Inside `with no_grad():` tensors are computed and nothing is remembered for backward. Per thread.

    Also a decorator, `@no_grad()`, for a function that is to run inside one.
    """

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(per_thread.recording)
        per_thread.recording = False

    def __exit__(self, *error: object) -> None:
        per_thread.recording = self.before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"no_grad: {function.__name__} gives its values later, when the decorator is over; write "
                "`with no_grad():` inside it"
            )

        @functools.wraps(function)
        def inside(*inputs: Any, **options: Any) -> Any:
            with no_grad():
                return function(*inputs, **options)

        return inside


class Op:
    """One differentiable operation: `forward` above its hand-written `backward`, both on arrays.

    A subclass saves what backward needs under a word (`self.x`), and gives back one gradient, or None, per input.
    While it runs it has `self.kernels`, the kernel module for its arrays, and `self.needs_grad`, one bool per input.
    """

    forward: Callable[..., Array]
    backward: Callable[..., tuple[Array | None, ...]]

    # Set by the call. Every other attribute is a subclass's own.
    kernels: Any
    needs_grad: tuple[bool, ...]
    inputs: tuple[Tensor, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()
    site: tuple[str, int, str] = ("", 0, "")  # path, line, function
    module_path: str = ""  # "layer2.1.conv1", once modules are used
    has_run: bool = False
    released: bool = False
    unseen: bool = False  # nobody but the ops before it sees the gradients that its backward gives

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self.has_run:
            raise RuntimeError(f"{self!r} has run already and keeps what it saved; make a new op for every call")
        for tensor in inputs:
            if not isinstance(tensor, Tensor):
                given = type(tensor).__name__
                raise TypeError(f"{type(self).__name__}: takes tensors, not {given}; wrap it: Tensor(x)")
        first = inputs[0].data
        for tensor in inputs:
            if tensor.data.dtype != first.dtype or tensor.data.device != first.device:
                raise mixed_inputs(self, inputs)
        self.has_run = True
        self.kernels = kernels_for(first)
        self.needs_grad = tuple([per_thread.recording and tensor.requires_grad for tensor in inputs])
        y = Tensor(self.forward(*[tensor.data for tensor in inputs]))
        if True in self.needs_grad:
            self.inputs = inputs
            self.input_shapes = tuple([tensor.data.shape for tensor in inputs])
            self.site = call_site()
            self.module_path = per_thread.module_path
            y.op = self
            y.requires_grad = True
        if per_thread.observer is not None:
            per_thread.observer.after_forward(self, inputs, y)
        return y

    def saved_words(self) -> dict[str, Any]:
        """Return what the op was made with and what forward saved, by its words: all that is not the engine's."""
        return {name: value for name, value in vars(self).items() if name not in Op.__annotations__}

    def release(self) -> None:
        """Let go of the inputs and of all that forward saved; keep what says where this was."""
        for name in (*self.saved_words(), "inputs", "kernels", "needs_grad"):
            self.__dict__.pop(name, None)
        self.released = True

    def __repr__(self) -> str:
        path, line, function = self.site
        return f"{type(self).__name__} at {os.path.basename(path)}:{line} in {function}"


def mixed_inputs(op: Op, inputs: tuple[Tensor, ...]) -> TypeError:
    """The error for inputs of several dtypes or devices."""
    described = ", ".join(f"{tensor.shape} {tensor.dtype} on {tensor.device}" for tensor in inputs)
    return TypeError(
        f"{type(op).__name__}: inputs must share one dtype and one device, got {described}; "
        "convert the data with .astype, a model with .to"
    )


class Observer(Protocol):
    """Who looks on, and is told of every op's forward and backward when it has run: see `observe/observer.py`."""

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None: ...

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None: ...


MACHINERY = ("minires.engine", "minires.ops", "minires.nn", "minires.observe")


def call_site() -> tuple[str, int, str]:
    """Find the nearest line outside the machinery. As text: a frame would keep its locals alive."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(MACHINERY):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


def backward_order(loss: Tensor) -> list[Tensor]:
    """List the tensors made by ops that `loss` depends on, each after every tensor computed from it.

    A plain list: print it, index it. First every tensor's uses are counted, then a tensor is ready when all its uses
    are listed, so each op runs once however many paths lead to it, and a graph of any depth needs no recursion.
    """
    uses: dict[Tensor, int] = {}
    found = [loss]
    while found:
        tensor = found.pop()
        uses[tensor] = uses.get(tensor, 0) + 1
        if uses[tensor] == 1 and tensor.op is not None:
            if tensor.op.released:
                raise RuntimeError(
                    f"backward: {tensor!r} was back-propagated before, and what it saved was released; "
                    "pass keep_graph=True to the first backward"
                )
            found.extend(tensor.op.inputs)

    order = []
    ready = [loss]
    while ready:
        tensor = ready.pop()
        if tensor.op is not None:
            order.append(tensor)
            for source in tensor.op.inputs:
                uses[source] -= 1
                if uses[source] == 0:
                    ready.append(source)
    return order


def first_grad(loss: Tensor, grad: Array | None) -> Array:
    """Check the gradient that `backward` starts from; without one, it is 1 for a single number."""
    if not loss.requires_grad:
        raise RuntimeError(f"backward: nothing to do, {loss!r} does not depend on any tensor that requires grad")
    if grad is None:
        if loss.size != 1:
            raise RuntimeError(
                f"backward: {loss!r} is not a single number; "
                "pass backward(grad) with an array of that shape, or reduce it first: .sum(), .mean()"
            )
        return kernels_for(loss.data).xp.ones_like(loss.data)
    if isinstance(grad, Tensor) or getattr(grad, "shape", None) != loss.shape or grad.dtype != loss.dtype:
        raise ValueError(
            f"backward: grad must be an array of shape {loss.shape} and dtype {loss.dtype} like {loss!r}, got "
            f"{type(grad).__name__} {getattr(grad, 'shape', '')} {getattr(grad, 'dtype', '')}"
        )
    return grad


def deliver(tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
    """Add the gradients that an op's backward made of `grad_y` to those of its inputs; tell who looks on."""
    assert tensor.op is not None
    if per_thread.observer is not None:
        per_thread.observer.after_backward(tensor, grad_y, grads)
    for source, grad, needed in zip(tensor.op.inputs, grads, tensor.op.needs_grad, strict=True):
        if needed:
            accumulate(source, grad)


def accumulate(tensor: Tensor, grad: Array | None) -> None:
    """Add `grad` to `tensor.grad`. A new array, never +=: both sides of a skip hold the same one."""
    if grad is None or grad.shape != tensor.data.shape or grad.dtype != tensor.data.dtype:
        wrong = "no gradient" if grad is None else f"a gradient of shape {grad.shape}, {grad.dtype}"
        raise ValueError(f"backward gave {wrong} for an input of shape {tensor.shape}, {tensor.dtype}")
    if tensor.grad is not None:
        grad = tensor.grad + grad
    tensor.grad = np.asarray(grad) if isinstance(grad, np.generic) else grad  # NumPy adds 0-d arrays to a scalar


def digits_of(array: Array) -> str:
    """Write down the few numbers of a small array, with four digits, in one line."""
    text = np.array2string(array, separator=", ", formatter={"float_kind": "{:.4g}".format})
    return text.replace("\n", "")


class Tensor:
    """An array, its gradient, and the op that made it.

    data: a list or number (becomes float32) or an array (NumPy or CuPy; keeps its dtype, is not copied).
    requires_grad: whether `backward` should fill `.grad`, an array of data's shape, dtype and device.

    `.data` is an ordinary array and attribute: it may be written into, or another array may be put in its place. Two
    moments are wrong for it. Between forward and backward ops read what forward kept, not copies: backward would give
    the gradient at numbers that forward never saw (`debug.watch(changes=True)` finds the array), or, for another shape,
    an error. And what an optimizer, an average or running statistics keep belongs to the shape, dtype and device that
    `.data` had: they refuse another one, and are to be made anew.
    TypeError for a dtype that is not a number, and for integers that require grad.
    """

    __slots__ = ("data", "grad", "requires_grad", "op", "__weakref__")
    __array_ufunc__ = None  # array * tensor is the tensor's business, not NumPy's

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            raise TypeError("Tensor: data is a Tensor already; use it as it is, or .detach() it from its history")
        if not hasattr(data, "dtype"):
            if isinstance(data, list | tuple) and any([isinstance(item, Tensor) for item in data]):
                raise TypeError("Tensor: a list of tensors would lose their history; join them: ops.concatenate")
            data = np.asarray(data, np.float32)
        elif isinstance(data, np.generic):
            data = np.asarray(data)
        if data.dtype.kind not in "fiub" or not data.dtype.isnative:
            raise TypeError(f"Tensor: dtype {data.dtype} is not one of float, integer, bool, in native byte order")
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"Tensor: only floats can require grad, not {data.dtype}; convert: data.astype(np.float32)")
        self.data: Array = data
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.op: Op | None = None

    def backward(self, grad: Array | None = None, keep_grads: bool = False, keep_graph: bool = False) -> None:
        """Add dL/dleaf to `.grad` of every leaf this tensor was computed from.

        grad: dL/dself, of this tensor's shape; may be left out for a single number, where it is 1.
        keep_grads: leave the gradients of intermediate tensors in their `.grad` too.
        keep_graph: keep what the ops saved, so that a second backward pass can go through them.
        RuntimeError for a tensor without a graph or with a released one, ValueError for a gradient of another shape.
        """
        order = backward_order(self)
        grad = first_grad(self, grad)
        for tensor in order:
            tensor.grad = None
        accumulate(self, grad)
        unseen = not keep_grads and not keep_graph and per_thread.observer is None
        for tensor in order:
            op, grad_y = tensor.op, tensor.grad
            assert op is not None and grad_y is not None  # backward_order lists such tensors only
            op.unseen = unseen
            try:
                grads = op.backward(grad_y)  # step in here
                deliver(tensor, grad_y, grads)
            except Exception as error:
                error.add_note(f"in the backward pass of {tensor!r}")
                raise
            if not keep_grads:
                tensor.grad = None
            if not keep_graph:
                op.release()

    def __repr__(self) -> str:
        device = "" if self.device == "cpu" else f", {self.device}"
        origin = "leaf" if self.op is None else repr(self.op)
        values = f" = {digits_of(self.data)}" if self.size <= 6 and not device else ""
        return f"Tensor({self.shape}, {self.dtype}{device}, {origin}){values}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the same, and how the numbers are spread."""
        from minires.displays import tensor_html  # where there is a notebook

        return tensor_html(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def device(self) -> str:
        return device_of(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def item(self) -> float:
        """Return the one number of a one-element tensor. ValueError where there are more, or none."""
        if self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} is not one number; reduce it first, as in x.mean()")
        return self.data.item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        """What f"{loss:.3f}" gives; without a format, what `str` gives."""
        return format(self.item(), spec) if spec else str(self)

    def numpy(self) -> Array:
        """Return the data as a NumPy array: `.data` itself on the CPU, a copy from a GPU."""
        return to_device(self.data, "cpu")

    def detach(self) -> Tensor:
        """Return a tensor that shares the data and not the history."""
        return Tensor(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """What `np.asarray(tensor)` gives: as `.numpy()`, the data without its history."""
        return np.array(self.numpy(), dtype, copy=copy)  # copy=None: only where it must

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Copy data and gradient of a leaf. RuntimeError for a tensor that an op made."""
        self._refuse_graph("copy.deepcopy")
        made = object.__new__(type(self))
        memo[id(self)] = made
        for name in ("data", "grad", "requires_grad", "op"):
            setattr(made, name, copy.deepcopy(getattr(self, name), memo))
        return made

    def __getstate__(self) -> Any:
        self._refuse_graph("pickle")
        return None, {name: getattr(self, name) for name in ("data", "grad", "requires_grad", "op")}

    def _refuse_graph(self, function: str) -> None:
        if self.op is not None:
            raise RuntimeError(
                f"{function}: {self!r} holds the graph it was computed by, which stays where it is; copy or save "
                ".detach() of it, or the leaves"
            )

    def to(self, device: str) -> Tensor:
        """Return this tensor on "cpu" or "cuda", itself if it is there already; RuntimeError inside a graph."""
        data = to_device(self.data, device)
        if data is self.data:
            return self
        if self.op is not None:
            raise RuntimeError(
                f"to: {self!r} is part of a graph, which stays on one device; move its leaves before the forward pass"
            )
        return Tensor(data, self.requires_grad)

    # Operators. A number or an array on the other side becomes a constant.

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.mean(self, axis, keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, *shape)

    def transpose(self, *axes: Any) -> Tensor:
        return ops.transpose(self, *axes)


from minires import ops  # noqa: E402  the one upward import of the house: the operators above call ops
