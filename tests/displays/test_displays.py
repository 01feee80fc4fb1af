"""What a notebook shows of tensors, modules and reports: right, escaped, cheap, and readable on any page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import minires
from minires import Tensor, lab, models, nn, no_grad, ops
from minires.displays import report_html
from minires.displays.spread import BARS, HEIGHT, MOST, look_at
from minires.displays.trees import MOST as MOST_ROWS
from minires.lab.report import Report

HOSTILE = "<script>alert('a')</script>&\"\ud800"
ALONE = {"img", "br", "rect", "line", "circle", "polyline"}
PAGE_COLOURS = re.compile(r"(?<!-)\bcolor:|fill=\"(?!currentColor|none)|background:(?!#fff\")")


class Reader(HTMLParser):
    """Reads a piece of HTML: what is open, the elements with their attributes, and the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        self.words.append(words)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def shown(thing) -> Reader:
    """Ask for the display as a notebook does, and read it: whole, written in UTF-8, and a guest on its page."""
    content = thing if isinstance(thing, str) else thing._repr_html_()
    content.encode()
    reader = Reader()
    reader.feed(content)
    assert reader.open == []
    assert not reader.named("script") and not reader.named("link") and not reader.named("iframe")
    for _, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert attributes.get("src", "data:").startswith("data:")
    assert not PAGE_COLOURS.search(content)  # else it is black on black in a dark notebook
    return reader


def words(thing) -> str:
    return " ".join(shown(thing).words)


def test_a_tensor_shows_what_it_is_and_where_it_was_made():
    linear = nn.Linear(3, 2, seed=0)
    y = linear(Tensor(np.ones((1, 3), np.float32)))
    text = words(y)
    assert "(1, 2)" in text and "float32" in text
    assert "Linear at test_displays.py" in text
    assert all([f"{value:.4g}" in text for value in y.data.ravel().tolist()])
    assert "Parameter" in words(linear.weight) and "requires grad" in words(linear.weight)
    assert "no op made it" in words(linear.weight)


def test_a_tensor_made_inside_a_module_names_it():
    model = models.resnet20(in_channels=1, seed=0).eval()
    assert "in fc" in words(model(Tensor(np.zeros((1, 1, 8, 8), np.float32))))


def test_a_histogram_is_of_the_numbers():
    data = np.random.default_rng(0).standard_normal((20, 30))
    bars = [rect for rect in shown(Tensor(data)).named("rect")]
    counts, _ = np.histogram(data, BARS)
    places = [round(float(bar["x"]) / 320 * BARS) for bar in bars]
    assert places == np.flatnonzero(counts).tolist()
    heights = np.array([float(bar["height"]) for bar in bars])
    expected = np.maximum(1.0, HEIGHT * counts[counts > 0] / counts.max())
    np.testing.assert_allclose(heights, expected, atol=0.06)


def test_the_gradient_is_shown_beside_the_data():
    x = Tensor(np.random.default_rng(0).standard_normal((4, 5)), requires_grad=True)
    assert len(shown(x).named("svg")) == 1
    (x * x).sum().backward()
    reader = shown(x)
    assert len(reader.named("svg")) == 2
    assert any([line.startswith("grad: ") for line in reader.words])


@pytest.mark.parametrize(
    "data",
    [
        np.array(3), np.zeros((0, 4)), np.full((3, 4), np.nan), np.full((3, 4), np.inf), np.zeros((3, 4)),
        np.full((3, 4), 7.0), np.array([1e308, -1e308, 0, 1, 2, 3, 4]), np.full(9, 5e-324), np.arange(9),
        np.arange(9) % 2 == 0, np.arange(9, dtype=np.float16), np.array([2**63 - 1, -(2**63)] * 4),
        np.ones((3, 4))[::-1, ::2], np.broadcast_to(np.float32(2), (3, 4)),
    ],
)  # fmt: skip
def test_any_array_can_be_shown(data):
    with np.errstate(all="raise"):
        shown(Tensor(data))


def test_what_is_no_number_is_counted():
    data = np.ones(100)
    data[:3], data[3:8] = np.nan, -np.inf
    text = words(Tensor(data))
    assert "3 NaN" in text and "5 infinite" in text


def test_of_a_large_array_a_part_is_looked_at_and_that_is_said():
    data = np.broadcast_to(np.array([1.0, 2.0, np.nan, 4.0]), (10**7, 10**7, 4))  # 3.2 petabytes, if it were copied
    text = words(Tensor(data))
    assert f"{MOST:,}" in text and f"{data.size:,}" in text
    numbers = look_at(data)
    assert numbers.looked_at == MOST
    assert numbers.nan == pytest.approx(MOST / 4, rel=0.1)  # from all over it, not from one column
    assert {round(numbers.scale * value) for value in numbers.scaled.tolist()} == {1, 2, 4}


class OnAnotherDevice:
    """An array of which only what lies on the CPU may be asked."""

    shape, dtype, size, ndim = (2, 3), np.dtype(np.float32), 6, 2
    device = 1

    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked of an array on a GPU")


def test_nothing_is_copied_from_a_gpu(monkeypatch):
    tensor = Tensor(np.zeros((2, 3), np.float32))
    tensor.data = OnAnotherDevice()
    monkeypatch.setattr(Tensor, "device", "cuda:1")
    text = words(tensor)
    assert "cuda:1" in text and "(2, 3)" in text and "nothing was copied" in text


class Hostile(nn.Module):
    def __init__(self) -> None:
        self.inner = {HOSTILE: nn.Linear(2, 3, seed=0)}
        self.note = HOSTILE

    def forward(self, x):
        return self.inner[HOSTILE](x)


