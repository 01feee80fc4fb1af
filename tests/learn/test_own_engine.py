"""The reader's own engine: what is handed out, what examines it, and a reader who goes through all of it."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minires.cli.main import main
from minires.learn import Wrong, chapters, own_engine, reader
from minires.learn.answer import answer_of

PARTS = [part for number in chapters.CHAPTERS for part in chapters.parts_of(number)]
GAPS = [(section, gap) for section in own_engine.sections() for gap in own_engine.gaps(section.text)]


def solution(section, gap: str) -> tuple[str, str]:
    """A gap as it is handed out, and the lines that fill it."""
    match = next(match for match in own_engine.GAP.finditer(section.text) if match[2] == gap)
    return own_engine.with_gaps(match[0]), own_engine.solved(match[0])


def fill(section, folder: Path) -> None:
    """Do what a section asks for."""
    path = folder / section.file
    text = path.read_text(encoding="utf-8")
    for gap in own_engine.gaps(section.text):
        handed_out, filled = solution(section, gap)
        assert text.count(handed_out) == 1
        text = text.replace(handed_out, filled)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a reader who is through with everything."""
    folder = tmp_path_factory.mktemp("reader") / "whole"
    for number in chapters.CHAPTERS:
        own_engine.write_chapter(number, folder, whole=True)
    return folder


def diagnosis(part, folder: Path, changes: dict[str, str] | None = None, seed: int = 0) -> str:
    """What the check says of a file, in this process; "" if it is right. changes: texts in it, and their replacements.

    The other files are the whole ones; this one is compiled as the reader's process does it.
    """
    text = (folder / part.file).read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    sys.path.insert(0, str(folder.parent))
    try:
        name = f"{folder.name}.{part.file.removesuffix('.py')}"
        for known in [known for known in sys.modules if known.startswith(f"{folder.name}.")]:
            del sys.modules[known]
        module = type(sys)(name)
        module.__file__, module.__package__ = str(folder / part.file), folder.name
        sys.modules[name] = module
        exec(compile(text, part.file, "exec"), module.__dict__)
        with np.errstate(all="ignore"):
            list(reader.examine(part, answer_of(part, module), seed))
    except Wrong as wrong:
        return str(wrong)
    finally:
        sys.path.remove(str(folder.parent))
    return ""


def part_of(section):
    return next(part for part in chapters.parts_of(section.chapter) if part.file == section.file)


def test_every_section_with_a_gap_is_examined():
    wanted = {(section.chapter, section.file) for section, _ in GAPS}
    assert {(part.chapter, part.file) for part in PARTS} == wanted and len(GAPS) > 25


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.chapter}-{part.file}")
def test_the_whole_engine_passes(part, whole):
    assert diagnosis(part, whole) == "" and diagnosis(part, whole, seed=20260101) == ""


@pytest.mark.parametrize(("section", "gap"), GAPS, ids=lambda one: getattr(one, "file", None))
def test_a_gap_that_is_still_open_is_refused(section, gap, whole):
    handed_out, filled = solution(section, gap)
    text = (whole / section.file).read_text(encoding="utf-8")
    # The same lines may stand in two classes: put the gap where the section has it.
    before = own_engine.solved(section.text.partition(f"# gap: {gap}")[0]).rstrip(" ")[-120:]
    assert text.count(before + filled) == 1
    assert diagnosis(part_of(section), whole, {before + filled: before + handed_out})


