"""Files of runs: complete or none, JSON that any reader takes, and a clear word where they cannot be read."""

import json

import numpy as np
import pytest

from minires.runs import records


def test_json_round_trip(tmp_path):
    path = tmp_path / "report.json"
    records.write_json(path, {"a": np.float32(0.5), "b": np.arange(3), "c": (1, "é"), 4: np.bool_(True), "d": range(2)})
    assert records.read_json(path) == {"a": 0.5, "b": [0, 1, 2], "c": [1, "é"], "4": True, "d": [0, 1]}


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "report.json"
    records.write_json(path, {"loss": [1.0, float("nan"), np.inf, np.array([-np.inf])]})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"loss": [1.0, None, None, [None]]}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    records.write_json(path, {"step": 1})

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        records.write_json(path, {"step": 2})
    with pytest.raises(OSError, match="No space left"):
        records.write_csv(path, [{"step": 2}])
    assert json.loads(path.read_text()) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_read_json_names_the_file(tmp_path):
    with pytest.raises(ValueError, match="holds no report.json"):
        records.read_json(tmp_path / "report.json")
    with pytest.raises(ValueError, match="there is no folder .*nowhere; give a run's folder"):
        records.read_json(tmp_path / "nowhere" / "report.json")
    (tmp_path / "report.json").write_text('{"a": 1')
    with pytest.raises(ValueError, match="report.json is not JSON"):
        records.read_json(tmp_path / "report.json")
    with pytest.raises(ValueError, match="there is no folder .*report.json"):
        records.read_json(tmp_path / "report.json" / "report.json")


def test_csv(tmp_path):
    path = tmp_path / "layers.csv"
    records.write_csv(path, [{"layer": "conv1", "log10": -1.5}, {"layer": "a, b", "log10": None}])
    assert path.read_text().splitlines() == ["layer,log10", "conv1,-1.5", '"a, b",']
    records.write_csv(path, [])
    assert path.read_text() == ""


def test_jsonl_without_its_cut_off_last_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records.append_jsonl(path, {"step": 1, "loss": 2.5})
    records.append_jsonl(path, {"step": 2, "loss": float("nan")})
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert records.read_jsonl(path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]


def test_truncated_jsonl(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        records.append_jsonl(path, {"step": step, "word": "é", "loss": 0.1})
    whole = path.read_bytes().splitlines(keepends=True)
    with path.open("a") as file:
        file.write('{"step": 4')
    records.truncate_jsonl(path, lambda record: record["step"] <= 2)
    assert path.read_bytes() == b"".join(whole[:2])
    records.truncate_jsonl(tmp_path / "none.jsonl", lambda record: True)
    assert records.read_jsonl(tmp_path / "none.jsonl") == []
