"""The figures of a comparison, drawn from its files alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from minires import lab, plots


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return Path(lab.compare(depths=(8, 14), steps=3, seeds=2, batch_size=8, out=out)["folder"])


def pixels_of(image, colour):
    return int((np.abs(image[..., :3] - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def test_figures(folder):
    paths = plots.gradient_flow(folder)
    assert [path.name for path in paths] == ["gradient_flow.png", "weight_gradients.png"]
    for path in paths:
        image = imread(path)
        assert image.shape[0] > 400 and image.shape[1] > 1500
        assert pixels_of(image, plots.COLOURS["plain"]) > 500
        assert pixels_of(image, plots.COLOURS["residual"]) > 500


def test_lines_have_the_figures_of_the_report(folder):
    report = json.loads((folder / "report.json").read_text())
    figure = plots.comparison(report, plots.PANELS["gradient_flow.png"])
    initial, trained, losses = figure.subfigs[0].axes
    assert initial.get_yscale() == trained.get_yscale() == "log"
    for axes in (initial, trained, losses):
        assert axes.get_title() and axes.get_xlabel()
    assert trained.get_title().endswith("after 3 training steps")
    lines = {line.get_label(): line for line in initial.lines}
    for entry in report["networks"]:
        logs = np.mean([run["initial"]["log10_grad_h"] for run in entry["runs"]], axis=0)
        np.testing.assert_allclose(lines[entry["name"]].get_ydata(), 10**logs)
        assert lines[entry["name"]].get_color() == plots.COLOURS["residual" if entry["skip"] else "plain"]
    assert len(initial.collections) == 4  # a band for each network
    assert lines["plain-14"].get_linestyle() == "-" and lines["plain-8"].get_linestyle() == "--"
    curve = next(line for line in losses.lines if line.get_label() == "plain-8").get_ydata()
    expected = np.mean([run["trained"]["losses"] for run in report["networks"][0]["runs"]], axis=0)
    np.testing.assert_allclose(curve, expected)


def test_only_files_are_read(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    shutil.copy(folder / "report.json", copy)
    assert len(plots.gradient_flow(copy)) == 2


def test_untrained_zero_and_several_settings(tmp_path):
    init = ("he", "fixup")
    report = lab.compare(depths=8, norm="none", init=init, skip=True, seeds=1, steps=0, batch_size=8, out=tmp_path)
    for path in plots.gradient_flow(report["folder"]):
        assert imread(path).std() > 0.01


def test_diverged_training(tmp_path):
    report = lab.compare(depths=8, norm="none", skip=True, seeds=1, steps=20, lr=1e3, batch_size=8, out=tmp_path)
    assert report["summary"][0]["diverged_seeds"] == 1
    figure = plots.comparison(report, [("loss", "trained")])
    assert any(text.get_text() == "diverged" for text in figure.subfigs[0].axes[0].texts)
    assert len(plots.gradient_flow(report["folder"])) == 2


def test_nothing_measured_yet(tmp_path):
    (tmp_path / "report.json").write_text('{"steps": 3, "networks": [{"name": "plain-8", "runs": []}]}')
    assert plots.gradient_flow(tmp_path) == []


def test_other_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no report.json"):
        plots.gradient_flow(tmp_path)
    (tmp_path / "report.json").write_text('{"model": "resnet20"}')
    with pytest.raises(ValueError, match="is not the run of a comparison"):
        plots.gradient_flow(tmp_path)
