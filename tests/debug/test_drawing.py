"""Pictures: the graph as SVG with repeated blocks folded, and a step as PNG."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hostile import CLASS, hostile_loss

from minires import Tensor, debug, kernels, models, ops
from minires.data import load_digits
from minires.debug.drawing import BOX, STEP
from minires.debug.plotting import plot, tiles

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def loss_of(name, **options):
    images, labels, _, _ = load_digits()
    model = models.make(name, in_channels=1, seed=0, **options)
    return ops.cross_entropy(model(Tensor(images[:2])), labels[:2])


def drawn(loss, folder):
    return ElementTree.fromstring(debug.draw(loss, folder / "graph.svg").read_text(encoding="utf-8"))


def test_hostile_names_are_text(tmp_path, monkeypatch):
    model, loss = hostile_loss()
    monkeypatch.setattr(loss.op, "__class__", type("Sum\x07\x1b[31m", (type(loss.op),), {}))
    picture = drawn(loss, tmp_path)
    assert {element.tag for element in picture.iter()} <= {
        SVG + tag for tag in ("svg", "title", "defs", "marker", "path", "rect", "text", "tspan")
    }
    said = "".join(picture.itertext())
    assert CLASS in said and "Sum\N{REPLACEMENT CHARACTER}" in said


def labels_of(picture):
    return ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]


def test_repeated_blocks_are_drawn_once(tmp_path):
    picture = drawn(loss_of("resnet20"), tmp_path)
    labels = labels_of(picture)
    frames = [label for label in labels if label.startswith("layer")]
    assert frames == ["layer1.0 … layer1.2 (×3)", "layer2.0", "layer2.1 … layer2.2 (×2)", "layer3.0",
                      "layer3.1 … layer3.2 (×2)"]  # fmt: skip
    adds = [label for label in labels if label.startswith("ResidualAdd")]
    assert len(adds) == 5 and labels.count("OptionA downsample") == 2
    assert labels[0] == "layer1.0 … layer1.2 (×3)" and "Tensor input" in labels and "Linear fc" in labels
    assert "2×16×8×8" in labels and "number" in labels  # shapes; the loss has none
    assert picture.find(f"{SVG}title").text.startswith("Tensor((), float32, CrossEntropy at test_drawing.py:")


def test_a_deep_network_is_drawn_as_short_as_a_shallow_one(tmp_path):
    shallow, deep = [drawn(loss_of(name), tmp_path) for name in ("resnet20", "resnet110")]
    assert deep.get("height") == shallow.get("height")
    assert "layer3.1 … layer3.17 (×17)" in labels_of(deep)


def boxes(picture):
    return [
        (float(box.get("x")), float(box.get("y")))
        for box in picture.iter(f"{SVG}rect")
        if box.get("width") == str(BOX[0]) and box.get("height") == str(BOX[1])
    ]


@pytest.mark.parametrize("name, options", [("resnet20", {"shortcut": "B"}), ("preact_resnet20", {"shortcut": "B"}),
                                           ("resnet20", {"norm": "none", "init": "fixup"})])  # fmt: skip
def test_boxes_do_not_overlap_and_lie_in_the_picture(name, options, tmp_path):
    picture = drawn(loss_of(name, **options), tmp_path)
    places = boxes(picture)
    assert len(places) == len(set(places)) > 20
    columns, rows = zip(*places, strict=True)
    assert min(columns) >= 0 and max(columns) + BOX[0] <= float(picture.get("width"))
    assert min(rows) >= 0 and max(rows) + BOX[1] <= float(picture.get("height"))
    assert STEP[0] > BOX[0] and STEP[1] > BOX[1]


def test_every_edge_goes_down_and_skips_are_arcs(tmp_path):
    picture = drawn(loss_of("resnet20"), tmp_path)
    edges = [path for path in picture.iter(f"{SVG}path") if path.get("marker-end")]
    skips = [path for path in edges if path.get("stroke") == "#009e73"]
    assert len(skips) == 5  # one for each residual add drawn
    for path in edges:
        start, end = re.match(r"M[\d.]+ ([\d.]+)", path.get("d")), re.search(r"([\d.]+)(?: H[\d.]+)?$", path.get("d"))
        assert float(end[1]) > float(start[1])
    # one edge into each of the boxes but the input's, and a second into each add
    assert len(edges) == len(boxes(picture)) - 1 + 5


def test_a_graph_without_modules(tmp_path):
    x = Tensor(np.ones(3), requires_grad=True)
    labels = labels_of(drawn((ops.exp(x) * x).sum(), tmp_path))
    assert labels == ["Tensor input", "3", "Exp", "3", "Multiply", "3", "Sum", "number"]


def test_what_cannot_be_drawn(tmp_path):
    loss = loss_of("resnet20")
    with pytest.raises(ValueError, match=r"draw: graph.png must end in \.svg"):
        debug.draw(loss, tmp_path / "graph.png")
    with pytest.raises(ValueError, match=r"draw: Tensor\(\(1,\), float32, leaf\) = \[1\] has no graph"):
        debug.draw(Tensor([1.0]), tmp_path / "graph.svg")
    loss.backward()
    with pytest.raises(RuntimeError, match="keep_graph=True"):
        debug.draw(loss, tmp_path / "graph.svg")
    assert list(tmp_path.iterdir()) == []


def test_images_are_laid_out_channel_by_channel():
    images = np.arange(2 * 3 * 2 * 2.0).reshape(2, 3, 2, 2)
    nan = np.nan
    expected = [[0, 1, nan, 4, 5], [2, 3, nan, 6, 7], [nan] * 5, [8, 9, nan, nan, nan], [10, 11, nan, nan, nan]]
    np.testing.assert_array_equal(tiles(images), expected)
    assert tiles(np.ones((3, 4))).shape == (3, 4) and tiles(np.ones(5)).shape == (1, 5)
    assert tiles(np.float32(1.0).reshape(())).shape == (1, 1)


@pytest.mark.parametrize("where", ["layer3.2.bn2", "fc", ""])
def test_a_step_is_plotted_whatever_its_shape(where, tmp_path):
    steps = debug.backward_steps(loss_of("resnet20"))
    step = steps.until(where) if where else next(steps)
    path = plot(step, steps.records, tmp_path / "step.png")
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.size[0] > 1000 and len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 5
    with pytest.raises(ValueError, match=r"plot: step.pdf must end in \.png"):
        plot(step, steps.records, tmp_path / "step.pdf")
