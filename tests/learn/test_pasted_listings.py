"""No exercise is solved by what its chapter has printed: its listings are pasted in, and none of them passes."""

import ast
import importlib
import inspect
import types

import pytest

from minires.learn import Wrong, chapters, reader
from minires.learn.answer import answer_of

NUMBERS = [number for number in chapters.CHAPTERS if chapters.has_exercise(number)]


def listings(number: int) -> dict[str, object]:
    """Run the imports and definitions of a chapter's script; return its functions and classes by name."""
    tree = ast.parse(chapters.path_of(number).read_text(encoding="utf-8"))
    defining = ast.FunctionDef | ast.ClassDef
    kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | defining)]
    scope: dict[str, object] = {"__name__": "pasted"}
    exec(compile(ast.Module(kept, []), f"chapter {number}", "exec"), scope)
    defined = [node.name for node in kept if isinstance(node, defining)]
    return {name: scope[name] for name in defined}


def parameters_asked(number: int) -> dict[str, list[str]]:
    """Return the parameters of each function that the reader's file defines."""
    tree = ast.parse(chapters.exercise_of(number).text)
    return {node.name: [one.arg for one in node.args.args] for node in tree.body if isinstance(node, ast.FunctionDef)}


def ways_to_paste(listing, parameters: list[str]):
    """Yield the listing as it may stand in for a function of these parameters: called in order, and called by name."""
    signature = inspect.signature(listing)
    try:
        signature.bind(*parameters)
        yield listing
    except TypeError:
        pass
    known = [name for name in signature.parameters if name in parameters]
    if known and known != parameters:
        places = [parameters.index(name) for name in known]
        try:
            signature.bind(**dict.fromkeys(known))
            yield lambda *given: listing(**{name: given[i] for name, i in zip(known, places, strict=True)})
        except TypeError:
            pass


def diagnosis(number: int, name: str, pasted) -> str:
    """What the check of one function says of it, "" if it passes; all others are right."""
    exercise, right = chapters.exercise_of(number), importlib.import_module(f"answers_{number:02}").RIGHT
    try:
        mine = answer_of(exercise, types.SimpleNamespace(**{**right, name: pasted}))
        list(reader.examine(exercise, mine, names=[name]))
    except Wrong as wrong:
        return str(wrong)
    return ""


@pytest.mark.parametrize("number", NUMBERS)
def test_no_listing_passes(number):
    asked, tried = parameters_asked(number), 0
    for listed, listing in listings(number).items():
        for name in chapters.exercise_of(number).names:
            for pasted in ways_to_paste(listing, asked.get(name, [])):
                tried += 1
                assert diagnosis(number, name, pasted), f"chapter {number} has printed {name}: it is its {listed}"
    assert tried or number not in (1, 4), "nothing was pasted at all"


def test_a_pasted_answer_would_be_noticed():
    right = importlib.import_module("answers_01").RIGHT["numeric_gradient"]
    assert [diagnosis(1, "numeric_gradient", one) for one in ways_to_paste(right, ["f", "x", "h"])] == [""]
    assert list(ways_to_paste(lambda h, f, x: right(f, x, h), ["f", "x", "h"]))
