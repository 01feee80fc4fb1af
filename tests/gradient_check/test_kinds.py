"""Kinds of mistakes that hide in one corner of an op's arguments: the generated cases reach every one of them.

Each is planted where it would be made, and shows up for those arguments alone; `check_case` is what `minires gradcheck`
does with a case. `python tests/gradient_check/test_kinds.py` prints what it says to each.
"""

import numpy as np
import pytest

from minires import engine, kernels, ops
from minires.gradient_check import updates
from minires.gradient_check.case_check import check_case
from minires.gradient_check.cases import all_cases
from minires.kernels import numpy_kernels
from minires.nn import BatchNorm2d

CASES = all_cases()


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def doubled_if(condition):
    """Make of a function one whose result, or whose first of several, is twice as large where condition(*arguments)."""

    def change(right):
        def wrong(*given):
            result = right(*given)
            if not condition(*given):
                return result
            return (2 * result[0], *result[1:]) if isinstance(result, tuple) else 2 * result

        return wrong

    return change


def smoothing_lost(right):
    return lambda grad_loss, p, labels, smoothing, ignore: right(grad_loss, p, labels, min(smoothing, 0.1), ignore)


def other_ignored_labels_counted(right):
    def wrong(grad_loss, p, labels, smoothing, ignore):
        if ignore != -100:
            labels, ignore = np.where(labels == ignore, 0, labels), -100
        return right(grad_loss, p, labels, smoothing, ignore)

    return wrong


def eps_by_default(right):
    return lambda grad_y, x, weight, mean, var, eps: right(grad_y, x, weight, mean, var, 1e-5)


def last_of_equals(right):
    def wrong(x, size, stride, padding):
        y, winners = right(x, size, stride, padding)
        flipped, last = right(x[:, :, ::-1, ::-1], size, stride, padding)
        whole = all((x.shape[2 + k] - size[k]) % stride[k] == 0 for k in range(2)) and padding == (0, 0)
        return y, size[0] * size[1] - 1 - last[:, :, ::-1, ::-1] if whole else winners

    return wrong


def along_the_last_axis(right):
    return lambda self, grad_y: (self.y * (grad_y - (grad_y * self.y).sum(axis=-1, keepdims=True)),)


def left_not_summed(right):
    def wrong(self, grad_y):
        grad_a, grad_b = right(self, grad_y)
        return (grad_a / 2 if self.a.ndim < self.b.ndim else grad_a), grad_b

    return wrong


def one_axis_summed(right):
    def wrong(grad, shape):
        return grad.sum(axis=0)[0] if grad.ndim - len(shape) == 2 and grad.shape[2:] == shape else right(grad, shape)

    return wrong


def third_use_dropped(right):
    def wrong(tensor, grad):
        if tensor.op is not None:
            counts[tensor] = counts.get(tensor, 0) + 1
            if counts[tensor] == 3:
                return
        right(tensor, grad)

    counts = {}
    return wrong


def last_axis_swapped(right):
    def wrong(self, grad_y):
        grads = right(self, grad_y)
        same = len({grad.shape for grad in grads}) == 1
        return grads[::-1] if self.axis == grad_y.ndim - 1 and same else grads

    return wrong


def reversed_for_four_equal(right):
    def wrong(self, grad_y):
        grads = right(self, grad_y)
        return grads[::-1] if grad_y.ndim == 4 and len(set(grads[0].shape)) == 1 else grads

    return wrong


def slope_at_most_a_half(right):
    def wrong(self, grad_y):
        return (np.where(self.x > 0, grad_y, min(self.negative_slope, 0.5) * grad_y),)

    return wrong


def corrected_variance(right):
    def wrong(self, grad_y):
        n = self.count(self.centred.shape)
        return (self.spread(grad_y * (2 / max(1, n - 1)), self.centred.shape) * self.centred,)

    return wrong


def two_layers_at_most(right):
    def wrong(grad_y, saved, layers, shortcut, with_x):
        grad_x, *others = right(grad_y, saved, layers, shortcut, with_x)
        return (0.5 * grad_x if len(layers) > 2 else grad_x), *others

    return wrong


