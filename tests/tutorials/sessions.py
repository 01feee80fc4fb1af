"""Finds the sessions with the debugger in a chapter's text, replays them, and compares.

    # .. code-block:: text
    #    :caption: Step in here
    #
    #    $ python -m pdb tutorials/07_convolution_backward.py
    #    (Pdb) import minires
    #    (Pdb) b minires.ops.convolution.Conv2d.backward
    #    (Pdb) c
    #    > …/minires/ops/convolution.py(29)backward()
    #    (Pdb) p grad_y.shape
    #    (1, 2, 4, 4)

The program runs quick, on the NumPy kernels. What follows a prompt, up to the next one, is compared:

- after `c`, `n`, `s`, `r`, `u`, `d`, `j`, `unt` (moving): every line shown must come, in this order; others may come
  between (what the chapter prints, the `-> …` line). A line `> …file.py(LINE)function()` is compared by the file's
  name and the function; the line number may be anything, and may be left out: `> …/convolution.py backward()`.
- after `b`, `tbreak`, `cl`: nothing need be shown; a line that is shown is compared by its words, without numbers
  and folders.
- after anything else (`p`, `pp`, `import …`, an assignment): exactly. A line "…" stands for any lines.

No answer may be an error (`***`) that the text does not show, and the program must not end before the session does.
"""

import re
import subprocess
import sys

from chapters_on_disk import ROOT, environment

BLOCK = re.compile(r"^# \.\. code-block:: text\n#    :caption: Step in here\n#\n((?:#(?:    .*)?\n?)+)", re.MULTILINE)
MOVING = {"c", "cont", "continue", "n", "next", "s", "step", "r", "return", "u", "up", "d", "down", "j", "unt", "until"}
BREAKING = {"b", "break", "tbreak", "cl", "clear"}
PROMPT = "(Pdb) "
END = "the session is over"


def sessions_in(source):
    """Return the text of each block with the caption "Step in here", without the comment marks."""
    return ["\n".join(line[5:] for line in block.splitlines()).strip("\n") for block in BLOCK.findall(source)]


def exchanges(session):
    """Cut a session into its first line and [(command, the lines shown after it)]."""
    first, *lines = session.splitlines()
    found = []
    for line in lines:
        if line.startswith(PROMPT.strip()):
            found.append((line.removeprefix(PROMPT.strip()).strip(), []))
        elif found:
            found[-1][1].append(line)
        else:
            raise AssertionError(f"before the first prompt: {line!r}")
    return first, found


def replay(script, commands, home):
    """Run a script under pdb with these commands; return what came after each prompt, as lists of lines."""
    typed = "".join(f"{command}\n" for command in [*commands, f"print({END!r})", "q"])
    result = subprocess.run(
        [sys.executable, "-m", "pdb", str(script)],
        input=typed, cwd=ROOT, env=environment(home), capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    answers = [answer.strip("\n").splitlines() for answer in result.stdout.split(PROMPT)]
    assert len(answers) > len(commands), result.stdout[-2000:] + result.stderr[-2000:]
    for command, answer in zip(commands, answers[1:], strict=False):
        ended = [line for line in answer if "The program finished" in line or "Uncaught exception" in line]
        assert not ended, f"after `{command}` the program is over: {answer[-5:]}"
    assert answers[len(commands) + 1] == [END], answers[len(commands) + 1]
    return answers[1 : len(commands) + 1]


def place(line):
    """The file's name and the function of a line `> /…/convolution.py(29)backward()`, else None."""
    match = re.match(r">\s*(?:\S*/)?([\w…]+\.py)\S*?[\s)]\s*(\S+?)\(\)", line)
    return match.groups() if match else None


def words(line):
    """A line without numbers and folders."""
    return re.sub(r"\d+", "0", re.sub(r"(?:\S*/)(?=[\w.]+\.py)", "", line)).split()


def mismatch(command, shown, answer):
    """Return "" if the answer is the one shown; else what differs."""
    errors = [line for line in answer if line.startswith("***") and line not in shown]
    if errors:
        return f"`{command}` fails: {errors[0]}"
    verb = command.split()[0] if command else ""
    if verb in BREAKING:
        there = [words(line) for line in answer]
        missing = [line for line in shown if words(line) not in there]
    elif verb in MOVING:
        missing = not_in_order([line for line in shown if line.strip() != "…"], answer)
    else:
        missing = [] if same_lines(shown, answer) else shown or ["nothing"]
    return f"after `{command}` the text shows\n{missing[0]}\nand there was\n" + "\n".join(answer) if missing else ""


def not_in_order(shown, answer):
    """The shown lines that do not come, from the first on."""
    position = 0
    for i, line in enumerate(shown):
        while position < len(answer) and not same_stop(line, answer[position]):
            position += 1
        if position == len(answer):
            return shown[i:]
        position += 1
    return []


def same_stop(shown, line):
    return place(shown) == place(line) if place(shown) else shown.strip() == line.strip()


def same_lines(shown, answer):
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()) + "\n" for line in shown)
    return bool(re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in answer)))
