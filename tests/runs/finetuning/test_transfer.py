"""What fine-tuning is for: knowing eight digits helps to learn two others."""

import numpy as np
import pytest

from minires import data, models, training
from minires.data import Loader
from minires.optim import SGD, CosineAnnealingLR
from minires.runs import finetuning

SEEDS = range(5)
STEPS = 5
DIGITS = data.load("digits")
KNOWN, HELD_OUT = DIGITS.only(list("01234567")), DIGITS.only(list("89"))


def network(num_classes, seed):
    return models.cifar_resnet(20, width=8, in_channels=1, num_classes=num_classes, seed=seed)


def fit(model, dataset, params, lr, steps, seed):
    """Train, normalized as KNOWN; return the test accuracy."""
    statistics = {"mean": KNOWN.mean, "std": KNOWN.std}
    loader = Loader(dataset.train_images, dataset.train_labels, 32, seed=seed, prefetch=0, **statistics)
    optimizer = SGD(params, lr, momentum=0.9, weight_decay=1e-3)
    training.Trainer(model, loader, optimizer, CosineAnnealingLR(optimizer, steps)).train(steps, lambda record: None)
    test = Loader(dataset.test_images, dataset.test_labels, 256, shuffle=False, prefetch=0, **statistics)
    return training.evaluate(model, test)[1]


@pytest.fixture(scope="module")
def trained():
    networks = []
    for seed in SEEDS:
        model = network(8, seed)
        assert fit(model, KNOWN, model.parameters(), 0.1, 120, seed) > 0.9
        networks.append(model)
    return networks


@pytest.fixture(scope="module")
def from_scratch():
    """Mean test accuracy over the seeds, with the learning rate that is best for it."""
    accuracies = []
    for lr in (0.01, 0.03, 0.1):
        models_ = [network(2, seed + 100) for seed in SEEDS]
        accuracies.append(
            [
                fit(model, HELD_OUT, model.parameters(), lr, STEPS, seed)
                for model, seed in zip(models_, SEEDS, strict=True)
            ]
        )
    return max(np.mean(accuracies, axis=1))


@pytest.mark.parametrize("frozen", [(), ("*bn?.*",)], ids=["all", "norms frozen"])
def test_fine_tuning_beats_training_from_scratch_at_equal_steps(trained, from_scratch, frozen):
    accuracies = []
    for model, seed in zip(trained, SEEDS, strict=True):
        tuned = network(8, seed)
        tuned.load_state_dict(model.state_dict())
        finetuning.replace_head(tuned, 2, seed)
        if frozen:
            finetuning.freeze(tuned, *frozen)
        accuracies.append(fit(tuned, HELD_OUT, finetuning.parameter_groups(tuned, 0.05), 0.05, STEPS, seed))
    assert np.mean(accuracies) > from_scratch + 0.1
    assert min(accuracies) > 0.65
