"""Prints what `minires check` says to every wrong answer of the tests: `python tests/learn/table_of_answers.py`."""

import importlib
import types
from collections.abc import Iterator

from minires import kernels
from minires.learn import Wrong, chapters, reader
from minires.learn.answer import answer_of


def rows() -> Iterator[tuple[int, str, str]]:
    """Yield chapter, name of the wrong answer, and the first line of what is said to it."""
    for number in chapters.CHAPTERS:
        answers, exercise = importlib.import_module(f"answers_{number:02}"), chapters.exercise_of(number)
        for i, (changes, _) in enumerate(answers.WRONG, 1):
            given = types.SimpleNamespace(**{**answers.RIGHT, **changes})
            names = [getattr(one, "__name__", str(one)) for one in changes.values()]
            try:
                list(reader.examine(exercise, answer_of(exercise, given)))
                said = "PASSES"
            except Wrong as wrong:
                said = str(wrong).partition("\n")[0]
            yield number, f"{i}. {', '.join(names)}", said


def main() -> None:
    with kernels.use("numpy"):
        found = list(rows())
    print("| chapter | wrong answer | `minires check` says |\n|---|---|---|")
    for number, name, said in found:
        print(f"| {number} | {name} | {said.replace('|', '∣')} |")
    passing = [row for row in found if row[2] == "PASSES"]
    print(f"\n{len(found)} wrong answers, {len(passing)} of them pass.")


if __name__ == "__main__":
    main()
