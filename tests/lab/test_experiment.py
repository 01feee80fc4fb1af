"""The frame of the lab: settings, reports, files, interruptions, and what every experiment must say of itself."""

import csv
import json

import pytest

from minires import lab, plots
from minires.cli.main import main
from minires.lab import experiments
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Verdict, lines_of
from minires.lab.progress import Progress


def run(settings, progress):
    progress.start(settings["seeds"])
    for seed in range(settings["seed"], settings["seed"] + settings["seeds"]):
        progress.doing(f"seed {seed}")
        if seed == settings["stop"]:
            raise KeyboardInterrupt
        row = {"row": "plain", "label": "plain", "layers": 10, "seeds": 1}
        yield "ratios", {**row, "log10_gradient_ratio": seed * 0.5}
        progress.advance()


def judge(tables, settings):
    largest = max(row["log10_gradient_ratio"] for row in tables["ratios"])
    finding = Finding("the largest", largest, high=1.0)
    return Verdict("right" if finding.inside else TOO_SMALL, f"It is {largest}.", [finding], open="the rest")


PROBE = Experiment(
    name="twin",  # so that there is a figure
    claim="Seeds are small.",
    source="nobody",
    expected="at most 1",
    would_change="larger seeds",
    settings={"seeds": 2, "depths": (10, 20), "lr": 0.1, "shift": False, "stop": -1},
    full={"seeds": 5},
    data=("digits", "cifar10"),
    run=run,
    judge=judge,
)


def test_report_and_files(tmp_path):
    report = PROBE(out=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("-lab-twin") and str(folder) == report["folder"]
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps(report))
    assert report["settings"] == {"seed": 0, "seeds": 2, "depths": (10, 20), "lr": 0.1, "shift": False, "stop": -1,
                                  "data": "digits"}  # fmt: skip
    with (folder / "ratios.csv").open() as file:
        assert [row["log10_gradient_ratio"] for row in csv.DictReader(file)] == ["0.0", "0.5"]
    assert (folder / "twin.png").stat().st_size > 10_000 and b"<svg" in (folder / "twin.svg").read_bytes()[:1000]
    said = "\n".join(lines_of(report))
    for words in ("Seeds are small.", "nobody", "at most 1", "the largest: 0.50 (expected 1.00 or less)",
                  "RIGHT. It is 0.5.", "the rest", "larger seeds"):  # fmt: skip
        assert words in said


def test_a_figure_is_drawn_again_from_its_files_alone(tmp_path):
    folder = PROBE(out=tmp_path)["folder"]
    before = [path.read_bytes() for path in plots.experiment(folder)]
    assert main(["plot", folder]) == 0
    assert [path.read_bytes() for path in plots.experiment(folder)] == before


def test_full_is_another_size_and_settings_win():
    assert PROBE.resolve(True, None, {})["seeds"] == 5
    chosen = PROBE.resolve(True, "cifar10", {"seeds": 3, "seed": 7})
    assert (chosen["seeds"], chosen["seed"], chosen["data"], chosen["depths"]) == (3, 7, "cifar10", (10, 20))
    assert PROBE.resolve(False, None, {"depths": 10, "lr": 1})["depths"] == (10,)


def test_what_is_outside_its_band_is_said(tmp_path):
    report = PROBE(seeds=4)
    assert report["answer"] == TOO_SMALL and report["folder"] is None
    assert "the largest: 1.50 (expected 1.00 or less: NOT so)" in "\n".join(lines_of(report))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, "twin has no setting 'depth'; known: seed, seeds, depths"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seeds": 1.5}, "seeds must be of the kind of 2, got 1.5"),
        ({"depths": ()}, "depths is empty"),
        ({"depths": ("ten",)}, "must be of the kind of 10"),
        ({"shift": 1}, "must be of the kind of False"),
        ({"data": "letters"}, "twin has no data 'letters'; known: digits, cifar10"),
        ({"kernels": "fortran"}, "unknown kernels 'fortran'"),
    ],
)
def test_bad_settings_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        PROBE(out=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_no_data_set_is_known_to_numbers_of_its_own():
    with pytest.raises(ValueError, match="it draws its own numbers"):
        experiments.find("twin").resolve(False, "digits", {})


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    report = PROBE(out=tmp_path, seeds=4, stop=2)
    assert report["interrupted"] and report["answer"] == "open" and report["findings"] == []
    assert len(report["tables"]["ratios"]) == 2
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "report.json").read_text())["interrupted"] is True


def test_an_unknown_answer_is_refused():
    with pytest.raises(ValueError, match="unknown answer 'yes'; known: right, half right, wrong"):
        Verdict("yes", "")


@pytest.mark.parametrize("value", [None, float("nan"), 2.0])
def test_what_is_no_number_is_in_no_band(value):
    assert not Finding("x", value, high=1.0).inside


@pytest.mark.parametrize("name", [*experiments.NAMES, *experiments.APART])
def test_every_experiment_says_what_it_is(name):
    experiment = experiments.find(name)
    assert experiment.name == name and getattr(lab, name.replace("-", "_")) is not None
    for words in (experiment.claim, experiment.source, experiment.expected, experiment.would_change):
        assert words.strip() and words.isprintable()
    assert set(experiment.full) <= set(experiment.settings)
    for full in (False, True):
        experiment.resolve(full, None, {})
    assert 0 < experiment.seconds <= 40 or name in experiments.APART


def test_unknown_experiments(capsys):
    with pytest.raises(AttributeError, match="minires.lab has no 'alchemy'; lab: unknown experiment 'alchemy'"):
        lab.alchemy  # noqa: B018
    assert main(["lab", "alchemy"]) == 2
    assert "unknown experiment 'alchemy'; known: " in capsys.readouterr().err


def test_progress_does_not_count_what_compiled(monkeypatch):
    now, compiled = [0.0], [5.0]  # some kernels were there before
    monkeypatch.setattr("minires.kernels.time.monotonic", lambda: now[0])
    monkeypatch.setattr("minires.kernels.compile_seconds", lambda: compiled[0])
    progress = Progress()
    progress.start(10)
    now[0], compiled[0] = 100.0, 103.0  # 98 of 100 seconds went into compiling
    progress.advance(1)
    assert progress.left() == pytest.approx(9 * 2.0) and progress.untimed == 98
    now[0] = 130.0
    progress.advance(1, timed=False)
    assert progress.left() == pytest.approx(8 * 2.0) and progress.untimed == 128
    now[0] = 134.0
    progress.advance(1)
    assert progress.left() == pytest.approx(7 * 3.0)


def test_plain_lines_where_there_is_no_terminal(capsys):
    progress = Progress(shown=True, prefix="probe: ")
    progress.start(40)
    for number in range(40):
        progress.doing(f"part {number}")
        progress.advance()
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10 and all(line.startswith("probe: part ") for line in lines) and "100%" in lines[-1]
    assert not any("\r" in line for line in lines)
