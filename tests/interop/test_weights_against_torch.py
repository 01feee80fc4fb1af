"""A torch network's weights, written by PyTorch as safetensors, give the same logits here, and back."""

import copy

import numpy as np
import pytest

from minires import Tensor, interop, models

CASES = {
    "resnet18-imagenet": (lambda twins: twins.make("resnet18", "imagenet", 1000), {"num_classes": 1000}, 64),
    "resnet18-cifar": (lambda twins: twins.make("resnet18", "cifar", 10), {"num_classes": 10, "stem": "cifar"}, 32),
    "resnet50-imagenet": (lambda twins: twins.make("resnet50", "imagenet", 1000), {"num_classes": 1000}, 96),
    "resnet50-cifar": (lambda twins: twins.make("resnet50", "cifar", 10), {"num_classes": 10, "stem": "cifar"}, 16),
    "resnet20-A": (lambda twins: twins.make("resnet20"), {}, 32),
    "resnet20-B": (
        lambda twins: twins.ResNet(twins.BasicBlock, (3, 3, 3), (16, 32, 64), "cifar", "B", 10),
        {"shortcut": "B"},
        32,
    ),
}


def images(size):
    return np.random.default_rng(1).standard_normal((8, 3, size, size)).astype(np.float32)


def logits_of(torch, twin, size):
    dtype = next(twin.parameters()).dtype
    with torch.no_grad():
        return twin(torch.from_numpy(images(size)).to(dtype)).numpy()


def error(logits, exact):
    return np.linalg.norm(logits - exact) / np.linalg.norm(exact)


@pytest.mark.parametrize("case", CASES)
def test_same_logits(torch, twins, randomize, tmp_path, case):
    """Our logits are about as near to those of the twin in float64 as the twin's own in float32.

    Fifty layers multiply every rounding: PyTorch's own relative error is 2e-7 for ResNet-20 and 2e-5 for ResNet-50, so
    that one tolerance would be loose for the one and luck for the other. Winograd's convolutions cost a factor of 2 to
    5, those of NumPy hardly any.
    """
    from safetensors.torch import save_file

    make, options, size = CASES[case]
    twin = randomize(make(twins), size)
    save_file(twin.state_dict(), tmp_path / "weights.safetensors")
    model = models.make(case.partition("-")[0], init=None, **options)
    interop.load_weights(model, tmp_path / "weights.safetensors", verbose=False)

    for train in (False, True):
        twin.train(train)
        model.train(train)
        exact = logits_of(torch, copy.deepcopy(twin).double(), size)
        assert 0.1 < np.abs(exact).max() < 10
        theirs = error(logits_of(torch, twin, size), exact)
        assert error(model(Tensor(images(size))).data, exact) < min(8 * theirs, 2e-4)
    for name, array in model.state_dict().items():  # the running statistics moved alike
        np.testing.assert_allclose(array, twin.state_dict()[name].numpy(), atol=1e-3, rtol=1e-3, err_msg=name)


def test_published_names(torch, twins, randomize, tmp_path):
    """The naming of akamaster's and kuangliu's repositories, trained under DataParallel and kept in half precision."""
    from safetensors.torch import save_file

    twin = randomize(twins.ResNet(twins.BasicBlock, (3, 3, 3), (16, 32, 64), "cifar", "B", 10)).eval()
    published = {}
    for name, array in torch.nn.DataParallel(twin).state_dict().items():
        name = name.replace("module.fc.", "module.linear.").replace(".downsample.", ".shortcut.")
        published[name] = array.half() if array.is_floating_point() else array
    save_file(published, tmp_path / "half.safetensors")
    model = models.resnet20(shortcut="B", seed=0).eval()
    interop.load_weights(model, tmp_path / "half.safetensors", verbose=False)

    np.testing.assert_allclose(model(Tensor(images(32))).data, logits_of(torch, twin.half().float(), 32), atol=1e-4)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_what_is_saved_loads_strictly_in_torch(torch, twins, tmp_path, shortcut):
    from safetensors.torch import load_file

    model = models.resnet20(shortcut=shortcut, seed=3).eval()
    interop.save_weights(model, tmp_path / "ours.safetensors")
    twin = twins.ResNet(twins.BasicBlock, (3, 3, 3), (16, 32, 64), "cifar", shortcut, 10).eval()
    twin.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(model(Tensor(images(32))).data, logits_of(torch, twin, 32), atol=1e-4)
