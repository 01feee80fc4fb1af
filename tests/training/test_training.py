"""The training loop: each step and its record, evaluation, clipping, accumulation, and no step into NaN."""

import math

import numpy as np
import pytest

from minires import models, nn, ops, training
from minires.data import Loader, load_digits
from minires.engine import Tensor, no_grad
from minires.optim import SGD, CosineAnnealingLR, MultiStepLR
from minires.training import Trainer

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = load_digits()


def network(seed=0, **options):
    return models.cifar_resnet(8, in_channels=1, width=4, seed=seed, **options)


def trainer_of(model=None, lr=0.1, loader=None, schedule=None, **options):
    model = model or network()
    optimizer = SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    loader = loader or Loader(IMAGES[:40], LABELS[:40], 16)
    return Trainer(model, loader, optimizer, schedule(optimizer) if schedule else None, **options)


def in_order(images, labels, batch_size=100):
    return Loader(images, labels, batch_size, shuffle=False)


def fit(steps, **options):
    """Train; return the trainer and the records."""
    trainer, log = trainer_of(**options), []
    trainer.train(steps, log.append)
    return trainer, log


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_learns_a_handful_of_images_by_heart():
    few = IMAGES[:32], LABELS[:32]
    _, log = fit(
        60, loader=Loader(*few, 16), evaluation=("test", in_order(*few)),
        schedule=lambda optimizer: CosineAnnealingLR(optimizer, 60),
    )  # fmt: skip
    assert log[0]["loss"] > 1.5 and log[-2]["loss"] < 0.2
    assert log[-1]["test_accuracy"] == 1.0 and log[-1]["test_loss"] < 0.3


