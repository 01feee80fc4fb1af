"""fused=True: the same network, parameters, gradients and running statistics; only the number of ops differs."""

import copy

import numpy as np
import pytest

from minires import Tensor, kernels, models, nn, no_grad, ops
from minires.engine import backward_order
from minires.models.fused import FusedBasicBlock, FusedResNet

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
    for block in (fused, option_a, without, bottleneck):
        assert names(block(x).sum()) == ["ConvChain", "Sum"]
    assert sorted(names(projection(x).sum())) == ["BatchNorm", "Conv2d", "ConvChain", "Sum"]

    fused.bn1.freeze()  # one norm that estimates nothing, and the block is the plain one
    assert names(fused(x).sum()) == ["Conv2d", "BatchNormInference", *single[2:]]
    for block in (fused, option_a, projection, bottleneck):
        assert "ConvChain" not in names(block.eval()(x).sum())


def test_the_ops_of_a_fused_network():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    model = models.cifar_resnet(8, fused=True)
    assert names(model(x)) == [*["ConvChain"] * 4, "GlobalAvgPool2d", "Linear"]
    model.bn1.freeze()
    assert names(model(x))[:4] == ["Conv2d", "BatchNormInference", "ReLU", "ConvChain"]
    assert "ConvChain" not in names(model.eval()(x))
    preactivated = models.cifar_resnet(8, block=models.PreActBlock, fused=True)
    assert names(preactivated(x)).count("ConvChain") == 3


def changed(model, how):
    block = model.layer1[0]
    if how == "padding":
        block.conv1.padding, block.conv2.padding = 0, 2
    if how == "padding of two numbers":
        block.conv1.padding, block.conv2.padding = (0, 2), (2, 0)
    if how == "stride of two numbers":
        model.layer2[0].conv1.stride = (2, 2)
    if how == "bias":
        block.conv1.bias = nn.Parameter(np.linspace(-1, 1, block.conv1.weight.shape[0]))
    if how == "filters":
        block.conv2.weight = nn.Parameter(block.conv2.weight.data[:, :, :1])
        block.conv2.padding = (0, 1)
    if how == "eps":
        block.bn1.eps, block.bn2.eps = 0.1, 0.01
    if how == "another class":

        class Doubled(nn.Conv2d):
            def forward(self, x):
                return 2 * super().forward(x)

        block.conv1.__class__ = Doubled
    return model


@pytest.mark.parametrize("kind", ["numpy", "numba"])
@pytest.mark.parametrize(
    "how",
    ["padding", "padding of two numbers", "stride of two numbers", "bias", "filters", "eps", "another class"],
)
def test_what_a_convolution_carries_is_taken_along(how, kind, require):
    if kind == "numba":
        require("numba")
    rng = np.random.default_rng(4)
    x, labels = rng.standard_normal((3, 3, 8, 9)), rng.integers(0, 10, 3)
    plain, fused = (
        changed(models.cifar_resnet(8, width=8, seed=3, fused=fused).to("float64"), how) for fused in (False, True)
    )
    with kernels.use(kind):
        same_steps(plain, fused, x, labels, 1e-7, 1e-10)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", ["numpy", "numba"])
