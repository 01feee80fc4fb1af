"""Runs every session with a debugger that the docs and the chapters show, and writes what it prints into their boxes.

    python docs/transcripts.py

A session begins with a command, "$ python …", and goes on in the boxes below that have none. A box is a fenced block
"console" in docs/, a block with the caption "Step in here" in a chapter. A Python block of the same page that begins
with "# name.py" becomes that file first. Everything runs on the NumPy kernels, the chapters quick.

What stands below a prompt is replaced by what was printed there:

- All of it, except where the box has a line "…", which stands for any number of lines.
- After a pdb command that moves or sets a breakpoint the program prints too. Then a line is taken for each line that
  the box shows, the one most like it.
- "> convolution.py backward()" is short for pdb's "> /…/convolution.py(29)backward()".

Nothing is written to a session that ends early or shows an error that its box does not show. Read the difference
before it is committed: the words around a box may no longer fit. tests/docs/test_transcripts.py runs the same sessions.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
PAGES = sorted((ROOT / "docs").glob("*.md"))

GAP = "…"
PROMPTS = r"\((?:Pdb|minires)\) "
MARGIN = {".md": "", ".py": "#    "}
BOX = {
    ".md": re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL),
    ".py": re.compile(r"^#    :caption: Step in here\n#\n((?:#    .*\n|#\n(?=#    ))+)", re.MULTILINE),
}
PROGRAM = re.compile(r"^```python\n(# (\w+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)
MOVES = set("c cont continue n next s step r return u up d down j jump unt until b break tbreak cl clear".split())
FRAME = re.compile(r"> (?:\S*/)?(\w+\.py)\(\d+\)(\S+?\(\)).*")
SHORT_FRAME = re.compile(r"> \w+\.py \S+\(\)")


class SessionError(Exception):
    """A session that cannot be run as its box says."""


@dataclass
class Box:
    """A part of a session as it stands in a file: where its text is, and [(what was typed, the lines shown)]."""

    start: int
    end: int
    exchanges: list[tuple[str, list[str]]]


@dataclass
class Session:
    path: Path
    boxes: list[Box]

    @property
    def exchanges(self):
        return [exchange for box in self.boxes for exchange in box.exchanges]

    def __str__(self):
        return f"{self.path.name}: {self.exchanges[0][0]}"


def sessions_in(path):
    """Read the sessions of a page or a chapter."""
    sessions = []
    for match in BOX[path.suffix].finditer(path.read_text(encoding="utf-8")):
        exchanges = []
        for line in match[1].splitlines():
            line = line[len(MARGIN[path.suffix]) :]
            if re.match(rf"\$ |{PROMPTS}", line):
                exchanges.append((line, []))
            else:
                exchanges[-1][1].append(line)
        if exchanges[0][0].startswith("$ "):
            sessions.append(Session(path, []))
        sessions[-1].boxes.append(Box(match.start(1), match.end(1), exchanges))
    return sessions


def environment(home):
    """What a process gets here: quick mode, the NumPy kernels, no window, no colours, no settings of the user's."""
    return {
        **os.environ,
        "HOME": str(home),
        "MINIRES_KERNELS": "numpy",
        "MINIRES_QUICK": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR") or str(Path(sys.prefix) / "matplotlib"),  # its font list
        "NO_COLOR": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "TERM": "dumb",
    }


