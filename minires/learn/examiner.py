"""What checks of exercises are made of: gradients against finite differences, values, and sentences about mistakes."""

import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.engine import Op, Tensor
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.differences import random_gradient
from minires.gradient_check.fitting import Right, Sample, name_mistake, picture, same
from minires.kernels import Array
from minires.learn.answer import MadeFloat64

Backward = Callable[..., Any]
Inputs = Mapping[str, Array] | Callable[[np.random.Generator], Mapping[str, Array]]

SAMPLES = 4  # draws on which a mistake must give what the reader's function gives, before it is named
SAMPLED, ALL = 30, 500  # up to how many elements an array is compared with finite differences element by element


class Wrong(AssertionError):
    """The reader's answer is not right, and this is what is wrong with it."""


class ReadersOp(Op):
    """An op with a forward that is right and the reader's backward. Arrays without a gradient are constants in it."""

    def __init__(self, problem: "Problem", values: Mapping[str, Array], varied: Sequence[str]) -> None:
        self.problem, self.values, self.varied = problem, dict(values), list(varied)

    def forward(self, *arrays: Array) -> Array:
        self.values = self.values | dict(zip(self.varied, arrays, strict=True))
        return self.problem.forward(*self.values.values())

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        grads = gradients(self.problem.head, self.problem.backward, grad_y, tuple(self.values.values()))
        found = dict(zip(self.values, grads, strict=True))
        return tuple([found[name] for name in self.varied])


@dataclass(frozen=True)
class Problem:
    """A function, its backward as the reader wrote it, and arrays to try them on."""

    head: str
    forward: Callable[..., Array]
    backward: Backward
    inputs: Inputs
    seed: int

    def draw(self, number: int) -> tuple[dict[str, Array], Array]:
        """Return the arrays and the output gradient of a sample; those of each number are others."""
        rng = generator(self.seed, self.head, number)
        drawn = self.inputs(rng) if callable(self.inputs) else self.inputs if number == 0 else like(self.inputs, rng)
        values = {name: as_float64(array) for name, array in drawn.items()}
        return values, random_gradient(np.shape(self.forward(*values.values())), rng)

    def given(self, values: Mapping[str, Array], grad_y: Array) -> dict[str, Any]:
        """Return the reader's gradient for each array; `Wrong` for what is no gradient of it."""
        grads = gradients(self.head, self.backward, grad_y, tuple(values.values()))
        found = dict(zip(values, grads, strict=True))
        for name, grad in found.items():
            if grad is not None:
                check_form(f"{self.head}: the gradient of {name}", grad, values[name])
        if all(grad is None for grad in grads):
            raise Wrong(
                f"{self.head}: the function gives back None; is its gap (`...`) still there, or a return missing?"
            )
        return found


