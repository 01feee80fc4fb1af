"""Every experiment at the smallest size: its tables, its figure from files, and no effect claimed unseen."""

import importlib
import json
from pathlib import Path

import pytest

from minires import plots
from minires.lab.experiment import ANSWERS, TOO_SMALL, lines_of
from minires.lab.experiments import degradation, find, landscape, no_norm

SMALLEST = {
    "degradation": {"depths": (8, 14), "width": 4, "steps": 2},
    "layer-responses": {"depths": (8, 14), "width": 4, "steps": 2},
    "shattered-gradients": {"points": 32, "width": 20, "seeds": 2},
    "lesion": {"depth": 20, "width": 4, "steps": 2, "images": 20, "deleted": (2,), "draws": 1},
    "paths": {"depth": 8, "width": 4, "steps": 2, "samples": 2},
    "landscape": {"depth": 8, "width": 4, "steps": 2, "points": 3, "images": 20},
    "shortcuts": {"depth": 8, "width": 4, "batch_size": 8, "seeds": 1},
    "preactivation": {"depths": (14,), "trained_depth": 8, "width": 4, "steps": 2},
    "no-norm": {"depth": 8, "width": 4, "steps": 2},
    "batch-norm": {"steps": 3, "width": 4, "batch_sizes": (2, 8)},
    "width": {"widths": (10, 20), "depths": (5,), "seeds": 20},
    "stem": {"width": 4, "steps": 2},
    "optimizers": {"steps": 10, "width": 4},
    "activations": {"depths": (4,), "seeds": 2},
}
REDRAWN = ("paths", "width")  # all are drawn once; twice takes time
TRAINS = ("degradation", "layer-responses", "lesion", "landscape", "stem", "optimizers")


@pytest.fixture(scope="module", params=SMALLEST)
def report(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    return find(request.param)(out=out, **SMALLEST[request.param])


def test_report_and_words(report):
    assert report["tables"] and report["answer"] in ANSWERS and report["findings"]
    for rows in report["tables"].values():
        assert len({tuple(row) for row in rows}) == 1  # the same columns in all rows
    text = "\n".join(lines_of(report))
    for word in ("source", "expected", "measured", "verdict", "changes"):
        assert f"  {word}" in text
    assert json.loads(json.dumps(report, allow_nan=False))["answer"] == report["answer"]


def test_after_two_steps_no_effect_of_training_is_claimed(report):
    if report["experiment"] in TRAINS:
        assert report["answer"] == TOO_SMALL


def test_figure_is_drawn_again_from_the_files(report):
    folder = Path(report["folder"])
    (png,) = folder.glob("*.png")
    (svg,) = folder.glob("*.svg")
    assert png.stem == svg.stem == report["experiment"]
    if report["experiment"] in REDRAWN:
        first = png.read_bytes()
        png.unlink()
        assert plots.experiment(folder) == [png, svg]
        assert png.read_bytes() == first


def test_every_experiment_names_its_claim_source_and_band():
    for name in (*SMALLEST, "articles", "paper-cifar10"):
        experiment = find(name)
        for words in (experiment.claim, experiment.source, experiment.expected, experiment.would_change):
            assert len(words) > 10
        assert 0 < experiment.seconds <= 40 or name == "paper-cifar10"
        assert importlib.import_module(f"minires.plots.lab_{name.replace('-', '_')}").draw


def test_a_training_that_diverges_is_no_evidence():
    rows = [
        {"network": name, "skip": skip, "depth": depth, "seed": 0, "loss": loss, "log10_ratio_initial": 1.0}
        for name, skip, depth, loss in (
            ("plain-8", False, 8, 0.1), ("plain-14", False, 14, None), ("residual-8", True, 8, 0.1),
            ("residual-14", True, 14, 0.1),
        )
    ]  # fmt: skip
    settings = {"depths": (8, 14), "steps": 5}
    assert degradation.judge({"networks": rows}, settings).answer == TOO_SMALL
    rows[1]["loss"] = 2.0
    assert degradation.judge({"networks": rows}, settings).answer == "right"
    rows[1]["loss"] = 0.2
    assert degradation.judge({"networks": rows}, settings).answer == TOO_SMALL


def test_without_norm_the_answer_follows_the_losses():
    def answer(**losses):
        rows = [
            {"start": name, "loss": losses.get(name.split(",")[0].replace(" ", "_"), 0.5), "log10_variance_growth": 0.0}
            for name in no_norm.STARTS
        ]
        rows[0]["log10_variance_growth"] = losses.get("growth", 5.0)
        return no_norm.judge({"networks": rows}, {"steps": 5, "depth": 44}).answer

    assert answer(nothing=None) == "right"
    assert answer(nothing=None, Fixup=2.3) == "half right"
    assert answer(nothing=None, Fixup=None, SkipInit=None) == TOO_SMALL
    assert answer(nothing=0.4) == TOO_SMALL  # as good as the others
    assert answer(nothing=None, growth=1.0) == TOO_SMALL


def test_a_basin_is_wider_only_where_it_is_so_in_every_seed():
    def answer(*shares):
        """shares: of each seed, the plain and the residual slice's, in hundredths of a grid of 100 points."""
        rows = []
        for seed, pair in enumerate(shares):
            for skip, inside in zip((False, True), pair, strict=True):
                rows += [{"skip": skip, "seed": seed, "loss": 0.1 if k < inside else 9.0} for k in range(100)]
        settings = {"seeds": len(shares), "seed": 0, "reach": 1.0}
        return landscape.judge({"slice": rows}, settings).answer

    assert answer((10, 30), (10, 20)) == "right"
    assert answer((10, 40), (10, 9)) == TOO_SMALL
    assert answer((10, 11), (10, 12)) == TOO_SMALL
    assert answer((0, 30), (0, 30)) == TOO_SMALL  # the plain network knows nothing anywhere


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("degradation", {"depths": (8, 21)}, r"6n \+ 2 layers, 8, 14, …, not 21"),
        ("landscape", {"points": 2}, "points must be at least 3, got 2"),
        ("lesion", {"steps": 0}, "steps must be at least 1, got 0"),
        ("batch-norm", {"batch_sizes": (8, 1)}, "batch_sizes must be at least 2, got 1"),
        ("preactivation", {"trained_depth": 9}, "not 9"),
        ("paths", {"samples": 0}, "samples must be at least 1, got 0"),
        ("stem", {"speed": 3}, "stem has no setting 'speed'"),
        ("width", {"data": "digits"}, "width has no data 'digits'"),
        ("lesion", {"data": "faces"}, "lesion has no data 'faces'; known: digits, cifar10"),
    ],
)
def test_impossible_settings_before_any_training(name, options, message, monkeypatch):
    monkeypatch.setattr("minires.lab.short_training.train", pytest.fail)
    with pytest.raises(ValueError, match=message):
        find(name)(**options)
