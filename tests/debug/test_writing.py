"""Lines on a terminal: as wide as it is, indented where they go on, in colour only where colour is wanted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pdb import environment

from minires.debug import writing

SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def terminal(monkeypatch):
    """`terminal(60)` makes the output a terminal of 60 columns, with colours; `terminal(None)` makes it none."""

    def of(width, **variables):
        monkeypatch.setattr(writing, "is_terminal", lambda: width is not None)
        monkeypatch.setenv("COLUMNS", str(width))
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return of


def printed(capsys, *texts, paint=None):
    writing.show(texts, paint)
    return capsys.readouterr().out


def test_what_goes_on_stands_under_the_last_column(terminal, capsys):
    terminal(40)
    row = "walk   step [N]      the backward of the next op, or of N"
    assert printed(capsys, row) == "walk   step [N]      the backward of the\n                     next op, or of N\n"
    assert printed(capsys, "  a " + "word " * 12).splitlines()[1].startswith("      word")


@given(
    words=st.lists(st.text("abcX→█·0.:-", min_size=1, max_size=12), min_size=1, max_size=30),
    gaps=st.lists(st.integers(1, 9), min_size=30, max_size=30),
    width=st.integers(24, 130),
)
def test_nothing_is_lost_or_cut_and_nothing_is_wider_than_the_terminal(words, gaps, width):
    line = "".join([" " * gap + word for gap, word in zip(gaps, words, strict=False)])
    pieces = writing.wrapped(line, width)
    assert " ".join(pieces).split() == words
    assert all(len(piece) <= width for piece in pieces)


def test_without_a_terminal_nothing_is_wrapped_or_coloured(terminal, capsys):
    terminal(None)
    line = "x = 1  # " + "long " * 60
    assert printed(capsys, line, paint=writing.code) == line + "\n"
    assert writing.reflowed("a\nb\n\nc") == ["a\nb\n\nc"]


def test_a_docstring_is_reflowed_on_a_terminal(terminal):
    terminal(80)
    assert writing.reflowed("a\nb\n\nc") == ["a b", "", "c"]


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_out_where_they_are_not_wanted(variables, coloured, terminal, capsys):
    terminal(80, **variables)
    for paint in (writing.strong, writing.wrong, writing.code):
        out = printed(capsys, "return 'x'", paint=paint)
        assert bool(SGR.search(out)) == coloured and SGR.sub("", out) == "return 'x'\n"


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("     33      if self.needs_grad[0]:  # it's for none", ["if", "# it's for none"]),
        ("->   66  y = f('a # b', None)", ["->   66  ", "'a # b'", "None"]),
        ("     7      \"\"\"It's a text, isn't it?\"\"\"", ['"""It\'s a text, isn\'t it?"""']),
        ("notation, order = format", []),
    ],
)
def test_python_is_coloured_by_its_words(line, kinds, terminal):
    terminal(80)
    assert re.findall(r"\x1b\[[0-9;]+m(.*?)\x1b\[0m", writing.code(line)) == kinds


@pytest.mark.parametrize(
    ("row", "red"),
    [
        ("  conv1  Conv2d  31.6  ████  11  X", "  conv1  Conv2d  31.6  ████  11  X"),
        ("  BatchNorm  bn2  6  WRONG  grad_x: twice", "  BatchNorm  bn2  6  WRONG  grad_x: twice"),
        ("  arrived  grad_y  (3,)  2 NaN 1 inf", "2 NaN|1 inf"),
        ("  grad_x  (3,)  nan  inf  -inf  0.0%", "nan|inf|-inf"),
        ("  shape  norm  mean  NaN  inf", ""),
        ("  info  infant  (8,)  norm 3", ""),
    ],
)
def test_what_is_wrong_is_red(row, red, terminal):
    terminal(80)
    assert "|".join(re.findall(r"\x1b\[1;31m(.*?)\x1b\[0m", writing.paint_of(row)(row))) == red


@pytest.mark.parametrize(
    ("word", "says"),
    [("stpe", "; did you mean `step`?"), ("STATZ", "; did you mean `stats`?"), ("xyzzy", "")],
)
def test_a_mistyped_word_is_answered_with_the_nearest(word, says):
    assert writing.suggestion(word, ["step", "stats", "where"]) == says


def test_the_debugger_fits_into_80_columns(require):
    """All of its screens on a real terminal; no word of the help is broken."""
    import sys

    pexpect = require("pexpect")
    variables = environment("numpy") | {"TERM": "xterm"}
    del variables["NO_COLOR"]
    child = pexpect.spawn(
        sys.executable, ["-m", "minires", "debug", "--batch-size", "2"], env=variables, encoding="utf-8", timeout=240,
        dimensions=(50, 80), echo=False,
    )  # fmt: skip
    child.expect(r"\(minires\) ")
    shown = {"": child.before}
    for command in ("help", "until layer3.2.conv2", "where", "stats", "tree 1", "list", "help watch", "hist", "stpe",
                    "until BatchNorm2", "continue", "forks", "tree 9"):  # fmt: skip
        child.sendline(command)
        child.expect(r"\(minires\) ")
        shown[command] = child.before
    child.sendline("quit")
    child.expect(pexpect.EOF)
    assert "\x1b[35m" in shown["where"] and "\x1b[1;31m" in shown["stpe"]
    for command, text in shown.items():
        lines = SGR.sub("", re.sub(r"\x1b\[\?\w+", "", text)).replace("\r", "").split("\n")
        assert max(map(len, lines)) <= 80, command
    helped = re.sub(r"\s+", " ", SGR.sub("", shown["help"]))
    for words in ("on to the first op after this block, or, outside of blocks, one op",
                  "the gradient that arrived, or left for an input; or what any Python gives"):  # fmt: skip
        assert words in helped
    assert "did you mean `step`?" in shown["stpe"] and "until op" in shown["until BatchNorm2"]
