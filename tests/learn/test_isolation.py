"""The reader's code in a process of its own: whatever it does there gets a sentence, and never passes."""

import json
import re
import sys
import textwrap

import numpy as np
import pytest

from minires.cli.main import main
from minires.learn import Exercise, Wrong, chapters, check_equal, isolation, reader
from minires.learn.wire import pack, unpack

RIGHT = chapters.answer_to(3)
FUNCTION = "    return grad_r * (r > 0)"


def tiny(*functions):
    """An exercise that wants 8 of `double(4)`."""

    def check(mine, seed):
        yield from check_equal("double", mine.double(4), 8)

    return Exercise(1, "tiny", "Twice", "", ("a hint",), {"double": check}, {one.__name__: one for one in functions})


def said_of(folder, text, exercise=None):
    """What is said of a reader's file, "" if it passes."""
    exercise = exercise or tiny()
    exercise.path(folder).write_text(textwrap.dedent(text), encoding="utf-8")
    try:
        with reader.open_answer(exercise, folder) as mine:
            list(reader.examine(exercise, mine))
    except Wrong as wrong:
        return str(wrong)
    return ""


def test_a_file_that_cannot_be_run_names_its_line(tmp_path):
    said = said_of(tmp_path, "import numpy\n\ndef double(x):\n    return 2 *\n")
    assert "01_tiny.py cannot be run: line 4: SyntaxError" in said


def test_a_file_without_the_function_says_so(tmp_path):
    assert "01_tiny.py does not define double" in said_of(tmp_path, "def duble(x):\n    return 2 * x\n")


def test_a_crash_in_the_readers_code_names_its_line(tmp_path):
    said = said_of(tmp_path, "def double(x):\n    y = 2 * x\n    return y[0]\n")
    assert "it stops at line 3, `return y[0]`: TypeError" in said


def test_a_file_in_another_encoding_says_so(tmp_path):
    exercise = tiny()
    exercise.path(tmp_path).write_bytes(b"# \xe9t\xe9\ndef double(x):\n    return 2 * x\n")
    with pytest.raises(Wrong, match="01_tiny.py is not text in UTF-8"):
        reader.open_answer(exercise, tmp_path)


ENDS = {
    "os._exit(0)": ("import os; os._exit(0)", "its process ended by itself, with exit code 0"),
    "sys.exit(0)": ("import sys; sys.exit(0)", r"`import sys; sys.exit\(0\)`: SystemExit(.|\n)*it leaves Python"),
    "input": ("input('name? ')", "it asks for input"),
    "lines": ("for i in range(10**6): print('a line of text', i)", "it prints more than 64 KiB"),
    "fork": ("import os; os.fork()", "it starts or stops another process"),
    "caught": ("import os\ntry: os.fork()\nexcept Exception: pass", "it starts or stops another process"),
    "process": ("import subprocess; subprocess.run(['true'])", "it starts or stops another process"),
    "kill": ("import os; os.kill(os.getppid(), 9)", "it starts or stops another process"),
    "delete": ("import os; os.remove(__file__)", "it removes or moves a file"),
    "overwrite": ("open(__file__, 'w').write('')", "it opens its own file to write into it"),
    "crash": ("import ctypes; ctypes.string_at(0)", r"crashed, or was killed(.|\n)*line \d+, `import ctypes"),
    "memory": ("import numpy as np; np.ones(10**11)", "it wants more than 1 GiB of memory"),
    "open files": ("import os\nfor fd in range(3, 9):\n    try: os.write(fd, b'x' * 99)\n    except OSError: pass",
                   "what came back cannot be read|crashed"),
}  # fmt: skip


if sys.platform == "win32":  # which has no fork, and no limit of memory
    ENDS = {end: ENDS[end] for end in ENDS if end not in ("fork", "caught", "memory")}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_a_sentence(end, tmp_path):
    code, says = ENDS[end]
    text = "def double(x):\n" + textwrap.indent(code, "    ") + "\n    return 2 * x\n"
    said = said_of(tmp_path, text)
    assert re.search(says, said), said
    assert (tmp_path / "01_tiny.py").read_text(encoding="utf-8") == text


