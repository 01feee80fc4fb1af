"""What bad input gets: an error that names the function, the shapes and the cure, and no half-done work."""

import numpy as np
import pytest

from minires import ops
from minires.engine import Tensor


def ones(*shape):
    return Tensor(np.ones(shape))


IMAGES = ones(2, 3, 4, 5)
LOGITS = ones(3, 4)

VALUE_ERRORS = [
    (lambda: ones(2, 3) + ones(2, 4), r"add: shapes \(2, 3\) and \(2, 4\) do not broadcast: 3 against 4"),
    (lambda: ones(2, 3) - ones(3, 3), r"subtract: shapes \(2, 3\) and \(3, 3\) do not broadcast"),
    (lambda: ones(2, 3) * np.ones(2), r"multiply: shapes \(2, 3\) and \(2,\) do not broadcast"),
    (lambda: np.ones(2) / ones(2, 3), r"divide: shapes \(2,\) and \(2, 3\) do not broadcast"),
    (lambda: ones(2, 3) ** ones(4), r"power: shapes \(2, 3\) and \(4,\) do not broadcast"),
    (lambda: ops.where(np.ones((2, 3), bool), ones(2), ones(3)), "where: shapes .* do not broadcast"),
    (lambda: ones(2, 3) @ ones(2, 3), r"matmul: shapes \(2, 3\) and \(2, 3\): 3 columns against 2 rows"),
    (
        lambda: ones(2, 2, 3) @ ones(3, 3, 4),
        r"matmul of \(2, 2, 3\) and \(3, 3, 4\): shapes \(2,\) and \(3,\) do not broadcast",
    ),
    (lambda: ops.where(np.ones(5, bool), ones(2), ones(2)), r"where: shapes \(5,\) and \(2,\) do not broadcast"),
    (lambda: ops.matmul(ones(2, 3), ones()), "matmul: shapes .* a single number has no matrix product; use [*]"),
    (lambda: ops.linear(IMAGES, ones(2, 60)), r"linear: x \(2, 3, 4, 5\) and weight \(2, 60\) .* flatten images first"),
    (
        lambda: ops.linear(ones(2, 3), ones(4, 2)),
        r"linear: x \(2, 3\) and weight \(4, 2\) must be \(N, C\) and \(F, C\)",
    ),
    (lambda: ops.linear(ones(2, 3), ones(4, 3), ones(3)), r"linear: bias \(3,\) must be \(4,\), one per row of weight"),
    (lambda: ops.sum(ones(2, 3), axis=2), r"sum: axis 2 is out of range for shape \(2, 3\)"),
    (lambda: ops.mean(ones(2, 3), axis=(0, -2)), r"mean: axis \(0, -2\) names one axis of shape \(2, 3\) twice"),
    (lambda: ops.max(ones(2, 0), axis=1), r"max: shape \(2, 0\) has no numbers along axis 1"),
    (lambda: ops.mean(ones(0)), r"mean: shape \(0,\) has no numbers along axis None"),
    (lambda: ops.var(ones(0, 2), axis=0), r"var: shape \(0, 2\) has no numbers along axis 0"),
    (lambda: ops.softmax(ones(2, 3), axis=2), r"softmax: axis 2 is out of range for shape \(2, 3\)"),
    (lambda: ops.log_softmax(ones(3), axis=-2), r"log_softmax: axis -2 is out of range for shape \(3,\)"),
    (lambda: ops.reshape(ones(2, 3), 4, 2), r"reshape: 6 numbers of shape \(2, 3\) do not fit shape \(4, 2\)"),
    (lambda: ops.reshape(ones(2, 3), -1, 4), r"reshape: 6 numbers of shape \(2, 3\) do not fit shape \(-1, 4\)"),
    (lambda: ops.reshape(ones(2, 3), -1, -1), r"reshape: 6 numbers .* do not fit shape \(-1, -1\)"),
    (lambda: ops.transpose(ones(2, 3), 0, 0), r"transpose: axes \(0, 0\) do not name each axis of shape \(2, 3\) once"),
    (lambda: ops.transpose(ones(2, 3), 0, 2), "transpose: axes .* do not name each axis"),
    (lambda: ops.flatten(ones(2, 3), 2), r"flatten: start_axis 2 is out of range for shape \(2, 3\)"),
    (lambda: ops.pad(ones(2, 3), ((1, 1),)), r"pad: pad_width .* is not one \(before, after\) pair per axis"),
    (lambda: ops.pad(ones(2, 3), ((1, 1), (0, -1))), r"pad: pad_width .* is not one \(before, after\) pair per axis"),
    (lambda: ops.concatenate([]), "concatenate: no tensors to join"),
    (
        lambda: ops.concatenate([ones(2, 3), ones(3, 3)], axis=1),
        r"shapes \(2, 3\), \(3, 3\) differ elsewhere than along",
    ),
    (lambda: ops.concatenate([ones(2, 3)], axis=2), r"concatenate: axis 2 is out of range for shape \(2, 3\)"),
    (lambda: ops.concatenate([ones(2, 3), ones(2)], axis=0), r"concatenate: shapes \(2, 3\), \(2,\) differ"),
    (
        lambda: ops.conv2d(ones(3, 4, 5), ones(2, 3, 3, 3)),
        r"conv2d: x \(3, 4, 5\) and weight .* must be \(N, C, H, W\)",
    ),
    (lambda: ops.conv2d(IMAGES, ones(2, 4, 3, 3)), r"conv2d: x \(2, 3, 4, 5\) and weight \(2, 4, 3, 3\) .* with one C"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), ones(3)), r"conv2d: bias \(3,\) must be \(2,\), one per filter"),
    (
        lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), stride=0),
        "conv2d: stride must be a whole number .* at least 1, got 0",
    ),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), padding=-1), "conv2d: padding must be .* at least 0, got -1"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), stride=(1, 2, 3)), r"conv2d: stride must be .* got \(1, 2, 3\)"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), stride=(1.5, 1)), r"conv2d: stride must be .* got \(1.5, 1\)"),
    (
        lambda: ops.conv2d(IMAGES, ones(2, 3, 5, 3)),
        r"a 5×3 window does not fit x \(2, 3, 4, 5\) with padding \(0, 0\): 4×5",
    ),
    (
        lambda: ops.conv2d(IMAGES, ones(6, 3, 3, 3), groups=3),
        r"conv2d: x \(2, 3, 4, 5\) and weight \(6, 3, 3, 3\) .* groups 3 .* of its group alone: weight \(6, 1, …\)",
    ),
    (
        lambda: ops.conv2d(ones(2, 6, 4, 5), ones(8, 3, 3, 3), groups=4),
        r"conv2d: .* with groups 4 dividing C and F; choose groups that divide both, such as 2",
    ),
    (lambda: ops.conv2d(ones(2, 4, 4, 5), ones(6, 1, 3, 3), groups=4), "groups 4 dividing C and F; choose .* as 2"),
    (lambda: ops.conv2d(ones(2, 4, 5, 6), ones(6, 3, 3, 3), groups=2), r"come last: x.transpose\(0, 3, 1, 2\)"),
    (lambda: ops.conv2d(ones(4, 5, 6), ones(6, 2, 3, 3), groups=2), r"conv2d: x \(4, 5, 6\) .* \(F, C / groups, KH"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), groups=0), "conv2d: groups must be at least 1, got 0"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), dilation=0), "conv2d: dilation must be .* at least 1, got 0"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), dilation=1.5), "conv2d: dilation must be .* got 1.5"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), dilation=(1, 2, 1)), r"conv2d: dilation must be .* got \(1, 2, 1\)"),
    (lambda: ops.conv2d(IMAGES, ones(3, 1, 3, 3), ones(2), groups=3), r"conv2d: bias \(2,\) must be \(3,\), one per"),
    (lambda: ops.conv2d(IMAGES, ones(3, 1, 3, 3), stride=0, groups=3), "conv2d: stride must be .* at least 1, got 0"),
    (
        lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), dilation=2),
        r"weight \(2, 3, 3, 3\) with dilation \(2, 2\) is a 5×5 window, which does not fit x .* 4×5; .* less dilation",
    ),
    (lambda: ops.batch_norm(ones(2, 3, 4), ones(3), ones(3)), r"batch_norm: x \(2, 3, 4\) must be \(N, C, H, W\) or"),
    (
        lambda: ops.batch_norm(IMAGES, ones(4), ones(3)),
        r"batch_norm: x .* weight \(4,\) and bias \(3,\) one number per",
    ),
    (lambda: ops.batch_norm(IMAGES, ones(3), ones(3), np.ones(3)), "batch_norm: give both mean and var, or neither"),
    (
        lambda: ops.batch_norm(IMAGES, ones(3), ones(3), np.ones(2), np.ones(3)),
        r"batch_norm: mean \(2,\) and var \(3,\)",
    ),
    (
        lambda: ops.batch_norm(ones(1, 3), ones(3), ones(3)),
        r"x \(1, 3\) has at most one number per channel, so no batch variance; use a",
    ),
    (lambda: ops.batch_norm(ones(0, 3), ones(3), ones(3)), r"x \(0, 3\) has at most one number per channel"),
    (lambda: ops.group_norm(ones(3), 1), r"group_norm: x \(3,\) must be \(N, C, …\)"),
    (lambda: ops.group_norm(IMAGES, 2), "group_norm: 2 groups do not divide 3 channels; these do: 1, 3"),
    (lambda: ops.group_norm(IMAGES, 0), "group_norm: 0 groups do not divide 3 channels"),
    (lambda: ops.group_norm(ones(2, 0, 4, 5), 1), "1 groups do not divide 0 channels; these do: none"),
    (lambda: ops.group_norm(ones(2, 3, 1, 1), 3), r"x \(2, 3, 1, 1\) in 3 groups has fewer than two numbers per group"),
    (lambda: ops.group_norm(ones(2, 3, 0, 5), 3), "fewer than two numbers per group, so no variance; use fewer"),
    (lambda: ops.group_norm(IMAGES, 1, ones(4)), r"group_norm: weight \(4,\) must be \(3,\) for x \(2, 3, 4, 5\)"),
    (lambda: ops.group_norm(IMAGES, 1, ones(3), ones(1)), r"group_norm: bias \(1,\) must be \(3,\) for x"),
    (lambda: ops.group_norm(IMAGES, 1, None, ones(3)), r"group_norm: bias \(3,\) without a weight; give both"),
    (lambda: ops.layer_norm(IMAGES, (3, 4)), r"layer_norm: x \(2, 3, 4, 5\) must end in normalized_shape \(3, 4\)"),
    (lambda: ops.layer_norm(IMAGES, 3), r"must end in normalized_shape \(3,\); for images .*take group_norm with one"),
    (lambda: ops.layer_norm(IMAGES, ()), r"must end in normalized_shape \(\)"),
    (lambda: ops.layer_norm(ones(5), (2, 5)), r"layer_norm: x \(5,\) must end in normalized_shape \(2, 5\)"),
    (lambda: ops.layer_norm(ones(2, 1), 1), r"normalized_shape \(1,\) of x \(2, 1\) is less than two numbers"),
    (lambda: ops.layer_norm(IMAGES, 5, ones(4)), r"layer_norm: weight \(4,\) must be \(5,\) for x"),
    (lambda: ops.layer_norm(IMAGES, 5, None, ones(5)), r"layer_norm: bias \(5,\) without a weight"),
    (lambda: ops.gelu(ones(3), "erf"), 'gelu: approximate must be "none" or "tanh", got .erf.'),
    (lambda: ops.linear(ones(), ones(4, 3)), r"linear: x \(\) and weight \(4, 3\) must be"),
    (lambda: ops.linear(ones(2, 5, 3), ones(4, 3), ones(3)), r"linear: bias \(3,\) must be \(4,\)"),
    (lambda: ops.max_pool2d(ones(3, 4, 5), 2), r"max_pool2d: x \(3, 4, 5\) must be non-empty images \(N, C, H, W\)"),
    (lambda: ops.max_pool2d(IMAGES, 0), "max_pool2d: kernel_size must be a whole number .* at least 1, got 0"),
    (lambda: ops.max_pool2d(ones(1, 1, 200, 200), 200), r"more than 32767 places; .* take ops.max\(x, axis=\(2, 3\)\)"),
    (lambda: ops.max_pool2d(IMAGES, 2, stride=0), "max_pool2d: stride must be .* at least 1, got 0"),
    (lambda: ops.max_pool2d(IMAGES, 3, padding=2), r"padding \(2, 2\) is more than half of the window \(3, 3\)"),
    (lambda: ops.avg_pool2d(IMAGES, (2, 6)), "avg_pool2d: a 2×6 window does not fit x"),
    (
        lambda: ops.max_pool2d(IMAGES, (9, 2), 3, ceil_mode=True),
        r"max_pool2d: a 9×2 window does not fit x \(2, 3, 4, 5\) with padding \(0, 0\), stride \(3, 3\) and ceil_mode",
    ),
    (lambda: ops.avg_pool2d(IMAGES, 5, 1, 0, True), "avg_pool2d: a 5×5 window does not fit x .* and ceil_mode"),
    (lambda: ops.avg_pool2d(IMAGES, 3, 2, 2, True), r"padding \(2, 2\) is more than half of the window \(3, 3\)"),
    (lambda: ops.avg_pool2d(IMAGES, (2, 6), count_include_pad=False), "avg_pool2d: a 2×6 window does not fit x"),
    (lambda: ops.avg_pool2d(IMAGES, 2, padding=(0, -1)), "avg_pool2d: padding must be .* at least 0"),
    (lambda: ops.global_avg_pool2d(ones(2, 3)), r"global_avg_pool2d: x \(2, 3\) must be non-empty images"),
    (lambda: ops.adaptive_avg_pool2d(ones(2, 3, 0, 4), 1), "adaptive_avg_pool2d: x .* must be non-empty images"),
    (lambda: ops.adaptive_avg_pool2d(IMAGES, (0, 1)), "adaptive_avg_pool2d: output_size must be .* at least 1"),
    (lambda: ops.dropout(ones(3), 1.0, np.random.default_rng(0)), "dropout: p must be at least 0 and below 1, got 1.0"),
    (
        lambda: ops.dropout(ones(3), -0.1, np.random.default_rng(0)),
        "dropout: p must be at least 0 and below 1, got -0.1",
    ),
    (lambda: ops.option_a(ones(2, 3), 4, 1), r"option_a: x \(2, 3\) must be \(N, C, H, W\)"),
    (lambda: ops.option_a(IMAGES, 2, 1), "option_a: .* to fewer channels use option B, a 1×1 convolution"),
    (lambda: ops.option_a(IMAGES, 6, 0), "option_a: .* stride 0"),
    (lambda: ops.cross_entropy(ones(3), np.zeros(3, int)), r"cross_entropy: logits \(3,\) must be \(N, classes\)"),
    (
        lambda: ops.cross_entropy(LOGITS, np.zeros(2, int)),
        r"labels \(2,\) must be \(3,\), one per row of logits \(3, 4\)",
    ),
    (
        lambda: ops.cross_entropy(LOGITS, np.array([0, 4, 1])),
        r"labels run from 0 to 4, logits \(3, 4\) have classes 0 to 3",
    ),
    (lambda: ops.cross_entropy(LOGITS, np.array([0, -1, 1])), "labels run from -1 to 1, .* have classes 0 to 3"),
    (lambda: ops.cross_entropy(LOGITS, np.full(3, -100)), "no label to learn from, all 3 are ignore_index -100"),
    (lambda: ops.cross_entropy(LOGITS, np.zeros(3, int), 1.5), "label_smoothing must be from 0 to 1, got 1.5"),
    (
        lambda: ops.mse_loss(ones(2, 3), ones(2, 1)),
        r"mse_loss: prediction \(2, 3\) and target \(2, 1\) must have one shape",
    ),
]