WRONG_LINES = [
    (
        1,
        "tensor.py",
        "return grad_y * self.b, grad_y * self.a",
        "return grad_y * self.a, grad_y * self.b",
        "multiplied by a itself",
    ),
    (
        1,
        "tensor.py",
        "return (grad_y * (1 - self.y * self.y),)",
        "return (1 - self.y * self.y,)",
        "this is the slope alone",
    ),
    (1, "tensor.py", "return (grad_y * self.y,)", "return grad_y * self.y", "a tuple of one"),
    (
        2,
        "tensor.py",
        "x.grad = grad_x if x.grad is None else x.grad + grad_x",
        "x.grad = grad_x",
        "of several shares one is kept",
    ),
    (
        2,
        "tensor.py",
        "x.grad = grad_x if x.grad is None else x.grad + grad_x",
        "x.grad = grad_x if x.grad is None else x.grad",
        "of several shares one is kept",
    ),
    (
        2,
        "tensor.py",
        "x.grad = grad_x if x.grad is None else x.grad + grad_x",
        "if x.grad is None:\n                    x.grad = grad_x\n"
        "                else:\n                    x.grad += grad_x",
        "written into|does \\+= write",
    ),
    (2, "tensor.py", "if uses[x] == 0:\n                ready.append(x)", "ready.append(x)", "times: its gradient"),
    (
        2,
        "tensor.py",
        "return grad.sum(axis=stretched, keepdims=True)",
        "return grad.mean(axis=stretched, keepdims=True)",
        "a mean over the uses",
    ),
    (
        2,
        "tensor.py",
        "return grad.sum(axis=stretched, keepdims=True)",
        "return grad.sum(axis=stretched)",
        "the shape is",
    ),
    (
        3,
        "tensor.py",
        "return grad_y @ self.b.T, self.a.T @ grad_y",
        "return grad_y @ self.b.T, grad_y.T @ self.a",
        "gradient of b has shape",
    ),
    (
        3,
        "tensor.py",
        "return (np.where(self.y > 0, grad_y, 0),)",
        "return (np.maximum(grad_y, 0),)",
        "cut off where it is negative itself",
    ),
    (
        3,
        "tensor.py",
        "return (np.full_like(self.x, grad_y),)",
        "return (np.full_like(self.x, grad_y / self.x.size),)",
        "a mean's gradient",
    ),
    (
        4,
        "gradcheck.py",
        "np.random.default_rng(seed).standard_normal(y.shape)",
        "np.ones(y.shape)",
        "of softmax: an output gradient of ones",
    ),
    (
        4,
        "gradcheck.py",
        "np.abs(tensor.grad - numeric).max() / size",
        "abs((tensor.grad - numeric).sum()) / size",
        "sees no more than an error",
    ),
    (4, "gradcheck.py", "return max(errors)", "return errors[0]", "the second array alone"),
    (4, "gradcheck.py", "/ (2 * h)", "/ h", "divided by h"),
    (
        5,
        "layers.py",
        "return (grad_loss * grad / len(grad),)",
        "return (grad_loss * grad,)",
        "the mean over the images is forgotten",
    ),
    (5, "layers.py", "return x @ self.weight + self.bias", "return x @ self.weight", "is not right"),
    (
        5,
        "optim.py",
        "self.momentum * self.velocities[i] + grad",
        "self.momentum * self.velocities[i] + (1 - self.momentum) * grad",
        "multiplied by 1 − momentum",
    ),
    (5, "optim.py", "parameter.grad + self.weight_decay * parameter.data", "parameter.grad", "weight_decay is ignored"),
    (5, "optim.py", "parameter.data - self.lr", "parameter.data + self.lr", "uphill"),
    (5, "train.py", "            optimizer.zero_grad()\n", "", "gradients of the last step forgotten"),
    (6, "conv.py", "// stride + 1", "// stride", "one place too few"),
    (
        6,
        "conv.py",
        "cols[:, :, u, v] = padded[window(u, v, I, J, stride)]",
        "cols[:, :, v, u] = padded[window(u, v, I, J, stride)]",
        "two axes are exchanged",
    ),
    (
        7,
        "conv.py",
        "padded[window(u, v, I, J, stride)] += cols",
        "padded[window(u, v, I, J, stride)] = cols",
        "windows overwrite each other",
    ),
    (
        7,
        "conv.py",
        "(grad_y @ cols.transpose(0, 2, 1)).sum(axis=0)",
        "(grad_y @ cols.transpose(0, 2, 1)).mean(axis=0)",
        "divided by N",
    ),
    (7, "conv.py", "/ (H * W), self.x_shape", ", self.x_shape", "gradient"),
    (8, "norm.py", "grad_y - mean_part - self.x_hat * var_part", "grad_y - self.x_hat * var_part", "mean"),
    (8, "norm.py", "grad_y - mean_part - self.x_hat * var_part", "grad_y - mean_part", "x̂"),
    (8, "norm.py", "self.momentum * unbiased", "self.momentum * norm.var", "should be `unbiased`"),
    (9, "init.py", "(2 / (F * K * K)) ** 0.5", "(2 / (C * K * K)) ** 0.5", "that is fan-in"),
    (9, "init.py", "(2 / (F * K * K)) ** 0.5", "(1 / (F * K * K)) ** 0.5", "the 2 is missing"),
    (11, "residual.py", "y[:, front : front + C] = x", "y[:, :C] = x", ""),
    (
        12,
        "resnet.py",
        "return self.relu(ResidualAdd()(shortcut, branch))",
        "return self.relu(branch)",
        "the shortcut is missing",
    ),
    (
        12,
        "resnet.py",
        "return self.relu(ResidualAdd()(shortcut, branch))",
        "return ResidualAdd()(shortcut, branch)",
        "the last relu is missing",
    ),
    (12, "resnet.py", "stride = 2 if i == 0 and F > 16 else 1", "stride = 2 if i == 0 else 1", "block 1 is BasicBlock"),
]


