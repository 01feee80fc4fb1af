"""docs/lab.md shows what the kept reports of the lab hold."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SPEC = importlib.util.spec_from_file_location("benchmark_lab", ROOT / "benchmarks" / "lab.py")
lab_results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lab_results)


def test_the_page_is_made_from_the_results():
    text = lab_results.PAGE.read_text(encoding="utf-8")
    kept = lab_results.reports()
    assert text == lab_results.page(text, kept), "python benchmarks/lab.py --page"
    for name, section in (("gradient-flow", lab_results.flow), ("aftermath", lab_results.aftermath)):
        assert section(kept[name]) in text


def test_an_interrupted_aftermath_is_judged_by_its_whole_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_results, "RESULTS", tmp_path)
    report = json.loads((ROOT / "benchmarks" / "results" / "lab" / "aftermath.json").read_text(encoding="utf-8"))
    rows = report["tables"]["interventions"]
    more = [{**rows[0], "seed": 99}]
    lab_results.keep({**report, "interrupted": True, "tables": {**report["tables"], "interventions": rows + more}})
    kept = json.loads((tmp_path / "aftermath.json").read_text())
    assert kept["tables"]["interventions"] == rows and kept["verdict"] == report["verdict"]
    assert kept["settings"]["seeds"] == len({row["seed"] for row in rows})
