"""The profile of a training step: operations by the definition, the table, and an observer that goes again."""

import numpy as np
import pytest

from minires import Tensor, kernels, models, ops, optim
from minires.engine import per_thread
from minires.observe import profiling


def test_operations_are_counted_by_the_definition():
    with kernels.use("numpy"):
        model = models.cifar_resnet(8, seed=0)
        images, labels = np.zeros((2, 3, 8, 8), np.float32), np.array([1, 2])
        sgd = optim.SGD(model.parameters(), lr=0.0)
        profile = profiling.profile_step(model, sgd, images, labels, rounds=1)
    assert per_thread.observer is None
    rows = {(row.op, row.shape): row for row in profile.rows}
    stem = rows["Conv2d", "2×3×8×8 · 16×3×3×3"]
    assert stem.flops == 2 * (2 * 8 * 8 * 16 * 3 * 9) * 2  # forward and the weight's gradient; the image needs none
    first = rows["Conv2d", "2×16×8×8 · 16×16×3×3"]
    assert (first.calls, first.flops) == (2, 2 * 2 * (2 * 8 * 8 * 16 * 16 * 9) * 3)
    linear = rows["Linear", "2×64 · 10×64"]
    assert linear.flops == 2 * 2 * 64 * 10 * 3
    assert profile.step_s > 0 and all(row.seconds > 0 for row in profile.rows)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 9, 7)])
def test_fused_ops_count_what_their_single_ops_count(shape):
    images, labels = np.zeros(shape, np.float32), np.array([1, 2])

    def forward_and_backward(fused):
        with kernels.use("numpy"):
            model = models.cifar_resnet(8, seed=0, fused=fused)
            clock = profiling.observed(lambda: ops.cross_entropy(model(Tensor(images)), labels).backward())
        return sum(row.flops for row in clock.rows.values())

    assert forward_and_backward(fused=True) == forward_and_backward(fused=False)


def test_the_table_says_how_much_is_left_out():
    rows = [profiling.OpTime("Conv2d", f"{i}×1", 1, 0.001, 0.002, 3_000_000) for i in range(4)]
    text = profiling.profile_text(profiling.StepProfile(rows, 0.5, 1.0), peak=2e9, limit=2)
    assert text.count("Conv2d") == 2 and "2 more: 6.00 ms" in text and " 1      50%" in text


def test_a_profile_that_fails_leaves_no_observer():
    with pytest.raises(ValueError, match="conv2d"):
        profiling.observed(lambda: ops.conv2d(Tensor([1.0]), Tensor([1.0])))
    assert per_thread.observer is None
