"""A gradient taken apart by paths, against walking every one of them."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from minires import models
from minires.lab import path_gradients
from minires.models import PreActBlock


@pytest.fixture(scope="module", params=[models.BasicBlock, PreActBlock], ids=["basic", "preact"])
def small(request):
    generator = np.random.default_rng(0)
    images, labels = generator.standard_normal((4, 1, 6, 5)), np.array([0, 1, 2, 1])
    model = models.cifar_resnet(8, block=request.param, in_channels=1, width=4, seed=0)
    loss, adds = path_gradients.forward(model, images, labels)
    return loss, adds, adds[0].op.inputs[0]


def test_all_paths_together_are_the_gradient(small):
    loss, adds, stem = small
    parts = path_gradients.by_length(loss, stem)
    assert sorted(parts) == [0, 1, 2, 3] and len(adds) == 3
    loss.backward(keep_grads=True, keep_graph=True)
    np.testing.assert_allclose(sum(parts.values()), stem.grad, rtol=1e-9, atol=1e-12)
    assert np.abs(parts[1]).max() > 1e-3  # or else nothing was compared


@pytest.mark.parametrize("length", range(4))
def test_each_length_is_the_sum_of_its_paths(small, length):
    loss, adds, stem = small
    singles = [path_gradients.along(loss, stem, set(chosen)) for chosen in combinations(adds, length)]
    assert len(singles) == comb(3, length)
    expected = sum(singles)
    np.testing.assert_allclose(path_gradients.by_length(loss, stem)[length], expected, rtol=1e-9, atol=1e-12)


def test_on_identity_shortcuts_a_preactivation_network_changes_nothing():
    generator = np.random.default_rng(1)
    model = models.cifar_resnet(20, block=PreActBlock, in_channels=1, width=4, seed=0)
    loss, adds = path_gradients.forward(model, generator.standard_normal((4, 1, 8, 8)), np.array([0, 1, 2, 3]))
    top, bottom = adds[2], adds[0]  # the first stage: three identities
    grad = generator.standard_normal(top.shape)
    passed = path_gradients.along(top, bottom.op.inputs[0], (), start=grad)
    np.testing.assert_array_equal(passed, grad)


def test_the_model_stays_as_it_was():
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0)
    before = model.state_dict()
    path_gradients.forward(model, np.ones((2, 1, 8, 8)), np.array([0, 1]))
    assert all(parameter.requires_grad and parameter.dtype == np.float32 for parameter in model.parameters())
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
