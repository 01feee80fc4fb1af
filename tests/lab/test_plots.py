"""The figures of a comparison, drawn from its files alone: nothing is cut off, and every name can be read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from minires import lab, plots
from minires.plots.style import line_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    options = {"depths": (8, 14), "steps": 3, "seeds": 2, "batch_size": 8, "kernels": "numpy"}
    return Path(lab.compare(**options, out=out)["folder"])


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_text())


def pixels_of(image, colour):
    return int((np.abs(image[..., :3] - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def multiplied(report, depths, lr=(0.05,)):
    """The report with as many networks as there are depths, skips and learning rates, all measured alike."""
    plain, residual = report["networks"][:2]
    networks = [{**entry, "depth": depth, "lr": rate, "name": f"{entry['name'].partition('-')[0]}-{depth}"}
                for rate in lr for depth in depths for entry in (plain, residual)]  # fmt: skip
    return {**report, "networks": [{**entry, "label": f"{entry['name']}, lr {entry['lr']}"} for entry in networks]}


def test_figures(folder):
    paths = plots.gradient_flow(folder)
    assert [path.name for path in paths] == ["gradient_flow.png", "weight_gradients.png"]
    for path in paths:
        image = imread(path)
        assert image.shape[0] > 400 and image.shape[1] > 1500
        assert pixels_of(image, plots.COLOURS["plain"]) > 500
        assert pixels_of(image, plots.COLOURS["residual"]) > 500


def test_lines_have_the_figures_of_the_report(report):
    figure = plots.comparison(report, plots.PANELS["gradient_flow.png"])
    initial, trained, ratios, losses = figure.subfigs[0].axes
    for axes in (initial, trained, ratios, losses):
        assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel() and axes.get_yscale() == "log"
    assert trained.get_title().endswith("after 3 training steps")
    lines = {line.get_label(): line for line in initial.lines}
    for entry in report["networks"]:
        logs = np.mean([run["initial"]["log10_grad_h"] for run in entry["runs"]], axis=0)
        np.testing.assert_allclose(lines[entry["name"]].get_ydata(), 10**logs)
    assert len(initial.collections) == 4  # a band for each network
    assert lines["plain-14"].get_color() == plots.COLOURS["plain"].lower()
    line = next(line for line in ratios.lines if line.get_label() == "plain-8")
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
    runs = report["networks"][0]["runs"]
    measured = [(run["initial"], *run["trained"]["moments"]) for run in runs]
    logs = [[norms["log10_grad_h"][0] - norms["log10_grad_h"][-1] for norms in moments] for moments in measured]
    np.testing.assert_allclose(line.get_ydata(), 10 ** np.mean(logs, axis=0))
    curve = next(line for line in losses.lines if line.get_label() == "plain-8").get_ydata()
    np.testing.assert_allclose(curve, np.mean([run["trained"]["losses"] for run in runs], axis=0))


@pytest.mark.parametrize(
    ("depths", "lr"), [((8,), (0.05,)), ((8, 14, 20, 32, 44, 56), (0.05,)), ((8, 14), (0.1, 0.05, 0.01))]
)
@pytest.mark.parametrize("name", plots.PANELS)
def test_one_to_twelve_networks(report, depths, lr, name):
    """Every name stands in the legend, inside the figure; panels of one quantity have one axis; no line is cut off."""
    many = multiplied(report, depths, lr)
    figure = plots.comparison(many, plots.PANELS[name])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == sorted({entry["name"] for entry in many["networks"]})
    box = legend.get_window_extent(canvas.get_renderer())
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width
    assert all(box.y1 <= axes.get_window_extent().y0 for axes in figure.subfigs[-1].axes)
    limits = {}
    for row in figure.subfigs:
        for axes, (quantity, _) in zip(row.axes, plots.PANELS[name], strict=True):
            limits.setdefault(quantity, set()).add(axes.get_ylim())
            low, high = axes.get_ylim()
            for line in axes.lines:
                values = np.asarray(line.get_ydata(), float)
                assert np.all((values >= low) & (values <= high)), line.get_label()
    assert all(len(own) == 1 for own in limits.values())


def test_a_loss_far_above_guessing_is_shown(report):
    high = json.loads(json.dumps(report))
    high["networks"][1]["runs"][0]["trained"]["losses"][0] = 80.0
    axes = plots.comparison(high, [("loss", "trained")]).subfigs[0].axes[0]
    assert axes.get_ylim()[1] > 41  # the mean of two seeds


def test_twelve_networks_can_be_told_apart():
    networks = [{"name": f"{skip}-{depth}", "skip": skip, "depth": depth}
                for skip in (False, True) for depth in (8, 14, 20, 32, 44, 56)]  # fmt: skip
    looks = [line_of(network, networks) for network in networks]
    assert len({(look["color"], look["marker"], str(look["linestyle"])) for look in looks}) == 12
    for kind in (looks[:6], looks[6:]):  # also without colours
        assert len({(look["marker"], str(look["linestyle"])) for look in kind}) == 6


def test_what_lines_and_bands_are_is_said_on_the_figure(report):
    figure = plots.comparison(report, plots.PANELS["gradient_flow.png"])
    assert "geometric mean of 2 seeds" in figure.get_suptitle()
    one = {**report, "seeds": [0], "trained_seeds": [0]}
    assert "one seed" in plots.comparison(one, plots.PANELS["gradient_flow.png"]).get_suptitle()


def test_only_files_are_read(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    shutil.copy(folder / "report.json", copy)
    assert len(plots.gradient_flow(copy)) == 2


def test_untrained_zero_and_several_settings(tmp_path):
    options = {"depths": 8, "norm": "none", "init": ("he", "fixup"), "skip": True, "seeds": 1, "steps": 0}
    report = lab.compare(**options, batch_size=8, kernels="numpy", out=tmp_path)
    for path in plots.gradient_flow(report["folder"]):
        assert imread(path).std() > 0.01


def test_diverged_training(tmp_path):
    options = {"depths": 8, "norm": "none", "skip": True, "seeds": 1, "steps": 20, "lr": 1e3, "batch_size": 8}
    report = lab.compare(**options, kernels="numpy", out=tmp_path)
    assert report["summary"][0]["diverged_seeds"] == 1
    figure = plots.comparison(report, [("loss", "trained")])
    assert any(text.get_text() == "diverged" for text in figure.subfigs[0].axes[0].texts)
    assert len(plots.gradient_flow(report["folder"])) == 2


def test_nothing_measured_yet(tmp_path):
    report = {"steps": 3, "data": "digits", "batch_size": 8, "seeds": [], "trained_seeds": [],
              "networks": [{"name": "plain-8", "runs": []}]}  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert plots.gradient_flow(tmp_path) == []


def test_other_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no report.json"):
        plots.gradient_flow(tmp_path)
    (tmp_path / "report.json").write_text('{"model": "resnet20"}')
    with pytest.raises(ValueError, match="is not the run of a comparison"):
        plots.gradient_flow(tmp_path)
