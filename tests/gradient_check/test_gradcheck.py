"""gradcheck: what it passes, what it leaves alone, how it treats kinks, and the input it refuses."""

import inspect

import numpy as np
import pytest

from minires import kernels, ops
from minires.engine import Op, Tensor, backward_order, no_grad, per_thread
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.cases import named_cases
from minires.gradient_check.differences import Tolerance, random_gradient, slope

CASES = named_cases()
rng = np.random.default_rng(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_op_is_right(case):
    report = gradcheck(case.fn, *case.arguments.values(), names=list(case.arguments))
    assert report.ok
    assert [argument.name for argument in report.arguments] == list(case.arguments)
    assert report.relative_error < 1e-6
    for argument in report.arguments:
        assert argument.checked + argument.kinks == np.prod(argument.shape) + 1  # every element, and all together
        assert argument.largest > 0, "a case whose gradient vanishes shows nothing"


@pytest.mark.parametrize("seed", [1, 2])
def test_other_inputs_and_output_gradients(seed):
    for case in named_cases(seed):
        gradcheck(case.fn, *case.arguments.values(), seed=seed)


def test_every_public_op_and_every_op_class_has_a_case():
    public = {name for name, value in vars(ops).items() if inspect.isfunction(value)}
    assert {case.op for case in CASES} == public
    assert len({case.name for case in CASES}) == len(CASES)
    used = set()
    for case in CASES:
        y = case.fn(*[Tensor(array, requires_grad=True) for array in case.arguments.values()])
        used |= {type(tensor.op) for tensor in backward_order(y[0] if isinstance(y, tuple) else y)}
    classes = Op.__subclasses__()
    for op in classes:
        classes.extend(op.__subclasses__())
    ours = {op for op in classes if op.__module__.startswith("minires.ops.") and hasattr(op, "backward")}
    assert ours - used == set()


def test_a_chain_of_ops_through_a_residual_block():
    def block(x, weight):
        h = ops.conv2d(x, weight, padding=1)
        h, _, _ = ops.batch_norm(h, Tensor(np.ones(2)), Tensor(np.zeros(2)))
        return ops.relu(ops.residual_add(x, h))

    report = gradcheck(
        block, rng.standard_normal((2, 2, 4, 5)), rng.standard_normal((2, 2, 3, 3)), names=("x", "weight")
    )
    assert report.subject == "ReLU ← ResidualAdd ← BatchNorm ← Conv2d"
    assert "weight (2, 2, 3, 3): ok, worst relative error" in str(report)


def test_the_callers_arrays_and_the_process_are_left_alone():
    x = rng.standard_normal((3, 4)).astype(np.float32)
    x.flags.writeable = False
    weight = Tensor(rng.standard_normal((2, 4)), requires_grad=True)
    before, weight_before = x.copy(), weight.data.copy()
    np.random.seed(7)  # noqa: NPY002  the global generator must not move
    state, in_use = np.random.get_state()[1].tolist(), kernels.in_use()  # noqa: NPY002
    gradcheck(ops.linear, x, weight)
    assert x.dtype == np.float32 and np.array_equal(x, before)
    assert np.array_equal(weight.data, weight_before) and weight.grad is None and weight.op is None
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    assert kernels.in_use() == in_use and per_thread.recording


def test_large_arrays_are_sampled():
    report = gradcheck(ops.tanh, rng.standard_normal((40, 50)))
    assert report.arguments[0].checked == 20 + 5 + 1
    assert report.arguments[0].elements is None


def test_a_mistake_in_a_large_array_is_caught_along_random_directions(monkeypatch):
    x = rng.standard_normal((40, 50))
    right = ops.activation.Tanh.backward

    def wrong_in_one_row(self, grad_y):
        (grad_x,) = right(self, grad_y)
        grad_x[7] = 0
        return (grad_x,)

    monkeypatch.setattr(ops.activation.Tanh, "backward", wrong_in_one_row)
    with pytest.raises(GradientError, match="Tanh is wrong") as caught:
        gradcheck(ops.tanh, x)
    assert caught.value.report.arguments[0].wrong >= 5 + 1  # every direction shows it; few elements are in that row


def test_arguments_may_be_scalars_and_outputs_too():
    assert gradcheck(lambda x: x * x, np.float64(3.0)).checked == 2


# Kinks


def test_relu_at_zero_is_left_out_and_counted():
    argument = gradcheck(ops.relu, np.array([0.0, 1.0, -1.0])).arguments[0]
    assert argument.kinks == 2  # the zero itself, and all together
    assert argument.checked == 2
    assert "2 on a kink left out" in str(argument)


@pytest.mark.parametrize("distance", [0.0, 2e-7, 1e-6, 5e-6 / 3, 1e-5 * 2 / 7, 5e-6, 9e-6])
def test_a_kink_at_any_distance_is_seen_or_stepped_around(distance):
    """Central differences alone would be off by up to half the slope's jump."""
    for sign in (1, -1):
        x = sign * distance
        numeric = slope(
            lambda t, x=x: np.abs(np.array([x + t])), np.abs(np.array([x])), np.ones(1), Tolerance(1e-5, 1e-6, 1e-8)
        )
        assert numeric is None or abs(numeric.value - sign) < 1e-6
    if distance >= 1e-6:  # the second, smaller step is clear of it
        assert numeric is not None


def test_ties_of_a_maximum_are_kinks_one_by_one_and_none_together():
    tied = np.array([[1.0, 3.0, 3.0, 0.0]])
    argument = gradcheck(lambda x: ops.max(x, axis=1), tied).arguments[0]
    assert (argument.checked, argument.kinks) == (3, 2)


def test_smooth_functions_have_no_kinks():
    x = np.linspace(-3, 3, 50)
    assert gradcheck(lambda x: ops.exp(ops.multiply(x, 3.0)), x).kinks == 0


def test_nothing_but_kinks_is_refused():
    with pytest.raises(
        ValueError, match=r"gradcheck: all of argument 0, shape \(3,\), is on kinks.*choose other inputs"
    ):
        gradcheck(ops.relu, np.zeros(3))


# The random output gradient


def test_output_gradients_have_no_small_elements():
    grad = random_gradient((1000,), np.random.default_rng(0))
    assert 0.5 <= np.abs(grad).min() and np.abs(grad).max() <= 1.5
    assert 400 < (grad > 0).sum() < 600
    assert random_gradient((), np.random.default_rng(0)).shape == ()


# Bad input


def test_integers_have_no_gradient():
    with pytest.raises(TypeError, match="argument 1 is int64; only floats have a gradient. Give labels"):
        gradcheck(ops.cross_entropy, np.zeros((2, 3)), np.array([0, 1]))


def test_an_empty_array_is_refused():
    with pytest.raises(ValueError, match=r"argument 0 has shape \(0, 3\): there is nothing to check"):
        gradcheck(ops.exp, np.zeros((0, 3)))


def test_no_arrays_are_refused():
    with pytest.raises(ValueError, match="give at least one array"):
        gradcheck(ops.exp)


def test_names_must_fit():
    with pytest.raises(ValueError, match="2 names for 1 arrays"):
        gradcheck(ops.exp, np.ones(3), names=("x", "y"))


@pytest.mark.parametrize("option", ["eps", "rtol", "atol"])
def test_a_step_or_tolerance_of_zero_is_refused(option):
    with pytest.raises(ValueError, match=f"{option} must be above 0, got 0"):
        gradcheck(ops.exp, np.ones(3), **{option: 0})


def test_no_grad_is_refused():
    with no_grad(), pytest.raises(RuntimeError, match="called inside no_grad"):
        gradcheck(ops.exp, np.ones(3))


def test_a_function_that_draws_anew_each_time_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="different results for the same input; make its generator inside fn"):
        gradcheck(lambda x: ops.dropout(x, 0.5, generator), np.ones(20))