KERNELS = {
    "a convolution's input gradient at stride 3": (
        "conv2d", "conv2d_grad_input", doubled_if(lambda grad_y, weight, x_shape, stride, padding: max(stride) == 3)),
    "padding of 2": (
        "conv2d", "conv2d_grad_input", doubled_if(lambda grad_y, weight, x_shape, stride, padding: max(padding) >= 2)),
    "5×5 filters": (
        "conv2d", "conv2d_grad_weight", doubled_if(lambda grad_y, x, shape, stride, padding: shape[2:] == (5, 5))),
    "filters that are not square, with C ≠ F": (
        "conv2d", "conv2d_grad_weight",
        doubled_if(lambda grad_y, x, shape, stride, padding: shape[2] != shape[3] and shape[0] != shape[1])),
    "one image": ("conv2d", "conv2d_grad_weight", doubled_if(lambda grad_y, x, *_: len(x) == 1)),
    "no bias, 1×1": ("conv2d", "conv2d_grad_weight", doubled_if(lambda grad_y, x, shape, *_: shape[2:] == (1, 1))),
    "an odd count": ("batch_norm", "batch_norm_backward",
                     doubled_if(lambda grad_y, x, *_: x.size // x.shape[1] % 2 == 1)),
    "another eps than the default": ("batch_norm", "batch_norm_backward", eps_by_default),
    "another eps, statistics given": ("batch_norm", "batch_norm_inference_backward", eps_by_default),
    "label smoothing beyond a tenth": ("cross_entropy", "cross_entropy_backward", smoothing_lost),
    "ignored labels counted, for another ignore_index": (
        "cross_entropy", "cross_entropy_backward", other_ignored_labels_counted),
    "the last of equal maxima": ("max_pool2d", "max_pool2d_forward", last_of_equals),
    "a pool's stride above its window": (
        "avg_pool2d", "avg_pool2d_backward",
        doubled_if(lambda grad_y, x_shape, size, stride, padding: stride[0] > size[0])),
    "option A at stride 3": ("option_a", "option_a_backward", doubled_if(lambda grad_y, x_shape, stride: stride == 3)),
    "five groups": ("conv2d", "grouped_conv2d_grad_input", doubled_if(lambda *given: given[-1] == 5)),
    "dilation of 3 in the height alone": (
        "conv2d", "grouped_conv2d_grad_weight", doubled_if(lambda *given: given[-2] == (3, 1))),
    "dilation beyond the stride, one group": (
        "conv2d", "grouped_conv2d_grad_input",
        doubled_if(lambda grad_y, weight, x_shape, stride, padding, dilation, groups:
                   dilation[1] > stride[1] and groups == 1)),
    "more filters than channels in a group": (
        "conv2d", "grouped_conv2d_grad_weight",
        doubled_if(lambda grad_y, x, shape, *window: shape[0] > shape[1] * window[-1] and len(x) == 1)),
    "the shortcut of a block of three layers": ("conv_chain", "chain_backward", two_layers_at_most),
}  # fmt: skip

BACKWARDS = {
    "softmax along axis 0": ("softmax", ops.activation.Softmax, along_the_last_axis),
    "matmul broadcast on the left": ("matmul", ops.affine.MatMul, left_not_summed),
    "concatenate along the last axis": ("concatenate", ops.shape.Concatenate, last_axis_swapped),
    "concatenate of four equal sizes": ("concatenate", ops.shape.Concatenate, reversed_for_four_equal),
    "a slope above a half": ("leaky_relu", ops.activation.LeakyReLU, slope_at_most_a_half),
    "the corrected variance": ("var", ops.reduction.Var, corrected_variance),
    "ceil_mode with a stride above its window": (
        "max_pool2d", ops.general_pooling.CeilMaxPool2d,
        doubled_if(lambda self, grad_y: self.stride[1] > self.kernel_size[1])),
    "a last window larger than the image": (
        "max_pool2d", ops.general_pooling.CeilMaxPool2d,
        doubled_if(lambda self, grad_y: self.kernel_size[0] > self.x_shape[2])),
    "padding that does not count, of one axis": (
        "avg_pool2d", ops.general_pooling.GeneralAvgPool2d,
        doubled_if(lambda self, grad_y: self.padding[1] == 0 < self.padding[0] and not self.count_include_pad)),
    "ceil_mode for one image": (
        "avg_pool2d", ops.general_pooling.GeneralAvgPool2d,
        doubled_if(lambda self, grad_y: self.ceil_mode and self.count_include_pad and self.x_shape[0] == 1)),
    "a global pool of one pixel": (
        "global_avg_pool2d", ops.pooling.GlobalAvgPool2d,
        doubled_if(lambda self, grad_y: self.x.shape[2:] == (1, 1))),
}  # fmt: skip


def is_caught(op):
    return first_wrong(op) is not None


def first_wrong(op):
    """Return what `gradcheck` says to the first case of an op that is wrong, None if all are right."""
    for case in CASES:
        for row in check_case(case, ["numpy"]) if case.op == op else ():
            if row.verdict == "WRONG":
                return row
    return None


@pytest.mark.parametrize("kind", KERNELS)
def test_a_kernel_wrong_for_some_arguments_alone_is_caught(kind, monkeypatch):
    op, name, change = KERNELS[kind]
    monkeypatch.setattr(numpy_kernels, name, change(getattr(numpy_kernels, name)))
    assert is_caught(op)


@pytest.mark.parametrize("kind", BACKWARDS)
def test_a_backward_wrong_for_some_arguments_alone_is_caught(kind, monkeypatch):
    op, where, change = BACKWARDS[kind]
    monkeypatch.setattr(where, "backward", change(where.backward))
    assert is_caught(op)


def test_two_axes_that_one_side_does_not_have_are_caught(monkeypatch):
    monkeypatch.setattr(ops.arithmetic, "unbroadcast", one_axis_summed(ops.arithmetic.unbroadcast))
    assert is_caught("add") and is_caught("multiply")


def test_the_third_use_of_an_intermediate_is_caught(monkeypatch):
    monkeypatch.setattr(engine, "accumulate", third_use_dropped(engine.accumulate))
    assert is_caught("add")


# What is no gradient


def wrong_updates(makers, monkeypatch, name, wrong):
    monkeypatch.setattr(numpy_kernels, name, wrong)
    return [update.name for maker in makers for update in maker(0) if update.check()[0]]


def biased(running_mean, running_var, mean, var, M, momentum):
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + momentum * var


def momentum_turned_round(running_mean, running_var, mean, var, M, momentum):
    right_track(running_mean, running_var, mean, var, M, 1 - momentum)


def momentum_by_default(running_mean, running_var, mean, var, M, momentum):
    right_track(running_mean, running_var, mean, var, M, 0.1)


def decay_forgotten_by_nesterov(params, grads, buffers, lr, momentum, weight_decay, nesterov):
    right_sgd(params, grads, buffers, lr, momentum, 0.0 if nesterov else weight_decay, nesterov)


def off_by_one_from_a_hundred(params, grads, means, squares, step, *rest):
    right_adam(params, grads, means, squares, step + (step >= 100), *rest)


def decay_dropped_at_beta1_zero(params, grads, means, squares, step, lr, beta1, beta2, eps, decay, decoupled):
    right_adam(params, grads, means, squares, step, lr, beta1, beta2, eps, decay if beta1 else 0.0, decoupled)


right_track, right_sgd, right_adam = (
    numpy_kernels.batch_norm_track,
    numpy_kernels.sgd_step,
    numpy_kernels.adam_step,
)


@pytest.mark.parametrize("wrong", [biased, momentum_turned_round, momentum_by_default])
def test_wrong_running_statistics_are_caught(wrong, monkeypatch):
    assert wrong_updates([updates.running_statistics], monkeypatch, "batch_norm_track", wrong)


def test_nesterov_without_its_decay_is_caught(monkeypatch):
    found = wrong_updates([updates.sgd_steps], monkeypatch, "sgd_step", decay_forgotten_by_nesterov)
    assert found and all("Nesterov" in name and "weight decay 0.1" in name for name in found)


@pytest.mark.parametrize("wrong", [off_by_one_from_a_hundred, decay_dropped_at_beta1_zero])
def test_a_wrong_adam_is_caught(wrong, monkeypatch):
    assert wrong_updates([updates.adam_steps], monkeypatch, "adam_step", wrong)


def test_statistics_that_move_in_evaluation_are_caught(monkeypatch):
    monkeypatch.setattr(BatchNorm2d, "eval", lambda self: self)
    assert any(update.check()[0] for update in updates.running_statistics(0))


def test_everything_that_is_no_gradient_is_right():
    assert [problem for update in updates.all_updates() if (problem := update.check()[0])] == []


# The table


def table():
    """Yield each kind, the first case that shows it, and what `gradcheck` says."""

    def said(op):
        row = first_wrong(op)
        lines = [line.strip() for line in row.message.splitlines()]
        wanted = [line for line in lines[1:] if not line.startswith(("with respect to", "right with", "the culprit"))]
        return row.case.name, wanted[0] if wanted else lines[0]

    def planted_in(where, name, change, op):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, name, change(getattr(where, name)))
            return said(op)

    for kind, (op, name, change) in KERNELS.items():
        yield kind, *planted_in(numpy_kernels, name, change, op)
    for kind, (op, where, change) in BACKWARDS.items():
        yield kind, *planted_in(where, "backward", change, op)
    yield "two axes that one side does not have", *planted_in(ops.arithmetic, "unbroadcast", one_axis_summed, "add")
    yield "the third use of an intermediate", *planted_in(engine, "accumulate", third_use_dropped, "add")
    wrongs = [(biased, "batch_norm_track", updates.running_statistics),
              (momentum_turned_round, "batch_norm_track", updates.running_statistics),
              (momentum_by_default, "batch_norm_track", updates.running_statistics),
              (decay_forgotten_by_nesterov, "sgd_step", updates.sgd_steps),
              (off_by_one_from_a_hundred, "adam_step", updates.adam_steps),
              (decay_dropped_at_beta1_zero, "adam_step", updates.adam_steps)]  # fmt: skip
    for wrong, name, maker in wrongs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numpy_kernels, name, wrong)
            found = [(update.name, problem) for update in maker(0) if (problem := update.check()[0])]
        yield wrong.__name__.replace("_", " "), *found[0]


if __name__ == "__main__":
    with kernels.use("numpy"):
        for row in table():
            print(" | ".join(row))