def test_records():
    test = in_order(TEST_IMAGES[:50], TEST_LABELS[:50])
    _, log = fit(7, schedule=lambda optimizer: MultiStepLR(optimizer, [2, 5]), evaluation=("test", test))
    steps = [record for record in log if "loss" in record]
    assert [record["step"] for record in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [record["epoch"] for record in steps] == [0, 0, 0, 1, 1, 1, 2]  # 40 images are three batches of 16
    np.testing.assert_allclose([record["lr"] for record in steps], [0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001])
    for record in steps:
        assert record["loss"] > 0 and 0 <= record["accuracy"] <= 1 and record["images_per_second"] > 0
        assert record["grad_norm"] > 0
    evaluations = [record for record in log if "loss" not in record]
    assert [record["step"] for record in evaluations] == [3, 6, 7]
    assert set(evaluations[0]) == {"step", "epoch", "test_loss", "test_accuracy"}


def test_when_to_evaluate():
    test = in_order(TEST_IMAGES[:8], TEST_LABELS[:8])
    trainer, log = trainer_of(evaluation=("test", test), evaluate_every=4), []
    trainer.train(11, log.append)
    assert [record["step"] for record in log if "test_loss" in record] == [4, 8, 11]
    trainer.train(11, log.append)  # nothing is left to do, or to evaluate
    assert len(log) == 14
    trainer.train(13, log.append)
    assert [record["step"] for record in log if "test_loss" in record] == [4, 8, 11, 12, 13]


def test_one_step_is_the_optimizers():
    trainer, twin = trainer_of(), network()
    images, labels = IMAGES[:16], LABELS[:16]
    record = trainer.train_step(images, labels)

    logits = twin(Tensor(images))
    expected = ops.cross_entropy(logits, labels)
    expected.backward()
    assert record["loss"] == expected.item()
    assert record["accuracy"] == (logits.data.argmax(axis=1) == labels).mean()
    norm = math.sqrt(sum(float((parameter.grad.astype(float) ** 2).sum()) for parameter in twin.parameters()))
    assert record["grad_norm"] == pytest.approx(norm)
    for parameter, other in zip(trainer.model.parameters(), twin.parameters(), strict=True):
        step = np.float32(0.1) * (other.grad + np.float32(1e-4) * other.data)
        np.testing.assert_allclose(parameter.data, other.data - step, atol=1e-7)


def test_gradients_do_not_add_up_over_steps():
    trainer = trainer_of(lr=0.0)
    trainer.train_step(IMAGES[:16], LABELS[:16])
    first = [parameter.grad.copy() for parameter in trainer.model.parameters()]
    trainer.train_step(IMAGES[:16], LABELS[:16])
    for parameter, grad in zip(trainer.model.parameters(), first, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_label_smoothing():
    losses = [trainer_of(label_smoothing=s).train_step(IMAGES[:16], LABELS[:16])["loss"] for s in (0.0, 0.3)]
    with no_grad():
        logits = network().train()(Tensor(IMAGES[:16]))
    assert losses == [ops.cross_entropy(logits, LABELS[:16], s).item() for s in (0.0, 0.3)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("accumulation", [2, 5, 16])
def test_accumulation_gives_the_gradient_of_the_whole_batch(accumulation):
    gradients, records = [], []
    for parts in (1, accumulation):
        model = network(norm="none", init="he").to("float64")
        trainer = trainer_of(model, accumulation=parts, label_smoothing=0.1)
        records.append(trainer.train_step(IMAGES[:16].astype(np.float64), LABELS[:16]))
        gradients.append([parameter.grad for parameter in trainer.model.parameters()])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert records[0]["loss"] == pytest.approx(records[1]["loss"])
    assert records[0]["accuracy"] == records[1]["accuracy"]


def test_clipping():
    free, clipped = trainer_of(), trainer_of(max_norm=0.01)
    norms = [trainer.train_step(IMAGES[:16], LABELS[:16])["grad_norm"] for trainer in (free, clipped)]
    assert norms[0] == norms[1] > 0.01  # the record has the norm from before
    squares = [float((parameter.grad.astype(float) ** 2).sum()) for parameter in clipped.model.parameters()]
    assert math.sqrt(sum(squares)) == pytest.approx(0.01, rel=1e-3)


def test_same_seeds_same_bytes():
    (one, log), (other, other_log) = fit(5), fit(5)
    assert same(one.model, other.model)
    assert [record["loss"] for record in log] == [record["loss"] for record in other_log]


def test_evaluate_uses_running_statistics_and_changes_nothing():
    model = fit(5)[0].model
    before = model.state_dict()
    loss, accuracy = training.evaluate(model, in_order(TEST_IMAGES, TEST_LABELS))  # the last batch is smaller
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert model.training

    model.eval()
    with no_grad():
        logits = model(Tensor(TEST_IMAGES))
        assert loss == pytest.approx(ops.cross_entropy(logits, TEST_LABELS).item(), rel=1e-5)
    assert accuracy == (logits.data.argmax(axis=1) == TEST_LABELS).mean()
    all_logits, labels = training.predict(model, in_order(TEST_IMAGES[:50], TEST_LABELS[:50], 16))
    np.testing.assert_allclose(all_logits, logits.data[:50], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(labels, TEST_LABELS[:50])
    assert not model.training


def test_an_evaluation_folds_the_network_once(monkeypatch):
    model, calls, folded = network(), [], models.folded
    monkeypatch.setattr(models, "folded", lambda given: calls.append(given) or folded(given))
    training.predict(model, in_order(TEST_IMAGES[:50], TEST_LABELS[:50], 16))
    assert calls == ([model] if models.is_foldable(model) else [])
    resnet = models.cifar_resnet(8, width=4, in_channels=1, seed=0)
    training.predict(resnet, in_order(TEST_IMAGES[:50], TEST_LABELS[:50], 16))
    assert calls[-1] is resnet and len([one for one in calls if one is resnet]) == 1


class Stopping(Loader):
    """A loader that comes to an end, by an exception, after one batch."""

    def epoch(self, number, start=0):
        yield next(super().epoch(number, start))
        raise InterruptedError


def test_an_evaluation_that_is_stopped_leaves_the_model_in_its_mode():
    model = network()
    with pytest.raises(InterruptedError):
        training.evaluate(model, Stopping(TEST_IMAGES, TEST_LABELS, 50, shuffle=False))
    assert model.training


def test_an_evaluation_that_was_stopped_is_made_up_for():
    test = in_order(TEST_IMAGES[:8], TEST_LABELS[:8], 4)
    trainer, log = trainer_of(evaluation=("test", Stopping(TEST_IMAGES[:8], TEST_LABELS[:8], 4)), evaluate_every=2), []
    with pytest.raises(InterruptedError):
        trainer.train(4, log.append)
    assert (trainer.step, trainer.evaluated) == (2, 0) and [record["step"] for record in log] == [1, 2]
    trainer.evaluation = ("test", test)
    trainer.train(4, log.append)
    assert [record["step"] for record in log] == [1, 2, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"evaluate_every": 0}, "evaluate_every must be at least 1"), ({"accumulation": 0}, "accumulation must be")],
)
def test_impossible_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(**options)


def test_wrong_labels_stop_before_the_first_step():
    trainer = trainer_of(loader=Loader(IMAGES[:16], LABELS[:16] + 5, 16))
    with pytest.raises(ValueError, match="label"):
        trainer.train(1, print)
    assert trainer.step == 0 and all(parameter.grad is None for parameter in trainer.model.parameters())


# NaN: the op that made it is named, and nothing is updated.


class Network(nn.Module):
    """A linear layer between two other steps, with dropout so that a second run needs the same random numbers."""

    def __init__(self, before=ops.exp, after=ops.tanh):
        self.dropout = nn.Dropout(0.3, seed=0)
        self.fc = nn.Linear(64, 10, seed=0)
        self.before, self.after = before, after

    def forward(self, x):
        y = self.before(x)
        y = ops.flatten(y)
        y = self.dropout(y)
        y = self.fc(y)
        return self.after(y)


def diverge(model, images=IMAGES[:16], **options):
    trainer = trainer_of(model, loader=Loader(images, LABELS[:16], 16), **options)
    before = [parameter.data.copy() for parameter in trainer.model.parameters()]
    with pytest.raises(FloatingPointError) as caught:
        trainer.train(3, print)
    for parameter, kept in zip(trainer.model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, kept)
    assert trainer.step == 0
    return str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_parameter_that_is_no_number(value):
    model = network()
    model.fc.bias.data[3] = value
    message = diverge(model)
    assert "the training has diverged in step 1: the loss is nan" in message
    assert "since the parameter fc.bias, " in message and "of (10,), is not finite before Linear at" in message


def test_an_image_that_is_no_number():
    images = IMAGES[:16].copy()
    images[3, 0, 2, 5] = np.nan
    message = diverge(network(), images)
    assert "the input, 1 NaN and 0 infinite values of (16, 1, 8, 8), is not finite before Conv2d at" in message
    assert message.endswith("look for it in the data")


def test_an_op_that_overflows_forward():
    message = diverge(Network(after=lambda y: ops.exp(y * 100)))
    assert "since Exp at test_training.py:" in message and "infinite values of (16, 10) from finite inputs" in message
    assert message.endswith("try a smaller learning rate")


def test_a_layer_is_named_with_its_module():
    model = network()
    model.layer2[0].conv1.weight.data[...] = 3e38
    message = diverge(model)
    assert "Conv2d at blocks.py" in message and "(layer2.0.conv1) makes" in message and "from finite inputs" in message


def test_an_op_that_fails_backward_alone():
    def root_of_zero(y):
        return ops.sqrt(y * 0.0)

    message = diverge(Network(after=root_of_zero))
    assert "the norm of its gradient nan" in message
    assert "in backward, Sqrt at test_training.py:" in message and "from a gradient of at most 0." in message


def test_the_second_run_sees_the_same_dropout():
    masks = []

    def watch(y):
        masks.append(y.data == 0)
        return ops.log(y * 0.0)

    model = Network(after=lambda y: y)
    dropout = model.dropout.forward
    model.dropout.forward = lambda x: watch(dropout(x))
    diverge(model)
    assert len(masks) == 2
    np.testing.assert_array_equal(*masks)