def check_gradient(
    head: str,
    forward: Callable[..., Array],
    backward: Backward,
    inputs: Inputs,
    right: Mapping[str, Right] | None = None,
    mistakes: Mapping[str, Backward] | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield `head` if backward(grad_y, *arrays) agrees with finite differences of forward(*arrays); else `Wrong`.

    backward returns one gradient, or a tuple of one per array; None for an array that it has no gradient for, which is
    then a constant. inputs: named arrays, or a function that draws them with a generator, of other sizes each time.
    right: for the arrays whose gradient has terms, these and the mistakes in them. mistakes: a sentence for each
    backward that makes a typical mistake in several gradients at once. A sentence is said only if its mistake gives
    what the reader's function gives on `SAMPLES` draws.
    """
    problem = Problem(head, forward, backward, inputs, seed)
    values, grad_y = problem.draw(0)
    given = problem.given(values, grad_y)
    varied = [name for name, grad in given.items() if grad is not None]

    def function(*tensors: Tensor) -> Tensor:
        return ReadersOp(problem, values, varied)(*tensors)

    # Where the formula agrees already, some elements and directions are enough to agree with finite differences, too.
    arguments = (grad_y, *values.values())
    known = [name for name in varied if right and name in right and equal(given[name], right[name].of(arguments))]
    try:
        number = SAMPLED if known == varied else ALL
        gradcheck(function, *[values[name] for name in varied], names=varied, seed=seed, max_elements=number)
    except GradientError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise Wrong(name_gradients(problem, error, varied, right or {}, mistakes or {})) from error
    check_float32(problem, values)
    check_other_sizes(problem, right or {}, mistakes or {})
    yield head


def name_gradients(
    problem: Problem,
    error: GradientError,
    varied: Sequence[str],
    right: Mapping[str, Right],
    mistakes: Mapping[str, Backward],
) -> str:
    """Say what is wrong with gradients that differ from finite differences: the mistake, or the places."""
    draws = [problem.draw(number) for number in range(SAMPLES)]
    given = [problem.given(*draw) for draw in draws]
    for sentence, mistaken in mistakes.items():
        if all(makes(mistaken, draw, one) for draw, one in zip(draws, given, strict=True)):
            return f"{problem.head}: {sentence}"
    lines, named = [], []
    for argument in error.report.arguments:
        if argument.ok:
            lines.append(f"  the gradient of {argument.name} is right")
            continue
        known = right.get(argument.name) or by_differences(problem, argument.name)
        samples = [
            Sample((grad_y, *values.values()), one[argument.name])
            for (values, grad_y), one in zip(draws, given, strict=True)
        ]
        sentence = name_mistake(known, samples)
        if sentence:
            named.append((argument.name, sentence))
        lines.append(
            f"  the gradient of {argument.name}, shape {argument.shape}, is wrong in {argument.wrong} of "
            f"{argument.checked} comparisons; at {argument.index} yours is {argument.backward:.6g}, "
            f"finite differences give {argument.numeric:.6g}"
        )
        if not sentence:
            drawn = picture(np.asarray(samples[0].given), known.of(samples[0].arguments))
            lines += [f"  {line}" for line in drawn.splitlines()]
    if not lines:
        return f"{problem.head}\n  {error}"
    if not named:
        return "\n".join([problem.head, *lines])
    alike: dict[str, list[str]] = {}  # sentence -> the arrays whose gradients it is said of
    for name, sentence in named:
        alike.setdefault(sentence, []).append(name)
    said = []
    for sentence, names in alike.items():
        of = f"the gradient{'s' if len(names) > 1 else ''} of {' and '.join(names)}: " if len(varied) > 1 else ""
        said.append(f"{of}{sentence}")
    return "\n".join([f"{problem.head}: {'; '.join(said)}", *lines])


def makes(mistaken: Backward, draw: tuple[dict[str, Array], Array], given: Mapping[str, Any]) -> bool:
    """Whether a mistaken backward gives what the reader's gave."""
    values, grad_y = draw
    with np.errstate(all="ignore"):
        grads = mistaken(grad_y, *values.values())
    grads = grads if isinstance(grads, tuple) else (grads,)
    return all(equal(one, other) for one, other in zip(given.values(), grads, strict=True))


def by_differences(problem: Problem, name: str) -> Right:
    """Return the right gradient of an array by finite differences, for want of a formula."""

    def gradient(grad_y: Array, *arrays: Array) -> Array:
        position = list(problem.draw(0)[0]).index(name)
        x = arrays[position]
        result = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = x.copy()
                moved[index] += step
                ends.append(problem.forward(*arrays[:position], moved, *arrays[position + 1 :]))
            result[index] = np.sum(grad_y * (ends[0] - ends[1])) / 2e-5
        return result

    return Right(gradient, close=1e-6)


def check_other_sizes(problem: Problem, right: Mapping[str, Right], mistakes: Mapping[str, Backward]) -> None:
    """`Wrong` for a backward that is right for the first arrays alone, where its right gradients are known."""
    draws = [problem.draw(number) for number in range(SAMPLES)]
    given = [problem.given(*draw) for draw in draws]
    for (values, grad_y), grads in zip(draws, given, strict=True):
        arguments = (grad_y, *values.values())
        for name, known in right.items():
            if grads[name] is None or same(np.asarray(grads[name]), known.of(arguments), 1e-7):
                continue
            shapes = ", ".join([f"{one} {array.shape}" for one, array in values.items()])
            head = f"{problem.head}, for other sizes ({shapes})"
            for sentence, mistaken in mistakes.items():
                if all(makes(mistaken, draw, one) for draw, one in zip(draws, given, strict=True)):
                    raise Wrong(f"{head}: {sentence}")
            pairs = zip(draws, given, strict=True)
            samples = [Sample((grad, *arrays.values()), one[name]) for (arrays, grad), one in pairs]
            sentence = name_mistake(known, samples)
            drawn = picture(np.asarray(grads[name]), known.of(arguments)).replace("\n", "\n  ")
            raise Wrong(f"{head}: the gradient of {name}: {sentence}" if sentence else f"{head}\n  {drawn}")


def check_float32(problem: Problem, values: Mapping[str, Array]) -> None:
    """`Wrong` for a gradient that is not float32 where all that came in was; it quotes the line that made it so."""
    arrays = {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in values.items()}
    grad_y = np.ones_like(problem.forward(*arrays.values()), dtype=np.float32)
    said = (
        f"{problem.head}: right in float64; but what comes in as float32 goes out as float32, and here float64 arises"
    )
    try:
        given = problem.given(arrays, grad_y)
    except MadeFloat64 as made:
        raise Wrong(f"{said}\n  {made}") from None
    for name, grad in given.items():
        if grad is not None and grad.dtype != np.float32:
            raise Wrong(f"{said}, in the gradient of {name}")


def generator(seed: int, head: str, number: int = 0) -> np.random.Generator:
    """Return the generator of one draw: another for each seed, each head and each number."""
    return np.random.default_rng([seed, zlib.crc32(head.encode()), number])


def as_float64(array: Array) -> Array:
    """Return a copy in float64; what holds integers (labels) stays as it is."""
    array = np.array(array)
    return array if array.dtype.kind in "iub" else array.astype(np.float64)


def like(arrays: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Draw arrays of the same shapes, means and deviations."""
    drawn = {}
    for name, array in arrays.items():
        fixed = np.asarray(array).dtype.kind in "iub"
        drawn[name] = array if fixed else rng.normal(np.mean(array), np.std(array) or 1, np.shape(array))
    return drawn


def check_values(
    head: str,
    function: Callable[..., Any],
    right: Right,
    draw: Callable[[np.random.Generator], tuple[Any, ...]],
    seed: int = 0,
    hint: str = "",
) -> Iterator[str]:
    """Yield `head` if a function gives the right values on several draws of its arguments; else `Wrong`, named."""
    samples = []
    for number in range(SAMPLES):
        arguments = draw(generator(seed, head, number))
        handed = [np.array(one) if isinstance(one, np.ndarray) else one for one in arguments]
        given = function(*handed)
        refuse_nothing(head, given)
        for before, after in zip(arguments, handed, strict=True):
            if isinstance(before, np.ndarray) and not np.array_equal(before, after):
                raise Wrong(f"{head}: the function writes into what it was handed, which others still need")
        if isinstance(given, float | int):
            given = np.asarray(given)
        if not isinstance(given, np.ndarray | np.generic):
            raise Wrong(f"{head}: this is a {type(given).__name__}, and should be an array")
        samples.append(Sample(arguments, np.asarray(given)))
    wanted = [right.of(sample.arguments) for sample in samples]
    for sample, value in zip(samples, wanted, strict=True):
        if np.shape(sample.given) == np.shape(value) and same(np.asarray(sample.given), value):
            continue
        sentence = name_mistake(right, samples)
        if sentence:
            raise Wrong(f"{head}: {sentence}")
        yield from check_equal(head, sample.given, value, hint, drawn=True)
    yield head


def check_equal(
    head: str, got: Any, wanted: Any, hint: str = "", rtol: float = 1e-9, drawn: bool = False
) -> Iterator[str]:
    """Yield `head` if got equals wanted, arrays to rounding; else `Wrong`, which ends in `hint`, and a picture."""
    hint = f"\n  {hint}" if hint else ""
    refuse_nothing(head, got)
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
        if drawn and got.ndim and not off.all():
            hint += "\n  " + picture(got, np.asarray(wanted)).replace("\n", "\n  ")
        raise Wrong(f"{head}: {at}{got[where]:.6g} is not right{hint}")
    yield head


def refuse_nothing(head: str, got: Any) -> None:
    if got is None or got is ...:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")


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


def equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-9, atol=1e-12)


def describe_crash(error: BaseException, path: str) -> str:
    """Name the reader's line that an exception came from."""
    text = f"{type(error).__name__}: {error}"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {text}"
    return f"line {lines[-1].lineno}, `{lines[-1].line}`: {text}" if lines else text
