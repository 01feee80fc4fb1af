"""Tensor.backward: order, accumulation, release, errors, memory."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from minires import Tensor, no_grad, ops
from minires.engine import Op, backward_order


def leaf(*values):
    return Tensor(np.array(values, np.float64), requires_grad=True)


def test_the_diamond_adds_both_paths():
    x = leaf(3.0)
    y = x + x * x
    y.backward()
    np.testing.assert_array_equal(x.grad, [1 + 2 * 3.0])


def test_a_tensor_used_twice_by_one_op_gets_both_gradients():
    x = leaf(3.0)
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [6.0])


@pytest.mark.parametrize("uses", [2, 3, 4, 7])
def test_every_use_of_a_tensor_counts(uses):
    """Also the third of an intermediate, and of a leaf: y = Σ k·h for k = 1 … uses, and h = 2x."""
    for through in (lambda x: x, lambda x: x * 2.0):
        x = Tensor(np.array([3.0, -1.0]), requires_grad=True)
        h = through(x)
        y = h * 1.0
        for k in range(2, uses + 1):
            y = y + h * float(k)
        y.backward(np.array([1.0, 10.0]))
        slope = sum(range(1, uses + 1)) * (1 if h is x else 2)
        np.testing.assert_array_equal(x.grad, [slope, 10.0 * slope])


def test_every_op_runs_once_however_many_paths_lead_to_it(monkeypatch):
    calls = []
    backward = ops.shortcut.ResidualAdd.backward
    monkeypatch.setattr(ops.shortcut.ResidualAdd, "backward", lambda op, grad: calls.append(op) or backward(op, grad))
    x = leaf(1.0)
    h = x
    for _ in range(20):  # 2²⁰ paths
        h = ops.residual_add(h, h * 0.5)
    h.backward()
    assert len(calls) == 20
    np.testing.assert_allclose(x.grad, 1.5**20)


def test_backward_order_lists_each_tensor_after_all_computed_from_it():
    x = leaf(2.0)
    a = x * 3
    b = ops.exp(a)
    c = a + b
    order = backward_order(c)
    assert order == [c, b, a]


def test_two_thousand_residual_additions_neither_recurse_nor_blow_up():
    x = leaf(1.0)
    h = x
    for _ in range(2000):
        h = ops.residual_add(h, h * 0.001)
    assert len(backward_order(h)) == 4000
    h.backward()
    np.testing.assert_allclose(x.grad, 1.001**2000)


def test_leaves_accumulate_over_passes_and_intermediates_do_not():
    x = leaf(2.0)
    for expected in (3.0, 6.0):
        y = x * 3
        y.backward(keep_grads=True)
        np.testing.assert_array_equal(x.grad, [expected])
        np.testing.assert_array_equal(y.grad, [1.0])


def test_accumulation_never_writes_into_an_array():
    x, w = leaf(2.0), leaf(5.0)
    y = ops.residual_add(x, w)
    y.backward()
    shared = x.grad
    assert shared is w.grad  # both sides of the add hold the same array
    (x * 10).backward()
    np.testing.assert_array_equal(x.grad, [11.0])
    np.testing.assert_array_equal(w.grad, [1.0])


def test_intermediate_gradients_are_kept_on_request_only():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    z.backward(keep_grads=True)
    np.testing.assert_array_equal(y.grad, [12.0])
    y = x * 3
    (y * y).backward()
    assert y.grad is None


def test_a_kept_graph_gives_the_same_gradients_twice():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    z.backward(keep_graph=True, keep_grads=True)
    first, x.grad = x.grad, None
    z.backward()
    np.testing.assert_array_equal(x.grad, first)


def test_two_losses_may_share_a_kept_part():
    x = leaf(2.0)
    h = ops.exp(x)
    (h * 2).backward(keep_graph=True)
    (h * 3).backward()
    np.testing.assert_allclose(x.grad, 5 * np.exp(2.0))


def test_a_released_graph_says_what_to_do():
    x = leaf(2.0)
    h = ops.exp(x)
    (h * 2).backward()
    with pytest.raises(RuntimeError, match=r"Exp at test_backward.py:\d+ in .* released; pass keep_graph=True"):
        (h * 3).backward()
    y = x * 3
    y.backward()
    with pytest.raises(RuntimeError, match="Multiply at .*keep_graph=True"):
        y.backward()


def test_release_keeps_name_site_and_shapes_and_nothing_else():
    x = leaf(2.0)
    y = ops.exp(x)
    y.backward()
    assert y.op.inputs == () and y.op.input_shapes == ((1,),)
    assert not hasattr(y.op, "y")
    assert repr(y.op).startswith("Exp at test_backward.py:")


def test_the_words_that_an_op_saved_are_its_own():
    x = Tensor(np.ones((1, 2, 3, 3)), requires_grad=True)
    weight = Tensor(np.ones((2, 2, 1, 1)), requires_grad=True)
    y = ops.conv2d(x, weight)
    saved = y.op.saved_words()
    assert set(saved) == {"x", "weight", "stride", "padding"} and saved["x"] is x.data
    y.sum().backward()
    assert y.op.saved_words() == {}
    y.op.release()  # once more changes nothing
    assert y.op.released and y.op.input_shapes == ((1, 2, 3, 3), (2, 2, 1, 1))


def test_an_op_is_for_one_call():
    op = ops.arithmetic.Exp()
    y = op(leaf(1.0))
    with pytest.raises(RuntimeError, match="Exp at .* has run already.*make a new op for every call"):
        op(leaf(2.0))
    y.backward()
    with pytest.raises(RuntimeError, match="has run already"):
        op(leaf(2.0))


def test_a_leaf_is_its_own_graph():
    x = leaf(2.0)
    x.backward()
    np.testing.assert_array_equal(x.grad, [1.0])


def test_backward_of_nothing():
    with pytest.raises(RuntimeError, match="does not depend on any tensor that requires grad"):
        Tensor([1.0]).backward()
    x = leaf(2.0)
    with no_grad():
        y = x * 2
    with pytest.raises(RuntimeError, match="does not depend on any tensor"):
        y.backward()


def test_backward_of_many_numbers_needs_a_gradient():
    x = leaf(1.0, 2.0)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"not a single number; pass backward\(grad\)"):
        y.backward()
    for wrong in (np.ones(3), np.ones(2, np.float32), Tensor(np.ones(2)), [1.0, 1.0], 1.0):
        with pytest.raises(ValueError, match=r"grad must be an array of shape \(2,\) and dtype float64"):
            y.backward(wrong)
    assert x.grad is None
    y.backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad, [2.0, 20.0])


class Wrong(Op):
    """An op whose backward gives whatever it is told to."""

    def __init__(self, grads):
        self.grads = grads

    def forward(self, x):
        return x * 1

    def backward(self, grad_y):
        if isinstance(self.grads, Exception):
            raise self.grads
        return self.grads


@pytest.mark.parametrize(
    "grads, error, message",
    [
        (ZeroDivisionError("divided"), ZeroDivisionError, "divided"),
        ((np.ones(3),), ValueError, r"gave a gradient of shape \(3,\), float64 for an input of shape \(2,\), float64"),
        ((np.ones(2, np.float32),), ValueError, r"gave a gradient of shape \(2,\), float32 for an input .* float64"),
        ((None,), ValueError, "gave no gradient for an input"),
        ((np.ones(2), np.ones(2)), ValueError, "longer"),
    ],
)
def test_an_error_in_backward_names_the_op_and_the_line_that_called_it(grads, error, message):
    y = Wrong(grads)(leaf(1.0, 2.0))
    with pytest.raises(error, match=message) as caught:
        y.backward(np.ones(2))
    assert len(caught.value.__notes__) == 1
    assert "in the backward pass of Tensor((2,), float64, Wrong at test_backward.py:" in caught.value.__notes__[0]


def test_activations_are_freed_with_the_loss_without_the_garbage_collector():
    gc.disable()
    try:
        x = leaf(1.0)
        h = ops.exp(x)
        loss = ops.residual_add(h, h * 2)
        watched = [weakref.ref(h), weakref.ref(h.op), weakref.ref(loss)]
        del h, loss
        assert [ref() for ref in watched] == [None, None, None]
    finally:
        gc.enable()


def test_backward_frees_what_the_graph_held_although_the_loss_lives():
    gc.disable()
    try:
        x = leaf(1.0)
        h = ops.exp(x)
        loss = h * 2
        watched = weakref.ref(h)
        del h
        loss.backward()
        assert watched() is None
    finally:
        gc.enable()


def test_site_is_text_with_path_line_and_function():
    x = leaf(1.0)
    here = sys._getframe().f_lineno
    y = x * 2
    assert y.op.site == (__file__, here + 1, "test_site_is_text_with_path_line_and_function")


def test_no_grad_and_its_end_are_per_thread():
    x = leaf(1.0)
    seen = {}

    def other():
        seen["recorded"] = (x * 2).op is not None

    with no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        seen["here"] = (x * 2).op is not None
    assert seen == {"recorded": True, "here": False}


def test_no_grad_ends_after_an_error():
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert (leaf(1.0) * 2).op is not None
