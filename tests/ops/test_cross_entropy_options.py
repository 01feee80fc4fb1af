"""Soft labels, weights and reductions of cross_entropy: against loops in plain Python, and against PyTorch."""

import math

import numpy as np
import pytest

from minires import Tensor, ops

rng = np.random.default_rng(0)
LOGITS = rng.standard_normal((6, 4)) * 3
HARD = np.array([3, 0, 2, 2, 1, 0])
SOME = np.array([3, -100, 2, -100, 1, 0])
SOFT = rng.dirichlet(np.ones(4), 6)
WEIGHT = np.array([0.5, 2.0, 0.25, 1.25])
OPTIONS = [
    (labels, smoothing, weight, reduction)
    for labels in (HARD, SOME, SOFT)
    for smoothing in (0.0, 0.2)
    for weight in (None, WEIGHT)
    for reduction in ("mean", "sum", "none")
]


def by_hand(logits, labels, smoothing, weight, reduction):
    """The definition, a number at a time."""
    losses, count = [], 0.0
    for n, row in enumerate(logits.tolist()):
        total = sum(math.exp(value) for value in row)
        if labels.ndim == 2:
            share, mass = labels[n].tolist(), 1.0
        elif labels[n] == -100:
            losses.append(0.0)
            continue
        else:
            share = [float(k == labels[n]) for k in range(4)]
            mass = 1.0 if weight is None else float(weight[labels[n]])
        count += mass
        loss = 0.0
        for k, value in enumerate(row):
            target = share[k] * (1 - smoothing) + smoothing / 4
            loss -= (1.0 if weight is None else float(weight[k])) * target * math.log(math.exp(value) / total)
        losses.append(loss)
    return losses if reduction == "none" else sum(losses) / (count if reduction == "mean" else 1)


@pytest.mark.parametrize(("labels", "smoothing", "weight", "reduction"), OPTIONS)
def test_against_the_definition(labels, smoothing, weight, reduction):
    loss = ops.cross_entropy(Tensor(LOGITS), labels, smoothing, weight=weight, reduction=reduction)
    assert loss.dtype == np.float64 and loss.shape == ((6,) if reduction == "none" else ())
    np.testing.assert_allclose(loss.data, by_hand(LOGITS, labels, smoothing, weight, reduction), rtol=1e-12)


@pytest.mark.parametrize(("labels", "smoothing", "weight", "reduction"), OPTIONS)
def test_value_and_gradient_against_torch(labels, smoothing, weight, reduction):
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(LOGITS, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(
        theirs, torch.from_numpy(labels), None if weight is None else torch.from_numpy(weight),
        label_smoothing=smoothing, reduction=reduction,
    )  # fmt: skip
    grad = np.random.default_rng(1).standard_normal(tuple(loss.shape))
    loss.backward(torch.tensor(grad))
    ours = Tensor(LOGITS, requires_grad=True)
    mine = ops.cross_entropy(ours, labels, smoothing, weight=weight, reduction=reduction)
    mine.backward(np.asarray(grad))
    np.testing.assert_allclose(mine.data, loss.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_hot_soft_labels_are_hard_ones(dtype):
    logits = LOGITS.astype(dtype)
    soft, hard = Tensor(logits, requires_grad=True), Tensor(logits, requires_grad=True)
    losses = [ops.cross_entropy(soft, np.eye(4, dtype=dtype)[HARD], 0.1), ops.cross_entropy(hard, HARD, 0.1)]
    for loss in losses:
        assert loss.dtype == dtype
        loss.backward()
    np.testing.assert_allclose(losses[0].data, losses[1].data, rtol=1e-6)
    np.testing.assert_allclose(soft.grad, hard.grad, rtol=1e-4, atol=1e-7)


def test_classes_that_are_out_of_the_question():
    """A logit of -inf costs nothing where its label has no share of it."""
    logits = Tensor(np.array([[0.0, -np.inf, 0.0], [1e4, 0.0, 0.0]]), requires_grad=True)
    loss = ops.cross_entropy(logits, np.array([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]), reduction="sum")
    loss.backward()
    np.testing.assert_allclose(loss.item(), math.log(2), rtol=1e-12)
    assert np.isfinite(logits.grad).all()
    logits = Tensor(np.array([[0.0, np.nan], [0.0, 1.0]]))
    assert np.isnan(ops.cross_entropy(logits, np.array([0, 1]), reduction="none").data).tolist() == [True, False]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (SOFT * 2, {}, "soft labels must be at least 0 and sum to 1 in each row"),
        (SOFT - 0.5, {}, "soft labels must be at least 0"),
        (SOFT[:, :3], {}, r"got float64 \(6, 3\); soft labels are floats of shape \(6, 4\)"),
        (HARD.astype(float), {}, "labels must be an array of integers, got float64"),
        (HARD[:, None], {}, r"labels \(6, 1\) must be \(6,\), .*: labels\[:, 0\]"),
        (HARD, {"weight": WEIGHT[:3]}, r"weight \(3,\) must be \(4,\), one per class"),
        (HARD, {"weight": -WEIGHT}, "weight must be at least 0 and finite"),
        (HARD, {"weight": WEIGHT * np.nan}, "weight must be at least 0 and finite"),
        (HARD * 0 + 2, {"weight": np.array([1, 1, 0, 1])}, "the weight of each one's class is 0"),
        (HARD, {"reduction": "avg"}, 'reduction must be "mean", "sum" or "none"'),
        (HARD + 2, {"reduction": "none"}, "labels run from 2 to 5"),
        (HARD * 0 - 100, {"weight": WEIGHT}, "no label to learn from"),
    ],
)
def test_what_does_not_fit_is_refused(labels, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ops.cross_entropy(Tensor(LOGITS), labels, **options)


def test_all_ignored_is_nothing_where_nothing_is_divided():
    ignored = np.full(6, -100)
    assert ops.cross_entropy(Tensor(LOGITS), ignored, reduction="sum").item() == 0
    assert ops.cross_entropy(Tensor(LOGITS), ignored, reduction="none").data.tolist() == [0] * 6
