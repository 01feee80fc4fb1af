"""The training loop: each step and its record, running statistics in evaluation, no step into NaN."""

import numpy as np
import pytest

from minires import models, ops, training
from minires.data import Loader, load_digits
from minires.engine import Tensor, no_grad
from minires.optim import SGD, CosineAnnealingLR, MultiStepLR

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = load_digits()


def network(seed=0):
    return models.cifar_resnet(8, in_channels=1, width=4, seed=seed)


def fit(steps, model=None, lr=0.1, batches=None, schedule=None, test=None):
    """Train; return the model and the records."""
    model = model or network()
    optimizer = SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    schedule = schedule(optimizer) if schedule else CosineAnnealingLR(optimizer, steps)
    batches = batches or Loader(IMAGES[:40], LABELS[:40], 16)
    log = []
    training.train(model, batches, optimizer, schedule, steps, log.append, test)
    return model, log


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_learns_a_handful_of_images_by_heart():
    model, log = fit(60, batches=Loader(IMAGES[:32], LABELS[:32], 16), test=(IMAGES[:32], LABELS[:32]))
    assert log[0]["loss"] > 1.5 and log[-1]["loss"] < 0.2
    assert log[-1]["test_accuracy"] == 1.0 and log[-1]["test_loss"] < 0.3


def test_records():
    test = TEST_IMAGES[:50], TEST_LABELS[:50]
    _, log = fit(7, schedule=lambda optimizer: MultiStepLR(optimizer, [2, 5]), test=test)
    assert [record["step"] for record in log] == [1, 2, 3, 4, 5, 6, 7]
    assert [record["epoch"] for record in log] == [0, 0, 0, 1, 1, 1, 2]  # 40 images are three batches of 16
    np.testing.assert_allclose([record["lr"] for record in log], [0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001])
    assert ["test_loss" in record for record in log] == [False, False, True, False, False, True, True]
    for record in log:
        assert record["loss"] > 0 and 0 <= record["accuracy"] <= 1 and record["images_per_second"] > 0


def test_one_step_is_the_optimizers():
    model, twin = network(), network()
    images, labels = IMAGES[:16], LABELS[:16]
    loss, accuracy = training.train_step(model, SGD(model.parameters(), 0.1), images, labels)

    logits = twin(Tensor(images))
    expected = ops.cross_entropy(logits, labels)
    expected.backward()
    assert loss == expected.item()
    assert accuracy == (logits.data.argmax(axis=1) == labels).mean()
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(parameter.data, other.data - np.float32(0.1) * other.grad, atol=1e-7)


def test_gradients_do_not_add_up_over_steps():
    model = network()
    optimizer = SGD(model.parameters(), 0.0)
    training.train_step(model, optimizer, IMAGES[:16], LABELS[:16])
    first = [parameter.grad.copy() for parameter in model.parameters()]
    training.train_step(model, optimizer, IMAGES[:16], LABELS[:16])
    for parameter, grad in zip(model.parameters(), first, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_same_seeds_same_bytes():
    (one, log), (other, other_log) = fit(5), fit(5)
    assert same(one, other)
    assert [record["loss"] for record in log] == [record["loss"] for record in other_log]


def test_evaluate_uses_running_statistics_and_changes_nothing():
    model, _ = fit(5)
    before = model.state_dict()
    loss, accuracy = training.evaluate(model, TEST_IMAGES, TEST_LABELS, batch_size=100)  # the last batch is smaller
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert model.training

    model.eval()
    with no_grad():
        logits = model(Tensor(TEST_IMAGES))
        assert loss == pytest.approx(ops.cross_entropy(logits, TEST_LABELS).item(), rel=1e-5)
    assert accuracy == (logits.data.argmax(axis=1) == TEST_LABELS).mean()
    training.evaluate(model, TEST_IMAGES[:2], TEST_LABELS[:2])
    assert not model.training


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_stops_before_a_step_with_a_loss_that_is_no_number(value):
    model = network()
    model.fc.bias.data[3] = value
    before = [parameter.data.copy() for parameter in model.parameters()]
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError, match="loss is nan: .* has diverged"):
        fit(3, model)
    for parameter, kept in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, kept)


def test_wrong_labels_stop_before_the_first_step():
    model = network()
    with pytest.raises(ValueError, match="label"):
        fit(1, model, batches=Loader(IMAGES[:16], LABELS[:16] + 5, 16))
    assert all(parameter.grad is None for parameter in model.parameters())
