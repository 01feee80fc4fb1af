"""A run's folder with one file damaged: each command that reads it does its work or says which file, where, what to do.

`python tests/faults/test_files_run_folder.py 25` makes more mutations, by a seed, and prints what became of them.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from minires import kernels, runs
from minires.cli.main import main
from minires.lab import compare
from minires.plots import curves, filters, gradient_flow, gradients, predictions

ABSURD = [
    None, True, "x", "", "\ud800", "../../..", -1, 0, 0.5, 1e308, -1e308, 10**12, 10**30, [], {}, ["x"], {"x": 1}, [[]]
]  # fmt: skip
CELLS = ["", "x", "-1", "1e308", "nan", "99999999999", '"', "é", "\x00", "1,2", "\u2028"]
SECONDS = 60  # after which a command counts as hanging
SLOW = 3  # times as long as with nothing damaged


def places(content, path=()):
    """List the paths to all values in nested JSON, the first three of each list."""
    yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places(value, (*path, key))
    elif isinstance(content, list):
        for index, value in list(enumerate(content))[:3]:
            yield from places(value, (*path, index))


def changed(content, path, value=None, remove=False):
    """Return JSON content with another value at a path, or none."""
    if not path:
        return value
    copied = json.loads(json.dumps(content))
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


def as_bytes(content):
    return json.dumps(content).encode()


def of_bytes(whole, draw):
    """Mutations of any file: cut, emptied, foreign, with other bytes."""
    yield "empty", b""
    yield "spaces", b" \n\n"
    yield "zeros", bytes(len(whole))
    yield "binary", draw.randbytes(500)
    yield "byte order mark", b"\xef\xbb\xbf" + whole
    yield "utf-16", whole.decode().encode("utf-16")
    yield "nested", b"[" * 100_000
    yield "nested whole", b"[" * 100_000 + b"]" * 100_000
    yield "nan", b"NaN"
    yield "long number", b"9" * 5000
    yield "twice", whole + whole
    yield "no end", b'{"a": "' + whole
    for part in (0.3, 0.7, 0.99):
        yield f"cut at {part}", whole[: int(part * len(whole))]
    for number in range(4):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        yield f"flip {number}", bytes(content)
    content = bytearray(whole)
    content[len(whole) // 2] = 0xFF
    yield "no utf-8", bytes(content)


def of_json(whole, draw, most):
    content = json.loads(whole)
    paths = list(places(content))
    for path in draw.sample(paths, min(most, len(paths))):
        value = draw.choice(ABSURD)
        yield f"{path} = {value!r}", as_bytes(changed(content, path, value))
        if path:
            yield f"{path} removed", as_bytes(changed(content, path, remove=True))


def of_lines(whole, draw, most):
    """Mutations of JSON lines: one line replaced, removed, doubled, in another order."""
    lines = whole.decode().splitlines()
    for _ in range(most):
        index = draw.randrange(len(lines))
        row = json.loads(lines[index])
        path = draw.choice(list(places(row)))
        value = draw.choice([*ABSURD, float("nan"), float("inf")])
        replaced = [*lines[:index], json.dumps(changed(row, path, value)), *lines[index + 1 :]]
        yield f"line {index + 1} {path} = {value!r}", "".join([line + "\n" for line in replaced]).encode()
    for label, other in (("removed", lines[1:]), ("doubled", [lines[0], *lines]), ("reversed", lines[::-1]),
                         ("no json", [lines[0], "x", *lines[1:]])):  # fmt: skip
        yield label, "".join([line + "\n" for line in other]).encode()


def of_table(whole, draw, most):
    lines = whole.decode().splitlines()
    for _ in range(most):
        index = draw.randrange(min(len(lines), 40))
        cells = lines[index].split(",")
        column = draw.randrange(len(cells))
        cells[column] = draw.choice(CELLS)
        other = [*lines[:index], ",".join(cells), *lines[index + 1 :], ""]
        yield f"line {index + 1} {column} = {cells[column]!r}", "\n".join(other).encode()
    yield "no head", "\n".join(lines[1:]).encode()
    yield "a line less", "\n".join([*lines[:5], *lines[6:]]).encode()
    yield "a line twice", "\n".join([*lines[:5], *lines[4:]]).encode()
    yield "a cell less", "\n".join([line.rpartition(",")[0] for line in lines]).encode()


FILES = {
    "config.json": (of_json, ("plot", "predict", "evaluate", "resume", "finetune")),
    "metrics.jsonl": (of_lines, ("plot", "resume")),
    "report.json": (of_json, ("resume", "plot")),
    "evaluation.json": (of_json, ("evaluate", "plot")),
    "predictions.csv": (of_table, ("plot",)),
    "compare/report.json": (of_json, ("figures",)),
}


def mutations(folder, name, most, seed=14):
    draw = random.Random(f"{name} {seed}")
    whole = (folder / name).read_bytes()
    yield from of_bytes(whole, draw)
    yield from FILES[name][0](whole, draw, most)


class Hanging(BaseException):
    pass


def hang(*_):
    raise Hanging


def call(command, folder, picture):
    """Run a command on a folder; return its exit code or exception, what it said, and how long it took."""
    arguments = {
        "plot": ["plot", folder, "--out", folder.parent],
        "predict": ["predict", folder, picture],
        "evaluate": ["evaluate", folder],
        "resume": ["train", "--resume", folder],
        "finetune": ["finetune", folder, "--data", "digits", "--out", folder.parent / "tuned", "--set", "steps=1"],
    }
    said, start, code = io.StringIO(), time.perf_counter(), 0
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            if command == "figures":
                try:
                    gradient_flow(folder / "compare")
                except ValueError as error:
                    code = 2
                    print(error, file=said)
            else:
                code = main([str(argument) for argument in arguments[command]])
    except Hanging:
        code = "hangs"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        code = f"traceback: {type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return code, said.getvalue(), time.perf_counter() - start


def verdict(name, code, said, slow):
    if isinstance(code, str):
        return code.split(" in ")[0]
    if slow:
        return "slow"
    if code == 0:
        return "done"
    if code not in (1, 2):
        return f"exit code {code}"
    words = said.strip().splitlines()
    if Path(name).name not in said:
        return "message without the file's name"
    return "refused" if len(words) <= 3 else "message of more than three lines"


def make_run(folder):
    settings = ["steps=6", "evaluate_every=3", "checkpoint_every=2", "model.width=2", "batch_size=32"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["train", "--model", "resnet20", "--out", str(folder / "out"), "--set", *settings]) == 0
        (run,) = (folder / "out").iterdir()
        run.rename(folder / "run")
        assert main(["evaluate", str(folder / "run")]) == 0
        report = compare(depths=(8,), steps=2, seeds=1, out=folder / "compared")
    shutil.copytree(report["folder"], folder / "run" / "compare")
    from PIL import Image

    Image.new("L", (9, 9), 128).save(folder / "digit.png")
    return folder / "run"


def try_all(folder, names, most, show=False):
    """Make the mutations of these files, one at a time; count what became of each, by file."""
    run, counts = make_run(folder), {}
    for name in names:
        counts[name] = Counter()
        usual = {}
        for command in FILES[name][1]:
            copy = shutil.copytree(run, folder / "copies" / "run")
            *_, usual[command] = call(command, copy, folder / "digit.png")
            shutil.rmtree(folder / "copies")
        for label, content in mutations(run, name, most):
            for command in FILES[name][1]:
                copy = folder / "copies" / "run"
                shutil.copytree(run, copy)
                (copy / name).write_bytes(content)
                code, said, seconds = call(command, copy, folder / "digit.png")
                found = verdict(name, code, said, seconds > max(6, SLOW * usual[command]))
                counts[name][found] += 1
                if show and found not in ("done", "refused"):
                    about = f"{name} {label[:70]} {command}: {found} {code} {seconds:.0f} s"
                    print(about, said.strip()[-300:], sep=" | ", flush=True)
                shutil.rmtree(folder / "copies")
        if show:
            print(f"{name:20}", sum(counts[name].values()), dict(counts[name]), flush=True)
    return counts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with kernels.use("numpy"):
        return make_run(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("name", FILES)
def test_the_reader_says_where_and_what_to_do(run, tmp_path, name):
    """Read what was damaged: either it holds what it must, or one line says where it does not."""
    path, refused = tmp_path / Path(name).name, 0
    for label, content in mutations(run, name, most=60):
        path.write_bytes(content)
        try:
            runs.read(tmp_path, path.name)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) and "; " in str(error), (label, error)
            assert len(str(error).splitlines()) == 1, (label, error)
    assert refused > 15


def test_the_line_of_the_damage(run, tmp_path):
    for name, index in (("metrics.jsonl", 3), ("predictions.csv", 30)):
        lines = (run / name).read_text().splitlines(keepends=True)
        lines[index] = lines[index].replace("0", "x", 1)
        (tmp_path / name).write_text("".join(lines))
        with pytest.raises(ValueError, match=f"{name}, line {index + 1}"):
            runs.read(tmp_path, name)


def test_pipes_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ValueError, match=r"metrics\.jsonl is a pipe, and must be a plain file"):
        runs.read(tmp_path, "metrics.jsonl")
    with pytest.raises(ValueError, match=r"config\.json is a folder, and must be a plain file"):
        runs.read(tmp_path, "config.json")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "predictions.csv", "compare/report.json"])
def test_commands_do_their_work_or_name_the_file(run, tmp_path, monkeypatch, name):
    for module in (curves, filters, gradients, predictions):
        monkeypatch.setattr(module, "save", lambda figure, path: path)  # what is drawn is not the question here
    draw = random.Random(3)
    tried = draw.sample(list(mutations(run, name, most=12)), 3)
    with kernels.use("numpy"):
        for label, content in tried:
            for command in FILES[name][1]:
                copy = shutil.copytree(run, tmp_path / "copies" / "run")
                (copy / name).write_bytes(content)
                code, said, _ = call(command, copy, run.parent / "digit.png")
                assert verdict(name, code, said, slow=False) in ("done", "refused"), (label, command, code, said)
                shutil.rmtree(tmp_path / "copies")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        names = sys.argv[2:] or list(FILES)
        try_all(Path(folder), names, int(sys.argv[1]), show=True)
