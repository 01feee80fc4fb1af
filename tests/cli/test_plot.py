"""`minires plot` and its figures: what they show is what the files say."""

import shutil

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from minires import data, plots
from minires.cli.main import main
from minires.plots import curves, filters, predictions, style
from minires.runs import records


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs with different learning rates; the first is evaluated."""
    folders = []
    for lr in ("0.1", "0.02"):
        out = tmp_path_factory.mktemp("runs")
        settings = ["steps=6", "evaluate_every=2", "model.width=4", f"optimizer.lr={lr}"]
        assert main(["train", "--out", str(out), "--set", *settings]) == 0
        folders += out.iterdir()
    assert main(["evaluate", str(folders[0])]) == 0
    return folders


@pytest.fixture
def copies(trained, tmp_path):
    return [shutil.copytree(folder, tmp_path / "runs" / folder.parent.name / folder.name) for folder in trained]


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, as Matplotlib's figures and not as files."""
    drawn = []

    def keep(figure, path):
        drawn.append(figure)
        return path

    for module in (curves, predictions, filters):
        monkeypatch.setattr(module, "save", keep)
    return drawn


def has_colour(image, colour):
    return (np.abs(image[..., :3] - to_rgb(colour)).max(axis=-1) < 0.02).any()


def test_one_run(copies, capsys):
    folder = copies[0]
    assert main(["plot", str(folder)]) == 0
    printed, error = capsys.readouterr()
    names = ["curves.png", "filters.png", "confusion.png", "misclassified.png"]
    assert printed.splitlines() == [str(folder / name) for name in names] and error == ""
    for name in names:
        image = imread(folder / name)
        assert min(image.shape[:2]) > 150 and image.std() > 0.05
    assert has_colour(imread(folder / "curves.png"), style.SERIES[0])


def test_several_runs(copies, tmp_path, capsys):
    assert main(["plot", *map(str, copies), "--out", str(tmp_path)]) == 0
    printed, error = capsys.readouterr()
    image = imread(tmp_path / "curves.png")
    assert has_colour(image, style.SERIES[0]) and has_colour(image, style.SERIES[1])
    assert (copies[1] / "filters.png").exists() and not (copies[1] / "confusion.png").exists()
    assert f"minires evaluate {copies[1]}" in error


def test_the_curves_are_the_records(trained, figures, tmp_path):
    plots.training_curves(trained, tmp_path / "curves.png")
    loss, accuracy, lr = figures[0].axes
    for number, folder in enumerate(trained):
        rows = records.read_jsonl(folder / "metrics.jsonl")
        steps = [row for row in rows if "loss" in row]
        tests = [row for row in rows if "test_loss" in row]
        batches, evaluations = loss.lines[2 * number : 2 * number + 2]
        np.testing.assert_allclose(batches.get_xydata(), [(row["step"], row["loss"]) for row in steps])
        np.testing.assert_allclose(evaluations.get_xydata(), [(row["step"], row["test_loss"]) for row in tests])
        np.testing.assert_allclose(accuracy.lines[2 * number + 1].get_ydata(), [row["test_accuracy"] for row in tests])
        np.testing.assert_allclose(lr.lines[number].get_ydata(), [row["lr"] for row in steps])
    labels = [text.get_text() for text in figures[0].legends[0].texts]
    assert labels == ["lr 0.1", "lr 0.02", "thin: training, each batch", "test images"]


def test_long_runs_are_drawn_as_means(tmp_path, figures):
    records.write_json(tmp_path / "config.json", {"arguments": {}})
    for step in range(1, 1051):
        row = {"step": step, "loss": step % 7, "accuracy": 0.5, "lr": 0.1}
        records.append_jsonl(tmp_path / "metrics.jsonl", row)
    plots.training_curves([tmp_path], tmp_path / "curves.png")
    line = figures[0].axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), np.full(150, 3.0))  # the mean of 0 to 6
    np.testing.assert_allclose(line.get_xdata(), 4 + 7 * np.arange(150))
    assert "mean over 7 batches" in figures[0].legends[0].texts[1].get_text()


@pytest.mark.parametrize(
    ("configurations", "labels"),
    [
        ([{"model": {"name": "a"}, "seed": 0}, {"model": {"name": "b"}, "seed": 0}], ["a", "b"]),
        ([{"model": {"name": "a", "skip": False}}, {"model": {"name": "b"}}], ["a, skip False", "b"]),
        ([{"seed": 1}, {"seed": 1}], ["run0", "run1"]),
        ([{"warmup": {"steps": 0}}, {"warmup": {"steps": 9}}], ["warmup steps 0", "warmup steps 9"]),
        ([{"steps": 1, "dataset": {"shape": 3}}, {"steps": 2, "dataset": {"shape": 4}}], ["run0", "run1"]),
        ([{"seed": 1}], ["run0"]),
        ([{"finetune": {"source": "runs/one"}}, {}], ["from one", "from scratch"]),
    ],
)  # fmt: skip
def test_runs_are_called_by_what_is_different(configurations, labels):
    given = [{"name": f"run{i}", "configuration": configuration} for i, configuration in enumerate(configurations)]
    assert curves.labels_of(given) == labels