def run(session):
    """Run a session; return the lines that were printed after each line typed."""
    first, *typed = [line for line, _ in session.exchanges]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        for program, name in PROGRAM.findall(session.path.read_text(encoding="utf-8")):
            (home / name).write_text(program, encoding="utf-8")
        settings, command = environment(home), shlex.split(first.removeprefix("$ "))
        while "=" in command[0]:
            name, _, value = command.pop(0).partition("=")
            settings[name] = value
        if command.pop(0) != "python":
            raise SessionError("a session begins with `$ python …`")
        arguments = [str(home / word) if (home / word).is_file() else word for word in command]
        typing = "".join([f"{command_of(line)}\n" for line in typed]) + "q\n"
        try:
            result = subprocess.run(
                [sys.executable, *arguments],
                input=typing, cwd=ROOT, env=settings, capture_output=True, text=True, encoding="utf-8", timeout=300,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SessionError("it does not come to an end") from error
    text = result.stdout.replace(f"{home}/", "").replace(f"{ROOT}/", "")
    greeting, *rest = re.split(f"({PROMPTS})", text)
    prompts, answers = rest[0::2], [lines_of(answer) for answer in rest[1::2]]
    if len(prompts) < len(typed):
        raise SessionError(f"it is over too early:\n{text[-1000:]}\n{result.stderr[-1000:]}")
    for line, prompt, answer in zip(typed, prompts, answers, strict=False):
        if not line.startswith(prompt):
            raise SessionError(f"the box shows {line!r} where the prompt is {prompt!r}")
        if answer[:1] == [command_of(line)]:
            del answer[0]  # minires shows what is typed
    return [lines_of(greeting), *answers[: len(typed)]]


def command_of(line):
    return re.sub(PROMPTS, "", line, count=1)


def lines_of(text):
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def renewed(session):
    """Run a session; return the lines that it should show after each line typed."""
    found = []
    for (line, shown), printed in zip(session.exchanges, run(session), strict=True):
        wrong = [one for one in printed if one.startswith(("***", "The program finished", "Uncaught exception"))]
        if set(wrong) - set(shown):
            raise SessionError(f"after {line!r} comes\n" + "\n".join(printed))
        found.append(chosen(line, shown, printed))
    return found


def chosen(line, shown, printed):
    """Choose from what was printed after a line typed what to show in place of the lines shown."""
    is_move = line.startswith("$") or (line.startswith("(Pdb)") and command_of(line).split()[0] in MOVES)
    if not is_move and GAP not in shown:
        return printed
    pieces = [[one] for one in shown] if is_move else [list(piece) for _, piece in groupby(shown, GAP.__eq__)]
    result, done = [], 0
    for i, piece in enumerate(pieces):
        if piece == [GAP]:
            result.append(GAP)
            continue
        starts = list(range(done, len(printed) - len(piece) + 1))
        if is_move:
            starts = [start for start in starts if kind(printed[start]) == kind(piece[0])]
        elif i == 0:
            starts = starts[:1]
        elif i == len(pieces) - 1:
            starts = starts[-1:]
        if not starts:
            raise SessionError("\n".join([f"after {line!r} nothing is like", *piece, "in", *printed]))
        best = max(starts, key=lambda start: likeness(piece, printed[start : start + len(piece)]))
        done = best + len(piece)
        for old, new in zip(piece, printed[best:done], strict=True):
            result.append(shortened(new) if SHORT_FRAME.fullmatch(old) else new)
    return result


def kind(line):
    """What pdb begins a line with: a frame, its code, an event; "" for anything else."""
    return line[:2] if line.startswith(("> ", "->", "--")) else ""


def likeness(shown, printed):
    """Say how much some lines are like others, numbers and folders aside, from 0 to 1."""
    a, b = [re.sub(r"\d+", "0", shortened("\n".join(lines))) for lines in (shown, printed)]
    return SequenceMatcher(None, a, b).ratio()


def shortened(text):
    return FRAME.sub(r"> \1 \2", text)


def renew(path):
    """Rewrite the boxes of a file; return what there is to say about it, line by line."""
    old = new = path.read_text(encoding="utf-8")
    said = []
    for session in reversed(sessions_in(path)):  # from the last on, so that the places of those before stay
        try:
            answers = renewed(session)
        except SessionError as error:
            said.append(f"FAILED  {session}: {error}")
            continue
        for box in reversed(session.boxes):
            lines = []
            for line, _ in reversed(box.exchanges):
                lines = [line, *answers.pop(), *lines]
            text = "".join([f"{MARGIN[path.suffix]}{line}".rstrip() + "\n" for line in lines])
            new = new[: box.start] + text + new[box.end :]
    if new != old:
        path.write_text(new, encoding="utf-8")
        said.append(f"changed {path.relative_to(ROOT)}")
    return said


def main():
    """Rewrite all boxes, several files at a time; the exit code is 1 if a session failed."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = [line for lines in pool.map(renew, [*PAGES, *CHAPTERS]) for line in lines]
    print("\n".join(said) or "every transcript is as it was")
    return 1 if any([line.startswith("FAILED") for line in said]) else 0


if __name__ == "__main__":
    sys.exit(main())
