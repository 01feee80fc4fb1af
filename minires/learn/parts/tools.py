"""What the parts have in common: the reader's ops get arrays, beside the reader's code; the answer is judged here."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_gradient, check_values
from minires.learn.exercise import Exercise

Draw = Callable[[np.random.Generator], dict[str, Array]]
HINTS = (
    "What a gap asks for stands in its comment; the shapes are in the docstring above it.",
    "The chapter has the same thing in its own words. Print shapes: what you return has the shape of the input.",
    "Try it: import your file, call the function on arrays of two or three numbers, and do the sum by hand.",
)


def beside_it(module: ModuleType, file: str) -> ModuleType:
    """Return another file of the reader's engine: beside_it(module, "tensor")."""
    return importlib.import_module(f".{file}", module.__package__)


def forward(module: ModuleType, name: str, options: list[Any], arrays: list[Array]) -> Any:
    """Where the reader's code runs: return what an op of theirs makes of arrays."""
    return getattr(module, name)(*options).forward(*arrays)


def backward(module: ModuleType, name: str, options: list[Any], arrays: list[Array], grad_y: Array) -> Any:
    """Where the reader's code runs: do an op of theirs forward, and return what its backward gives for grad_y."""
    op = getattr(module, name)(*options)
    op.forward(*arrays)
    return op.backward(grad_y)


OPS: Mapping[str, Callable[..., Any]] = {"forward": forward, "backward": backward}


def check_op(
    mine: Any,
    seed: int,
    name: str,
    right: Callable[..., Array],
    draw: Draw,
    options: tuple[Any, ...] = (),
    gradients: Mapping[str, Right] | None = None,
) -> Iterator[str]:
    """Examine an op of the reader's: its forward against the right one, its backward against finite differences.

    right: the function that the op computes, on arrays. options: what the op is made with.
    """
    plain = [str(option) for option in options if not isinstance(option, np.ndarray)]
    told = f"({', '.join(plain)})" if plain else ""

    def drawn(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(draw(rng).values())

    yield from check_values(
        f"{name}{told}, forward",
        lambda *arrays: mine.forward(name, list(options), list(arrays)),
        Right(lambda *arrays: np.asarray(right(*arrays))),
        drawn,
        seed,
    )

    def its_backward(grad_y: Array, *arrays: Array) -> Any:
        grads = mine.backward(name, list(options), list(arrays), grad_y)
        if isinstance(grads, np.ndarray):
            raise Wrong(f"{name}{told}, backward: this is an array, and should be a tuple of one: (grad_x,)")
        return grads

    yield from check_gradient(
        f"{name}{told}, backward", lambda *arrays: np.asarray(right(*arrays)), its_backward, draw, gradients, seed=seed
    )


def part(chapter: int, file: str, checks: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> Exercise:
    """Return what examines one file of the reader's engine, as far as a chapter goes."""
    return Exercise(
        chapter=chapter,
        name=file.removesuffix(".py"),
        title=f"your own engine, {file}",
        text="",
        hints=HINTS,
        checks=checks,
        beside={**OPS, **(beside or {})},
        file=file,
    )
