"""What the README promises: its example runs, its files are there, and so is all that one sitting reads."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SITTING = README.partition("## Read it in one sitting")[2].partition("\n## ")[0]


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


def lines_of(path: str, names: list[str]) -> int:
    """How many lines a file has, or, where names are given, its functions and classes of these names."""
    source = (ROOT / path).read_text(encoding="utf-8")
    spans = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    return sum(spans[name] for name in names) if names else len(source.splitlines())


def test_one_sitting_is_about_as_long_as_it_says():
    """`pytest -s` shows the lines of each entry."""
    entries = re.findall(r"^\d+\. `(\S+)`(?:, of it ((?:`\w+`,?\s+)*`\w+`))?:", SITTING, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\d+\. ", SITTING, re.MULTILINE))
    lengths = {path: lines_of(path, re.findall(r"\w+", names)) for path, names in entries}
    print(*[f"{length:5} {path}" for path, length in lengths.items()], f"{sum(lengths.values()):5}", sep="\n")
    promised = int(re.search(r"About ([\d,]+) lines", SITTING)[1].replace(",", ""))
    assert 0.7 * promised < sum(lengths.values()) < 1.3 * promised
