"""fused=True: the same network, parameters, gradients and running statistics; only the number of ops differs."""

import numpy as np
import pytest

from minires import Tensor, kernels, models, nn, no_grad, ops
from minires.engine import backward_order

MAKERS = {
    "basic, option A": lambda **options: models.cifar_resnet(8, **options),
    "basic, option B": lambda **options: models.cifar_resnet(8, shortcut="B", **options),
    "basic, plain": lambda **options: models.cifar_resnet(8, skip=False, **options),
    "bottleneck, option A": lambda **options: models.cifar_resnet(11, block=models.Bottleneck, **options),
    "bottleneck, option B": lambda **options: models.cifar_resnet(20, block=models.Bottleneck, shortcut="B", **options),
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


def same_steps(plain, fused, x, labels, rtol, atol):
    """In training and then in evaluation: the same loss, gradients, their dtypes, and running statistics."""
    for training in (True, False):
        for model in (plain, fused):
            model.train(training).zero_grad()
        loss, grads = step(plain, x, labels)
        fused_loss, fused_grads = step(fused, x, labels)
        assert fused_loss == pytest.approx(loss, rel=rtol)
        for key, grad in grads.items():
            assert fused_grads[key].dtype == grad.dtype == x.dtype
            np.testing.assert_allclose(fused_grads[key], grad, rtol=rtol, atol=atol * np.abs(grad).max(), err_msg=key)
        fused_state = fused.state_dict()
        for key, array in plain.state_dict().items():
            np.testing.assert_allclose(fused_state[key], array, rtol=rtol / 10, atol=atol / 10, err_msg=key)


@pytest.mark.parametrize("name", ["basic, option A", "basic, option B", "bottleneck, option B"])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-4)])
@pytest.mark.parametrize("kind", ["numpy", "numba"])
def test_images_of_odd_size(name, dtype, tolerance, kind, require):
    """9×7, 5×4 after a stride of 2, 3×2 after another: what a fused layer counts is what there is."""
    if kind == "numba":
        require("numba")
    rng = np.random.default_rng(1)
    plain, fused = (MAKERS[name](seed=3, fused=fused, width=16).to(dtype) for fused in (False, True))
    x, labels = rng.standard_normal((5, 3, 9, 7)).astype(dtype), rng.integers(0, 10, 5)
    with kernels.use(kind):
        same_steps(plain, fused, x, labels, tolerance, tolerance)


@pytest.mark.parametrize("name", ["basic, option A", "basic, option B", "bottleneck, option A"])
@pytest.mark.parametrize("frozen", [["bn1"], ["bn2"], ["bn1", "bn2"]], ids=" ".join)
@pytest.mark.parametrize("kind", ["numpy", "numba"])
def test_one_block_with_frozen_norms(name, frozen, kind, require):
    if kind == "numba":
        require("numba")
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((4, 3, 8, 6)), rng.integers(0, 10, 4)
    both = plain, fused = [MAKERS[name](seed=3, fused=fused, **WIDTH).to("float64") for fused in (False, True)]
    for model in both:
        for norm in [getattr(model.layer2[0], one) for one in frozen]:
            norm.running_mean += 0.1
            norm.running_var *= 1.5
            norm.freeze()
    with kernels.use(kind):
        same_steps(plain, fused, x, labels, 1e-7, 1e-10)
    kept = getattr(fused.layer2[0], frozen[0])
    np.testing.assert_allclose(kept.running_mean, 0.1, rtol=1e-12)


LAYER, GIVEN = "ConvBatchNormReLU", "ConvBatchNormReLUInference"


def names(tensor):
    """Name the ops behind a tensor, the first one first."""
    return [type(one.op).__name__ for one in reversed(backward_order(tensor))]


