"""The chapters by number, and the exercises that there are."""

import importlib
import importlib.util
import inspect
from pathlib import Path

from minires.learn.exercise import Exercise

CHAPTERS = {
    1: ("derivatives", "Derivatives and finite differences"),
    2: ("tensor_that_remembers", "A tensor that remembers"),
    3: ("diamond", "Backward by hand: the diamond x + f(x)"),
    4: ("gradient_check", "Checking gradients so that a wrong one cannot pass"),
    5: ("first_network", "A first network on the digits"),
    6: ("convolution_forward", "Convolution: loops, then one matrix product"),
    7: ("convolution_backward", "Convolution backward: the transpose of copying"),
    8: ("batch_norm", "Batch norm, line by line"),
    9: ("initialization", "Activations and initialization: where vanishing really comes from"),
    10: ("going_deeper", "Going deeper: the degradation problem"),
    11: ("residual_add", "The residual add"),
    12: ("the_family", "The family"),
    13: ("stepping_through", "Stepping through the backward pass"),
    14: ("with_and_without_skips", "With and without skips"),
    15: ("repairing_listings", "Repairing five published listings"),
    16: ("a_training_recipe", "A training recipe, and CIFAR-10 for real"),
    17: ("why_it_works", "Why it works"),
    18: ("making_it_fast", "Making it fast"),
    19: ("on_the_gpu", "On the GPU with CuPy"),
    20: ("your_own_pictures", "Your own pictures"),
}


def script(chapter: int) -> str:
    """Return where a chapter is in the repository: tutorials/07_convolution_backward.py."""
    return f"tutorials/{chapter:02}_{CHAPTERS[chapter][0]}.py"


def path_of(chapter: int) -> Path:
    """Return the chapter's file: in the checkout that this package runs from, else the one that was installed."""
    package = Path(__file__).parents[1]
    checkout = package.parent / script(chapter)
    return checkout if checkout.exists() else package / script(chapter)


def exercise_of(chapter: int) -> Exercise:
    """Return a chapter's exercise; ValueError, with the known ones, for a number that has none."""
    if not has_exercise(chapter):
        known = ", ".join([str(number) for number in CHAPTERS if has_exercise(number)])
        raise ValueError(f"chapter {chapter} has no exercise; there is one for each of {known}")
    module = importlib.import_module(f"minires.learn.exercises.chapter_{chapter:02}")
    return module.EXERCISE


def has_exercise(chapter: int) -> bool:
    return chapter in CHAPTERS and importlib.util.find_spec(f"minires.learn.exercises.chapter_{chapter:02}") is not None


def answer_to(chapter: int) -> str:
    """Return a right answer to a chapter's exercise, the text of a file."""
    module = importlib.import_module(f"minires.learn.answers.chapter_{chapter:02}")
    return inspect.getsource(module)


def parts_of(chapter: int) -> list[Exercise]:
    """Return what examines a chapter's share of the reader's own engine, one for each file; [] where it has none."""
    if importlib.util.find_spec(f"minires.learn.parts.chapter_{chapter:02}") is None:
        return []
    module = importlib.import_module(f"minires.learn.parts.chapter_{chapter:02}")
    return list(module.PARTS)


def find(chapter: int, file: str) -> Exercise:
    """Return a chapter's exercise, or, with a file's name, its part for that file."""
    return next(part for part in parts_of(chapter) if part.file == file) if file else exercise_of(chapter)
