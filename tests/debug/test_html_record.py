"""The record behind the browser view: gradients as `backward` gives them, lines as they ran, files as sound HTML."""

import base64
import hashlib
import html
import json
import math
import re
import sys

import numpy as np
import pytest
from hostile import CLASS, hostile_loss

from minires import kernels, models, nn, ops
from minires.data import load_digits
from minires.debug import browser
from minires.debug.browser_arrays import BINS, MISSING, ArrayTable, describe
from minires.debug.browser_record import record
from minires.engine import Tensor


@pytest.fixture(autouse=True, scope="module")
def numpy_kernels():
    """So that two runs agree to the last bit."""
    with kernels.use("numpy"):
        yield


def digits_loss(skip=True, N=4):
    model = models.resnet20(in_channels=1, seed=0, skip=skip)
    images, labels, _, _ = load_digits()
    return model, ops.cross_entropy(model(Tensor(images[:N])), labels[:N])


@pytest.fixture(scope="module")
def resnet20_record():
    model, loss = digits_loss()
    return model, record(loss, "resnet20", model)


def norm(array):
    return math.sqrt(float((array.astype(np.float64) ** 2).sum()))


def test_the_kernels_and_what_they_call_are_the_readable_ones(resnet20_record):
    """NumPy's, also where others run; an op without kernels has none."""
    _, recorded = resnet20_record
    with kernels.use("numba"):
        x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
        compiled = record(ops.relu(x).sum())
    for one, op, kernel, helper in ((recorded, "Conv2d", "conv2d_grad_weight", "im2col"),
                                    (compiled, "ReLU", "relu_backward", "select")):  # fmt: skip
        entry = next(entry for entry in one["ops"] if entry["op"] == op)
        for kind, name in (("kernels", kernel), ("helpers", helper)):
            sources = [one["sources"][number] for number in entry[kind]]
            (found,) = [source for source in sources if source["text"].startswith(f"def {name}(")]
            assert found["file"] == "minires/kernels/numpy_kernels.py"
    add = next(entry for entry in recorded["ops"] if entry["op"] == "ResidualAdd")
    assert add["kernels"] == add["helpers"] == []


def test_gradients_are_those_of_backward(resnet20_record):
    model, recorded = resnet20_record
    other, loss = digits_loss()
    loss.backward()
    expected = {name: parameter.grad for name, parameter in other.named_parameters()}
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.grad, expected[name])
    shown = {
        one["parameter"]: recorded["arrays"][one["total"]]
        for op in recorded["ops"]
        for one in op["inputs"]
        if one["parameter"]
    }
    assert shown.keys() == expected.keys()
    for name, grad in expected.items():
        assert shown[name]["norm"] == pytest.approx(norm(grad), rel=1e-12)
        assert shown[name]["shape"] == list(grad.shape)


def test_ops_stand_in_the_order_of_the_walk_each_made_by_a_later_one(resnet20_record):
    _, recorded = resnet20_record
    assert [op["op"] for op in recorded["ops"][:4]] == ["CrossEntropy", "Linear", "GlobalAvgPool2d", "ReLU"]
    assert recorded["ops"][4] | {"op": "ResidualAdd", "path": "layer3.2"} == recorded["ops"][4]
    assert recorded["ops"][-1]["path"] == "conv1" and recorded["ops"][-1]["inputs"][0]["grad"] is None
    for i, op in enumerate(recorded["ops"]):
        for one in op["inputs"]:
            assert one["made_by"] is None or one["made_by"] > i


def test_lines_are_those_that_ran_with_what_they_set(resnet20_record):
    _, recorded = resnet20_record
    first, later = recorded["ops"][-1], recorded["ops"][-4]
    source = recorded["sources"][first["source"]]
    assert source["file"] == "minires/ops/convolution.py" and "def backward" in source["text"]
    text = {source["line"] + i: line.strip() for i, line in enumerate(source["text"].splitlines())}
    ran = {text[one["line"]].split(" = self.kernels.")[0]: one["values"] for one in first["lines"]}
    assert "grad_x" not in ran, "the image needs no gradient"
    weight = recorded["arrays"][ran["grad_weight"]["grad_weight"]]
    assert weight["shape"] == [16, 1, 3, 3]
    assert ran["grad_weight"]["grad_weight"] == first["inputs"][1]["grad"]
    assert first["kept"].keys() == {"x", "weight", "stride", "padding"} and first["kept"]["stride"] == "(1, 1)"
    assert later["op"] == "Conv2d" and text[later["lines"][-1]["line"]].startswith("return")
    assert any(text[one["line"]].startswith("grad_x = self.kernels") for one in later["lines"])


