"""NumPy's integers and scalars count as Python's do; what is no number is refused where it is given."""

import numpy as np
import pytest

from minires import Tensor, nn, no_grad, ops, optim

X = np.random.default_rng(0).standard_normal((2, 3, 6, 8)).astype(np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
LOGITS, LABELS = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32), np.array([0, 3, 1])
KINDS = [np.int64, np.int32, np.uint8, np.int16]


def leaf(array=X):
    return Tensor(array, requires_grad=True)


CALLS = {
    "reshape": lambda x, i: x.reshape(i(6), i(48)),
    "reshape to one": lambda x, i: x.reshape(i(96), -1).reshape(i(-1) if i is not np.uint8 else -1),
    "reshape, a tuple": lambda x, i: x.reshape((i(2), -1)),
    "reshape, an array": lambda x, i: x.reshape(np.array([6, 48], i)),
    "transpose": lambda x, i: x.transpose(i(0), i(2), i(3), i(1)),
    "sum": lambda x, i: x.sum(axis=i(1)),
    "mean": lambda x, i: x.mean((i(0), i(3))),
    "max": lambda x, i: ops.max(x, i(1)),
    "var": lambda x, i: ops.var(x, axis=(i(0), i(2)), keepdims=True),
    "softmax": lambda x, i: ops.softmax(x, axis=i(1)),
    "flatten": lambda x, i: ops.flatten(x, i(2)),
    "pad": lambda x, i: ops.pad(x, ((i(0), i(0)), (i(1), i(0)), (i(1), i(2)), (i(0), i(0)))),
    "concatenate": lambda x, i: ops.concatenate([x, x], i(1)),
    "index": lambda x, i: x[i(1), :, i(2)],
    "conv2d": lambda x, i: ops.conv2d(x, Tensor(WEIGHT), None, i(2), i(1)),
    "conv2d, pairs": lambda x, i: ops.conv2d(x, Tensor(WEIGHT), None, (i(2), i(1)), np.array([1, 0], i)),
    "conv2d, groups": lambda x, i: ops.conv2d(x, Tensor(WEIGHT[:3, :1]), dilation=i(2), padding=i(1), groups=i(3)),
    "conv2d, pairs of dilation": lambda x, i: ops.conv2d(x, Tensor(WEIGHT), dilation=np.array([2, 1], i)),
    "max_pool2d": lambda x, i: ops.max_pool2d(x, i(2), i(2)),
    "avg_pool2d": lambda x, i: ops.avg_pool2d(x, (i(2), i(3)), padding=i(1)),
    "adaptive_avg_pool2d": lambda x, i: ops.adaptive_avg_pool2d(x, i(2)),
    "nn.Conv2d": lambda x, i: nn.Conv2d(i(3), i(4), i(3), stride=i(2), padding=i(1), seed=0)(x),
    "nn.Conv2d, groups": lambda x, i: nn.Conv2d(i(3), i(6), i(3), dilation=i(2), groups=i(3), seed=0)(x),
    "nn.Linear": lambda x, i: nn.Linear(i(8), i(2), seed=0)(x.reshape(36, 8)),
    "nn.MaxPool2d": lambda x, i: nn.MaxPool2d(i(3), i(2), i(1))(x),
    "nn.BatchNorm2d": lambda x, i: nn.BatchNorm2d(i(3))(x),
    "nn.BatchNorm1d": lambda x, i: nn.BatchNorm1d(i(8), momentum=None)(x.reshape(6, 6, 8).transpose(0, 2, 1)),
    "nn.GroupNorm": lambda x, i: nn.GroupNorm(i(3), i(3))(x),
    "group_norm": lambda x, i: ops.group_norm(x, i(1)),
    "nn.LayerNorm": lambda x, i: nn.LayerNorm((i(6), i(8)))(x),
    "layer_norm": lambda x, i: ops.layer_norm(x, i(8)),
    "layer_norm, an array": lambda x, i: ops.layer_norm(x, np.array([6, 8], i)),
    "times": lambda x, i: x * i(3) + i(2) * x - i(1),
    "divided": lambda x, i: x / i(4),
    "power": lambda x, i: x ** i(2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_numpys_integers(call, kind):
    results = []
    for integer in (int, kind):
        if integer is not int or "array" not in call and "pairs" not in call:
            x = leaf()
            y = CALLS[call](x, integer)
            y.backward(np.ones_like(y.data))
            results.append((y, x.grad))
    for y, grad in results:
        assert y.dtype == np.float32 and y.shape == results[0][0].shape
        np.testing.assert_array_equal(y.data, results[0][0].data)
        np.testing.assert_array_equal(grad, results[0][1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "scalar",
    [np.int64(3), np.float64(0.5), np.float32(0.5), np.float16(2), np.bool_(True), np.array(4), np.array(0.25)],
)
def test_numpys_scalars_take_the_tensors_dtype(scalar, dtype):
    for compute in (
        lambda x, s: x * s, lambda x, s: s * x, lambda x, s: x / s, lambda x, s: s - x, lambda x, s: s / (x + 9),
        lambda x, s: ops.where(X > 0, x, s), lambda x, s: x.sum() / s,
    ):  # fmt: skip
        x = leaf(X.astype(dtype))
        y, expected = compute(x, scalar), compute(leaf(X.astype(dtype)), float(scalar))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.data, expected.data)
        y.sum().backward()
        assert x.grad.dtype == dtype


def test_a_masked_mean():
    x, mask = leaf(), X > 0
    loss = (x * mask.astype(np.float32)).sum() / mask.sum()
    loss.backward()
    np.testing.assert_allclose(loss.item(), X[mask].mean(), rtol=1e-5)
    np.testing.assert_allclose(x.grad, mask / np.float32(mask.sum()), rtol=1e-6)
    with pytest.raises(TypeError, match="must share one dtype"):
        x * np.ones(8)  # an array with axes keeps its dtype


BAD = [
    (lambda: ops.conv2d(leaf(X.transpose(0, 2, 3, 1)), leaf(WEIGHT)), r"come last: x.transpose\(0, 3, 1, 2\)"),
    (lambda: ops.conv2d(leaf(), leaf(WEIGHT), stride=1.5), r"conv2d: stride must be a whole number .*, got 1.5"),
    (lambda: ops.conv2d(leaf(), leaf(WEIGHT), stride=None), "conv2d: stride must be a whole number .*, got None"),
    (lambda: ops.conv2d(leaf(), leaf(WEIGHT), padding="same"), "conv2d: padding must be a whole number .*, got same"),
    (lambda: ops.max_pool2d(leaf(), 2.0), "max_pool2d: kernel_size must be a whole number"),
    (lambda: ops.avg_pool2d(leaf(), 2, stride="2"), "avg_pool2d: stride must be a whole number"),
    (lambda: nn.Conv2d(3, 4, 3, stride=1.5), "Conv2d: stride must be a whole number .*, got 1.5"),
    (lambda: nn.Conv2d(3, 4.0, 3), "Conv2d: out_channels must be a whole number, got 4.0"),
    (lambda: nn.Conv2d(3, 4, 3.5), "Conv2d: kernel_size must be a whole number"),
    (lambda: nn.Linear(10.5, 2), "Linear: in_features must be a whole number, got 10.5"),
    (lambda: nn.MaxPool2d(2.5), "MaxPool2d: kernel_size must be a whole number"),
    (lambda: nn.AvgPool2d(2, padding=None), "AvgPool2d: padding must be a whole number"),
    (lambda: nn.BatchNorm2d(3, eps=None), "BatchNorm2d: eps must be a number, got None"),
    (lambda: nn.BatchNorm2d(3, momentum="none"), "BatchNorm2d: momentum must be a number, got 'none'"),
    (lambda: nn.GroupNorm(1, 3, eps=None), "GroupNorm: eps must be a number, got None"),
    (lambda: nn.GroupNorm(1.0, 3), "GroupNorm: num_groups must be a whole number, got 1.0"),
    (lambda: nn.LayerNorm(3, eps=None), "LayerNorm: eps must be a number, got None"),
    (lambda: nn.Dropout(None), "Dropout: p must be a number, got None"),
    (lambda: ops.cross_entropy(leaf(LOGITS), LABELS, ignore_index=None), "cross_entropy: ignore_index must be a"),
    (lambda: ops.cross_entropy(leaf(LOGITS), LABELS, ignore_index=1.0), "cross_entropy: ignore_index must be a whole"),
    (lambda: ops.cross_entropy(leaf(LOGITS), LABELS, label_smoothing="1"), "cross_entropy: label_smoothing must be"),
    (lambda: ops.cross_entropy(leaf(LOGITS), LABELS, label_smoothing=None), "cross_entropy: label_smoothing must be"),
    (lambda: leaf().reshape(2.0, 144), "reshape: a size must be a whole number, got 2.0"),
    (lambda: leaf().transpose(0, 1, 2, 3.0), "transpose: an axis must be a whole number, got 3.0"),
    (lambda: leaf().sum(axis=1.0), "sum: an axis must be a whole number, got 1.0"),
    (lambda: leaf().mean(axis="1"), "mean: an axis must be a whole number, got '1'"),
    (lambda: ops.flatten(leaf(), 1.0), "flatten: start_axis must be a whole number"),
    (lambda: ops.pad(leaf(), 1), "pad: pad_width 1 is not one"),
    (lambda: optim.CosineAnnealingLR(optim.SGD([leaf()], 0.1), 10.5), "CosineAnnealingLR: T_max must be whole numbers"),
    (lambda: optim.MultiStepLR(optim.SGD([leaf()], 0.1), [1.5]), "MultiStepLR: milestones must be whole numbers"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_no_number_is_refused_where_it_is_given(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_no_grad_as_a_decorator():
    @no_grad()
    def double(x, times=2):
        """Doubles."""
        return double(x, times - 1) * 2 if times > 1 else x * 2

    assert double.__name__ == "double" and double.__doc__ == "Doubles."
    y = double(leaf(), times=3)
    assert not y.requires_grad and y.op is None
    np.testing.assert_array_equal(y.data, X * 8)
    assert (leaf() * 2).requires_grad, "recording goes on afterwards"

    @no_grad()
    def failing():
        raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert (leaf() * 2).requires_grad
    both = no_grad()
    with both, both:
        assert not (leaf() * 2).requires_grad
    assert (leaf() * 2).requires_grad
    with pytest.raises(TypeError, match="no_grad: later gives its values later"):

        @no_grad()
        def later():
            yield 1


def test_numpy_reads_a_tensor():
    x = leaf()
    assert np.asarray(x) is not None and np.asarray(x).dtype == np.float32
    np.testing.assert_array_equal(np.asarray(x), X)
    assert np.shares_memory(np.asarray(x), x.data) and not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.stack([x, x]), np.stack([X, X]))
    assert np.asarray((x * 2).sum()).shape == ()
    np.testing.assert_allclose(np.linalg.norm(x), np.linalg.norm(X))
    with pytest.raises(TypeError, match="a list of tensors would lose their history; join them: ops.concatenate"):
        Tensor([x, x])


def test_copies_and_pickles_of_a_tensor_in_a_graph():
    import copy
    import pickle

    y = leaf() * 2
    for function in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="holds the graph it was computed by, .*detach"):
            function(y)
        with pytest.raises(RuntimeError, match="holds the graph"):
            function({"losses": [y]})
    x = leaf()
    x.grad = np.ones_like(X)
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy(y.detach())):
        assert type(made) is Tensor and made.op is None and not np.shares_memory(made.data, X)
    again = copy.deepcopy(x)
    np.testing.assert_array_equal(again.grad, x.grad)
    assert again.requires_grad and not np.shares_memory(again.grad, x.grad)
    shared = copy.deepcopy([x, x])
    assert shared[0] is shared[1]
