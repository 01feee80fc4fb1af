"""The table of docs/teaching.md: what `minires check` says to the wrong answers of the tests, made with the site.

    python docs/wrong_answers.py      prints it
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "docs" / "_static" / "wrong_answers.md"
SHOWN = 6  # of each chapter


def table():
    """Return the first wrong answers of each chapter, a heading and a list for each."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "learn")]
    import table_of_answers

    from minires import kernels
    from minires.learn import chapters

    by_chapter = {}
    with kernels.use("numpy"):
        for chapter, _, said in table_of_answers.rows():
            by_chapter.setdefault(chapter, []).append(said)
    lines = ["| chapter | what `minires check` says |", "|---|---|"]
    for chapter, sentences in by_chapter.items():
        told = "<br>".join([escaped(said) for said in sentences[1 : SHOWN + 1]])
        lines.append(f"| {chapter}. {chapters.CHAPTERS[chapter][1]} | {told} |")
    total = sum(map(len, by_chapter.values()))
    return "\n".join([*lines, "", f"{total} wrong answers are among the tests, each with a sentence of its own.", ""])


def escaped(text):
    for letter in "|<*_`":
        text = text.replace(letter, f"\\{letter}")
    return text


def write():
    """Write the table where docs/teaching.md includes it."""
    PLACE.write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    print(table())