def test_the_fork_meter_stands_at_every_add_and_nowhere_else(resnet20_record):
    _, recorded = resnet20_record
    with_fork = [op for op in recorded["ops"] if "fork" in op]
    assert {op["op"] for op in with_fork} == {"ResidualAdd"} and len(with_fork) == 9
    for op in with_fork:
        fork = op["fork"]
        assert fork["skip_share"] + fork["branch_share"] == pytest.approx(1, abs=1e-5)
        projected = any(other["path"] == f"{op['path']}.downsample" for other in recorded["ops"])
        if not projected:  # the skip hands on what arrives at the add
            assert fork["skip_norm"] == pytest.approx(recorded["arrays"][op["grad_y"]]["norm"], rel=1e-6)


def test_a_tracer_at_work_is_left_alone_and_no_lines_are_recorded():
    model = nn.Linear(3, 2, seed=0)
    loss = model(Tensor(np.ones((4, 3), np.float32))).sum()
    seen = []

    def tracer(frame, event, argument):
        seen.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        recorded = record(loss)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert "backward" in seen and [op["lines"] for op in recorded["ops"]] == [[], []]


def test_tracing_ends_with_the_record_also_after_an_error():
    before = sys.gettrace()
    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    loss = x.sum()
    loss.op.backward = lambda grad_y: (grad_y,)  # of the wrong shape
    with pytest.raises(ValueError, match="backward gave a gradient of shape"):
        record(loss)
    assert sys.gettrace() is before


def test_a_backward_that_calls_its_base_shows_its_own_lines():
    class Doubled(ops.activation.Tanh):
        def backward(self, grad_y):
            (grad_x,) = super().backward(grad_y)
            return (2 * grad_x,)

    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    recorded = record(Doubled()(x).sum())
    source, lines = recorded["sources"][recorded["ops"][1]["source"]], recorded["ops"][1]["lines"]
    assert [one["line"] - source["line"] for one in lines] == [1, 2]
    assert list(lines[0]["values"]) == ["grad_x"]


def decoded(picture):
    cells = np.frombuffer(base64.b64decode(picture["data"]), np.int8).astype(float)
    values = np.sign(cells) * (cells / 127) ** 2 * picture["limit"]
    values[cells == MISSING] = np.nan
    return values.reshape(-1, *picture["tile"])


def test_a_picture_holds_the_numbers_of_a_small_array():
    array = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    values = decoded(describe(array)["picture"]).reshape(4, 5, 3)
    np.testing.assert_allclose(values, array[0], atol=0.02 * np.abs(array[0]).max())
    filters = decoded(describe(array, is_parameter=True)["picture"]).reshape(2, 4, 5, 3)
    np.testing.assert_allclose(filters, array, atol=0.02 * np.abs(array).max())


def test_a_cell_of_a_large_array_shows_its_largest_number():
    array = np.full((1, 1, 200, 130), 1e-3)
    array[0, 0, 77, 101] = -5.0
    values = decoded(describe(array)["picture"])
    assert values.shape[-2] <= 48 and values.shape[-1] <= 48
    assert values.min() == -5.0 and (values == -5.0).sum() == 1


@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (500,), (3, 4), (300, 2), (2, 40, 6, 7), (2, 5, 64, 64), (2, 3, 4), (0, 3), (2, 1, 1, 1)]
)
@pytest.mark.parametrize("is_parameter", [False, True])
def test_every_shape_has_a_small_description(shape, is_parameter):
    entry = describe(np.random.default_rng(0).normal(size=shape).astype(np.float32), is_parameter)
    text = json.dumps(entry, allow_nan=False)
    assert entry["shape"] == list(shape) and len(text) < 9000
    picture = entry["picture"]
    if picture is not None:
        cells = len(base64.b64decode(picture["data"]))
        assert cells % math.prod(picture["tile"]) == 0 and cells <= math.prod(picture["grid"] + picture["tile"])


def test_numbers_that_are_not_finite_are_counted_and_said():
    array = np.array([[1.0, np.nan], [-np.inf, 2.0]])
    entry = json.loads(json.dumps(describe(array), allow_nan=False))
    assert (entry["nans"], entry["infs"], entry["norm"]) == (1, 1, "nan")
    assert sum(entry["histogram"]["counts"]) == 2
    assert np.isnan(decoded(entry["picture"]).ravel()).tolist() == [False, True, False, False]
    assert describe(np.array([1.0, np.inf]))["norm"] == "inf"
    assert describe(np.full(3, np.nan))["histogram"] is None


