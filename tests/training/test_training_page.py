"""What docs/training.md tells a reader to type works."""

import re
import shlex
from pathlib import Path

import pytest

from minires.cli.main import build_parser, main
from minires.runs import records, resolve

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = [line for line in re.findall(r"^(?:\$ )?minires (train .*|train)$", TEXT, re.MULTILINE)]


def test_the_page_has_commands():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_configuration(command, tmp_path, monkeypatch):
    words = shlex.split(command, comments=True)
    args = build_parser("train").parse_args(words)
    monkeypatch.chdir(tmp_path)
    Path("my_recipe.toml").write_text("epochs = 2")
    if args.resume is None:
        resolve(args.recipe or "digits", args.set, model=args.model, data=args.data, seed=args.seed)


def test_the_loop_from_python(capsys):
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "Trainer(" in block]
    names = {}
    exec(block.replace("train(100, log=print)", "train(2, log=print)"), names)
    assert names["trainer"].step == 2 and "'test_accuracy'" in capsys.readouterr().out


def test_a_run_from_python(tmp_path, monkeypatch):
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "carry_out" in block]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block.replace("epochs=1", "steps=2"), names)
    assert records.read_json(names["folder"] / "report.json")["steps"] == 2


def test_divergence_looks_as_the_page_says(tmp_path, capsys):
    (command,) = re.findall(r"^\$ minires (.*)$", TEXT, re.MULTILINE)
    assert main([*command.split(), "--kernels", "numpy", "--out", str(tmp_path)]) == 1
    said = TEXT.split(f"$ minires {command}\n")[1].split("```")[0]
    pattern = re.sub(r"\d+|…", r"\\d+", re.escape(" ".join(said.split())))  # the figures are an example
    assert re.search(pattern, " ".join(capsys.readouterr().err.split()))
    (folder,) = tmp_path.iterdir()
    assert "diverged" in records.read_json(folder / "report.json")["outcome"]