def test_a_loop_is_stopped_and_its_line_named(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    exercise = tiny()
    exercise.path(tmp_path).write_text("def double(x):\n    while True:\n        x = x\n", encoding="utf-8")
    with pytest.raises(Wrong, match=r"double: stopped after 1 seconds, at line [23], `(while True:|x = x)`: a loop"):
        answer = reader.open_answer(exercise, tmp_path)
        answer.share(1)
        with answer as mine:
            list(reader.examine(exercise, mine))
    assert answer.process.poll() is not None, "the process is still there"


def test_a_claimed_verdict_counts_for_nothing(tmp_path):
    text = """
        import sys
        child = sys.modules["__main__"]
        child.same = lambda one, other: True

        class Always:
            def __eq__(self, other):
                return True

        def double(x):
            return Always()
        """
    assert "is not right" in said_of(tmp_path, text)


def test_what_a_file_prints_is_kept_apart(tmp_path):
    exercise = tiny()
    exercise.path(tmp_path).write_text("print('hello')\ndef double(x):\n    return 2 * x\n", encoding="utf-8")
    answer = reader.open_answer(exercise, tmp_path)
    with answer as mine:
        assert list(reader.examine(exercise, mine)) == ["double"]
    assert answer.output() == ["hello"]


def test_arrays_that_are_written_into_come_back_changed(tmp_path):
    exercise = tiny()
    exercise.path(tmp_path).write_text("def double(x):\n    x[0] += 1\n    return x * 2\n", encoding="utf-8")
    x = np.zeros(3)
    with reader.open_answer(exercise, tmp_path) as mine:
        np.testing.assert_array_equal(mine.double(x), [2, 0, 0])
    np.testing.assert_array_equal(x, [1, 0, 0])


def test_functions_are_called_where_they_were_handed_over(tmp_path):
    exercise = tiny()
    exercise.path(tmp_path).write_text("def double(f):\n    return f(3) + f(4)\n", encoding="utf-8")
    asked = []

    def f(x):
        asked.append(x)
        if x == 5:
            raise ValueError("no five")
        return x * x

    with reader.open_answer(exercise, tmp_path) as mine:
        assert mine.double(f) == 25 and asked == [3, 4]


@pytest.mark.parametrize("number", [2, 13])
def test_right_answers_pass_from_outside(number, tmp_path):
    """Chapters whose checks hand functions over (2), or work beside the reader's code (13)."""
    exercise = chapters.exercise_of(number)
    exercise.path(tmp_path).write_text(chapters.answer_to(number), encoding="utf-8")
    with reader.open_answer(exercise, tmp_path) as mine:
        assert list(reader.examine(exercise, mine, seed=3))


def test_values_survive_the_wire():
    values = [None, True, 3, 2.5, "text", (1, [2.0, (3,)]), np.arange(6.0).reshape(2, 3).T, np.float32(2), np.array(3)]
    for value in values:
        back = unpack(json.loads(json.dumps(pack(value))))
        assert type(back) is type(value)
        np.testing.assert_equal(back, value)
    assert unpack(pack(...)) is ... and unpack(pack({"a": 1})) == {"a": 1}
    assert type(unpack(pack({1, 2}))).__name__ == "set" and unpack(pack({1, 2})) != {1, 2}
    with pytest.raises(ValueError, match="cannot be sent"):
        unpack({"array": "", "dtype": "|O", "shape": [0]})


def test_json_for_graders(tmp_path, capsys):
    folder = tmp_path / "answers"
    folder.mkdir()
    path = chapters.exercise_of(3).path(folder)
    path.write_text(RIGHT, encoding="utf-8")
    assert main(["check", "3", "--json", "--folder", str(folder), "--seed", "7"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] and (result["points"], result["of"], result["diagnoses"], result["seed"]) == (2, 2, [], 7)
    assert result["exercise"] == "block_backward" and result["time"] > 0

    path.write_text(RIGHT.replace(FUNCTION, "    import os; os._exit(0)", 1), encoding="utf-8")
    assert main(["check", "3", "--json", "--folder", str(folder)]) == 1
    result = json.loads(capsys.readouterr().out)
    assert not result["passed"] and result["points"] == 0
    assert [one["function"] for one in result["diagnoses"]] == ["relu_backward", "block_backward"]

    path.write_text(RIGHT.replace("return grad_y + grad_h @ w1.T", "return grad_h @ w1.T", 1), encoding="utf-8")
    assert main(["check", "3", "--json", "--folder", str(folder)]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["points"] == 1 and "through the skip is missing" in result["diagnoses"][0]["text"]
    assert main(["check", "3", "--json", "--hint", "--folder", str(folder)]) == 2
    assert "leave out --hint" in capsys.readouterr().err


def test_an_exit_of_the_readers_never_looks_like_a_pass(tmp_path, capsys):
    folder = tmp_path / "answers"
    folder.mkdir()
    chapters.exercise_of(3).path(folder).write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    assert main(["check", "3", "--folder", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out and "SystemExit" in out and "passed" not in out
