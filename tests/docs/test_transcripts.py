"""Every session that docs and chapters show, run again: it stops where the box says, with the values that it shows.

Line numbers may be others, numbers with a fraction may differ in their last digits, bars by the width of a hair.
"""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from minires import Tensor, debug, kernels, models, ops
from minires.data import load_digits

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import transcripts  # noqa: E402
from transcripts import GAP, SessionError, chosen, renewed, sessions_in  # noqa: E402

SESSIONS = [session for path in [*transcripts.PAGES, *transcripts.CHAPTERS] for session in sessions_in(path)]
PAGE = (ROOT / "docs" / "stepping_through.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")


def without_line_numbers(line):
    line = re.sub(r"(?<=\.py)(\(|:|', )\d+", r"\1", line)
    line = re.sub(r"^(->|  ) *\d+(?=  )", r"\1", line)
    return " ".join(re.sub(r"[▏▎▍▌▋▊▉█·]+", "", line).split())


def same_line(shown, printed):
    shown, printed = without_line_numbers(shown), without_line_numbers(printed)
    alike = NUMBER.sub("0", shown) == NUMBER.sub("0", printed)
    return alike and all(map(near, NUMBER.findall(shown), NUMBER.findall(printed)))


def near(shown, printed):
    """Whole numbers are equal; others agree to two percent, and what is rounding error is small in both."""
    if shown == printed or ("." not in shown and "e" not in shown):
        return shown == printed
    one, other = float(shown), float(printed)
    return abs(one - other) <= 0.02 * abs(one) or max(abs(one), abs(other)) < 1e-5


def faults(session):
    """Return what the boxes of a session show wrongly, and what they should show."""
    found = []
    for (line, shown), lines in zip(session.exchanges, renewed(session), strict=True):
        if len(shown) != len(lines) or not all(map(same_line, shown, lines)):
            found.append("\n".join([f"after {line!r} the box shows", *shown, "and there was", *lines]))
    return "\n".join(found)


@pytest.mark.parametrize("session", SESSIONS, ids=str)
def test_session(session):
    assert any(shown for _, shown in session.exchanges), "a session that shows nothing proves nothing"
    assert not faults(session), "run `python docs/transcripts.py`, and read what it changes"


