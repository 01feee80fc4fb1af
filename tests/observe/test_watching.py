"""watch: stops at the first guilty op, forward and backward, and says which, where, why and after what."""

import io
import re
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from minires import Tensor, debug, kernels, nn, no_grad, ops
from minires.engine import Op, per_thread
from minires.observe.pdb_prompt import step_into
from minires.observe.watching import first_not_finite
from minires.ops.activation import ReLU, Tanh
from minires.ops.affine import Linear
from minires.ops.convolution import Conv2d
from minires.ops.loss import CrossEntropy
from minires.ops.normalization import BatchNorm
from minires.ops.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from minires.ops.regularization import Dropout
from minires.ops.shortcut import OptionA, ResidualAdd

TWELVE_OPS = [Conv2d, BatchNorm, ReLU, MaxPool2d, Tanh, AvgPool2d, ResidualAdd, OptionA, Dropout, GlobalAvgPool2d,
              Linear, CrossEntropy]  # fmt: skip
MODULE_OF = {"Conv2d": "conv", "BatchNorm": "bn", "ReLU": "relu", "MaxPool2d": "pool", "AvgPool2d": "average",
             "Dropout": "drop", "GlobalAvgPool2d": "head", "Linear": "fc"}  # fmt: skip


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield
    assert per_thread.observer is None


class Net(nn.Module):
    """Each of the twelve ops once, the residual add around a pooling that changes nothing."""

    def __init__(self):
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False, seed=0)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.average = nn.AvgPool2d(1)
        self.drop = nn.Dropout(0.1, seed=0)
        self.head = nn.GlobalAvgPool2d()
        self.fc = nn.Linear(6, 3, seed=0)

    def forward(self, x):
        y = self.pool(self.relu(self.bn(self.conv(x))))
        y = ops.residual_add(self.average(y), ops.tanh(y))
        return self.fc(self.head(self.drop(ops.option_a(y, 6, 1))))


def loss_of(net, dtype=np.float32):
    x = np.random.default_rng(0).standard_normal((3, 2, 6, 4)).astype(dtype)
    return ops.cross_entropy(net(Tensor(x)), np.array([0, 1, 2]))


def poisoned(array, value=np.nan):
    array = np.array(array)
    array.reshape(-1)[-1] = value
    return array


def poison_forward(monkeypatch, op, value=np.nan):
    right = op.forward
    monkeypatch.setattr(op, "forward", lambda self, *arrays: poisoned(right(self, *arrays), value))


