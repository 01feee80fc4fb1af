"""Any terminal will do: what an encoding cannot write is replaced, never an error; files are UTF-8 all the same.

The chapters are run in old encodings where they are run at all, in `tests/tutorials/test_chapters.py`.
"""

import contextlib
import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from minires import program
from minires.cli.main import COMMANDS, main
from minires.runs import read

ENCODINGS = ["cp1252", "gbk", "cp437", "ascii", "cp932"]


def said_by(arguments, typed=""):
    """Run a command; return all that it says, on both streams."""
    said = io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO(typed)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    return said.getvalue()


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """What every command says, each run once."""
    folder = tmp_path_factory.mktemp("said")
    Image.new("L", (9, 9), 90).save(folder / "é−².png")
    said = {f"{name} --help": said_by([name, "--help"]) for name in COMMANDS}
    settings = ["--kernels", "numpy", "--set", "steps=2", "model.width=2", "batch_size=16"]
    said["train"] = said_by(["train", "--out", folder / "runs", *settings])
    (run,) = (folder / "runs").iterdir()
    calls = {
        "evaluate": [run, "--kernels", "numpy"],
        "predict": [run, folder / "é−².png", "--kernels", "numpy"],
        "finetune": [run, "--data", "digits", "--out", folder / "tuned", *settings[:-1]],
        "export": [run, folder / "model.onnx"],  # where ONNX is not installed, how to install it
        "plot": [folder],  # nothing to draw, which it says
        "compare": ["--depths", "8", "--steps", "1", "--batch-size", "8", "--kernels", "numpy", "--out", folder / "c"],
        "gradcheck": ["--op", "conv2d", "--kernels", "numpy"],
        "bench": ["--kernels", "numpy", "--set", "model.width=2", "--batch-size", "2", "--rounds", "1"],
        "data": ["info", "digits"],
        "pretrained": ["info", "resnet20-cifar10"],
        "doctor": [],
        "lab": ["list"],
        "playground": ["--no-browser", "--out", folder / "é.html"],
        "learn": ["--folder", folder / "mine"],
        "check": ["7", "--folder", folder / "mine"],
    }
    for name, arguments in calls.items():
        said[name] = said_by([name, *arguments])
    said["data list"] = said_by(["data", "list"])
    said["pretrained list"] = said_by(["pretrained", "list"])
    said["predict, of its own"] = said_by(["predict", folder / "é−².png", "--explain", "--out", folder / "²−é.png"])
    said["debug"] = said_by(["debug", "--batch-size", "2"], typed="n\nl\nf\nh\nq\n")
    return said


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_commands_words_can_be_written(texts, encoding, monkeypatch):
    assert COMMANDS.keys() <= texts.keys()
    for name, text in texts.items():
        assert len(text) > 30, name
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
        program.prepare_streams()
        print(text, flush=True)
        written = raw.getvalue().decode(encoding)
        for wanted, got in zip(text.rstrip("\n"), written.rstrip("\n"), strict=True):
            same = got.encode(encoding) == wanted.encode(encoding, "replace")  # cp932 has one minus for two
            assert same and (got != "?" or wanted == "?" or not can_encode(wanted, encoding)), (name, wanted)
        monkeypatch.undo()


def can_encode(text, encoding):
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def test_some_of_the_words_are_beyond_each_encoding(texts):
    """Else nothing above would have been tried."""
    for encoding in ENCODINGS:
        assert any(not can_encode(text, encoding) for text in texts.values()), encoding


def in_encoding(encoding, arguments, **options):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "MINIRES_KERNELS": "numpy"}
    environment |= {"MINIRES_QUICK": "1", "MPLBACKEND": "agg"}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, **options)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_process_of_each_encoding(encoding):
    result = in_encoding(encoding, ["-m", "minires", "gradcheck", "--op", "relu", "--kernels", "numpy"])
    said = result.stdout.decode(encoding)
    assert result.returncode == 0 and result.stderr == b""
    assert "ok" in said and "all gradients are right" in said


def test_other_programs_keep_their_streams(tmp_path):
    """In a program of somebody else an error stays an error."""
    (tmp_path / "theirs.py").write_text("import minires\nprint('\\u2212')\n", encoding="utf-8")
    result = in_encoding("cp1252", [tmp_path / "theirs.py"])
    assert result.returncode == 1 and b"UnicodeEncodeError" in result.stderr


def test_files_are_utf_8_whatever_the_terminal_is(tmp_path):
    """A run with names that the locale's encoding does not have, written and read in processes of that locale."""
    for name in ("é−", "日本"):
        for number in range(5):
            path = tmp_path / "bilder" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 20 * number).save(path)
    settings = ["--set", "steps=1", "model.width=2", "data.image_size=8", "data.channels=1"]
    command = ["-m", "minires", "train", "--data", tmp_path / "bilder", "--out", tmp_path / "runs", *settings]
    assert in_encoding("ascii", command).returncode == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert read(run, "config.json")["arguments"]["dataset"]["classes"] == ["é−", "日本"]
    result = in_encoding("ascii", ["-m", "minires", "evaluate", run])
    assert result.returncode == 0, result.stderr
    assert {row["label"] for row in read(run, "predictions.csv")} <= {"é−", "日本"}
