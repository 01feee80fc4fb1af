"""The numbers of the page on published weights are those that the command printed."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_what_was_printed():
    page = (ROOT / "docs" / "published_weights.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "benchmarks" / "results" / "published_weights.json").read_text(encoding="utf-8"))
    assert len(results["printed"]) == 4
    for line in results["printed"].values():
        assert f"{line}\n" in page
    assert page.count("test accuracy ") == 4