def test_a_network_with_nan_in_it_can_be_written(tmp_path):
    model = models.resnet20(in_channels=1, seed=0)
    model.layer2[1].conv2.weight.data[3, 4, 1, 1] = np.nan
    images, labels, _, _ = load_digits()
    with np.errstate(all="ignore"):
        path = browser.write(ops.cross_entropy(model(Tensor(images[:4])), labels[:4]), tmp_path / "nan.html")
    recorded = page_record(path.read_text(encoding="utf-8"))["passes"][0]
    assert recorded["loss"] == "nan" and recorded["ops"][-1]["totals"]["grad_norm"] == "nan"
    assert {op["fork"]["skip_share"] for op in recorded["ops"] if "fork" in op} == {"nan"}


def test_histograms_count_every_finite_number_or_say_that_there_is_none():
    counts = describe(np.arange(1000.0))["histogram"]["counts"]
    assert len(counts) == BINS and sum(counts) == 1000
    for constant in (np.zeros(5), np.full(5, 3.0), np.array([1.0, np.nextafter(1.0, 2.0)])):
        entry = describe(constant)
        assert entry["histogram"] is None or sum(entry["histogram"]["counts"]) == constant.size
    assert describe(np.array([-1e308, 1e308]))["histogram"] is None


def test_equal_arrays_share_an_entry():
    table = ArrayTable()
    a = np.arange(6.0).reshape(2, 3)
    assert table.add(a) == table.add(a.copy()) == 0
    assert table.add(a + 1) == 1 and len(table.entries) == 2


def test_the_formulas_of_an_op_are_the_head_of_its_file(resnet20_record):
    _, recorded = resnet20_record
    heads = {op["op"]: recorded["formulas"][op["formula"]] for op in recorded["ops"]}
    assert heads["ReLU"] == ops.activation.__doc__.strip() and heads["Conv2d"] == ops.convolution.__doc__.strip()
    assert "both get dy" in heads["ResidualAdd"] and heads["OptionA"] == heads["ResidualAdd"]
    assert len(recorded["formulas"]) == len(set(heads.values()))


def test_twins_are_locked_by_module_and_op():
    _, loss = digits_loss()
    _, plain = digits_loss(skip=False)
    residual_record, plain_record = record(loss), record(plain)
    lock = browser.locked(residual_record, plain_record)
    assert len(lock["to_main"]) == len(plain_record["ops"]) < len(residual_record["ops"]) == len(lock["from_main"])
    for i, j in enumerate(lock["to_main"]):
        a, b = residual_record["ops"][j], plain_record["ops"][i]
        assert (a["path"], a["op"]) == (b["path"], b["op"]) and lock["from_main"][j] == i
    add = next(i for i, op in enumerate(residual_record["ops"]) if op["op"] == "ResidualAdd")
    assert lock["from_main"][add] == lock["from_main"][add - 1]


def page_record(text):
    return json.loads(re.search(r'<script type="application/json" id="record">(.*?)</script>', text, re.S)[1])


def test_write_makes_one_file_that_holds_the_record(tmp_path):
    model, loss = digits_loss()
    path = browser.write(loss, tmp_path / "new" / "pass.html", "</script><b>&@style@", model)
    text = path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
    assert page_record(text)["passes"][0]["name"] == "</script><b>&@style@"
    assert "<title>Backward through &lt;/script&gt;&lt;b&gt;&amp;@style@</title>" in text
    assert text.count("</script>") == 2 and "@record@" not in text
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "") and "https:" not in text


def test_hostile_names_stay_names(tmp_path):
    model, loss = hostile_loss()
    text = browser.write(loss, tmp_path / "pass.html", "<img src=x onerror=alert(0)>", model).read_text("utf-8")
    assert text.count("</script>") == 2 and "<img" not in text and "<b " not in text
    ops = [op["op"] for op in page_record(text)["passes"][0]["ops"]]
    assert CLASS in ops
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for element, content in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        digest = hashlib.sha256(re.search(content, text, re.S)[1].encode()).digest()
        assert f"{element}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_a_wrong_name_is_refused_before_anything_runs(tmp_path):
    model, loss = digits_loss()
    with pytest.raises(ValueError, match=r"must end in \.html, got .*pass\.txt"):
        browser.write(loss, tmp_path / "pass.txt")
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    with pytest.raises(RuntimeError, match="released"):
        browser.write(loss, tmp_path / "pass.html")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_whole_page_in_a_frame():
    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    page = browser.view((x * x).sum(), "squares")
    frame = page._repr_html_()
    assert frame.startswith("<iframe ")
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page.html
