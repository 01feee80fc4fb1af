"""What checks of exercises are made of: gradients against finite differences, values, and sentences about mistakes."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minires.engine import Op, Tensor
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.differences import random_gradient
from minires.kernels import Array

Backward = Callable[..., Any]


class Wrong(AssertionError):
    """The reader's answer is not right, and this is what is wrong with it."""


class ReadersOp(Op):
    """An op with a forward that is right and the reader's backward."""

    def __init__(self, head: str, forward: Callable[..., Array], backward: Backward) -> None:
        self.head, self.forward_of, self.backward_of = head, forward, backward

    def forward(self, *arrays: Array) -> Array:
        self.arrays = arrays
        return self.forward_of(*arrays)

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        return gradients(self.head, self.backward_of, grad_y, self.arrays)


def check_gradient(
    head: str,
    forward: Callable[..., Array],
    backward: Backward,
    arrays: Mapping[str, Array],
    mistakes: Mapping[str, Backward] | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield `head` if backward(grad_y, *arrays) agrees with finite differences of forward(*arrays); else `Wrong`.

    backward returns one gradient, or a tuple of one per array; None for an array that it has no gradient for, which is
    then a constant. mistakes: a sentence for each backward that makes a typical mistake.
    """
    values = {name: np.array(array, np.float64) for name, array in arrays.items()}
    y = forward(*values.values())
    grad_y = random_gradient(y.shape, np.random.default_rng(seed))
    given = gradients(head, backward, grad_y, tuple(values.values()))
    for name, array, grad in zip(values, values.values(), given, strict=True):
        if grad is not None:
            check_form(f"{head}: the gradient of {name}", grad, array)
    varied = [name for name, grad in zip(values, given, strict=True) if grad is not None]
    if not varied:
        raise Wrong(f"{head}: the function gives back None; is its gap (`...`) still there, or a return missing?")

    def function(*tensors: Tensor) -> Tensor:
        moving = dict(zip(varied, tensors, strict=True))
        return ReadersOp(head, forward, backward)(*[moving.get(name, Tensor(values[name])) for name in values])

    try:
        gradcheck(function, *[values[name] for name in varied], names=varied, seed=seed)
    except GradientError as error:
        for sentence, mistaken in (mistakes or {}).items():
            suspected = gradients(head, mistaken, grad_y, tuple(values.values()))
            if all(equal(one, other) for one, other in zip(given, suspected, strict=True)):
                raise Wrong(f"{head}: {sentence}") from error
        raise Wrong(f"{head}\n{explain(error)}") from error
    check_float32(head, forward, backward, values)
    yield head


def check_equal(head: str, got: Any, wanted: Any, hint: str = "", rtol: float = 1e-9) -> Iterator[str]:
    """Yield `head` if got equals wanted, arrays to rounding; else `Wrong`, which ends in `hint`."""
    hint = f"\n  {hint}" if hint else ""
    if got is None or got is ...:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")
    if not isinstance(wanted, np.ndarray | float):
        if got != wanted:
            raise Wrong(f"{head}: {got!r} is not right{hint}")
        yield head
        return
    shape = np.shape(got)
    if shape != np.shape(wanted):
        raise Wrong(f"{head}: the shape is {shape}, and should be {np.shape(wanted)}{hint}")
    got = np.asarray(got)
    if got.dtype.kind not in "fiub":
        raise Wrong(f"{head}: holds {got.dtype}, not numbers{hint}")
    off = ~np.isclose(got, wanted, rtol=rtol, atol=1e-12)
    if off.any():
        where = tuple(map(int, np.argwhere(off)[0]))
        at = f"{np.count_nonzero(off)} of {off.size} numbers are wrong, the first at {list(where)}: " if where else ""
        raise Wrong(f"{head}: {at}{got[where]:.6g} is not right{hint}")
    yield head


@contextmanager
def replaced(place: Any, **functions: Any) -> Iterator[None]:
    """Inside the block, attributes of a module or class are others: replaced(numpy_kernels, relu_forward=mine)."""
    before = {name: getattr(place, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(place, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(place, name, function)


def gradients(head: str, backward: Backward, grad_y: Array, arrays: tuple[Array, ...]) -> tuple[Any, ...]:
    """Call a backward on copies; return one gradient per array. `Wrong` if it changes what it was given."""
    handed = [np.array(grad_y), *[np.array(array) for array in arrays]]
    given = backward(*handed)
    for before, after in zip((grad_y, *arrays), handed, strict=True):
        if not np.array_equal(before, after):
            what = "the gradient it was handed" if after is handed[0] else f"an argument, of shape {after.shape}"
            raise Wrong(f"{head}: the function writes into {what}, which others still need: write a + b, never a += b")
    given = given if isinstance(given, tuple) else (given,)
    if len(given) != len(arrays):
        if all(one is None for one in given):
            return (None,) * len(arrays)
        raise Wrong(f"{head}: the function gives back {len(given)} gradients, and should give {len(arrays)}")
    return given


def check_form(what: str, grad: Any, array: Array) -> None:
    """`Wrong` for a gradient that is no array of the array's shape."""
    if grad is ...:
        raise Wrong(f"{what} is still a gap (`...`)")
    if not isinstance(grad, np.ndarray | np.generic):
        raise Wrong(f"{what} is a {type(grad).__name__}, and should be an array of shape {array.shape}")
    if grad.shape != array.shape:
        raise Wrong(f"{what} has shape {grad.shape}, and should have {array.shape}: that of what it is the gradient of")


def check_float32(head: str, forward: Callable[..., Array], backward: Backward, values: Mapping[str, Array]) -> None:
    """`Wrong` for a gradient that is not float32 where all that came in was."""
    arrays = tuple([value.astype(np.float32) for value in values.values()])
    grad_y = np.ones_like(forward(*arrays), dtype=np.float32)
    for name, grad in zip(values, gradients(head, backward, grad_y, arrays), strict=True):
        if grad is not None and grad.dtype != np.float32:
            raise Wrong(
                f"{head}: right in float64, but for float32 arrays the gradient of {name} is {grad.dtype}: "
                "np.zeros and np.sqrt make float64; give np.zeros the dtype, np.zeros(shape, grad_y.dtype)"
            )


def equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-9, atol=1e-12)


def explain(error: GradientError) -> str:
    """Say what the gradient checker found, without the numbers that nobody needs for a first look."""
    if error.__cause__ is not None:
        raise error.__cause__
    lines = []
    for argument in error.report.arguments:
        if argument.ok:
            lines.append(f"  the gradient of {argument.name} is right")
            continue
        lines.append(
            f"  the gradient of {argument.name}, shape {argument.shape}, is wrong in {argument.wrong} of "
            f"{argument.checked} comparisons; at {argument.index} yours is {argument.backward:.6g}, "
            f"finite differences give {argument.numeric:.6g}"
        )
        if argument.diagnosis:
            lines.append(f"  {argument.diagnosis}")
    return "\n".join(lines) or f"  {error}"


def describe_crash(error: Exception, path: str) -> str:
    """Name the reader's line that an exception came from."""
    text = f"{type(error).__name__}: {error}"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {text}"
    return f"line {lines[-1].lineno}, `{lines[-1].line}`: {text}" if lines else text
