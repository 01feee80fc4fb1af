"""Every exercise: its gaps are refused, the right answer passes, and each typical wrong one gets its own diagnosis."""

import functools
import importlib
import re
import types
from pathlib import Path

import numpy as np
import pytest

from minires.learn import Wrong, chapters, digits, reader
from minires.learn.answer import answer_of

NUMBERS = [number for number in chapters.CHAPTERS if chapters.has_exercise(number)]
ANSWERS = {number: importlib.import_module(f"answers_{number:02}") for number in NUMBERS}
WRONG = [(number, i) for number in NUMBERS for i in range(len(ANSWERS[number].WRONG))]


def diagnosis(number: int, seed: int = 0, **answers) -> str:
    """What the check says of answers, "" if they are right."""
    try:
        exercise = chapters.exercise_of(number)
        list(reader.examine(exercise, answer_of(exercise, types.SimpleNamespace(**answers)), seed))
    except Wrong as wrong:
        return str(wrong)
    return ""


@functools.cache
def said_of(number: int, i: int) -> str:
    """What the check says of a wrong answer."""
    return diagnosis(number, **{**ANSWERS[number].RIGHT, **ANSWERS[number].WRONG[i][0]})


@pytest.mark.parametrize("number", NUMBERS)
def test_right_answer_passes(number):
    exercise, right = chapters.exercise_of(number), ANSWERS[number].RIGHT
    assert set(exercise.names) <= set(right)
    parts = list(reader.examine(exercise, answer_of(exercise, types.SimpleNamespace(**right))))
    assert parts and all(isinstance(part, str) and part for part in parts)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_answer_that_is_shown_is_right(number):
    scope: dict[str, object] = {}
    exec(compile(chapters.answer_to(number), "answer", "exec"), scope)
    assert diagnosis(number, **{name: scope[name] for name in chapters.exercise_of(number).names}) == ""


@pytest.mark.parametrize("number", NUMBERS)
def test_right_answer_passes_with_other_inputs(number):
    for seed in (1, 2, 20260101):
        assert diagnosis(number, seed, **ANSWERS[number].RIGHT) == ""


@pytest.mark.parametrize("number", NUMBERS)
def test_right_answers_in_other_words_pass(number):
    """ALSO_RIGHT: other ways to the same arrays, in another order of memory, as a list for a tuple, as a view."""
    for changes in getattr(ANSWERS[number], "ALSO_RIGHT", ()):
        assert diagnosis(number, **{**ANSWERS[number].RIGHT, **changes}) == "", changes


@pytest.mark.parametrize(("number", "i"), WRONG)
def test_wrong_answer_is_named(number, i):
    text, says = said_of(number, i), ANSWERS[number].WRONG[i][1]
    assert text, "a wrong answer passes"
    assert re.search(says, text), text


@pytest.mark.parametrize("number", NUMBERS)
def test_each_mistake_has_its_own_diagnosis(number):
    wrong = ANSWERS[number].WRONG
    texts = [said_of(number, i) for i in range(len(wrong))]
    assert len(wrong) >= 8 and len(set(texts)) == len(wrong)
    for (_, says), own in zip(wrong, texts, strict=True):
        assert [text for text in texts if re.search(says, text)] == [own], f"{says!r} fits more than one diagnosis"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_file_as_written_has_gaps_and_hints(number, tmp_path):
    exercise = chapters.exercise_of(number)
    assert exercise.chapter == number and len(exercise.hints) >= 2
    path = reader.write_exercise(exercise, tmp_path)
    assert re.fullmatch(rf"{number:02}_[a-z0-9_]+\.py", path.name)
    assert f"minires check {number}" in exercise.text
    assert max(map(len, exercise.text.splitlines())) <= 120
    with pytest.raises(Wrong), reader.open_answer(exercise, tmp_path) as mine:
        list(reader.examine(exercise, mine))


@pytest.mark.parametrize("number", [number for number in NUMBERS if chapters.exercise_of(number).plug is not None])
def test_right_answer_trains_in_the_engine(number):
    calls = []

    def counted(function):
        if isinstance(function, type) or not callable(function):
            return function

        def counting(*arguments, **keywords):
            calls.append(function.__name__)
            return function(*arguments, **keywords)

        return counting

    mine = types.SimpleNamespace(**{name: counted(one) for name, one in ANSWERS[number].RIGHT.items()})
    with chapters.exercise_of(number).plug(mine):
        with_mine = digits.losses(steps=3)
    assert calls, "the engine never called the reader's functions"
    called = len(calls)
    own = digits.losses(steps=3)
    assert len(calls) == called, "the reader's functions stayed in the engine"
    np.testing.assert_allclose(with_mine, own, rtol=1e-4)


def test_every_answers_file_belongs_to_an_exercise():
    files = {path.name for path in Path(__file__).parent.glob("answers_*.py")}
    assert files == {f"answers_{number:02}.py" for number in NUMBERS}
