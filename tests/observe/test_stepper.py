"""The stepper: the same gradients as Tensor.backward, each op once, and records that can be walked back and forth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires import Tensor, debug, kernels, models, nn, ops
from minires.data import load_digits
from minires.engine import Op, backward_order


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def digits_loss(model, count=4):
    images, labels, _, _ = load_digits()
    return ops.cross_entropy(model(Tensor(images[:count])), labels[:count])


def small_resnet(**options):
    return models.make("resnet20", in_channels=1, seed=0, **options)


def leaf(*values):
    return Tensor(np.array(values, np.float64), requires_grad=True)


@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet20", {}),
        ("resnet20", {"skip": False, "norm": "none"}),
        ("resnet20", {"shortcut": "B"}),
        ("resnet20", {"norm": "none", "init": "fixup"}),
        ("preact_resnet20", {}),
    ],
)
def test_gradients_are_those_of_backward_bit_by_bit(name, options):
    model = models.make(name, in_channels=1, seed=0, **options)
    digits_loss(model).backward()
    expected = {key: parameter.grad for key, parameter in model.named_parameters()}
    model.zero_grad()
    debug.backward_steps(digits_loss(model)).run_to_end()
    for key, parameter in model.named_parameters():
        assert parameter.grad.dtype == np.float32
        np.testing.assert_array_equal(parameter.grad, expected[key], err_msg=key)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.sampled_from("+*r")), min_size=1, max_size=12))
def test_any_graph_gives_the_gradients_of_backward(edges):
    def build():
        tensors = [leaf(0.5, -1.0), leaf(2.0, 0.25)]
        for i, j, kind in edges:
            a, b = tensors[i % len(tensors)], tensors[j % len(tensors)]
            tensors.append({"+": ops.add, "*": ops.multiply, "r": ops.residual_add}[kind](a, b))
        return tensors[:2], tensors[-1].sum()

    leaves, loss = build()
    loss.backward()
    stepped, loss = build()
    order = backward_order(loss)
    steps = list(debug.backward_steps(loss))
    assert [step.tensor for step in steps] == order
    for one, other in zip(leaves, stepped, strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            np.testing.assert_array_equal(one.grad, other.grad)


def test_each_op_runs_once_however_the_walk_goes_back_and_forth(monkeypatch):
    calls = []
    backward = ops.arithmetic.Multiply.backward
    monkeypatch.setattr(ops.arithmetic.Multiply, "backward", lambda op, grad: calls.append(op) or backward(op, grad))
    x = leaf(2.0)
    y = x
    for _ in range(5):
        y = y * 3.0
    steps = debug.backward_steps(y)
    steps.run_to_end()
    records = list(steps.records)
    assert steps.back(4) is records[0]
    assert next(steps) is records[1]
    assert steps.back(2) is None and steps.current is None
    assert list(steps) == records
    assert len(calls) == 5
    np.testing.assert_array_equal(x.grad, [3.0**5])


def test_a_step_tells_what_arrived_what_left_and_where_all_of_it_is_written():
    model = small_resnet()
    steps = debug.backward_steps(digits_loss(model), model=model)
    step = steps.until("layer2.0.conv1")
    assert (step.op_name, step.module_path, step.index + 1, step.count) == ("Conv2d", "layer2.0.conv1", 46, 71)
    path, line, function = step.site
    assert path.endswith("blocks.py") and function == "forward"
    assert "self.conv1(x)" in open(path, encoding="utf-8").read().splitlines()[line - 1]
    assert step.source.path == ops.convolution.__file__
    assert step.source.text.startswith("    def backward(self, grad_y")
    lines = open(step.source.path, encoding="utf-8").read().splitlines()
    assert lines[step.source.line - 1] == step.source.text.splitlines()[0]
    assert step.grad_y.shape == step.tensor.shape == (4, 32, 4, 4)

    x, weight = step.inputs
    assert (x.name, x.parameter, weight.name, weight.parameter) == ("x", "", "weight", "layer2.0.conv1.weight")
    assert steps.records[-1] is step and x.made_by > step.index and weight.made_by is None
    assert steps.order[x.made_by] is x.tensor
    assert step.parameters == ["layer2.0.conv1.weight"]
    assert weight.grad is weight.total is model.layer2[0].conv1.weight.grad
    for one in (x, weight):
        assert one.statistics.norm == pytest.approx(np.linalg.norm(one.grad), rel=1e-5)
    assert "Step 46 of 71: Conv2d at blocks.py" in repr(step) and "in layer2.0.conv1" in repr(step)


def test_progress_grows_to_the_whole_gradient():
    model = small_resnet()
    steps = debug.backward_steps(digits_loss(model))
    last = steps.run_to_end()
    parameters = model.parameters()
    numbers = [step.progress.numbers for step in steps.records]
    assert numbers == sorted(numbers) and numbers[-1] == sum(parameter.size for parameter in parameters)
    assert last.progress.ops == 71 and last.progress.parameters == len(parameters)
    whole = np.sqrt(sum(float((parameter.grad.astype(np.float64) ** 2).sum()) for parameter in parameters))
    assert last.progress.grad_norm == pytest.approx(whole, rel=1e-6)


def test_at_a_fork_the_total_is_the_sum_of_what_came():
    x = leaf(3.0)
    h = x * 2.0
    y = ops.residual_add(h, h * h)
    steps = list(debug.backward_steps(y))
    uses = [one for step in steps for one in step.inputs if one.tensor is h]
    np.testing.assert_array_equal(uses[-1].total, sum(one.grad for one in uses))
    assert steps[-1].grad_y is uses[-1].total
    np.testing.assert_array_equal(x.grad, [2 * (1 + 2 * 6.0)])


@pytest.mark.parametrize("model_is_given", [True, False])
def test_parameters_have_their_names_in_the_model(model_is_given):
    model = small_resnet()
    steps = debug.backward_steps(digits_loss(model), model=model if model_is_given else None)
    touched = [name for step in steps for name in step.parameters]
    assert sorted(touched) == sorted(name for name, _ in model.named_parameters())


def test_scalars_without_a_layer_of_their_own_are_named_by_the_model():
    model = small_resnet(norm="none", init="skipinit")
    touched = {name for step in debug.backward_steps(digits_loss(model), model=model) for name in step.parameters}
    assert touched == {name for name, _ in model.named_parameters()}


def test_until_finds_modules_ops_and_both():
    steps = debug.backward_steps(digits_loss(small_resnet()))
    assert steps.until(op="BatchNorm").module_path == "layer3.2.bn2"
    assert steps.until("layer3.1").op_name == "ReLU"  # the first op inside
    assert steps.until("layer2.*", op="Conv2d").module_path == "layer2.2.conv2"
    assert steps.until("*.downsample").op_name == "OptionA"
    assert steps.run_to_end().module_path == "conv1"


def test_until_refuses_before_it_walks():
    steps = debug.backward_steps(digits_loss(small_resnet()))
    steps.until("layer3.1")
    position = steps.position
    with pytest.raises(ValueError, match="until: nothing ahead fits module 'layer9'; ahead are the ops .*Conv2d"):
        steps.until("layer9")
    with pytest.raises(ValueError, match="until: nothing ahead fits module 'layer1' and op 'Linear'"):
        steps.until("layer1", op="Linear")
    with pytest.raises(ValueError, match=r"until: op 'CrossEntropy' lies behind; go back\(\)"):
        steps.until(op="CrossEntropy")
    assert steps.position == position


@pytest.mark.parametrize("count", [0, 3])
def test_back_refuses_to_leave_the_walk(count):
    steps = debug.backward_steps(leaf(1.0) * 2.0 * 3.0)
    steps.run_to_end()
    with pytest.raises(ValueError, match=f"back: cannot go back {count} steps after 2"):
        steps.back(count)


def test_ahead_lists_what_is_to_come():
    loss = ops.exp(leaf(1.0) * 2.0)
    steps = debug.backward_steps(loss)
    assert steps.ahead == backward_order(loss) and len(steps) == 2
    next(steps)
    assert [type(tensor.op).__name__ for tensor in steps.ahead] == ["Multiply"]


def test_the_graph_is_released_as_by_backward_unless_it_is_kept():
    x = leaf(2.0)
    loss = ops.exp(x)
    debug.backward_steps(loss, keep_graph=True).run_to_end()
    debug.backward_steps(loss).run_to_end()
    np.testing.assert_allclose(x.grad, 2 * np.exp([2.0]))
    assert loss.grad is None
    with pytest.raises(RuntimeError, match="keep_graph=True"):
        debug.backward_steps(loss)


def test_the_first_gradient_is_checked_as_by_backward():
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(RuntimeError, match="not a single number"):
        debug.backward_steps(y)
    with pytest.raises(ValueError, match=r"grad must be an array of shape \(2,\)"):
        debug.backward_steps(y, np.ones(3))
    (step,) = debug.backward_steps(y, np.array([1.0, -1.0]))
    np.testing.assert_array_equal(step.inputs[0].grad, [2.0, -2.0])


def test_a_leaf_has_no_steps():
    x = leaf(2.0)
    steps = debug.backward_steps(x)
    assert list(steps) == []
    np.testing.assert_array_equal(x.grad, [1.0])
    with pytest.raises(RuntimeError, match="there are no steps, since the loss is a leaf"):
        steps.run_to_end()


def test_an_error_in_backward_names_the_op():
    class Broken(Op):
        def forward(self, x):
            return x * 1

        def backward(self, grad_y):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        next(debug.backward_steps(Broken()(leaf(1.0))))
    assert "in the backward pass of Tensor((1,), float64, Broken at test_stepper.py" in caught.value.__notes__[0]


def test_inputs_are_called_by_the_words_of_the_op():
    a, b = leaf(1.0), leaf(2.0)
    (step,) = debug.backward_steps(ops.concatenate([a, b]), np.ones(2))
    assert [one.name for one in step.inputs] == ["arrays[0]", "arrays[1]"]
    (step,) = debug.backward_steps(ops.residual_add(a, b))
    assert [one.name for one in step.inputs] == ["shortcut", "branch"]


def test_modules_with_an_outer_name_are_walked_too():
    model = nn.Sequential(nn.Linear(3, 2, seed=0))
    loss = model(Tensor(np.ones((1, 3), np.float32))).sum()
    assert [step.module_path for step in debug.backward_steps(loss)] == ["", "0"]
