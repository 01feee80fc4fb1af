"""The fork meter: what skip and branch bring back adds up to the gradient of the block's input."""

import numpy as np
import pytest

from minires import Tensor, debug, kernels, models, ops
from minires.data import load_digits


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def walked(name, **options):
    images, labels, _, _ = load_digits()
    model = models.make(name, in_channels=1, seed=0, **options).to("float64")
    loss = ops.cross_entropy(model(Tensor(images[:4].astype(np.float64))), labels[:4])
    steps = debug.backward_steps(loss)
    steps.run_to_end()
    return steps


@pytest.mark.parametrize(
    "name, options, blocks",
    [
        ("resnet20", {}, 9),
        ("resnet20", {"shortcut": "B"}, 9),
        ("resnet20", {"shortcut": "always"}, 9),
        ("resnet20", {"norm": "none", "init": "skipinit_sqrt"}, 9),
        ("preact_resnet20", {"shortcut": "B"}, 9),
        ("resnet20", {"skip": False}, 0),
    ],
)
def test_skip_and_branch_sum_to_the_gradient_at_every_block(name, options, blocks):
    found = debug.forks(walked(name, **options))
    assert len(found) == blocks
    for fork in found:
        grad_x = fork.grad_x
        assert fork.grad_other is None
        np.testing.assert_allclose(fork.grad_skip + fork.grad_branch, grad_x, rtol=0, atol=1e-12 * abs(grad_x).max())
        assert fork.skip_share + fork.branch_share == pytest.approx(1, abs=1e-12)
        norms = [np.linalg.norm(array) for array in (fork.grad_skip, fork.grad_branch, grad_x)]
        assert [fork.skip_norm, fork.branch_norm, fork.x_norm] == pytest.approx(norms)
        cosine = float((fork.grad_skip * fork.grad_branch).sum()) / (norms[0] * norms[1])
        assert fork.cosine == pytest.approx(cosine, abs=1e-12)


def test_the_gradient_is_that_of_the_blocks_input_and_an_identity_brings_the_adds_own_array():
    steps = walked("resnet20")
    found = {fork.module_path: fork for fork in debug.forks(steps)}
    fork = found["layer3.2"]
    add = steps.records[fork.add]
    assert add.op_name == "ResidualAdd" and add.module_path == "layer3.2"
    assert fork.grad_skip is add.grad_y
    assert fork.x is steps.records[fork.made_by].tensor and steps.records[fork.made_by].module_path == "layer3.1.relu2"
    assert fork.grad_x is steps.records[fork.made_by].grad_y
    assert found["layer2.0"].grad_skip.shape == (4, 16, 8, 8)  # through option A
    assert found["layer1.0"].x is steps.records[-3].tensor  # the stem's relu


def leaf(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def test_a_fork_may_be_a_leaf():
    x = leaf(3, 2)
    steps = debug.backward_steps(ops.residual_add(x, ops.tanh(x)).sum())
    next(steps), next(steps)
    assert debug.forks(steps) == []  # the branch has not delivered yet
    steps.run_to_end()
    (fork,) = debug.forks(steps)
    assert fork.x is x and fork.made_by is None
    np.testing.assert_array_equal(fork.grad_x, x.grad)
    np.testing.assert_array_equal(fork.grad_skip, np.ones((3, 2)))


def test_uses_outside_of_the_block_are_told_apart():
    h = ops.exp(leaf(4))
    loss = (ops.residual_add(h, h * h) + 10.0 * h).sum()
    steps = debug.backward_steps(loss)
    steps.run_to_end()
    (fork,) = debug.forks(steps)
    np.testing.assert_array_equal(fork.grad_other, np.full(4, 10.0))
    np.testing.assert_allclose(fork.grad_skip + fork.grad_branch + fork.grad_other, fork.grad_x, rtol=1e-12)
    assert fork.skip_share + fork.branch_share < 1


def test_a_block_within_a_block_has_its_own_fork():
    x = ops.exp(leaf(4))
    inner = ops.tanh(x)
    y = ops.residual_add(inner, ops.tanh(inner))
    steps = debug.backward_steps(ops.residual_add(x, y).sum())
    steps.run_to_end()
    outer_fork, inner_fork = debug.forks(steps)
    assert outer_fork.x is x and inner_fork.x is inner


def test_both_paths_may_be_one_tensor():
    x = ops.exp(leaf(4))
    steps = debug.backward_steps(ops.residual_add(x, x).sum())
    steps.run_to_end()
    (fork,) = debug.forks(steps)
    assert fork.cosine == pytest.approx(1) and fork.skip_share == pytest.approx(0.5)


def test_two_tensors_without_a_common_source_make_no_fork():
    steps = debug.backward_steps(ops.residual_add(leaf(4), ops.exp(leaf(4))).sum())
    steps.run_to_end()
    assert debug.forks(steps) == []


def test_a_walk_shows_the_forks_it_has_come_to():
    images, labels, _, _ = load_digits()
    model = models.make("resnet20", in_channels=1, seed=0)
    steps = debug.backward_steps(ops.cross_entropy(model(Tensor(images[:4])), labels[:4]))
    steps.until("layer3.0")
    assert [fork.module_path for fork in debug.forks(steps)] == ["layer3.2", "layer3.1"]
    assert debug.forks(steps.records[:11])[0].module_path == "layer3.2"
    assert debug.forks(steps.records[:10]) == []


def test_a_gradient_of_zero_has_no_shares():
    steps = walked("resnet20", norm="none", init="fixup")  # its classifier starts at zero
    fork = debug.forks(steps)[0]
    assert fork.x_norm == 0 and np.isnan(fork.skip_share) and np.isnan(fork.cosine)
    assert repr(fork) == "Fork of layer3.2: no gradient arrives"


def test_tiny_gradients_are_measured():
    h = ops.exp(leaf(4) * 0.0)
    steps = debug.backward_steps((ops.residual_add(h, h * 2.0) * 1e-200).sum())
    steps.run_to_end()
    (fork,) = debug.forks(steps)
    assert fork.branch_share == pytest.approx(2 / 3) and fork.x_norm == pytest.approx(6e-200)
    assert repr(fork) == "Fork of the add: skip 33.3%, branch 66.7%, cosine 1.000"