def test_a_folded_network_gives_the_same_logits(name, fused, kind, require):
    if kind == "numba":
        require("numba")
    rng = np.random.default_rng(5)
    model = MAKERS[name](seed=3, fused=fused, width=16)
    x, labels = rng.standard_normal((3, 3, 9, 8)).astype(np.float32), rng.integers(0, 10, 3)
    with kernels.use(kind):
        step(model, x, labels)
        state = model.state_dict()
        folded = models.folded(model)
        model.eval()
        with no_grad():
            expected, found = model(Tensor(x)).data, folded(Tensor(x)).data
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        image = Tensor(x, requires_grad=True)
        y = folded(image)  # with a gradient: plain ops
        np.testing.assert_allclose(y.data, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        y.sum().backward()
        assert np.isfinite(image.grad).all() and "ConvChain" not in names(folded(image))
    for key, array in model.state_dict().items():  # the first one is as it was
        np.testing.assert_array_equal(array, state[key])


class NormFirst(models.BasicBlock):
    """A block of a user's, whose norm stands before its convolution."""

    def forward(self, x):
        return ops.residual_add(self.downsample(x), self.relu2(self.bn2(self.conv2(self.conv1(self.bn1(x))))))


@pytest.mark.parametrize("block", [models.MisplacedNormBlock, models.AlwaysProjectedBlock, NormFirst])
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_folding_leaves_alone_what_has_a_forward_of_its_own(block, activation):
    model = models.cifar_resnet(8, width=4, block=block, activation=activation, shortcut="B", seed=0)
    if block is NormFirst:
        model.layer2 = nn.Sequential(NormFirst(4, 4, shortcut="B", activation=activation, seed=1))
        model.layer3 = nn.Sequential(NormFirst(4, 4, shortcut="B", activation=activation, seed=2))
        model.fc, model.layer1 = nn.Linear(4, 10, seed=3), nn.Sequential(NormFirst(4, 4, activation=activation, seed=4))
    x = np.random.default_rng(2).standard_normal((6, 3, 8, 8)).astype(np.float32)
    for _ in range(3):
        model(Tensor(x))  # running statistics unlike those at the start
    with no_grad():
        found, expected = models.folded(model)(Tensor(x)).data, model.eval()(Tensor(x)).data
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))
    assert models.is_foldable(model) is (block is not NormFirst)


def test_a_folded_network_is_fused_whatever_it_was_made_of():
    for fused in (False, True):
        network = models.folded(models.cifar_resnet(8, width=4, seed=0, fused=fused))
        assert isinstance(network, FusedResNet) and isinstance(network.layer2[0], FusedBasicBlock)
    plain = models.cifar_resnet(8, width=4, seed=0, activation="elu")
    assert type(models.folded(plain)) is type(plain) is models.ResNet  # a chain's activation is relu
    plain.layer1[0].forward = lambda x: x
    assert not models.is_foldable(plain) and not models.is_foldable(nn.Linear(2, 3))


@pytest.mark.parametrize("name", ["basic, option A", "basic, option B", "basic, plain"])
def test_gradients_have_the_same_bits_whether_somebody_looks_or_not(name, require):
    """Where nobody does, a block takes sums for the block before, and leaves its gradient behind that block's relu."""
    require("numba")
    rng = np.random.default_rng(0)
    maker = lambda **options: MAKERS[name](seed=3, width=16, **options)  # noqa: E731
    x, labels = rng.standard_normal((6, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 6)
    with kernels.use("numba"):
        fused, plain = maker(fused=True), maker()
        fused.layer1 = nn.Sequential(fused.layer1[0], FusedBasicBlock(16, 16, skip="plain" not in name, seed=5))
        plain.layer1 = nn.Sequential(plain.layer1[0], models.BasicBlock(16, 16, skip="plain" not in name, seed=5))
        found = []
        for options in ({}, {"keep_grads": True}, {"keep_graph": True}):
            fused.zero_grad()
            loss = ops.cross_entropy(fused(Tensor(x)), labels)
            order = backward_order(loss)
            loss.backward(**options)
            found.append([parameter.grad for parameter in fused.parameters()])
            if "keep_grads" in options:
                inner = [tensor.grad for tensor in order if tensor.shape == (6, 16, 16, 16)]
        for other in found[1:]:
            for left, right in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(left, right)
        loss = ops.cross_entropy(plain(Tensor(x)), labels)
        order = backward_order(loss)
        loss.backward(keep_grads=True)
    blocks = [tensor for tensor in order if tensor.shape == (6, 16, 16, 16) and tensor.op.site[2] == "forward"]
    outputs = [tensor.grad for tensor in blocks if type(tensor.op).__name__ == "ReLU"]
    assert len(inner) >= 3 and len(outputs) >= 3
    for grad in inner:  # dL/dy of every block, not what is left of it behind the relu
        assert min(np.abs(grad - other).max() for other in outputs) < 1e-3 * np.abs(grad).max()


def test_seven_blocks_of_nine_hand_on_what_the_next_begins_with(require, monkeypatch):
    """The other two begin a stage, where the images become smaller. With somebody looking on, none."""
    require("numba")
    from minires.kernels.numba_kernels.machine.processor import HAS_SIMD

    most = 7 if HAS_SIMD else 0  # without vectors, convolutions are NumPy's
    taken = []

    def counted(grad_y, saved, *given):
        taken.append(saved[-1].grad_and_sums is not None)
        return chain_backward(grad_y, saved, *given)

    with kernels.use("numba") as module:
        chain_backward = module.chain_backward
        monkeypatch.setattr(module, "chain_backward", counted)
        x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32))
        for options, blocks in (({}, most), ({"keep_grads": True}, 0), ({"keep_graph": True}, 0)):
            taken.clear()
            models.resnet20(fused=True, seed=0)(x).sum().backward(**options)
            assert (len(taken), sum(taken)) == (10, blocks)  # nine blocks and the stem


