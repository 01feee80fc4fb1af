"""The examiner, the reader's folder and the two commands, with chapter 7's exercise and small ones made here."""

import inspect
import json

import answers_07
import numpy as np
import pytest

from minires.cli.main import main
from minires.kernels import numpy_kernels
from minires.learn import (
    Exercise,
    Wrong,
    chapters,
    check_equal,
    check_gradient,
    digits,
    own_engine,
    quick,
    reader,
    replaced,
)

x = np.random.default_rng(0).standard_normal((3, 4))


def square(x):
    return x * x


def examined(backward, forward=square, arrays=None, **options):
    return list(check_gradient("square", forward, backward, arrays or {"x": x}, **options))


def test_a_right_backward_yields_its_head():
    assert examined(lambda grad_y, x: 2 * x * grad_y) == ["square"]


def in_place(grad_y, x):
    x *= 2
    return x * grad_y


def float64(grad_y, x):
    return np.zeros(x.shape) + 2 * x * grad_y


@pytest.mark.parametrize(
    ("backward", "says"),
    [
        (lambda grad_y, x: None, "gives back None; is its gap"),
        (lambda grad_y, x: ..., "the gradient of x is still a gap"),
        (lambda grad_y, x: 3.0, "the gradient of x is a float, and should be an array"),
        (lambda grad_y, x: (2 * x * grad_y).sum(0), r"has shape \(4,\), and should have \(3, 4\)"),
        (lambda grad_y, x: (x, x), "gives back 2 gradients, and should give 1"),
        (in_place, r"writes into an argument, of shape \(3, 4\)"),
        (float64, "right in float64; but .* here float64 arises, in the gradient of x"),
        (lambda grad_y, x: -2 * x * grad_y, "the sign is wrong"),
        (lambda grad_y, x: x * grad_y, "this is half of what it should be"),
        (
            lambda grad_y, x: 2 * x,
            "what arrives is not used(.|\n)*comparisons; at .* yours is .*, finite differences give",
        ),
        (lambda grad_y, x: np.full_like(x, np.nan), "not finite"),
    ],
)
def test_a_wrong_backward_is_named(backward, says):
    with pytest.raises(Wrong, match=says):
        examined(backward)


def test_the_handed_gradient_is_not_written():
    def scaled_in_place(grad_y, x):
        grad_y *= 2 * x
        return grad_y

    with pytest.raises(Wrong, match="writes into the gradient it was handed"):
        examined(scaled_in_place)


def test_a_typical_mistake_gets_its_sentence():
    mistakes = {"the power is not lowered": lambda grad_y, x: 2 * x * x * grad_y}
    with pytest.raises(Wrong, match="square: the power is not lowered"):
        examined(lambda grad_y, x: 2 * x**2 * grad_y, mistakes=mistakes)
    assert examined(lambda grad_y, x: 2 * x * grad_y, mistakes=mistakes) == ["square"]


def test_an_argument_without_a_gradient_is_a_constant():
    def backward(grad_y, a, b):
        return grad_y * b, None

    assert examined(backward, np.multiply, {"a": x, "b": x + 1}) == ["square"]


@pytest.mark.parametrize(
    ("got", "wanted", "says"),
    [
        (None, 3, "there is nothing yet"),
        (..., x, "there is nothing yet"),
        (4, 3, "4 is not right\n  count again"),
        (x[0], x, r"the shape is \(4,\), and should be \(3, 4\)"),
        (np.where(x > 1, 0, x), x, r"of 12 numbers are wrong, the first at \["),
        (0.1, 0.2, "0.1 is not right"),
        (np.array(["a"]), np.ones(1), "not numbers"),
    ],
)
def test_a_wrong_value_is_named(got, wanted, says):
    with pytest.raises(Wrong, match=says):
        list(check_equal("value", got, wanted, "count again"))


def test_right_values_yield_their_head():
    for value in (3, 0.3, x, [1, 2], ("a",), True):
        assert list(check_equal("value", value, value)) == ["value"]


def test_replaced_is_undone_after_an_error():
    before = numpy_kernels.relu_forward
    with pytest.raises(ZeroDivisionError), replaced(numpy_kernels, relu_forward=square):
        assert numpy_kernels.relu_forward is square
        raise ZeroDivisionError
    assert numpy_kernels.relu_forward is before


def test_quick_is_the_environments(monkeypatch):
    monkeypatch.delenv("MINIRES_QUICK", raising=False)
    assert not quick()
    monkeypatch.setenv("MINIRES_QUICK", "1")
    assert quick()


def test_chapters_have_files_and_unknown_ones_a_message():
    assert list(chapters.CHAPTERS) == list(range(1, 21))
    assert chapters.script(7) == "tutorials/07_convolution_backward.py"
    assert all(chapters.path_of(number).is_file() for number in chapters.CHAPTERS)
    with pytest.raises(ValueError, match="chapter 99 has no exercise; there is one for each of .*7"):
        chapters.exercise_of(99)