def test_a_fused_block_has_fewer_ops():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 8, 4, 4)).astype(np.float32))
    plain, fused = models.BasicBlock(8, 8), models.fused.FusedBasicBlock(8, 8)
    option_a = models.fused.FusedBasicBlock(8, 16, 2, shortcut="A")
    without = models.fused.FusedBasicBlock(8, 8, skip=False)
    projection, bottleneck = models.fused.FusedBasicBlock(8, 16, 2), models.fused.FusedBottleneck(8, 2)
    single = ["Conv2d", "BatchNorm", "ReLU", "Conv2d", "BatchNorm", "ResidualAdd", "ReLU", "Sum"]
    assert names(plain(x).sum()) == single
    assert names(fused(x).sum()) == names(option_a(x).sum()) == names(bottleneck(x).sum()) == ["ResidualBlock", "Sum"]
    assert names(without(x).sum()) == [LAYER, LAYER, "Sum"]
    assert sorted(names(projection(x).sum())) == ["BatchNorm", "Conv2d", LAYER, LAYER, "Sum"]

    fused.bn1.freeze()  # one norm that estimates nothing, and the block falls apart into its layers
    assert names(fused(x).sum()) == [GIVEN, LAYER, "Sum"]
    for block in (fused, option_a, projection, bottleneck):
        block.eval()
    assert names(fused(x).sum()) == [GIVEN, GIVEN, "Sum"]
    assert sorted(names(option_a(x).sum())) == [GIVEN, GIVEN, "Sum"]
    assert sorted(names(projection(x).sum())) == ["BatchNormInference", "Conv2d", GIVEN, GIVEN, "Sum"]
    assert names(bottleneck(x).sum()) == [GIVEN, GIVEN, GIVEN, "Sum"]


def test_the_ops_of_a_fused_network():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    model = models.cifar_resnet(8, fused=True)
    assert names(model(x)) == [LAYER, *["ResidualBlock"] * 3, "GlobalAvgPool2d", "Linear"]
    model.bn1.freeze()
    assert names(model(x))[:2] == [GIVEN, "ResidualBlock"]
    assert set(names(model.eval()(x))) == {GIVEN, "OptionA", "GlobalAvgPool2d", "Linear"}


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


def test_a_fused_network_refuses_what_the_network_refuses_in_the_same_words():
    for name, options, message in (
        ("resnet20", {"norm": "layer"}, "unknown norm 'layer'; known: batch, none"),
        ("resnet18", {"stride_on": "1x1"}, "stride_on='1x1' is for bottlenecks, not for BasicBlock"),
        ("preact_resnet20", {"init": "fixup"}, "init='fixup' replaces batch norm; pass norm='none' with it"),
        ("preact_resnet20", {"norm": "none"}, "fused=True is for norm='batch' with activation='relu'"),
    ):
        with pytest.raises(ValueError, match=message):
            models.make(name, fused=True, **options)
    with pytest.raises(ValueError, match="PreActBlock does not fit FusedResNet: pre-activation blocks go into"):
        models.fused.FusedResNet(models.PreActBlock, (1, 1, 1), (4, 4, 4))


def test_fused_networks_are_networks_of_fused_blocks():
    basic, preactivated = models.resnet20(fused=True, init=None), models.preact_resnet20(fused=True, init=None)
    assert type(basic) is models.fused.FusedResNet and isinstance(basic, models.ResNet)
    assert type(preactivated) is models.fused.FusedPreActResNet and isinstance(preactivated, models.PreActResNet)
    assert type(basic.layer1[0]) is models.fused.FusedBasicBlock
    assert type(preactivated.layer1[0]) is models.fused.FusedPreActBlock


