"""How lines reach a terminal: measured, wrapped with an indent, and coloured. Anywhere else they stay as they are.

NO_COLOR (no-color.org) and TERM=dumb leave out the colours.
"""

import keyword
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from minires import language

LEAST = 24  # columns; a narrower terminal breaks the lines by itself
INDENT = 4

# Of ANSI's sixteen, which every terminal's own theme makes readable.
CODES = {"strong": "1", "wrong": "1;31", "comment": "36", "string": "32", "keyword": "35"}

PYTHON = re.compile(
    r'''(?P<comment>#.*)|(?P<string>"{3}.*?(?:"{3}|$)|"[^"]*"|\'[^\']*\')'''
    rf"|(?P<keyword>\b(?:{'|'.join(keyword.kwlist)})\b)"
)
NUMBERED = re.compile(r"(->|  ) +\d+(  |$)")  # a line of source as `screen.numbered` writes it
CALLED_WRONG = re.compile(r"  X$|\bWRONG\b")
NOT_FINITE = re.compile(r"(?<![\w|])(\d+ NaN|\d+ inf|nan|[+-]?inf|not finite)(?!\w)")


def is_terminal() -> bool:
    return sys.stdout.isatty()


def has_colours() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int | None:
    """Return how wide the terminal is; None where there is none, and nothing is to be wrapped."""
    return max(LEAST, shutil.get_terminal_size().columns) if is_terminal() else None


def wrapped(line: str, width: int | None) -> list[str]:
    """Break a line between words where it is too long.

    A text behind two spaces or more is a column. What goes on stands under the last column; where that leaves too
    little room, the whole column goes to the next line; and a line without columns goes on a little to the right of
    its own indent. A word that is longer than a line is left whole.
    """
    if width is None or language.width(line) <= width:
        return [line]
    if language.width(line) > len(line):
        return broken_anywhere(line, width)
    columns_at = [match.end() for match in re.finditer(r"\S {2,}(?=\S)", line)]
    near = [at for at in columns_at if at <= width * 2 // 3]
    left = len(line) - len(line.lstrip())
    indent = " " * (near[-1] if near else min(left + INDENT, width // 2))
    if columns_at and near != columns_at and columns_at[-1] < width:
        head, last = line[: columns_at[-1]].rstrip(), line[columns_at[-1] :]
        return [head, *broken(last, width, indent, indent)]
    return broken(line, width, "", indent)


def broken(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False,
        replace_whitespace=False,
    )  # fmt: skip


def broken_anywhere(line: str, width: int) -> list[str]:
    """Break a line that has Chinese in it, which has no spaces between words; no line begins with a comma."""
    indent = " " * min(len(line) - len(line.lstrip()) + INDENT, width // 2)
    lines = [""]
    for piece in re.findall(r"[\u2e80-\uffef][，。：；？！、）”]*|[^\s\u2e80-\uffef]+|\s+", line):
        if lines[-1].strip() and language.width(lines[-1] + piece.rstrip()) > width:
            lines.append(indent)
            piece = piece.lstrip()
        lines[-1] += piece
    return [one.rstrip() for one in lines]


def reflowed(text: str) -> list[str]:
    """Return a docstring's paragraphs, on a terminal each as one line, to be wrapped there."""
    if not is_terminal() and not language.is_chosen():
        return [text]
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return [line for paragraph in paragraphs for line in (paragraph, "")][:-1]


def show(texts: Sequence[str], paint: Callable[[str], str] | None = None) -> None:
    """Print texts, each of one or more lines; `paint` colours a line, after it has been measured."""
    width = columns()
    for text in texts:
        for line in text.split("\n"):
            for piece in wrapped(line, width):
                print(paint(piece) if paint is not None else piece)


def painted(text: str, kind: str) -> str:
    return f"\033[{CODES[kind]}m{text}\033[0m" if text and has_colours() else text


def strong(line: str) -> str:
    return painted(line, "strong")


def wrong(line: str) -> str:
    return painted(line, "wrong")


def code(line: str) -> str:
    """Colour a line of Python; what is behind its number, if it has one."""
    found = NUMBERED.match(line)
    at = found.end() if found is not None else 0
    if line.startswith("->"):
        return strong(line[:at]) + python(line[at:])
    return line[:at] + python(line[at:])


def python(text: str) -> str:
    return PYTHON.sub(lambda match: painted(match[0], match.lastgroup or ""), text)


def numbers(line: str) -> str:
    """Colour what is no finite number. A row without digits is a heading."""
    return NOT_FINITE.sub(lambda match: wrong(match[0]), line) if re.search(r"\d", line) else line


def paint_of(row: str) -> Callable[[str], str]:
    """Choose how a row of a table is coloured: whole, where it calls a gradient wrong."""
    return wrong if CALLED_WRONG.search(row) else numbers


def suggestion(word: str, known: Sequence[str], before: str = "") -> str:
    """Return "; did you mean `step`?" for a word that is near a known one, else "". before: what comes before it."""
    lowered = {one.lower(): one for one in known}
    close = get_close_matches(word.lower(), list(lowered), n=2, cutoff=0.6)
    meant = " or ".join([f"`{before}{lowered[one]}`" for one in close])
    return f"; did you mean {meant}?" if close else ""