def test_an_output_that_goes_two_ways_gets_both_gradients(require):
    require("numba")
    blocks = [FusedBasicBlock(16, 16, seed=seed) for seed in (1, 2)]
    plain = [models.BasicBlock(16, 16, seed=seed) for seed in (1, 2)]
    x = np.random.default_rng(0).standard_normal((4, 16, 8, 8)).astype(np.float32)
    found = []
    for first, second in (blocks, plain):
        y = first(Tensor(x))
        (second(y).mean() + (y * y).mean()).backward()
        found.append([parameter.grad for parameter in [*first.parameters(), *second.parameters()]])
    for left, right in zip(*found, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-4 * np.abs(right).max())


def test_a_folded_networks_filters_are_what_they_are(require):
    """They cannot be written to, kernels keep what they make of them; another array in their place is followed."""
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32))
    model = models.resnet20(seed=0)
    folded = models.folded(model)
    for conv in (folded.conv1, folded.layer1[0].conv1, folded.layer2[0].conv1):
        with pytest.raises(ValueError, match="read-only"):
            conv.weight.data[0] = 1
    with no_grad():
        expected = folded(x).data
        np.testing.assert_array_equal(folded(x).data, expected)
        for conv in (folded.layer1[0].conv1, folded.layer2[0].conv1):
            before = conv.weight.data
            conv.weight.data = 2 * before
            assert np.abs(folded(x).data - expected).max() > 1e-3
            conv.weight.data = before
            np.testing.assert_array_equal(folded(x).data, expected)
            before.flags.writeable = True
            before[...] *= 2
            assert np.abs(folded(x).data - expected).max() > 1e-3
            before[...] /= 2
            before.flags.writeable = False
        np.testing.assert_array_equal(copy.deepcopy(folded)(x).data, expected)
        wide = models.folded(model).to("float64")
        np.testing.assert_allclose(wide(Tensor(x.data.astype(np.float64))).data, expected, rtol=1e-3, atol=1e-4)


def test_what_is_folded_needs_no_norm_and_keeps_up_with_nothing():
    model = models.resnet20(seed=0, fused=True).eval()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    folded = models.folded(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for _, module in folded.named_modules())
    with no_grad():
        before = folded(x).data
        model.bn1.running_mean += 1
        np.testing.assert_array_equal(folded(x).data, before)
        assert np.abs(models.folded(model)(x).data - before).max() > 1e-3
    with pytest.raises(ValueError, match="folded: takes a ResNet, not Linear"):
        models.folded(nn.Linear(2, 3))


def test_weights_pass_between_the_two():
    plain, fused = models.resnet20(seed=0), models.resnet20(seed=1, fused=True)
    fused.load_state_dict(plain.state_dict())
    np.testing.assert_array_equal(fused.layer3[0].conv1.weight.data, plain.layer3[0].conv1.weight.data)


def test_what_cannot_be_fused_is_refused():
    with pytest.raises(ValueError, match="fused=True is for norm='batch' with activation='relu', not for norm='none'"):
        models.resnet20(norm="none", fused=True)
    with pytest.raises(ValueError, match="not for norm='batch' with activation='tanh'"):
        models.resnet20(activation="tanh", fused=True)
    with pytest.raises(ValueError, match="MisplacedNormBlock has no fused form; these have: BasicBlock, Bottleneck"):
        models.resnet20(block=models.MisplacedNormBlock, fused=True)
    assert isinstance(models.make("resnet20", fused=True).bn1, nn.BatchNorm2d)


