"""Whole networks in float32 against float64: what the kernels' rounding does to logits and gradients."""

import numpy as np
import pytest

from minires import Tensor, kernels, models, ops
from minires.kernels import numpy_kernels

WAYS = {"numpy": ("numpy", False), "numba": ("numba", False), "numba, fused": ("numba", True)}
SMALL = {  # with seeds for which no number that relu is given is near its kink
    "option A": lambda **options: models.cifar_resnet(8, seed=17, **options),
    "option B": lambda **options: models.cifar_resnet(8, seed=17, shortcut="B", **options),
    "plain": lambda **options: models.cifar_resnet(8, seed=18, skip=False, **options),
    "bottleneck": lambda **options: models.cifar_resnet(11, seed=17, block=models.Bottleneck, shortcut="B", **options),
    "pre-activation": lambda **options: models.cifar_resnet(8, seed=15, block=models.PreActBlock, **options),
}


def step(model, images, labels):
    logits = model(Tensor(images))
    ops.cross_entropy(logits, labels).backward()
    return logits.data, {name: parameter.grad for name, parameter in model.named_parameters()}


def steps(make, images, labels):
    """One step in float64, and one in float32 by each way: logits and gradients."""
    with kernels.use("numpy"):
        exact = step(make(fused=False).to("float64"), images, labels)
    found = {}
    for way, (kind, fused) in WAYS.items():
        with kernels.use(kind):
            found[way] = step(make(fused=fused), images.astype(np.float32), labels)
    return exact, found


def error(found, exact):
    """The relative error in L2."""
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def errors(grads, exact):
    return np.array([error(grads[name], exact[name]) for name in exact])


@pytest.mark.parametrize("name", SMALL)
def test_gradients_where_no_relu_is_near_its_kink(name, monkeypatch, require):
    require("numba")
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((2, 3, 8, 8)), np.array([3, 7])
    nearest = []

    def relu_forward(x, original=numpy_kernels.relu_forward):
        nearest.append(np.abs(x[x != 0]).min())
        return original(x)

    with monkeypatch.context() as patch, kernels.use("numpy"):
        patch.setattr(numpy_kernels, "relu_forward", relu_forward)
        SMALL[name](width=16).to("float64")(Tensor(images))
    assert min(nearest) > 1e-4  # no rounding takes it to the other side of zero

    (_, exact), found = steps(lambda fused: SMALL[name](width=16, fused=fused), images, labels)
    for way, (_, grads) in found.items():
        assert errors(grads, exact).max() < 2e-5, way


def test_resnet20(require):
    """Where a number crosses zero by rounding, its gradient comes or goes: 1e-3 of them, in NumPy's float32 as well."""
    require("numba")
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((8, 3, 32, 32)), rng.integers(0, 10, 8)
    (logits, exact), found = steps(lambda fused: models.resnet20(seed=0, fused=fused), images, labels)
    yardstick = error(found["numpy"][0], logits)
    assert yardstick < 1e-6
    for way, (logits32, grads) in found.items():
        assert error(logits32, logits) < 5 * yardstick, way
        assert np.sqrt((errors(grads, exact) ** 2).mean()) < 3e-2, way
