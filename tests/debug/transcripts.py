"""Reads the sessions in a page of the docs, and compares what they show with what happens.

A line "…" stands for any lines. Fractions may differ in their last digits, folders altogether, bars by the width of a
hair. Line numbers must be those of the files.
"""

import re
from pathlib import Path

PROMPT = re.compile(r"^\((?:Pdb|minires)\) (.*)$")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")


def code_blocks(path, language):
    """Return the text of a page's code blocks in one language."""
    text = Path(path).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def exchanges(block):
    """Cut a session into what comes before the first prompt, and [(command, the lines that follow)]."""
    opening, found = [], []
    for line in block.splitlines():
        prompt = PROMPT.match(line)
        if prompt:
            found.append((prompt[1], []))
        else:
            (found[-1][1] if found else opening).append(line)
    return opening, found


def normal(line):
    """A line without what depends on the machine: folders, bars."""
    line = re.sub(r"(?:/[^\s:()',]*)?/(minires|tests)/", r"\1/", line)
    line = re.sub(r"(?:/[^\s:()',]+)+/(?=\w+\.py)", "", line)
    line = re.sub(r"[▏▎▍▌▋▊▉█·]+", "", line)
    return re.sub(r"\s+", " ", line).strip()


def same_line(expected, actual):
    expected, actual = normal(expected), normal(actual)
    return alike(expected, actual) and all(map(near, NUMBER.findall(expected), NUMBER.findall(actual)))


def alike(expected, actual):
    """Whether two lines differ in numbers at most."""
    return NUMBER.sub("0", normal(expected)) == NUMBER.sub("0", normal(actual))


def corrected(expected, actual):
    """The page's line with the numbers that there were, where they are not near; both lines are alike."""
    numbers = iter(NUMBER.findall(normal(actual)))

    def right(match):
        number = next(numbers)
        return match[0] if near(match[0], number) else number

    return NUMBER.sub(right, expected)


def near(expected, actual):
    """Whole numbers are equal; others agree to two percent, and what is rounding error is small in both."""
    if expected == actual:
        return True
    one, other = float(expected), float(actual)
    if "." not in expected and "e" not in expected:
        return False
    return abs(one - other) <= 0.02 * abs(one) or max(abs(one), abs(other)) < 1e-5


def mismatch(expected, actual):
    """Return "" where the lines are the expected ones, else the first that is missing and what there was.

    Where a line is wrong in its numbers alone, such as a line number, the answer shows it as it should read.
    """
    position = 0
    skipping = False
    for line in expected:
        if line.strip() == "…":
            skipping = True
            continue
        candidates = actual[position:] if skipping else actual[position : position + 1]
        found = next((i for i, other in enumerate(candidates) if same_line(line, other)), None)
        if found is None:
            for other in candidates:
                if alike(line, other):
                    return f"the page says\n{line}\nbut it should read\n{corrected(line, other)}"
            there = "\n".join(actual[-3:] if skipping else actual[max(0, position - 2) : position + 3])
            return f"the page says\n{line}\nbut there was\n{there}"
        position += found + 1
        skipping = False
    rest = [line for line in actual[position:] if line.strip()]
    return "" if skipping or not rest else "the page leaves out\n" + "\n".join(rest)