@pytest.mark.parametrize("path", transcripts.CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_has_a_session_and_all_are_found(path):
    source, sessions = path.read_text(encoding="utf-8"), sessions_in(path)
    assert 1 <= len(sessions) == source.count(":caption: Step in here") == source.count("$ python -m pdb")
    assert {session.exchanges[0][0] for session in sessions} == {f"$ python -m pdb tutorials/{path.name}"}


def test_the_sessions_of_the_page_are_found():
    session = next(session for session in SESSIONS if "broken_norm" in str(session))
    assert len(session.boxes) == 4
    assert PAGE.count("(Pdb) ") + PAGE.count("(minires) ") + PAGE.count("```console\n$ ") == sum(
        [len(session.exchanges) for session in SESSIONS if session.path.name == "stepping_through.md"]
    )


def test_the_mistake_of_the_page_is_one_of_the_planted_bugs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "gradient_check")
    bugs = importlib.import_module("planted_bugs.normalization")
    (program,) = [block for block in PYTHON if block.startswith("# broken_norm.py")]
    names = {"np": np, "numpy_kernels": kernels.numpy_kernels}
    exec(program[program.index("def batch_norm_backward") : program.index("numpy_kernels.batch_norm")], names)
    rng = np.random.default_rng(0)
    grad_y, x = rng.standard_normal((2, 5, 4, 2, 3))
    weight, mean, var = rng.uniform(0.5, 1.5, (3, 4))
    given = (grad_y, x, weight, mean, var, 1e-5)
    for one, other in zip(names["batch_norm_backward"](*given), bugs.mean_term_dropped(*given), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_the_other_examples_of_the_page_run(capsys):
    images, labels, _, _ = load_digits()
    model = models.resnet20(in_channels=1, seed=0)
    names = {"debug": debug, "ops": ops, "model": model, "images": Tensor(images[:2]), "labels": labels[:2]}
    with kernels.use("numpy"):
        names["loss"] = ops.cross_entropy(model(names["images"]), labels[:2])
        examples = [block for block in PYTHON if "broken_norm" not in block]
        assert len(examples) == 2
        for example in reversed(examples):
            exec(example, names)
    out = capsys.readouterr().out
    assert out.count("Step ") == 71 - 46 and out.count("Fork of layer") == 9


# The machinery

PROGRAM = '''# half.py
def half(x):
    y = x / 2
    print("halved")
    return y


half(3.0)
half(5.0)
'''

BOX = """$ python -m pdb half.py
(Pdb) b half
(Pdb) c
> half.py(99)half()
-> y = x / 2
(Pdb) p x
3.0
(Pdb) c
halved
> half.py half()
(Pdb) p x, half.__name__
(5.0, 'half')
"""


def page(folder, box=BOX, program=PROGRAM):
    path = folder / "page.md"
    path.write_text(f"Words.\n\n```python\n{program}```\n\n```console\n{box}```\n\nMore words.\n", encoding="utf-8")
    return path


def test_a_true_session_passes(tmp_path):
    (session,) = sessions_in(page(tmp_path))
    assert faults(session) == ""


def test_a_comment_above_changes_nothing_but_line_numbers(tmp_path):
    path = page(tmp_path, program=PROGRAM.replace("# half.py\n", "# half.py\n# A comment.\n"))
    (session,) = sessions_in(path)
    assert faults(session) == ""
    assert "half.py(4)half()" in "\n".join(renewed(session)[2])


@pytest.mark.parametrize(
    "true, false, says",
    [
        ("\n3.0", "\n4.0", r"after '\(Pdb\) p x' the box shows\n4\.0\nand there was\n3\.0"),
        ("(99)half()", "(99)whole()", r"whole\(\)\n.*\nand there was\n> half.py\(3\)half"),
        ("> half.py half()", "> whole.py half()", r"> whole.py half\(\)\nand there was\nhalved\n> half.py half"),
        ("\nhalved", "\ndoubled", "doubled"),
        ("-> y = x / 2", "-> y = x / 3", "-> y = x / 3"),
        ("(5.0, 'half')\n", "", r"and there was\n\(5.0, 'half'\)"),
    ],
)
def test_a_false_session_is_found_and_put_right(true, false, says, tmp_path, monkeypatch):
    assert true in BOX
    monkeypatch.setattr(transcripts, "ROOT", tmp_path)
    path = page(tmp_path, BOX.replace(true, false))
    (session,) = sessions_in(path)
    assert re.search(says, faults(session))
    assert transcripts.renew(path) == ["changed page.md"]
    assert path.read_text(encoding="utf-8") == page(tmp_path, BOX.replace("(99)", "(3)")).read_text(encoding="utf-8")
    assert transcripts.renew(path) == []


@pytest.mark.parametrize(
    "true, false, says",
    [
        ("p x, half.__name__", "p xx", r"after '\(Pdb\) p xx' comes\n\*\*\* NameError"),
        ("p x, half.__name__", "c", "after .* comes\n.*halved\nThe program finished"),
        ("(Pdb) b half", "(Pdb) b nowhere", "after .* comes\n\\*\\*\\* The specified object 'nowhere'"),
        ("(Pdb) p x\n", "(minires) p x\n", r"shows '\(minires\) p x' where the prompt is '\(Pdb\) '"),
        ("(Pdb) p x\n", "(Pdb) q\n(Pdb) p x\n", "it is over too early"),
        ("-> y = x / 2", "--Call--", "nothing is like\n--Call--\nin\n> half"),
        ("$ python -m", "$ sh -m", "begins with `\\$ python …`"),
    ],
)
def test_a_session_that_cannot_be_is_said_and_left_alone(true, false, says, tmp_path):
    assert true in BOX
    path = page(tmp_path, BOX.replace(true, false))
    before = path.read_text(encoding="utf-8")
    (session,) = sessions_in(path)
    with pytest.raises(SessionError, match=says):
        renewed(session)
    (said,) = transcripts.renew(path)
    assert said.startswith("FAILED  page.md: $ ") and path.read_text(encoding="utf-8") == before


def test_a_box_of_a_chapter_keeps_its_margin(tmp_path, monkeypatch):
    monkeypatch.setattr(transcripts, "ROOT", tmp_path)
    (tmp_path / "tutorials").mkdir()
    path = tmp_path / "tutorials" / "half.py"
    box = BOX.replace("pdb half.py", "pdb tutorials/half.py").replace("\n3.0", "\n7.0").replace("(99)half", "(3)half")
    shown = "".join([f"#    {line}\n" for line in box.splitlines()])
    path.write_text(f"{PROGRAM}\n# .. code-block:: text\n#    :caption: Step in here\n#\n{shown}#\n# Words.\n")
    assert transcripts.renew(path) == ["changed tutorials/half.py"]
    after = path.read_text(encoding="utf-8")
    assert "#    (Pdb) p x\n#    3.0\n" in after and after.endswith("#    (5.0, 'half')\n#\n# Words.\n")


@pytest.mark.parametrize(
    "line, shown, printed, expected",
    [
        ("(Pdb) p x", ["old"], ["new", "newer"], ["new", "newer"]),
        ("(Pdb) p x", ["a 1", GAP, "d"], ["a 2", "b", "c", "d"], ["a 2", GAP, "d"]),
        ("(Pdb) w", [GAP, "> x.py(1)f()", "-> old"], ["z", "> x.py(2)f()", "-> new"], [GAP, "> x.py(2)f()", "-> new"]),
        ("(minires) where", [GAP, "by a.py:1", GAP], ["z", "by a.py:2", "y"], [GAP, "by a.py:2", GAP]),
        ("(minires) step", ["step 1"], ["step 2", "arrived"], ["step 2", "arrived"]),
        ("(Pdb) c", [], ["said", "> /b/x.py(2)f()", "-> y"], []),
        ("(Pdb) s", ["> x.py g()"], ["said", "> /b/x.py(2)f()->(1,)", "-> y"], ["> x.py f()"]),
        ("(Pdb) c", ["-> grad = a", GAP], ["said", "> x.py(2)f()", "-> grad = b"], ["-> grad = b", GAP]),
    ],
)
def test_which_lines_are_taken_over(line, shown, printed, expected):
    assert chosen(line, shown, printed) == expected


@pytest.mark.parametrize(
    "shown, printed, same",
    [
        ("norm 0.261", "norm 0.262", True),
        ("norm 0.261", "norm 0.361", False),
        ("step 5 of 71", "step 6 of 71", False),
        ("error 2.2e-08", "error 9.2e-08", True),
        ("error 2.2e-08", "error 9.2e-03", False),
        ("> minires/ops/shortcut.py(17)backward()", "> minires/ops/shortcut.py(19)backward()", True),
        ("> minires/ops/shortcut.py(17)backward()", "> minires/ops/shortcut.py(17)forward()", False),
        ("Linear  fc  resnet.py:125 in forward", "Linear  fc  resnet.py:129 in forward", True),
        ("Linear  fc  resnet.py:125 in forward", "Linear  fc  blocks.py:125 in forward", False),
        ("('minires/models/blocks.py', 62, 'forward')", "('minires/models/blocks.py', 63, 'forward')", True),
        ("     26  def backward(self, grad_y)", "     28  def backward(self, grad_y)", True),
        ("-> grad_x = grad_y - x_hat", "-> grad_x = grad_y", False),
        ("(8, 64, 2, 2)  → ReLU", "(8, 64, 2, 2)   → Tanh", False),
        ("0.3  ████▋", "0.3  ████▌", True),
    ],
)
def test_what_counts_as_the_same_line(shown, printed, same):
    assert same_line(shown, printed) == same
