"""docs/benchmarks.md is what benchmarks/report.py makes of the results, and its shares are of the time it names."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SPEC = importlib.util.spec_from_file_location("benchmark_report", ROOT / "benchmarks" / "report.py")
report = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(report)

FOUND = report.records(report.processors()[0])
PROFILED = {name: record["per_op"] for name, record in FOUND.items() if record.get("per_op")}


def numbers(line):
    """Return the share of a line of the table, and its milliseconds: forward and backward, or the optimizer's."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    return float(cells[5].rstrip("%")), sum(map(float, cells[3:5] if cells[3] else re.findall(r"[\d.]+", cells[0])))


def test_the_page_is_made_from_the_results():
    found = {folder: report.records(folder) for folder in report.processors()}
    assert report.PAGE.read_text(encoding="utf-8") == report.page(found), "python benchmarks/report.py"


@pytest.mark.parametrize("name", PROFILED)
def test_the_rows_of_a_step_add_up_to_the_time_it_names(name):
    profile = PROFILED[name]
    _, _, *lines = report.op_table(profile, limit=5).splitlines()
    named = float(re.search(r"Shares are of ([\d.]+) ms", report.watched(profile))[1])
    assert f"| {len(profile['rows']) - 5} more |" in lines[5] and "optimizer" in lines[6] and len(lines) == 7
    assert sum(numbers(line)[0] for line in lines) == pytest.approx(100, abs=0.05 * len(lines))
    assert sum(numbers(line)[1] for line in lines) == pytest.approx(named, abs=0.1)
    for share, milliseconds in map(numbers, lines):
        assert share / 100 * named == pytest.approx(milliseconds, abs=0.001 * named)
