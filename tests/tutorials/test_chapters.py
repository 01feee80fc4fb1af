"""Every chapter runs, in a process of its own, and has the form that readers know from the others."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chapters_on_disk import CHAPTERS, NAMES, ROOT, environment, number_of

from minires.learn import chapters

RUNNER = Path(__file__).with_name("run_chapter.py")
OLD_ENCODINGS = ("cp1252", "gbk", "cp437", "ascii", "cp932")  # what one of them lacks is printed as "?"
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)


def test_the_path_has_no_gap():
    assert [number_of(path) for path in CHAPTERS] == list(range(1, 21))


@each_chapter
def test_chapter_runs(path, tmp_path):
    encoding = OLD_ENCODINGS[number_of(path) % len(OLD_ENCODINGS)]
    result = subprocess.run(
        [sys.executable, str(RUNNER), str(path)],
        cwd=tmp_path, env={**environment(tmp_path), "PYTHONIOENCODING": encoding},
        capture_output=True, text=True, encoding=encoding, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    for line in result.stderr.splitlines():
        assert not re.search(r"Warning\b", line), f"a chapter must not warn: {line}"


@each_chapter
def test_form(path):
    """A title with its number, a question, blocks, an agreement with the engine, exercises, what to read next."""
    source = path.read_text(encoding="utf-8")
    title, underline, *question = [line for line in ast.get_docstring(ast.parse(source)).splitlines() if line]
    number = number_of(path)
    assert title == f"{number}. {chapters.CHAPTERS[number][1]}", "minires/learn/chapters.py has another title"
    assert underline == "=" * len(title)
    assert any("?" in line for line in question), "the chapter opens with a question"
    assert len(re.findall(r"^# %%$", source, re.MULTILINE)) >= 5
    assert re.search(r"np\.testing\.assert_|^ *assert ", source, re.MULTILINE), "an assertion that the engine agrees"
    headings = re.findall(r"^# (.+)\n# (?:-|=|~|\^){3,}$", source, re.MULTILINE)
    assert "Exercises" in headings and "Read next" in headings, headings
    if chapters.has_exercise(number_of(path)):
        assert f"minires learn {number_of(path)}" in source


@each_chapter
def test_file_is_the_one_that_the_table_names(path):
    assert path.relative_to(ROOT).as_posix() == chapters.script(number_of(path))


@each_chapter
def test_docstring_of_formulas_is_raw(path):
    assert path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, str) and "\x0c" in node.value)


@each_chapter
def test_chapters_it_points_to_exist(path):
    for reference in re.findall(r"\bchapters? (\d+)", path.read_text(encoding="utf-8"), re.IGNORECASE):
        assert int(reference) in chapters.CHAPTERS, f"chapter {reference}?"
