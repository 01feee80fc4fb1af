"""dtype in, dtype out: float32 stays float32 through every op's forward and backward, float64 stays float64."""

import numpy as np
import pytest

from minires import ops
from minires.engine import Tensor, backward_order
from minires.gradient_check.cases import all_cases, named_cases

CASES = named_cases()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_dtype_is_kept(case, dtype):
    tensors = [Tensor(array.astype(dtype), requires_grad=True) for array in case.arguments.values()]
    y = case.fn(*tensors)
    y = y[0] if isinstance(y, tuple) else y
    assert type(y.data) is np.ndarray and y.dtype == dtype
    order = backward_order(y)
    y.backward(np.ones(y.shape, dtype), keep_grads=True)
    for tensor in [*tensors, *order]:
        assert type(tensor.grad) is np.ndarray and tensor.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norm_with_given_statistics(dtype):
    rng = np.random.default_rng(0)
    x, weight, bias = [
        Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in ((2, 3, 4, 5), 3, 3)
    ]
    y, mean, var = ops.batch_norm(x, weight, bias, np.zeros(3, dtype), np.ones(3, dtype))
    y.backward(np.ones(y.shape, dtype))
    assert {array.dtype for array in (y.data, mean, var, x.grad, weight.grad, bias.grad)} == {np.dtype(dtype)}


def test_batch_statistics_keep_the_dtype():
    x = Tensor(np.ones((4, 2), np.float32))
    _, mean, var = ops.batch_norm(x, Tensor(np.ones(2, np.float32)), Tensor(np.zeros(2, np.float32)))
    assert mean.dtype == var.dtype == np.float32


NUMBERS = [2, 2.5, True]


@pytest.mark.parametrize("number", NUMBERS)
def test_python_numbers_take_the_tensors_dtype(number):
    x = Tensor(np.full((2, 3), 1.5, np.float32))
    results = [x + number, number + x, x - number, number - x, x * number, number * x, x / number, number / x]
    results += [x**number, number**x, ops.where(x.data > 1, x, number), ops.mse_loss(ops.sum(x), number)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


def test_mixed_dtypes_are_refused():
    a, b = Tensor(np.ones((2, 2), np.float32)), Tensor(np.ones((2, 2)))
    for function in (ops.add, ops.matmul, ops.residual_add, ops.mse_loss, ops.linear):
        with pytest.raises(TypeError, match=r"inputs must share one dtype and one device, got \(2, 2\) float32 on cpu"):
            function(a, b)
    with pytest.raises(TypeError, match="Concatenate: inputs must share one dtype"):
        ops.concatenate((a, b))


def test_no_op_writes_into_its_inputs_or_the_gradient_it_is_handed():
    for case in all_cases():
        tensors = [Tensor(array.copy(), requires_grad=True) for array in case.arguments.values()]
        for tensor in tensors:
            tensor.data.flags.writeable = False
        y = case.fn(*tensors)
        y = y[0] if isinstance(y, tuple) else y
        grad_y = np.ones(y.shape)
        grad_y.flags.writeable = False
        y.backward(grad_y)
