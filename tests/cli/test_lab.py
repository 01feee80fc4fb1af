"""`minires lab`: lists, carries out, draws again, goes on."""

import json

import pytest

from minires import runs
from minires.cli.main import main
from minires.lab import experiments, mlp_twin
from minires.lab.experiment import Experiment, Finding, Verdict


def test_list(capsys):
    assert main(["lab", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*experiments.NAMES, *experiments.APART]
    assert all(experiments.find(line.split()[0]).claim in line for line in lines)


def test_one_experiment(tmp_path, capsys):
    arguments = ["lab", "twin", "--depths", "10", "20", "--seeds", "1", "--seed", "4", "--kernels", "numpy"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    report = json.loads((folder / "report.json").read_text())
    assert report["settings"] == {"seed": 4, "depths": [10, 20], "seeds": 1} and len(report["tables"]["ratios"]) == 22
    printed, progress = capsys.readouterr()
    for words in ("source", "expected", "measured", "verdict", "changes", report["verdict"], str(folder)):
        assert words in printed
    assert "100%" in progress and "\r" not in progress


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layers", "10"], "--layers"),
        (["--depths", "ten"], "'ten'"),
        (["--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--depths", "9"], "a depth must be even"),
    ],
)
def test_bad_options(tmp_path, capsys, arguments, words):
    assert main(["lab", "twin", "--out", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c(tmp_path, capsys, monkeypatch):
    measured = []

    def interrupted(*arguments, **options):
        measured.append(arguments)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    real = mlp_twin.measure_all
    monkeypatch.setattr(mlp_twin, "measure_all", interrupted)
    assert main(["lab", "twin", "--depths", "2", "--seeds", "1", "--out", str(tmp_path)]) == 130
    (folder,) = tmp_path.iterdir()
    report = json.loads((folder / "report.json").read_text())
    assert report["interrupted"] and len(report["tables"]["ratios"]) == 2
    assert "interrupted" in capsys.readouterr().err
    monkeypatch.setattr(mlp_twin, "ROWS", {})  # before the work has begun
    monkeypatch.setattr("minires.lab.experiments.twin.seeds_of", interrupted)
    measured[:] = [1, 2]
    assert main(["lab", "twin", "--out", str(tmp_path / "other")]) == 130
    assert not (tmp_path / "other").exists()


def test_help_names_every_setting(capsys):
    assert main(["lab", "gradient-flow", "--help"]) == 0
    printed = capsys.readouterr().out
    for name in experiments.find("gradient-flow").settings:
        assert f"--{name.replace('_', '-')}" in printed


class Probes:
    """Three experiments of a moment; the second may be interrupted, or fail."""

    def __init__(self):
        self.carried_out, self.error = [], None

    def experiments(self):
        return [Experiment(name, f"{name} is so.", "nobody", "1", "nothing", {"seeds": 1}, self.run(name), self.judge,
                           seconds=1) for name in ("first", "second", "third")]  # fmt: skip

    def run(self, name):
        def steps(settings, progress):
            progress.start(1)
            self.carried_out.append(name)
            if name == "second" and self.error:
                raise self.error
            yield "numbers", {"value": 1}
            progress.advance()

        return steps

    def judge(self, tables, settings):
        return Verdict("right", "As was said.", [Finding("value", 1.0)])


@pytest.fixture
def probes(monkeypatch):
    made = Probes()
    monkeypatch.setattr("minires.lab.experiments.all_of", made.experiments)
    monkeypatch.setattr("minires.plots.experiment", lambda folder: [])
    return made


def test_all(tmp_path, capsys, probes):
    assert main(["lab", "all", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert probes.carried_out == ["first", "second", "third"]
    names = {path.name for path in folder.iterdir()} - {".lock"}
    assert names == {"config.json", "verdicts.csv", "first", "second", "third"}
    printed, progress = capsys.readouterr()
    assert printed.count("RIGHT. As was said.") == 3 and "3 of 3, third" in progress
    assert main(["lab", "all", "--out", str(tmp_path)]) == 0  # all is done: once more from the beginning
    assert len(list(tmp_path.iterdir())) == 2 and len(probes.carried_out) == 6


def test_all_goes_on_where_it_was_stopped(tmp_path, capsys, probes):
    probes.error = KeyboardInterrupt()
    assert main(["lab", "all", "--out", str(tmp_path)]) == 130
    probes.error = None
    assert main(["lab", "all", "--out", str(tmp_path)]) == 0
    assert probes.carried_out == ["first", "second", "second", "third"]
    assert len(list(tmp_path.iterdir())) == 1
    printed, progress = capsys.readouterr()
    assert "goes on with" in progress and printed.count("RIGHT") == 3


def test_two_at_a_time_do_not_share_a_folder(tmp_path, capsys, probes):
    pytest.importorskip("fcntl")
    probes.error = KeyboardInterrupt()
    assert main(["lab", "all", "--out", str(tmp_path)]) == 130
    (folder,) = tmp_path.iterdir()
    with runs.lock(folder):
        assert main(["lab", "all", "--out", str(tmp_path)]) == 2
    assert "another process" in capsys.readouterr().err and probes.carried_out == ["first", "second"]


def test_one_that_fails_does_not_stop_the_others(tmp_path, capsys, probes):
    probes.error = ValueError("there is no disk")
    assert main(["lab", "all", "--out", str(tmp_path)]) == 1
    assert probes.carried_out == ["first", "second", "third"]
    assert "second: failed: there is no disk" in capsys.readouterr().err


def test_another_setting_is_another_experiment(tmp_path, probes):
    assert main(["lab", "all", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    path = folder / "first" / "report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps({**report, "settings": {"seed": 0, "seeds": 9}}))
    assert main(["lab", "all", "--out", str(tmp_path)]) == 0
    assert probes.carried_out == ["first", "second", "third", "first"] and len(list(tmp_path.iterdir())) == 1