def test_shapes_that_do_not_fit_are_refused_by_name():
    x, one = Tensor(np.zeros((2, 3, 4, 4), np.float32)), Tensor(np.ones(3, np.float32))
    narrow = Tensor(np.zeros((2, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match="batch_norm_relu: x"):
        ops.batch_norm_relu(narrow, one, one)
    with pytest.raises(ValueError, match="batch_norm_relu: give both mean and var, or neither"):
        ops.batch_norm_relu(x, one, one, mean=one.data)


def test_a_fused_layer_whose_shapes_do_not_fit_is_refused():
    layer = ops.conv2d_batch_norm_relu
    x, filters, one = (Tensor(np.ones(shape, np.float32)) for shape in [(2, 3, 5, 4), (6, 3, 3, 3), (6,)])
    with pytest.raises(
        ValueError,
        match=r"conv2d_batch_norm_relu: the shortcut has shape \(2, 3, 5, 4\), the branch \(2, 6, 3, 2\); use option "
        r"A, option_a\(x, 6, stride=2\), or option B, a 1×1 convolution to 6 channels with stride 2",
    ):
        layer(x, filters, one, one, x, stride=2, padding=1)
    with pytest.raises(ValueError, match="conv2d_batch_norm_relu: the shortcut .* both must come from the same images"):
        layer(x, filters, one, one, Tensor(np.ones((1, 6, 5, 4), np.float32)), padding=1)
    with pytest.raises(ValueError, match=r"conv2d_batch_norm_relu: x \(2, 3, 5, 4\) and weight \(6, 2, 3, 3\) must be"):
        layer(x, Tensor(np.ones((6, 2, 3, 3), np.float32)), one, one)
    with pytest.raises(ValueError, match=r"conv2d_batch_norm_relu: a 3×3 window does not fit x .* use larger images"):
        layer(Tensor(np.ones((2, 3, 2, 4), np.float32)), filters, one, one)
    with pytest.raises(ValueError, match=r"conv2d_batch_norm_relu: x \(2, 6, 3, 2\) must be .* weight \(3,\) and bias"):
        layer(x, filters, Tensor(np.ones(3, np.float32)), one)
    with pytest.raises(ValueError, match="conv2d_batch_norm_relu: give both mean and var, or neither"):
        layer(x, filters, one, one, mean=one.data)
    with pytest.raises(ValueError, match="conv2d_batch_norm_relu: .* no batch variance; use a larger batch"):
        layer(Tensor(np.ones((1, 3, 3, 3), np.float32)), filters, one, one)


def test_a_residual_block_whose_shapes_do_not_fit_is_refused():
    def ones(*shape):
        return Tensor(np.ones(shape, np.float32))

    def block(x, *filters, strides=(1, 1)):
        layers = [(ones(*shape), ones(shape[0]), ones(shape[0])) for shape in filters]
        return ops.residual_block(ones(*x), layers, strides, (1e-5,) * len(layers))

    with pytest.raises(ValueError, match=r"residual_block: x \(2, 4, 5, 4\) and weight \(4, 3, 3, 3\) .* with one C"):
        block((2, 3, 5, 4), (4, 3, 3, 3), (4, 3, 3, 3))
    with pytest.raises(
        ValueError,
        match=r"residual_block: the shortcut has shape \(2, 3, 5, 4\), the branch \(2, 2, 5, 4\); .* option B, a 1×1 "
        "convolution to 2 channels with stride 1",
    ):
        block((2, 3, 5, 4), (4, 3, 3, 3), (2, 4, 3, 3))
    with pytest.raises(ValueError, match="residual_block: .* no batch variance; use a larger batch or larger images"):
        block((1, 3, 2, 2), (4, 3, 3, 3), (4, 4, 3, 3), strides=(2, 1))
    with pytest.raises(ValueError, match=r"residual_block: filters \(3, 3, 2, 2\) must have odd sizes"):
        block((2, 3, 5, 4), (3, 3, 2, 2), (3, 3, 3, 3))
    for strides in ((1,), (1, 1, 1), ((1, 1), 1)):
        with pytest.raises(ValueError, match="residual_block: 2 layers need a stride, a whole number, and an eps each"):
            block((2, 3, 5, 4), (3, 3, 3, 3), (3, 3, 3, 3), strides=strides)
    with pytest.raises(ValueError, match="residual_block: 0 layers need"):
        block((2, 3, 5, 4), strides=())
