"""Tensor: what it holds, what it refuses, and its operators."""

import sys

import numpy as np
import pytest

from minires import Tensor, no_grad, ops


def test_lists_and_numbers_become_float32_and_arrays_keep_their_dtype():
    assert Tensor([1, 2]).dtype == np.float32
    assert Tensor(3).dtype == np.float32
    assert Tensor(np.float64(3)).dtype == np.float64
    assert Tensor(np.arange(3)).dtype == np.int64
    array = np.zeros(3)
    assert Tensor(array).data is array


def test_shape_size_device_item_and_length():
    x = Tensor(np.zeros((2, 3)))
    assert (x.shape, x.ndim, x.size, len(x), x.device) == ((2, 3), 2, 6, 2, "cpu")
    assert Tensor(2.5).item() == 2.5
    assert x.numpy() is x.data


def test_repr_is_one_line_that_says_where_a_tensor_was_made():
    w = Tensor(np.ones((4, 3), np.float32), requires_grad=True)
    y = ops.exp(w)
    assert repr(w) == "Tensor((4, 3), float32, leaf)"
    assert repr(y).startswith("Tensor((4, 3), float32, Exp at test_tensor.py:")
    assert repr(y).endswith("in test_repr_is_one_line_that_says_where_a_tensor_was_made)")


def test_repr_has_the_values_of_few_numbers():
    assert repr(Tensor(2.5)) == "Tensor((), float32, leaf) = 2.5"
    assert repr(Tensor([[1, 2, 3], [4, 5, 6e-9]])) == "Tensor((2, 3), float32, leaf) = [[1, 2, 3], [4, 5, 6e-09]]"
    assert repr(Tensor(np.zeros(7))) == "Tensor((7,), float64, leaf)"
    assert repr(Tensor(np.array([], np.float32))) == "Tensor((0,), float32, leaf) = []"
    assert "Sum at" in repr(Tensor([1.0, np.nan], requires_grad=True).sum())


def test_a_tensor_of_one_number_is_one():
    loss = Tensor([0.25], requires_grad=True).sum()
    assert float(loss) == 0.25 and int(loss * 10) == 2 and f"{loss:.3f}" == "0.250" and f"{loss:8.1e}" == " 2.5e-01"
    assert f"{loss}" == repr(loss) and bool(loss) and not bool(Tensor(0.0))
    assert float(Tensor([[3.0]])) == 3


@pytest.mark.parametrize("use", [float, int, bool, lambda x: f"{x:.2f}", lambda x: x.item()])
def test_several_numbers_are_not_one(use):
    for data in ([1.0, 2.0], np.zeros((0, 3))):
        with pytest.raises(ValueError, match=r"is not one number; reduce it first, as in x.mean\(\)"):
            use(Tensor(data))


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: Tensor(np.arange(3), requires_grad=True), "only floats can require grad, not int64; convert: data"),
        (lambda: Tensor(np.array(["a"])), "dtype <U1 is not one of"),
        (lambda: ops.relu(np.ones(2)), r"ReLU: takes tensors, not ndarray; wrap it: Tensor\(x\)"),
        (lambda: Tensor(Tensor(1.0)), "a Tensor already.*detach"),
        (
            lambda: Tensor(np.ones(2)) + Tensor(np.ones(2, np.float32)),
            r"Add: inputs must share one dtype.*float64.*float32",
        ),
        (lambda: Tensor(np.ones(2, np.float32)) * np.ones(2), "Multiply: inputs must share one dtype"),
        (lambda: Tensor(np.ones(2, ">f4" if sys.byteorder == "little" else "<f4")), "f4 .*in native byte order"),
    ],
)
def test_type_errors(made, message):
    with pytest.raises(TypeError, match=message):
        made()


def test_numbers_take_the_dtype_of_the_tensor():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    for y in (x + 1, 1 + x, x - 1.5, 1.5 - x, 2 * x, x * 2, x / 3, 3 / x, x**2, 2**x, -x):
        assert y.dtype == np.float32
        y.backward(np.ones(2, np.float32))
        assert x.grad.dtype == np.float32


def test_an_array_on_the_left_makes_one_tensor_not_an_array_of_tensors():
    y = np.ones(3) * Tensor(np.full(3, 2.0))
    assert isinstance(y, Tensor)
    np.testing.assert_array_equal(y.data, 2)


def test_operators_compute_what_numpy_does():
    a, b = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 3))
    A, B = Tensor(a), Tensor(b)
    for ours, theirs in [
        (A + B, a + b),
        (A - B, a - b),
        (A * B, a * b),
        (A / B, a / b),
        (A**B, a**b),
        (A @ B, a @ b),
        (a @ B, a @ b),
        (-A, -a),
        (A[1, ::2], a[1, ::2]),
        (A.sum(0), a.sum(0)),
        (A.mean(axis=1, keepdims=True), a.mean(1, keepdims=True)),
        (A.reshape(9), a.reshape(9)),
        (A.transpose(), a.T),
    ]:
        np.testing.assert_array_equal(ours.data, theirs)


def test_equality_is_identity_so_tensors_can_be_keys():
    x, y = Tensor(1.0), Tensor(1.0)
    assert x != y and {x: 1, y: 2}[x] == 1


def test_detach_shares_the_data_without_history():
    x = Tensor([1.0], requires_grad=True)
    y = (x * 2).detach()
    assert y.op is None and not y.requires_grad


def test_to_refuses_unknown_devices_and_graphs():
    x = Tensor([1.0], requires_grad=True)
    assert x.to("cpu") is x
    for device in ("gpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(ValueError, match=f"unknown device '{device}'"):
            x.to(device)


def test_no_grad_remembers_nothing():
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        y = x * 2
    z = x * 2
    assert y.op is None and not y.requires_grad
    assert z.op is not None and z.requires_grad


def test_constants_record_nothing():
    assert (Tensor([1.0]) * 2).op is None
