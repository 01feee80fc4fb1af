"""Chapter 12, resnet.py: the reader's residual network against MiniRes's, with the same weights."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minires import kernels, ops
from minires.engine import Tensor
from minires.kernels import Array
from minires.learn.examiner import Wrong, generator, refuse_nothing
from minires.learn.parts.tools import beside_it, part
from minires.models import family

CLOSE = 2e-3  # of the largest: float32, through twenty layers and batch norms


def blocks_of(module: ModuleType, n: int) -> Any:
    """Where the reader's code runs: channels in, channels out and stride of every block."""
    blocks = module.ResNet(n).blocks.layers
    return [(b.conv1.weight.shape[1], b.conv1.weight.shape[0], b.conv1.stride) for b in blocks]


def block(module: ModuleType, C: int, F: int, stride: int, x: Array, grad_y: Array) -> Any:
    """Where the reader's code runs: a block's weights, y, and the gradient of x."""
    made = module.BasicBlock(C, F, stride, np.random.default_rng(0))
    given = beside_it(module, "tensor").Tensor(x)
    y = made(given)
    if y is None:
        return None
    y.backward(grad_y)
    return [made.conv1.weight.data, made.conv2.weight.data], y.data, given.grad


def network(module: ModuleType, n: int, images: Array, labels: Array) -> Any:
    """Where the reader's code runs: a network's weights, loss and gradients."""
    model = module.ResNet(n)
    loss = beside_it(module, "layers").CrossEntropy(labels)(model(beside_it(module, "tensor").Tensor(images)))
    loss.backward()
    weights = model.parameters()
    return [weight.data for weight in weights], float(loss.data), [weight.grad for weight in weights]


def check_block(mine: Any, seed: int) -> Iterator[str]:
    for C, F, stride in [(4, 4, 1), (4, 8, 2)]:
        head = f"BasicBlock({C}, {F}, stride {stride})"
        rng = generator(seed, head)
        x = rng.standard_normal((3, C, 6, 6)).astype(np.float32)
        grad_y = rng.standard_normal((3, F, 6 // stride, 6 // stride)).astype(np.float32)
        found = mine.block(C, F, stride, x, grad_y)
        refuse_nothing(head, found)
        (weight1, weight2), y, grad_x = found
        with kernels.use("numpy"):
            right_y, right_grad = right_block(x, weight1, weight2, F, stride, grad_y)
            if not alike(y, right_y):
                for sentence, mistake in MISTAKES.items():
                    if alike(y, right_block(x, weight1, weight2, F, stride, grad_y, mistake)[0]):
                        raise Wrong(f"{head}: {sentence}")
                raise Wrong(f"{head}: what comes out is not what the docstring says, line by line")
        if not alike(grad_x, right_grad):
            raise Wrong(
                f"{head}: y is right, and the gradient of x is not: look at what the ops of this block hand back"
            )
        yield head


MISTAKES = {
    "the shortcut is missing: this is the plain block": "plain",
    "the last relu is missing": "no last relu",
    "the relu between the two convolutions is missing": "no relu",
    "the last relu stands before the addition, and should stand behind it": "relu early",
    "bn2 is missing": "no bn2",
    "bn1 is missing": "no bn1",
}


def right_block(
    x: Array, weight1: Array, weight2: Array, F: int, stride: int, grad_y: Array, mistake: str = ""
) -> tuple[Array, Array]:
    """Return a block's y and gradient of x, by MiniRes's ops; or those of a block with a mistake in it."""

    def norm(x: Tensor) -> Tensor:
        one, zero = Tensor(np.ones(F, np.float32)), Tensor(np.zeros(F, np.float32))
        return ops.batch_norm(x, one, zero)[0]

    given = Tensor(x, requires_grad=True)
    h = ops.conv2d(given, Tensor(weight1), stride=stride, padding=1)
    h = h if mistake == "no bn1" else norm(h)
    h = h if mistake == "no relu" else ops.relu(h)
    h = ops.conv2d(h, Tensor(weight2), stride=1, padding=1)
    h = h if mistake == "no bn2" else norm(h)
    shortcut = given if stride == 1 else ops.option_a(given, F, stride)
    if mistake == "relu early":
        h = ops.relu(h)
    y = h if mistake == "plain" else ops.residual_add(shortcut, h)
    y = y if mistake in ("no last relu", "relu early") else ops.relu(y)
    y.backward(grad_y)
    return y.data, np.asarray(given.grad)


def alike(one: Any, other: Array) -> bool:
    return np.shape(one) == other.shape and bool(np.abs(one - other).max() <= CLOSE * np.abs(other).max())


def check_network(mine: Any, seed: int) -> Iterator[str]:
    for n in (1, 3):
        wanted = [(16, 16, 1)] * n + [(16, 32, 2)] + [(32, 32, 1)] * (n - 1) + [(32, 64, 2)] + [(64, 64, 1)] * (n - 1)
        found = [tuple(block) for block in mine.blocks_of(n)]
        if found != wanted:
            raise Wrong(f"ResNet({n}): {what_differs(found, wanted)}")
        yield f"ResNet({n}): {len(wanted)} blocks"
    rng = generator(seed, "network")
    images = rng.standard_normal((8, 1, 8, 8)).astype(np.float32)
    labels = rng.integers(0, 10, 8)
    weights, loss, grads = mine.network(1, images, labels)
    with kernels.use("numpy"):
        right_loss, right_grads = right_network(1, weights, images, labels)
    if not np.isclose(loss, right_loss, rtol=1e-4):
        raise Wrong(f"ResNet(1): the loss is {loss:.5f}, and with the same weights MiniRes's is {right_loss:.5f}")
    largest = 0.0
    for i, (one, other) in enumerate(zip(grads, right_grads, strict=True)):
        if np.shape(one) != other.shape or not alike(one, other):
            raise Wrong(f"ResNet(1): the gradient of weight {i}, shape {other.shape}, is not MiniRes's")
        largest = max(largest, float(np.abs(one - other).max() / np.abs(other).max()))
    yield f"ResNet(1): the gradients of all {len(grads)} weights are MiniRes's, to {largest:.0e}"


def what_differs(found: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int, ...]]) -> str:
    if not found:
        return "there are no blocks; is the gap (`...`) still there?"
    if len(found) != len(wanted):
        return f"there are {len(found)} blocks, and should be {len(wanted)}: n for each of the three stages"
    i = next(i for i, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)
    return f"block {i + 1} is BasicBlock{found[i]}; look at (channels in, channels out, stride) where a stage begins"


def right_network(n: int, weights: Sequence[Array], images: Array, labels: Array) -> tuple[float, list[Array]]:
    """Return loss and gradients of MiniRes's network with these weights, in their order."""
    model = family.cifar_resnet(6 * n + 2, in_channels=images.shape[1], shortcut="A", seed=0)
    parameters = list(model.parameters())
    for parameter, weight in zip(parameters, weights, strict=True):
        value = weight.T if parameter is model.fc.weight else weight
        parameter.data[...] = value
    loss = ops.cross_entropy(model(Tensor(images)), labels)
    loss.backward()
    grads = [np.asarray(parameter.grad) for parameter in parameters]
    return loss.item(), [grad.T if p is model.fc.weight else grad for p, grad in zip(parameters, grads, strict=True)]


PARTS = [
    part(
        12,
        "resnet.py",
        {"BasicBlock": check_block, "ResNet": check_network},
        {"block": block, "blocks_of": blocks_of, "network": network},
    )
]
