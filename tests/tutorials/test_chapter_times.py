"""The times at the head of each chapter are the measured ones."""

import importlib.util
import json

import pytest
from chapters_on_disk import CHAPTERS, NAMES, ROOT, number_of

spec = importlib.util.spec_from_file_location("chapter_times", ROOT / "docs" / "chapter_times.py")
chapter_times = importlib.util.module_from_spec(spec)
spec.loader.exec_module(chapter_times)
TIMES = json.loads(chapter_times.TIMES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_the_head_says_what_was_measured(path):
    source = path.read_text(encoding="utf-8")
    assert chapter_times.head(source, TIMES[str(number_of(path))]) in source
    assert "\n:Before it: " in source and "\n:Afterwards: you " in source
    assert "# In five lines\n" in source


def test_seconds_are_said_in_words():
    assert [chapter_times.said(one) for one in (0.4, 3.2, 12, 47, 55, 150)] == [
        "a second or two", "3 seconds", "10 seconds", "45 seconds", "a minute", "2 minutes",
    ]  # fmt: skip
