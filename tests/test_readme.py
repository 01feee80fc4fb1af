"""What the README promises: its example runs, its files are there, the gate runs its test command."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_prints_the_gradients_of_both_networks(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("skip")] == ["skip=True", "skip=False"]
    norms = [float(line.split()[1]) for line in lines if line.startswith("  ")]
    assert len(norms) == 2 * 10  # the stem and nine blocks
    assert all(norm > 0 for norm in norms)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)(.*?)\)|`(minires/[\w/.]+)`", README))))
def test_every_path_it_names_exists(path):
    assert (ROOT / "".join(path)).exists()


def test_the_gate_runs_its_test_command():
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\npip install -e '.[test]' && pytest\n" in README
    assert "\npip install --quiet -e '.[test]'\npytest -ra\n" in gate


def test_commits_are_checked_with_the_gates_commands():
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert len(hooks) == 3
    for command in hooks:
        assert re.search(rf"(^|&& ){re.escape(command)}( -ra)?$", gate, re.MULTILINE), command
