"""docs/benchmarks.md is what benchmarks/report.py makes of the results, and its shares are of the time it names."""

import importlib.util
import json
import re
import sys
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


def record(ours, theirs):
    rows = {"minires numba": ours, "torch contiguous": theirs * 1.2, "torch channels_last": theirs}
    results = {name: {"median_s": s, "quartiles_s": [s, s], "time_ratio": s / theirs} for name, s in rows.items()}
    work = {"model": "resnet20", "options": {}, "batch_size": 128, "size": 32, "training": True}
    machine = {"family_and_model": "someone-family-7-model-3", "processor": "Someone's", "cores": 2}
    return {"work": work, "threads": 2, "best_peer": "torch channels_last", "machine": machine, "results": results,
            "missing": {}, "load_average": 1.0}


def test_two_states_of_the_code_become_results_and_a_table(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import before_after

    times = {"before": (0.080, 0.060, 0.070), "after": (0.050, 0.055, 0.040)}
    for state, seconds in times.items():
        (tmp_path / state).mkdir()
        for number, ours in enumerate(seconds):
            (tmp_path / state / f"resnet20-training-2.{number}.json").write_text(json.dumps(record(ours, 0.100)))
    (tmp_path / "after" / "resnet56-training-2.0.json").write_text(json.dumps(record(0.3, 0.6)))  # of before: nothing
    monkeypatch.setattr(before_after.cpu, "RESULTS", tmp_path / "cpu")
    monkeypatch.setattr(before_after, "OUT", tmp_path / "pairs")
    folders = [str(tmp_path / state) for state in times]
    monkeypatch.setattr(sys, "argv", ["before_after.py", *folders, "--commits", "1234567", "89abcde"])
    before_after.main()

    folder = tmp_path / "cpu" / "someone-family-7-model-3"
    kept = json.loads((folder / "resnet20-training-2.json").read_text())
    assert kept["ratios"] == pytest.approx([0.4, 0.5, 0.55]) and kept["results"]["minires numba"]["median_s"] == 0.050
    assert (folder / "resnet56-training-2.json").exists()
    monkeypatch.setattr(report, "BEFORE_AFTER", tmp_path / "pairs")
    [text] = report.before_and_after(folder)
    assert "Commits 1234567 and 89abcde" in text
    assert text.splitlines()[-1].split(" | ", 1)[1] == (
        "70.0, worst 80.0 | 50.0, worst 55.0 | 0.70, worst 0.80 | 0.50, worst 0.55 |"
    )
    assert report.processor_name(folder, kept["machine"]) == "Someone's of family 7, model 3"
    assert "50 ms, **0.50** of PyTorch's 100 ms; in the worst of 3 processes 0.55" in report.result(folder, {"": kept})