TYPE_ERRORS = [
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), groups=1.5), "conv2d: groups must be a whole number, got 1.5"),
    (lambda: ops.conv2d(IMAGES, ones(2, 3, 3, 3), groups=None), "conv2d: groups must be a whole number, got None"),
    (
        lambda: ops.where(ones(2).data, ones(2), ones(2)),
        "where: condition must be an array of bools, such as x.data > 0",
    ),
    (lambda: ops.where(True, ones(2), ones(2)), "where: condition must be an array of bools"),
    (lambda: ops.group_norm(IMAGES, 1.5), "group_norm: num_groups must be a whole number, got 1.5"),
    (lambda: ops.group_norm(IMAGES, 1, eps="small"), "group_norm: eps must be a number, got 'small'"),
    (lambda: ops.layer_norm(IMAGES, 5.0), "layer_norm: a size of normalized_shape must be a whole number, got 5.0"),
    (lambda: ones(3)[Tensor(np.array([0, 1]))], "index with arrays, not with tensors"),
    (lambda: ones(3, 3)[0, Tensor(np.array([0, 1]))], "index with arrays, not with tensors"),
    (lambda: ops.cross_entropy(LOGITS, np.zeros(3)), "labels must be an array of integers, got float64"),
    (lambda: ops.cross_entropy(LOGITS, [0, 1, 2]), "labels must be an array of integers, got list"),
    (lambda: ops.cross_entropy(LOGITS, Tensor(np.zeros(3, int))), "labels must be an array of integers, got int"),
]