def test_names_are_escaped_and_cut():
    reader = shown(Hostile())
    assert "alert('a')" in " ".join(reader.words)
    long = nn.Linear(2, 3, seed=0)
    long.note = "n" * 100_000
    assert len(long._repr_html_()) < 2000
    made = Hostile()(Tensor(np.zeros((1, 2), np.float32)))
    made.op.site = (HOSTILE, 1, HOSTILE)
    shown(made)


def test_a_module_is_a_tree_with_counts():
    model = models.resnet20(in_channels=1, seed=0)
    reader = shown(model)
    text = " ".join(reader.words)
    everything = sum([parameter.size for parameter in model.parameters()])
    assert f"{everything:,} parameters" in text
    for block in model.layer2:
        assert f"{sum([parameter.size for parameter in block.parameters()]):,} parameters" in text
    names = [name for name, _ in model.named_modules()]
    assert len(reader.named("b")) == len(names)
    branches = [name for name, module in model.named_modules() if any(True for _ in module.named_children())]
    assert len(reader.named("details")) == len(branches)


def test_a_shared_parameter_counts_once():
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Linear(3, 4, seed=0)
            self.again = [self.first, self.first]

    assert words(Twice()).count("16 parameters") == 4  # the whole, and the one layer in its three places


def test_a_module_that_holds_itself_is_shown():
    module = nn.Sequential(nn.Linear(2, 2, seed=0))
    module.me = module
    module.again = [module]
    assert len(shown(module).named("b")) == 4


def test_of_very_many_modules_the_first_are_shown():
    module = nn.Sequential(*[nn.ReLU() for _ in range(MOST_ROWS + 20)])
    assert len(shown(module).named("b")) == MOST_ROWS
    assert "and 21 more modules" in words(module)


@pytest.fixture(scope="module")
def comparison():
    return lab.compare(depths=(8, 14), steps=0, seeds=1, kernels="numpy")


def test_a_comparison_shows_a_line_for_each_network(comparison):
    reader = shown(comparison)
    text = " ".join(reader.words)
    lines = reader.named("polyline")
    assert len(lines) == 4
    for network, line in zip(comparison["networks"], lines, strict=True):
        assert network["label"] in text
        logs = network["runs"][0]["initial"]["log10_grad_h"]
        heights = [-float(point.partition(",")[2]) for point in line["points"].split()]
        np.testing.assert_allclose(np.corrcoef(heights, logs)[0, 1], 1, atol=1e-3)
    assert all([sentence.strip() in text for sentence in comparison["verdict"]])
    assert len({(line["stroke"], line["stroke-dasharray"]) for line in lines}) == 4


def test_a_gradient_of_zero_has_no_place_in_the_picture(comparison):
    report = Report({**comparison, "networks": [dict(comparison["networks"][0])]})
    logs = {"initial": {"log10_grad_h": [None, -3.0, None]}}
    report["networks"][0]["runs"] = [logs]
    assert len(shown(report).named("polyline")) == 1
    report["networks"][0]["runs"] = [{"initial": {"log10_grad_h": [None]}}]
    assert not shown(report).named("polyline")
    report["networks"][0]["runs"] = []
    assert not shown(report).named("polyline")


def test_a_report_is_escaped(comparison):
    report = Report(comparison)
    report["networks"] = [{**network, "label": HOSTILE} for network in comparison["networks"]]
    report |= {"data": HOSTILE, "verdict": [HOSTILE], "folder": HOSTILE}
    assert "alert('a')" in " ".join(shown(Report(report)).words)


SMALL = {"depths": (8, 14), "steps": 1, "kernels": "numpy"}


def test_an_experiment_shows_its_numbers_in_their_bands_or_its_figure(tmp_path):
    report = lab.degradation(**SMALL)
    reader = shown(report)
    text = " ".join(reader.words)
    assert report["claim"] in text and report["answer"] in text
    assert len(reader.named("circle")) == len(report["findings"]) > 0
    for finding in report["findings"]:
        assert finding["what"] in text
    kept = lab.degradation(**SMALL, out=tmp_path)
    reader = shown(kept)
    assert [image["src"].partition(",")[0] for image in reader.named("img")] == ["data:image/png;base64"]
    assert kept["folder"] in " ".join(reader.words)
    kept["folder"] = str(tmp_path / "moved")
    assert not shown(kept).named("img")


@pytest.mark.parametrize(
    "band",
    [
        {"value": 1.0, "low": None, "high": None, "inside": True},
        {"value": None, "low": 0.0, "high": 1.0, "inside": False},
        {"value": 0.0, "low": 0.0, "high": 0.0, "inside": True},
        {"value": None, "low": None, "high": None, "inside": False},
        {"value": -1e300, "low": 1e300, "high": None, "inside": False},
    ],
)
def test_any_finding_can_be_shown(band):
    finding = {"what": "x < y", "spec": ".2f", **band}
    report = {"experiment": "degradation", "answer": "open", "claim": "c", "findings": [finding], "verdict": "v",
              "interrupted": True, "folder": None}  # fmt: skip
    reader = shown(report_html(report))
    assert "x < y" in " ".join(reader.words)
    for rect in reader.named("rect"):
        assert float(rect["width"]) >= 0
    assert "nan" not in report_html(report)


def test_a_gradient_check_shows_each_argument():
    report = minires.gradcheck(ops.multiply, np.arange(3.0), np.ones(3), names=("x", "y"))
    text = words(report)
    assert "ok" in text and "x (3,)" in text and "y (3,)" in text


def test_a_display_records_nothing():
    x = Tensor(np.arange(20.0), requires_grad=True)
    with no_grad():
        before = x.data.copy()
        shown(x)
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is None and x.op is None
