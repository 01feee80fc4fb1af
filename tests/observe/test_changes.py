"""watch(changes=True): an array that forward kept and that was written into before backward is named, and none else."""

import numpy as np
import pytest

from minires import Tensor, debug, models, ops
from minires.observe.changes import checksum

LABELS = np.array([0, 1, 2, 3])


def image(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def caught(loss_of, change):
    """Return what the watch finds where `change` happens between forward and backward."""
    with debug.watch(nan=False, changes=True, action="raise"):
        loss = loss_of()
        change()
        with pytest.raises(debug.WatchError) as error:
            loss.backward()
    return error.value.finding


def test_labels_of_a_buffer_that_was_filled_again_were_copied():
    grads = []
    for later in (LABELS, 0):
        labels, logits = LABELS.copy(), Tensor(image(4, 5), requires_grad=True)
        with debug.watch(changes=True):
            loss = ops.cross_entropy(logits, labels)
            labels[:] = later
            loss.backward()
        grads.append(logits.grad)
    np.testing.assert_array_equal(*grads)


def test_a_weight_stepped_before_a_second_backward():
    model = models.cifar_resnet(8, in_channels=1, width=2, seed=0)
    weight = model.layer2[0].conv2.weight

    def step():
        weight.data -= 0.1

    finding = caught(lambda: ops.cross_entropy(model(Tensor(image(4, 1, 8, 8))), LABELS), step)
    assert (finding.op, finding.module_path) == ("Conv2d", "layer2.0.conv2")
    assert finding.array is weight.data


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_that_is_left_alone_is_not_blamed(fused, training):
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0, fused=fused).train(training)
    with debug.watch(changes=True, action="raise") as watch:
        for _ in range(2):
            loss = ops.cross_entropy(model(Tensor(image(4, 1, 8, 8))), LABELS)
            loss.backward(keep_graph=True)
            loss.backward()
    assert watch.finding is None


def test_what_is_changed_after_its_backward_is_nobodys_business():
    x = Tensor(image(4, 5), requires_grad=True)
    with debug.watch(changes=True, action="raise"):
        ops.tanh(x).sum().backward()
        x.data[:] = 0
        ops.tanh(x).sum().backward()


def test_any_change_and_any_memory_order_has_its_checksum():
    x = image(3, 4)
    assert checksum(x) == checksum(np.asfortranarray(x)) != checksum(x.T)
    assert checksum(x[:0]) != checksum(x[0, :0])
    y = x.copy()
    y[2, 3] = np.nextafter(y[2, 3], 1)
    assert checksum(y) != checksum(x)
    assert checksum(np.zeros(())) != checksum(np.ones(()))