@pytest.mark.parametrize(("call", "message"), VALUE_ERRORS, ids=[message[:40] for _, message in VALUE_ERRORS])
def test_value_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), TYPE_ERRORS, ids=[message[:40] for _, message in TYPE_ERRORS])
def test_type_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("shortcut", "branch", "cure"),
    [
        (
            (2, 16, 8, 8),
            (2, 32, 4, 4),
            r"use option A, option_a\(x, 32, stride=2\), or option B, a 1×1 convolution to 32",
        ),
        ((2, 4, 1, 1), (2, 4, 3, 3), "give the branch the shortcut's stride"),
        ((2, 4), (2, 1), "both must come from the same images"),
        ((1, 4, 3, 3), (2, 4, 3, 3), "both must come from the same images"),
    ],
)
def test_residual_add_refuses_to_broadcast_and_says_the_cure(shortcut, branch, cure):
    with pytest.raises(ValueError, match="residual_add: the shortcut has shape .*, the branch .*" + cure) as error:
        ops.residual_add(ones(*shortcut), ones(*branch))
    assert str(shortcut) in str(error.value) and str(branch) in str(error.value)


def test_the_cures_work():
    x, branch = ones(2, 16, 9, 7), ones(2, 32, 5, 4)
    with pytest.raises(ValueError, match=r"option_a\(x, 32, stride=2\)"):
        ops.residual_add(x, branch)
    assert ops.residual_add(ops.option_a(x, 32, stride=2), branch).shape == branch.shape


def test_statistics_of_another_dtype_are_refused():
    x, one, zero = (Tensor(np.random.default_rng(0).standard_normal(shape, np.float32)) for shape in ((4, 3), 3, 3))
    mean, var = np.zeros(3, np.float32), np.ones(3)
    with pytest.raises(TypeError, match="batch_norm: mean float32 and var float64 must be float32, as weight is"):
        ops.batch_norm(x, one, zero, mean, var)
    y, _, _ = ops.batch_norm(x, one, zero, mean, var.astype(np.float32), eps=np.float64(1e-5))  # a number has no dtype
    assert y.dtype == np.float32