def test_a_function_that_is_not_finite_is_refused():
    with np.errstate(all="ignore"):
        with pytest.raises(ValueError, match="fn is not finite at the given arrays"):
            gradcheck(ops.log, np.array([1.0, 0.0]))
        with pytest.raises(ValueError, match="not finite near its inputs"):
            gradcheck(ops.sqrt, np.array([1.0, 1e-9]))


def test_a_function_that_writes_into_its_argument_is_refused():
    def scale_in_place(x):
        x.data *= 2
        return ops.exp(x)

    with pytest.raises(ValueError, match="fn writes into argument 0"):
        gradcheck(scale_in_place, np.ones(3))


def test_a_function_that_returns_no_tensor_is_refused():
    with pytest.raises(TypeError, match="fn must return a Tensor, or a tuple that starts with one, not ndarray"):
        gradcheck(lambda x: x.data, np.ones(3))


# Mistakes of the function rather than of an op


def test_a_function_that_leaves_the_graph_is_caught():
    with pytest.raises(GradientError, match="not connected to any argument"):
        gradcheck(lambda x: ops.exp(x.detach()), np.ones(3))


def test_one_argument_that_leaves_the_graph_is_caught():
    with pytest.raises(GradientError, match="with respect to b.*\n.*it is 0 everywhere: nothing comes back"):
        gradcheck(lambda a, b: a * Tensor(b.data), rng.standard_normal(4), rng.standard_normal(4), names=("a", "b"))


def test_the_culprit_in_a_chain_is_named(monkeypatch):
    monkeypatch.setattr(ops.activation.Sigmoid, "backward", lambda self, grad_y: (grad_y * self.y,))
    with pytest.raises(
        GradientError, match="culprit is the backward of Sigmoid at test_gradcheck.py:.*input 0"
    ) as caught:
        gradcheck(lambda x: ops.exp(ops.sigmoid(ops.tanh(x))), rng.standard_normal((2, 3)))
    assert caught.value.report.subject == "Exp ← Sigmoid ← Tanh"
    assert isinstance(caught.value, AssertionError)


def test_a_gradient_that_differs_when_it_alone_is_asked_for_is_caught(monkeypatch):
    right = ops.affine.MatMul.backward

    def swapped_when_alone(self, grad_y):
        grads = right(self, grad_y)
        return grads if all(self.needs_grad) else tuple([None if grad is None else 2 * grad for grad in grads])

    monkeypatch.setattr(ops.affine.MatMul, "backward", swapped_when_alone)
    with pytest.raises(GradientError, match="gives a another gradient when it alone requires grad"):
        gradcheck(ops.matmul, rng.standard_normal((2, 3)), rng.standard_normal((3, 2)), names=("a", "b"))
