"""Every "Step in here" is replayed in pdb: it stops where the text says, with the values that the text shows."""

import re

import pytest
from chapters_on_disk import CHAPTERS, NAMES
from sessions import exchanges, mismatch, place, replay, same_lines, sessions_in

SESSIONS = [
    pytest.param(path, i, id=f"{path.stem}-{i}")
    for path in CHAPTERS
    for i in range(len(sessions_in(path.read_text(encoding="utf-8"))))
]


@pytest.mark.parametrize(("path", "i"), SESSIONS)
def test_replay(path, i, tmp_path):
    first, found = exchanges(sessions_in(path.read_text(encoding="utf-8"))[i])
    assert first == f"$ python -m pdb tutorials/{path.name}"
    answers = replay(path, [command for command, _ in found], tmp_path)
    faults = [mismatch(command, shown, answer) for (command, shown), answer in zip(found, answers, strict=True)]
    assert not any(faults), "\n".join(filter(None, faults))
    assert any(shown for _, shown in found), "a session that shows nothing proves nothing"


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_every_chapter_has_one_and_all_are_found(path):
    source = path.read_text(encoding="utf-8")
    assert 1 <= len(sessions_in(source)) == source.count(":caption: Step in here")
    assert source.count("$ python -m pdb") == len(sessions_in(source)), "a session outside of the fixed form"


SCRIPT = """
def half(x):
    y = x / 2
    print("halved")
    return y


half(3.0)
half(5.0)
"""

TEXT = """
# Words before.
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/00_tiny.py
#    (Pdb) b 3
#    (Pdb) c
#    > …/00_tiny.py(99)half()
#    -> y = x / 2
#    (Pdb) p x
#    3.0
#    (Pdb) c
#    halved
#    > …/00_tiny.py half()
#    (Pdb) p x, half.__name__
#    (5.0, 'half')
#
# Words after.
"""


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "00_tiny.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def faults_of(text, script, home):
    _, found = exchanges(sessions_in(text)[0])
    answers = replay(script, [command for command, _ in found], home)
    return [mismatch(command, shown, answer) for (command, shown), answer in zip(found, answers, strict=True)]


def test_a_true_session_passes(tiny, tmp_path):
    assert not any(faults_of(TEXT, tiny, tmp_path))


@pytest.mark.parametrize(
    ("true", "false", "says"),
    [
        ("    3.0", "    4.0", r"after `p x` the text shows\n4\.0"),
        ("(99)half()", "(99)whole()", "> …/00_tiny.py.99.whole"),
        ("…/00_tiny.py half()", "…/01_tiny.py half()", "01_tiny"),
        ("    halved", "    doubled", "doubled"),
        ("-> y = x / 2", "-> y = x / 3", "-> y = x / 3"),
        ("    (5.0, 'half')\n#\n", "\n#\n", "the text shows\nnothing"),
        ("p x, half", "p xx, half", r"fails: \*\*\* NameError"),
        ("b 3", "b nowhere", "the program is over"),
    ],
)
def test_a_false_session_is_found(tiny, tmp_path, true, false, says):
    assert true in TEXT
    try:
        text = "\n".join(faults_of(TEXT.replace(true, false), tiny, tmp_path))
    except AssertionError as error:
        text = str(error)
    assert re.search(says, text), text


def test_a_program_that_ends_is_found(tiny, tmp_path):
    with pytest.raises(AssertionError, match="the program is over"):
        faults_of(TEXT.replace("p x, half.__name__", "c"), tiny, tmp_path)


def test_places_and_gaps():
    assert place("> /a/b/convolution.py(29)backward()") == place("> …/convolution.py backward()")
    assert place("-> x = 3") is None
    assert same_lines(["a", "…", "d"], ["a", "b", "c", "d"]) and not same_lines(["a", "d"], ["a", "b", "d"])