def test_a_fused_network_refuses_what_the_network_refuses_in_the_same_words():
    for name, options, message in (
        ("resnet20", {"norm": "instance"}, "unknown norm 'instance'; known: batch, none, group, layer"),
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


def ones(*shape):
    return Tensor(np.ones(shape, np.float32))


def chain_of(x, *filters, shortcut=None, folded=False, **settings):
    weight = (lambda shape: None) if folded else (lambda shape: ones(shape[0]))
    layers = [ops.ConvLayer(ones(*shape), weight(shape), ones(shape[0]), **settings) for shape in filters]
    return ops.conv_chain(x, layers, shortcut)


def test_a_layer_whose_shapes_do_not_fit_is_refused():
    x, filters = ones(2, 3, 5, 4), (6, 3, 3, 3)
    with pytest.raises(
        ValueError,
        match=r"conv_chain: the shortcut has shape \(2, 3, 5, 4\), the branch \(2, 6, 3, 2\); use option "
        r"A, option_a\(x, 6, stride=2\), or option B, a 1×1 convolution to 6 channels with stride 2",
    ):
        chain_of(x, filters, shortcut=x, stride=2, padding=1)
    with pytest.raises(ValueError, match="conv_chain: the shortcut .* both must come from the same images"):
        chain_of(x, filters, shortcut=ones(1, 6, 5, 4), padding=1)
    with pytest.raises(ValueError, match=r"conv_chain: x \(2, 3, 5, 4\) and weight \(6, 2, 3, 3\) must be"):
        chain_of(x, (6, 2, 3, 3))
    with pytest.raises(ValueError, match=r"conv_chain: a 3×3 window does not fit x .* use larger images"):
        chain_of(ones(2, 3, 2, 4), filters)
    with pytest.raises(ValueError, match=r"conv_chain: x \(2, 6, 3, 2\) must be .* weight \(3,\) and bias"):
        ops.conv_chain(x, [ops.ConvLayer(ones(*filters), ones(3), ones(6))])
    with pytest.raises(ValueError, match="conv_chain: .* no batch variance; use a larger batch"):
        chain_of(ones(1, 3, 3, 3), filters)


def test_a_chain_whose_layers_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"conv_chain: x \(2, 4, 5, 4\) and weight \(4, 3, 3, 3\) .* with one C"):
        chain_of(ones(2, 3, 5, 4), (4, 3, 3, 3), (4, 3, 3, 3), padding=1)
    with pytest.raises(ValueError, match=r"the shortcut has shape \(2, 3, 5, 4\), the branch \(2, 4, 5, 4\)"):
        chain_of(ones(2, 3, 5, 4), (4, 3, 3, 3), shortcut="identity", padding=1)
    with pytest.raises(
        ValueError,
        match=r"conv_chain: the shortcut has shape \(2, 3, 5, 4\), the branch \(2, 2, 5, 4\); .* option B, a 1×1 "
        "convolution to 2 channels with stride 1",
    ):
        chain_of(ones(2, 3, 5, 4), (4, 3, 3, 3), (2, 4, 3, 3), shortcut="A", padding=1)
    with pytest.raises(ValueError, match="conv_chain: the shortcut has shape .* the branch"):
        chain_of(ones(2, 3, 6, 6), (3, 3, 3, 3), shortcut="A", stride=(2, 1), padding=1)
    with pytest.raises(ValueError, match="conv_chain: needs one layer or more, all with a norm or none, got 0"):
        chain_of(ones(2, 3, 5, 4))
    with pytest.raises(ValueError, match="conv_chain: shortcut must be None, 'identity', 'A' or a tensor, got 'B'"):
        chain_of(ones(2, 3, 5, 4), (3, 3, 3, 3), shortcut="B")


def test_folded_layers_are_for_inference():
    x, filters = ones(2, 3, 5, 4), nn.Parameter(np.ones((6, 3, 3, 3), np.float32))
    y, statistics = chain_of(x, (6, 3, 3, 3), folded=True)
    assert (y.data == 28).all() and statistics == []
    with pytest.raises(ValueError, match=r"conv_chain: folded norms are for inference: use no_grad\(\), or conv2d and"):
        ops.conv_chain(x, [ops.ConvLayer(filters, None, ones(6))])
    with pytest.raises(ValueError, match="conv_chain: needs one layer or more, all with a norm or none, got 2"):
        ops.conv_chain(x, [ops.ConvLayer(filters, None, ones(6)), ops.ConvLayer(filters, ones(6), ones(6))])
    with pytest.raises(ValueError, match=r"conv_chain: bias \(5,\) must be \(6,\), one per filter"):
        ops.conv_chain(x, [ops.ConvLayer(filters, None, ones(5))])