@pytest.mark.parametrize(("chapter", "file", "right", "wrong", "says"), WRONG_LINES)
def test_a_wrong_line_is_named(chapter, file, right, wrong, says, whole):
    part = next(part for part in chapters.parts_of(chapter) if part.file == file)
    text = diagnosis(part, whole, {right: wrong})
    assert text and re.search(says, text), text or "a wrong answer passes"


def test_nothing_of_it_imports_this_package():
    for file in own_engine.FILES:
        for node in ast.walk(ast.parse((own_engine.PACKAGE / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= {"numpy", "sys", "importlib"}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 1 or node.module == "pathlib"


def test_files_only_grow(tmp_path):
    folder = tmp_path / "mine"
    own_engine.write_chapter(6, folder)
    path = folder / "conv.py"
    mine = path.read_text(encoding="utf-8") + "\n\nmine = 1\n"
    path.write_text(mine, encoding="utf-8")
    again = own_engine.write_chapter(6, folder)
    assert not again.added and [section.file for section in again.present] == ["conv.py"]
    assert path.read_text(encoding="utf-8") == mine
    own_engine.write_chapter(7, folder)
    assert path.read_text(encoding="utf-8").startswith(mine)
    assert path.read_text(encoding="utf-8").count("# Chapter 7:") == 1


def test_one_can_begin_at_any_chapter(tmp_path, capsys):
    assert main(["learn", "8", "--folder", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert "put in, finished:" in out and "tensor.py (chapters 1, 2, 3)" in out and "norm.py" in out
    assert [file for file, _, _ in own_engine.open_gaps(tmp_path / "mine", 99)] == ["norm.py", "norm.py"]
    assert main(["check", "8", "--folder", str(tmp_path / "mine")]) == 1
    assert "still to do in norm.py: move both running averages" in capsys.readouterr().out


def test_an_open_gap_of_an_earlier_chapter_is_said(tmp_path, capsys):
    folder = tmp_path / "mine"
    for number in (1, 2):
        main(["learn", str(number), "--folder", str(folder)])
    assert main(["check", "2", "--folder", str(folder)]) == 1
    assert "tensor.py still has a gap of chapter 1, on which this builds" in capsys.readouterr().out


def test_a_reader_goes_through_all_of_it(tmp_path, capsys):
    folder = tmp_path / "my_own"
    for number in chapters.CHAPTERS:
        if not chapters.parts_of(number):
            continue
        assert main(["learn", str(number), "--folder", str(folder)]) == 0
        chapters.exercise_of(number).path(folder).unlink()  # its answers are tested elsewhere
        if number in (1, 7):
            assert main(["check", str(number), "--folder", str(folder)]) == 1
        for section in own_engine.sections(number):
            fill(section, folder)
    capsys.readouterr()
    assert main(["check", "--all", "--folder", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "All right: 11 chapters." in out and "the gradients of all 23 weights are MiniRes's" in out
    # A network of eight layers, which takes a third of ResNet-20's time.
    program = (
        "import numpy as np; from my_own.resnet import ResNet; from my_own import train\n"
        "model = ResNet(1); train.train(model, 4, 0.1, say=None)\n"
        "print(train.accuracy(model, *train.load_digits()[2:]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.9


def test_points_and_deepest(whole):
    sys.path.insert(0, str(whole.parent))
    try:
        for known in [known for known in sys.modules if known.startswith("whole")]:
            del sys.modules[known]
        points = importlib.import_module("whole.points")
        weights, losses = points.train(steps=600)
        assert points.accuracy(weights) > 0.9 and losses[-1] < 0.2
        assert importlib.import_module("whole.train").deepest() == "resnet20"
    finally:
        sys.path.remove(str(whole.parent))


def test_the_answer_comes_after_the_hints(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["learn", "8", "--folder", str(folder)]) == 0
    assert main(["learn", "8", "--answer", "--folder", str(folder)]) == 2
    assert "the answer comes after 3 hints, and you have had 0" in capsys.readouterr().err
    reader.note(folder, 8, hints=3)
    assert main(["learn", "8", "--answer", "--folder", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "# norm.py: dL/dx (N, C, H, W)" in out and "grad_x = (self.weight * self.inv_std)" in out
    assert "def layer_norm_backward(" in out
    assert reader.read_progress(folder)["8"] == {"hints": 3, "seen": True}