def rows_of(labels, answers):
    pairs = zip(labels, answers, strict=True)
    return [{"image": i, "label": a, "prediction": b, "probability": 0.5 + i / 100} for i, (a, b) in enumerate(pairs)]


def test_confusion_matrix(figures, tmp_path):
    rows = rows_of("aaabbc", "aabbbc")
    np.testing.assert_array_equal(predictions.count(rows, "abcd"), [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0] * 4])
    plots.confusion_matrix(rows, "abcd", tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    assert "5 of 6 right: accuracy 83.33%" in axes.get_title()
    written = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert written == {(0, 0): "2", (1, 0): "1", (1, 1): "2", (2, 2): "1"}
    with pytest.raises(ValueError, match="prediction 'z' is none of the 4 classes"):
        plots.confusion_matrix(rows_of("a", "z"), "abcd", tmp_path / "confusion.png")


def test_many_classes_are_not_written_out(figures, tmp_path):
    names = [f"class {k}" for k in range(100)]
    plots.confusion_matrix(rows_of(names, names), names, tmp_path / "confusion.png")
    assert len(figures[0].axes[0].texts) == 0 and len(figures[0].axes[0].get_yticklabels()) == 100


@pytest.mark.parametrize("channels", [1, 3])
def test_misclassified_shows_the_surest_first(figures, tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (12, channels, 4, 5)).astype(np.uint8)
    rows = rows_of("aaaaaabbbbbb", "abababababab")
    wrong = [11 - i for i in range(12) if rows[11 - i]["label"] != rows[11 - i]["prediction"]]
    plots.misclassified(rows, images, tmp_path / "m.png", columns=2, most=5)
    panels = [axes for axes in figures[0].axes if axes.images]
    assert len(panels) == 5 and "6 of 12 wrong, the 5 surest" in figures[0].get_suptitle()
    for axes, index in zip(panels, wrong[:5], strict=True):
        shown = axes.images[0].get_array()
        np.testing.assert_array_equal(shown, images[index].transpose(1, 2, 0) if channels == 3 else images[index, 0])
        assert axes.get_title() == f"{rows[index]['label']} → {rows[index]['prediction']}, {50 + index}%"


def test_misclassified_refuses_and_has_nothing_to_draw(tmp_path):
    images = np.zeros((2, 1, 3, 3), np.uint8)
    with pytest.raises(ValueError, match="3 predictions are not of these 2 images"):
        plots.misclassified(rows_of("abc", "abc"), images, tmp_path / "m.png")
    assert plots.misclassified(rows_of("ab", "ab"), images, tmp_path / "m.png") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (64, 3, 7, 7), (5, 1, 3, 3), (4, 6, 2, 3), (1, 1, 1, 1)])
def test_first_layer(figures, tmp_path, shape):
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    plots.first_layer(weight, tmp_path / "f.png")
    (axes, *_) = figures[0].axes
    sheet = np.ma.filled(axes.images[0].get_array(), np.nan)
    F, C, KH, KW = shape
    corner = sheet[: KH * filters.PIXELS : filters.PIXELS, : KW * filters.PIXELS : filters.PIXELS]
    if C == 3:
        np.testing.assert_allclose(
            corner, 0.5 + 0.5 * weight[0].transpose(1, 2, 0) / np.abs(weight[0]).max(), atol=1e-6
        )
    else:
        np.testing.assert_allclose(corner, weight[0, 0], rtol=1e-6)
        assert (~np.isnan(sheet)).sum() == weight.size * filters.PIXELS**2


def test_first_layer_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"filters must be of shape \(F, C, KH, KW\), got \(3, 3\)"):
        plots.first_layer(np.zeros((3, 3)), tmp_path / "f.png")


def test_figures_are_written_whole(tmp_path):
    assert isinstance(style.save(Figure(figsize=(1, 1)), tmp_path / "x.png"), type(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"] and imread(tmp_path / "x.png").shape == (100, 100, 4)


def test_a_data_set_that_is_not_the_one(copies, monkeypatch, capsys):
    digits = data.load("digits")
    fewer = data.Dataset(
        "digits", digits.train_images, digits.train_labels, digits.test_images[:9], digits.test_labels[:9]
    )
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: fewer)
    assert main(["plot", str(copies[0])]) == 2
    assert "359 predictions are not of these 9 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["EMPTY"], "holds no training step"),
        (["RUN", "--out", "nowhere"], "--out: there is no folder nowhere"),
        (["RUN", "--checkpoint", "5"], "holds none of step 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(copies, tmp_path, capsys, arguments, message):
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(copies[0] / "config.json", empty)
    paths = {"RUN": str(copies[0]), "EMPTY": str(empty)}
    assert main(["plot", *[paths.get(argument, argument) for argument in arguments]]) == 2
    assert message in capsys.readouterr().err
