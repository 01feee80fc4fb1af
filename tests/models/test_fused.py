"""fused=True: the same network, parameters, gradients and running statistics; only the number of ops differs."""

import numpy as np
import pytest

from minires import Tensor, kernels, models, nn, no_grad, ops
from minires.engine import backward_order

MAKERS = {
    "basic, option A": lambda **options: models.cifar_resnet(8, **options),
    "basic, option B": lambda **options: models.cifar_resnet(8, shortcut="B", **options),
    "basic, plain": lambda **options: models.cifar_resnet(8, skip=False, **options),
    "bottleneck": lambda **options: models.cifar_resnet(11, block=models.Bottleneck, shortcut="B", **options),
    "pre-activation": lambda **options: models.preact_resnet20(**options),
    "pre-activation bottleneck": lambda **options: models.cifar_resnet(
        11, block=models.PreActBottleneck, shortcut="B", **options
    ),
}
WIDTH = {"width": 8}


def step(model, x, labels):
    loss = ops.cross_entropy(model(Tensor(x)), labels)
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("kind", ["numpy", "numba"])
def test_fused_models_are_the_same_models(name, kind, require):
    if kind == "numba":
        require("numba")
    rng = np.random.default_rng(0)
    plain, fused = (MAKERS[name](seed=3, fused=fused, **WIDTH).to("float64") for fused in (False, True))
    x, labels = rng.standard_normal((4, 3, 8, 8)), rng.integers(0, 10, 4)

    before, fused_before = plain.state_dict(), fused.state_dict()
    assert list(before) == list(fused_before)
    for key, array in before.items():
        np.testing.assert_array_equal(array, fused_before[key])

    with kernels.use(kind):
        loss, grads = step(plain, x, labels)
        fused_loss, fused_grads = step(fused, x, labels)
        assert fused_loss == pytest.approx(loss, rel=1e-12)
        for key, grad in grads.items():
            np.testing.assert_allclose(fused_grads[key], grad, rtol=1e-7, atol=1e-10)
        after, fused_after = plain.state_dict(), fused.state_dict()
        for key, array in after.items():
            np.testing.assert_allclose(fused_after[key], array, rtol=1e-10, atol=1e-12)

        with no_grad():
            plain.eval(), fused.eval()
            np.testing.assert_allclose(fused(Tensor(x)).data, plain(Tensor(x)).data, rtol=1e-9, atol=1e-10)
        plain.zero_grad(), fused.zero_grad()
        _, grads = step(plain, x, labels)
        _, fused_grads = step(fused, x, labels)  # gradients through given statistics
        for key, grad in grads.items():
            np.testing.assert_allclose(fused_grads[key], grad, rtol=1e-7, atol=1e-10)


def test_a_fused_block_has_fewer_ops():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 8, 4, 4)).astype(np.float32))

    def names(fused):
        block = models.BasicBlock(8, 8) if not fused else models.fused.FusedBasicBlock(8, 8)
        return [type(tensor.op).__name__ for tensor in reversed(backward_order(block(x).sum()))]

    assert names(False) == ["Conv2d", "BatchNorm", "ReLU", "Conv2d", "BatchNorm", "ResidualAdd", "ReLU", "Sum"]
    assert names(True) == ["Conv2d", "BatchNormReLU", "Conv2d", "BatchNormAddReLU", "Sum"]


def test_weights_pass_between_the_two():
    plain, fused = models.resnet20(seed=0), models.resnet20(seed=1, fused=True)
    fused.load_state_dict(plain.state_dict())
    np.testing.assert_array_equal(fused.layer3[0].conv1.weight.data, plain.layer3[0].conv1.weight.data)


def test_a_frozen_norm_keeps_its_statistics():
    layer = models.fused.BatchNormReLU2d(3).freeze()
    layer.train()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32))
    y = layer(x)
    np.testing.assert_allclose(y.data, np.maximum(x.data / np.sqrt(1 + 1e-5), 0), rtol=1e-5)
    np.testing.assert_array_equal(layer.running_mean, 0)


def test_what_cannot_be_fused_is_refused():
    with pytest.raises(ValueError, match="fused=True is for norm='batch' with activation='relu', not for norm='none'"):
        models.resnet20(norm="none", fused=True)
    with pytest.raises(ValueError, match="not for norm='batch' with activation='tanh'"):
        models.resnet20(activation="tanh", fused=True)
    with pytest.raises(ValueError, match="MisplacedNormBlock has no fused form; these have: BasicBlock, Bottleneck"):
        models.resnet20(block=models.MisplacedNormBlock, fused=True)
    with pytest.raises(ValueError, match="BatchNormReLU2d: expected x"):
        models.fused.BatchNormReLU2d(3)(Tensor(np.zeros((2, 4, 5, 5), np.float32)))
    assert isinstance(models.make("resnet20", fused=True).bn1, nn.BatchNorm2d)


def test_shapes_that_do_not_fit_are_refused_by_name():
    x, one = Tensor(np.zeros((2, 3, 4, 4), np.float32)), Tensor(np.ones(3, np.float32))
    narrow = Tensor(np.zeros((2, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"batch_norm_add_relu: the shortcut has shape \(2, 2, 4, 4\), the branch"):
        ops.batch_norm_add_relu(x, narrow, one, one)
    with pytest.raises(ValueError, match="batch_norm_relu: x"):
        ops.batch_norm_relu(narrow, one, one)
    with pytest.raises(ValueError, match="batch_norm_relu: give both mean and var, or neither"):
        ops.batch_norm_relu(x, one, one, mean=one.data)