def poison_backward(monkeypatch, op, value=np.nan):
    right = op.backward

    def wrong(self, grad_y):
        first, *others = right(self, grad_y)
        if first is None:  # the image's
            others[0] = poisoned(others[0], value)
        else:
            first = poisoned(first, value)
        return first, *others

    monkeypatch.setattr(op, "backward", wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("op", TWELVE_OPS)
def test_a_planted_nan_is_caught_in_the_forward_pass_of_its_op(op, value, monkeypatch):
    poison_forward(monkeypatch, op, value)
    net = Net()
    with debug.watch(action="raise") as watch, pytest.raises(debug.WatchError) as caught:
        loss_of(net)
    finding = caught.value.finding
    assert watch.finding is finding
    assert (finding.phase, finding.op) == ("forward", op.__name__)
    assert finding.module_path == MODULE_OF.get(op.__name__, "")
    expected = "1 NaN of" if np.isnan(value) else "1 infinity of"
    assert "its output" in finding.reason and expected in finding.reason and "already" not in finding.reason
    assert finding.site[0] == __file__ and finding.site[2] in ("forward", "loss_of")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("op", TWELVE_OPS)
def test_a_planted_nan_is_caught_in_the_backward_pass_of_its_op(op, value, monkeypatch):
    poison_backward(monkeypatch, op, value)
    net = Net()
    with debug.watch(action="raise"):
        loss = loss_of(net)
        with pytest.raises(debug.WatchError) as caught:
            loss.backward()
    finding = caught.value.finding
    assert (finding.phase, finding.op) == ("backward", op.__name__)
    assert finding.module_path == MODULE_OF.get(op.__name__, "")
    assert "the gradient for" in finding.reason and "what arrived has norm" in finding.reason
    backward_of_op = [entry for entry in finding.history if op.__name__ == entry.split()[0]]
    assert backward_of_op == []  # it was the first that had it
    assert "in the backward pass of" in caught.value.__notes__[0]


def test_a_nan_in_a_parameter_is_seen_where_it_comes_in():
    net = Net()
    net.fc.weight.data[1, 2] = np.nan
    with debug.watch(action="raise"), pytest.raises(debug.WatchError, match="stopped at Linear in fc, forward pass"):
        loss_of(net)
    with debug.watch(action="report") as watch:
        loss_of(net)
    assert "its input weight (3, 6) holds 1 NaN of 18 numbers already" in watch.finding.reason


def test_the_finding_tells_op_site_source_and_history(monkeypatch, capsys):
    poison_backward(monkeypatch, Tanh)
    net = Net()
    loss = loss_of(net)
    with debug.watch(action="report") as watch:
        loss.backward()
    text = str(watch.finding)
    assert text in capsys.readouterr().err
    assert "watch: stopped at Tanh, backward pass" in text
    assert "the gradient for x (3, 4, 3, 2) holds 1 NaN of 72 numbers; what arrived has norm" in text
    assert f"called at  {__file__}:" in text and "in forward" in text
    before = text[text.index("before it") :].splitlines()[1:]
    names = [line.split()[0] for line in before]
    expected = ["CrossEntropy", "Linear", "GlobalAvgPool2d", "Dropout", "OptionA", "ResidualAdd"]
    assert names[:6] == expected and set(names[6:]) <= {"AvgPool2d"}
    assert " fc " in before[1] and "|grad_y|" in before[1] and "test_watching.py:" in before[1]


def test_in_the_forward_pass_the_history_is_what_was_computed_before(monkeypatch):
    poison_forward(monkeypatch, MaxPool2d)
    with debug.watch(action="report") as watch:
        loss_of(Net())
    assert [entry.split()[0] for entry in watch.finding.history] == ["Conv2d", "BatchNorm", "ReLU"]


def test_what_is_found_first_is_kept_and_the_pass_goes_on(monkeypatch):
    poison_backward(monkeypatch, Tanh)
    poison_backward(monkeypatch, Conv2d)
    net = Net()
    loss = loss_of(net)
    with debug.watch(action="report") as watch:
        loss.backward()
    assert watch.finding.op == "Tanh"
    assert np.isnan(net.conv.weight.grad).any()


def chain(*factors):
    """A loss whose gradient is multiplied by one factor after the other."""
    x = Tensor(np.ones(4), requires_grad=True)
    y = x
    for factor in reversed(factors):
        y = y * factor
    return y.sum()


@pytest.mark.parametrize(
    "condition, reason",
    [
        ({"norm_above": 100.0}, "the gradient for a (4,) has norm 200, above 100"),
        ({"norm_below": 0.5}, "the gradient for a (4,) has norm 0.2, below 0.5"),
        ({"ratio_above": 50.0}, "the gradient for a (4,) has norm 200, 100 times what arrived and above 50 times"),
    ],
)
def test_limits(condition, reason):
    factors = (1.0, 0.1, 100.0) if "norm_below" in condition else (1.0, 100.0, 0.001)
    loss = chain(*factors)
    with debug.watch(action="raise", **condition), pytest.raises(debug.WatchError) as caught:
        loss.backward()
    assert reason in caught.value.finding.reason
    assert len(caught.value.finding.history) == 2  # the sum and the factor 1


def test_limits_that_hold_find_nothing():
    net = Net()
    with debug.watch(norm_above=1e6, norm_below=1e-12, ratio_above=1e4, action="raise") as watch:
        loss_of(net).backward()
    assert watch.finding is None
    assert net.conv.weight.grad is not None


def test_a_tiny_float32_gradient_is_not_taken_for_zero():
    x = Tensor(np.full(4, 1.0, np.float32), requires_grad=True)
    with debug.watch(norm_below=1e-30, action="raise") as watch:
        (x * 1e-28).sum().backward()
    assert watch.finding is None
    with debug.watch(norm_below=1e-30, action="raise"), pytest.raises(debug.WatchError, match="has norm 2e-35"):
        (x * 1e-35).sum().backward()


def test_a_parameter_s_gradient_is_no_ratio():
    net = nn.Linear(4, 4, seed=0)
    x = Tensor(np.full((64, 4), 1e3, np.float32), requires_grad=True)
    y = net(x)
    with debug.watch(ratio_above=10, action="raise") as watch:
        y.backward(np.ones_like(y.data))
    assert watch.finding is None and np.linalg.norm(net.weight.grad) > 1e4


def test_where_chooses_the_modules(monkeypatch):
    poison_backward(monkeypatch, Tanh)
    loss = loss_of(Net())
    with debug.watch(where="conv", action="report") as watch:
        loss.backward()
    assert watch.finding.op == "Conv2d"
    assert "what arrived holds" in watch.finding.reason and "already" in watch.finding.reason


def test_where_that_fits_nothing_is_told():
    with pytest.warns(UserWarning, match=r"watch: no op ran inside 'layr3\.\*'; the modules were average, bn, conv"):
        with debug.watch(where="layr3.*", action="report"):
            loss_of(Net()).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with debug.watch(where="c*", action="report"):
            loss_of(Net()).backward()
        with pytest.raises(KeyError), debug.watch(where="nowhere"):
            loss_of(Net())
            raise KeyError


@pytest.mark.parametrize(
    "options, message",
    [
        ({"action": "stop"}, "watch: unknown action 'stop'; known: pdb, raise, report"),
        ({"norm_above": 0.0}, "watch: norm_above must be above 0, got 0.0"),
        ({"ratio_above": float("nan")}, "watch: ratio_above must be above 0, got nan"),
        ({"norm_below": 2.0, "norm_above": 1.0}, "watch: norm_below 2.0 must be less than norm_above 1.0"),
        ({"nan": False}, "watch: there is nothing to watch for; give nan=True or one of norm_below"),
    ],
)
def test_conditions_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        debug.watch(**options)


def test_nan_can_be_left_out(monkeypatch):
    poison_backward(monkeypatch, Tanh)
    with debug.watch(nan=False, norm_above=1e9, action="raise") as watch:
        loss_of(Net()).backward()
    assert watch.finding is None


def test_forward_passes_without_a_graph_are_watched(monkeypatch):
    poison_forward(monkeypatch, ReLU)
    net = Net()
    with no_grad(), debug.watch(action="raise"), pytest.raises(debug.WatchError) as caught:
        loss_of(net)
    finding = caught.value.finding
    assert (finding.op, finding.module_path, finding.site[0]) == ("ReLU", "relu", __file__)


def test_the_stepper_is_watched_too(monkeypatch):
    poison_backward(monkeypatch, ReLU)
    steps = debug.backward_steps(loss_of(Net()))
    with debug.watch(action="raise"), pytest.raises(debug.WatchError, match="stopped at ReLU in relu"):
        steps.run_to_end()


def test_a_watch_around_another_knows_the_line_of_an_op_without_a_graph(monkeypatch):
    poison_forward(monkeypatch, ReLU)
    with no_grad(), debug.watch(action="keep") as outer, debug.watch(action="keep") as inner:
        loss_of(Net())
    assert outer.finding.site == inner.finding.site and inner.finding.site[0] == __file__


def test_a_watch_that_keeps_says_nothing(monkeypatch, capsys):
    poison_forward(monkeypatch, ReLU)
    with debug.watch(action="keep") as watch:
        loss_of(Net())
    assert watch.finding.op == "ReLU" and capsys.readouterr() == ("", "")


def not_finite_in(net):
    with np.errstate(all="ignore"):
        return first_not_finite(net, lambda: loss_of(net).backward())


def test_the_first_nan_of_a_step_comes_from_an_op(monkeypatch):
    with monkeypatch.context() as patch:
        poison_forward(patch, ReLU)
        found = not_finite_in(Net())
    assert found.origin == "forward"
    assert re.fullmatch(
        r"ReLU at test_watching.py:\d+ in forward \(relu\) makes 1 NaN and 0 infinite values of \(3, 4, 6, 4\) "
        "from finite inputs",
        str(found),
    )
    poison_backward(monkeypatch, Tanh, np.inf)
    found = not_finite_in(Net())
    assert found.origin == "backward"
    assert str(found).startswith("in backward, Tanh at test_watching.py:")
    assert "makes 0 NaN and 1 infinite values of (3, 4, 3, 2) from a gradient of at most 0." in str(found)


def test_the_first_nan_of_a_step_comes_from_what_no_op_made():
    net = Net()
    net.fc.weight.data[1, 2] = np.nan
    found = not_finite_in(net)
    assert found.origin == "parameter"
    sentence = "the parameter fc.weight, 1 NaN and 0 infinite values of (3, 6), is not finite before Linear at "
    assert str(found).startswith(sentence + "test_watching.py:")

    net = Net()
    net.conv.forward = lambda x: ops.conv2d(Tensor(poisoned(x.data)), net.conv.weight, padding=1)
    found = not_finite_in(net)
    assert found.origin == "input" and "the input, 1 NaN and 0 infinite values of (3, 2, 6, 4), is not" in str(found)


def test_finite_gradients_whose_sum_is_not():
    class Huge(Op):
        def forward(self, x):
            return x * 1

        def backward(self, grad_y):
            return (np.full_like(grad_y, 3e38),)

    class Model(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(2, np.float32))

    model = Model()

    def step():
        (Huge()(model.weight) + Huge()(model.weight)).sum().backward()

    with np.errstate(over="ignore"):
        found = first_not_finite(model, step)
    assert found == ("sum", "the sum of several finite gradients")


def test_watches_nest_and_each_has_its_own_finding(monkeypatch):
    poison_backward(monkeypatch, Linear)
    poison_backward(monkeypatch, Conv2d)
    with debug.watch(action="report") as outer, debug.watch(where="conv", action="report") as inner:
        loss_of(Net()).backward()
    assert (outer.finding.op, inner.finding.op) == ("Linear", "Conv2d")


def test_a_watch_used_again_begins_anew(monkeypatch):
    watch = debug.watch(action="report")
    with monkeypatch.context() as patch, watch:
        poison_forward(patch, ReLU)
        loss_of(Net())
    assert watch.finding is not None
    with watch:
        loss_of(Net()).backward()
    assert watch.finding is None


def test_the_watch_sees_its_own_thread_alone(monkeypatch):
    poison_forward(monkeypatch, ReLU)
    with debug.watch(action="raise") as watch:
        other = threading.Thread(target=loss_of, args=(Net(),))
        other.start()
        other.join()
    assert watch.finding is None and watch.forward_history == watch.backward_history


def test_gradients_are_the_same_under_a_watch():
    net, twin = Net(), Net()
    loss_of(net).backward()
    with debug.watch(norm_above=1e6, action="raise"):
        loss_of(twin).backward()
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


def test_the_rerun_leaves_what_the_op_saved(monkeypatch):
    """Under pdb the op's forward runs once more, on a copy; here nobody types, so pdb gives up at once."""
    seen = []

    class Square(Op):
        def forward(self, x):
            self.x = x
            seen.append(self)
            return x * np.nan

        def backward(self, grad_y):
            return (2 * grad_y * self.x,)

    monkeypatch.setattr("minires.observe.pdb_prompt.step_into", lambda function, *arrays: function(*arrays))
    x = Tensor(np.ones(2), requires_grad=True)
    with debug.watch(where="", action="pdb"):
        Square()(x)
    assert len(seen) == 2 and seen[0] is not seen[1]


def test_compiled_kernels_are_watched_too(require, monkeypatch):
    """Their arrays lie channels-last in memory."""
    require("numba")
    with kernels.use("numba"):
        with debug.watch(norm_above=1e6, norm_below=1e-12, action="raise") as watch:
            loss_of(Net()).backward()
        assert watch.finding is None
        poison_backward(monkeypatch, Conv2d)
        with debug.watch(action="raise"), pytest.raises(debug.WatchError, match="stopped at Conv2d in conv, backward"):
            loss_of(Net()).backward()


def test_in_an_editor_the_rerun_waits_for_its_debugger(monkeypatch):
    """VS Code and PyCharm load pydevd, and take breakpoint() for themselves."""
    told = []
    monkeypatch.setitem(sys.modules, "pydevd", sys)
    monkeypatch.setattr(sys, "breakpointhook", lambda: told.append("breakpoint"))
    poison_backward(monkeypatch, Tanh)
    poisoned_backward = Tanh.backward
    monkeypatch.setattr(Tanh, "backward", lambda op, grad: told.append("backward") or poisoned_backward(op, grad))
    loss = loss_of(Net())
    with debug.watch():
        loss.backward()
    assert told == ["backward", "breakpoint", "backward"]


SCRIPT = """
import numpy as np
from minires import Tensor, debug, kernels, ops
kernels.use("numpy")
x = Tensor(np.array([1.0, 0.0]), requires_grad=True)
with np.errstate(all="ignore"), debug.watch():
    loss = (ops.sqrt(x) * 3.0).sum()
    loss.backward()
print("went on:", x.grad)
"""


def test_pdb_stops_at_the_first_line_of_the_guilty_backward(tmp_path):
    script = tmp_path / "square_root.py"
    script.write_text(SCRIPT)
    commands = "p grad_y, self.y\nw\nn\nc\n"
    done = subprocess.run([sys.executable, script], input=commands, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert "watch: stopped at Sqrt, backward pass" in out
    assert "the gradient for x (2,) holds 1 infinity of 2 numbers; what arrived has norm 4.24" in out
    assert f"called at  {script}:7 in <module>" in out
    stop = out[out.index("before it") :]
    assert "arithmetic.py" in stop and "-> return (grad_y / (2 * self.y),)" in stop
    assert "(array([3., 3.]), array([1., 0.]))" in stop
    assert re.search(r"-> loss.backward\(\)\n.*engine.py\(\d+\)backward\(\)\n", stop)  # the callers are in sight
    assert "went on: [1.5 inf]" in stop


def test_an_outer_tracer_goes_on_after_the_rerun(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("c\n"))
    traced = []

    def tracer(frame, event, argument):
        traced.append(frame.f_code.co_name)

    def afterwards():
        pass

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert step_into(lambda x: x + 1, 2) == 3
        afterwards()
    finally:
        sys.settrace(before)
    assert traced[-1] == "afterwards"
