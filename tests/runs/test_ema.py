"""Averaged weights: the formula, exchanged and back, evaluated and saved."""

import numpy as np
import pytest

from minires import models, nn, training
from minires.data import Loader, load_digits
from minires.optim import SGD
from minires.runs.ema import EMA
from minires.runs.state import TrainingState
from minires.training import Trainer

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = load_digits()


def network(seed=0, width=4):
    return models.cifar_resnet(8, in_channels=1, width=width, seed=seed)


def test_formula():
    model = network()
    ema = EMA(model, decay=0.5)
    weight = model.fc.weight
    average = weight.data.astype(float)
    for n in range(1, 12):
        weight.data += 0.1
        model.bn1.running_mean += 1
        ema.update()
        decay = min(0.5, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weight.data
    np.testing.assert_allclose(ema.averages["fc.weight"], average, rtol=1e-5)
    assert 9 < ema.averages["bn1.running_mean"][0] < 11  # running statistics are averaged too
    assert all(array.dtype == np.float32 for array in ema.averages.values())


def test_a_model_of_its_own():
    model = network()
    ema = EMA(model)
    before = model.state_dict()
    for parameter in model.parameters():
        parameter.data += 1
    assert all(np.array_equal(array, before[name]) for name, array in ema.model.state_dict().items())
    trained = model.state_dict()
    ema.update()
    assert all(np.array_equal(array, trained[name]) for name, array in model.state_dict().items())
    assert not np.array_equal(ema.model.fc.weight.data, before["fc.weight"])
    assert not ema.model.training and model.training


def test_arrays_that_were_replaced_are_followed():
    model = network()
    ema = EMA(model, 0.5)
    model.fc.weight.data = model.fc.weight.data + 1
    before = ema.model.fc.weight.data.copy()
    ema.update()
    assert (ema.model.fc.weight.data > before).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: vars(model).update(fc=nn.Linear(16, 5)), r"fc.weight is \(5, 16\) .* average \(10, 16\)"),
        (lambda model: vars(model).update(fc=nn.Linear(16, 1)), r"fc.weight is \(1, 16\)"),  # would broadcast
        (lambda model: vars(model).update(fc=nn.Linear(16, 10, bias=False)), "fc.bias is in the averages but not the"),
        (lambda model: vars(model).update(extra=nn.Linear(2, 2)), "extra.weight is in the model but not the averages"),
        (lambda model: model.to("float64"), r"conv1.weight is .* float64 .* and its average .* float32"),
        (lambda model: vars(model.bn1).update(running_var=np.ones((4, 4), np.float32)), r"bn1.running_var is \(4, 4\)"),
        (lambda model: setattr(model.fc.bias, "data", [0.0] * 10), "fc.bias is a list in the model"),
    ],
)
def test_a_model_that_no_longer_fits_is_refused_and_nothing_changes(change, message):
    model = network()
    ema = EMA(model, 0.5)
    for parameter in model.parameters():
        parameter.data += 1
    change(model)
    before = {name: array.copy() for name, array in ema.averages.items()}
    for call in (ema.update, ema.state_dict):
        with pytest.raises(ValueError, match=f"EMA.{call.__name__}: {message}.*; make a new EMA"):
            call()
    assert ema.updates == 0
    assert all(np.array_equal(array, before[name]) for name, array in ema.averages.items())


def test_no_checkpoint_is_taken_of_what_no_longer_fits_together():
    """It could not be loaded again."""
    model = network()
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    trainer = Trainer(model, Loader(IMAGES[:32], LABELS[:32], 16), optimizer, ema=EMA(model, 0.9))
    trainer.train(1, lambda record: None)
    state = TrainingState(trainer)
    before = state.state_dict()
    model.fc.weight.data = np.ones((5, 16), np.float32)
    with pytest.raises(RuntimeError, match=r"SGD: parameter 21 is \(5, 16\) .* its momentum_buffer \(10, 16\)"):
        state.state_dict()
    with pytest.raises(RuntimeError, match="SGD: parameter 21"):
        state.load_state_dict(before)
    optimizer.state.clear()
    with pytest.raises(ValueError, match=r"EMA.state_dict: fc.weight is \(5, 16\)"):
        state.state_dict()


def test_a_model_that_was_given_the_averages_themselves():
    model = network()
    ema = EMA(model, 0.5)
    model.fc.weight.data = ema.averages["fc.weight"]  # the next update would halve the model's weights
    with pytest.raises(ValueError, match=r"the average of fc.weight shares its memory; .*average.copy\(\)"):
        ema.update()


def test_averages_that_cannot_be_written_to_are_refused_before_any_changes():
    model = network()
    ema = EMA(model, 0.5)
    saved = ema.state_dict()
    ema.update()
    ema.model.fc.weight.data = np.broadcast_to(np.float32(0), ema.model.fc.weight.shape)
    before = {name: array.copy() for name, array in ema.averages.items()}
    for call in (ema.update, lambda: ema.load_state_dict(saved)):
        with pytest.raises(ValueError, match="the average of fc.weight is read-only"):
            call()
    assert ema.updates == 1
    assert all(np.array_equal(array, before[name]) for name, array in ema.averages.items())


def test_the_average_is_what_is_evaluated():
    model = network()
    test = Loader(TEST_IMAGES[:100], TEST_LABELS[:100], 50, shuffle=False)
    optimizer = SGD(model.parameters(), 0.1)
    ema = EMA(model, 0.9)
    trainer, log = Trainer(model, Loader(IMAGES, LABELS, 16), optimizer, evaluation=("test", test), ema=ema), []
    trainer.train(10, log.append)
    weights = model.state_dict()
    assert log[-1]["test_loss"] != training.evaluate(model, test)[0]
    model.load_state_dict(ema.averages)
    assert log[-1]["test_loss"] == training.evaluate(model, test)[0]
    assert not np.array_equal(weights["fc.weight"], ema.averages["fc.weight"])


def test_state():
    model = network()
    ema = EMA(model, 0.9)
    for parameter in model.parameters():
        parameter.data += 1
    ema.update()
    other = EMA(network(seed=1), 0.9)
    other.load_state_dict(ema.state_dict())
    assert other.updates == 1
    assert all(np.array_equal(other.averages[name], array) for name, array in ema.averages.items())


def test_refusals():
    for decay in (0.0, 1.0, -1, 2):
        with pytest.raises(ValueError, match="EMA: decay must be above 0 and below 1"):
            EMA(network(), decay)
    with pytest.raises(ValueError, match=r"averages do not fit, first conv1.weight: \(8, 1, 3, 3\) where .* \(4, 1"):
        EMA(network()).load_state_dict(EMA(network(width=8)).state_dict())