def tiny(text):
    def check(mine, seed):
        yield from check_equal("double", mine.double(4), 8)

    return Exercise(1, "tiny", "Twice", text, ("a hint",), {"double": check})


def write(folder, text):
    exercise = tiny(text)
    reader.write_exercise(exercise, folder)
    return exercise


def test_a_file_is_never_overwritten_and_never_missing(tmp_path):
    exercise = write(tmp_path, "def double(x):\n    return 2 * x\n")
    with pytest.raises(ValueError, match="is there already"):
        reader.write_exercise(exercise, tmp_path)
    with pytest.raises(ValueError, match="`minires learn 1` writes it"):
        reader.open_answer(exercise, tmp_path / "elsewhere")


def test_a_damaged_progress_file_is_named(tmp_path):
    (tmp_path / "progress.json").write_text("[1")
    with pytest.raises(ValueError, match=r"progress.json cannot be read .*; delete it"):
        reader.read_progress(tmp_path)
    (tmp_path / "progress.json").write_text("[1]")
    with pytest.raises(ValueError, match="progress.json cannot be read"):
        reader.read_progress(tmp_path)


def answer_file(folder, **changes):
    """Write a reader's whole file for chapter 7; changes are put in behind the right functions."""
    right, wrong = inspect.getsource(answers_07).split("def filter_turned", 1)
    source = right + "right_one = conv2d_grad_input\n\n\ndef filter_turned" + wrong
    source = source.replace("return conv2d_grad_input(grad_y, weight[", "return right_one(grad_y, weight[")
    folder.mkdir(exist_ok=True)
    (folder / "07_conv_backward.py").write_text(
        source + "".join(f"{name} = {new}\n" for name, new in changes.items()), encoding="utf-8"
    )


@pytest.mark.parametrize("chapter", [5, 7])
def test_an_import_of_the_readers_own_files_writes_nothing(tmp_path, capsys, monkeypatch, chapter):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    folder = tmp_path / "my_minires"
    own_engine.write_chapter(chapter, folder, whole=True)
    before = sorted(folder.rglob("*"))
    main(["check", str(chapter), "--folder", str(folder)])
    assert "removes or moves" not in capsys.readouterr().out
    assert [path for path in sorted(folder.rglob("*")) if path.suffix != ".json"] == before


def test_a_readers_way_through_chapter_7(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_minires"
    assert main(["learn"]) == 0
    assert "  7  not begun  Convolution backward: the transpose of copying\n" in capsys.readouterr().out
    assert main(["check", "7"]) == 2
    assert "`minires learn 7` writes it" in capsys.readouterr().err

    assert main(["learn", "7"]) == 0
    out = capsys.readouterr().out
    assert "my_minires/07_conv_backward.py: The backward pass of a convolution" in out and "my_minires/conv.py\n" in out
    assert main(["learn"]) == 0 and "  7  begun      Conv" in capsys.readouterr().out
    assert main(["learn", "7"]) == 0 and "07_conv_backward.py is there already" in capsys.readouterr().out
    assert main(["check", "7"]) == 1 and "WRONG  col2im" in capsys.readouterr().out
    (folder / "conv.py").unlink()
    own_engine.write_chapter(7, folder, whole=True)

    for hints in (1, 2):
        assert main(["check", "7", "--hint"]) == 1
        out = capsys.readouterr().out
        assert "WRONG  conv2d_grad_input, 3×3: the function gives back None" in out
        assert out.count("\nHint ") == hints

    answer_file(folder, conv2d_grad_input="filter_turned")
    assert main(["check", "7"]) == 1
    assert "the filter is turned by 180°" in capsys.readouterr().out

    answer_file(folder)
    monkeypatch.setattr(digits, "STEPS", 2)
    assert main(["check", "7", "--train"]) == 0
    out = capsys.readouterr().out
    assert "WRONG" not in out and out.count("  ok     ") == 30
    assert "Chapter 7 passed" in out and "2 steps on the digits with your functions: loss 3." in out
    assert main(["learn"]) == 0 and "  7  passed     Conv" in capsys.readouterr().out
    assert json.loads((folder / "progress.json").read_text()) == {"7": {"hints": 2, "passed": True}}


def test_what_cannot_be_plugged_in_is_refused_before_the_examination(tmp_path, capsys):
    assert main(["learn", "1", "--folder", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["check", "1", "--train", "--folder", str(tmp_path)]) == 2
    printed, error = capsys.readouterr()
    assert printed == "" and "nothing of chapter 1's exercise goes into the engine: leave out --train" in error
    assert not (tmp_path / "progress.json").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["learn", "1", "--folder", str(tmp_path / "file")]) == 2
    assert "file (File exists); choose another with --folder" in capsys.readouterr().err


def test_the_training_learns():
    values = digits.losses(steps=20)
    assert np.mean(values[-3:]) < 0.8 * values[0]
