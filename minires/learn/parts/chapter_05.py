"""Chapter 5: layers.py, optim.py and the training step of train.py."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.known.loss import cross_entropy_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_equal, check_gradient, generator
from minires.learn.parts.tools import check_op, part


def linear(module: ModuleType, x: Array, weight: Array, bias: Array, grad_y: Array | None) -> Any:
    """Where the reader's code runs: what a Linear makes of x, and the gradients of x, weight and bias for grad_y."""
    layer = module.Linear(x.shape[1], weight.shape[1], np.random.default_rng(0))
    layer.weight.data, layer.bias.data = weight, bias
    given = module.Tensor(x)
    y = layer(given)
    if y is None or grad_y is None:
        return getattr(y, "data", y)
    y.backward(grad_y)
    return given.grad, layer.weight.grad, layer.bias.grad


def check_linear(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, F = rng.permutation([2, 3, 4]) + rng.integers(0, 2)
        return {
            "x": rng.standard_normal((N, C)), "weight": rng.standard_normal((C, F)), "bias": rng.standard_normal(F),
        }  # fmt: skip

    def forward(x: Array, weight: Array, bias: Array) -> Array:
        return np.asarray(x @ weight + bias)

    values = draw(generator(seed, "Linear"))
    yield from check_equal("Linear, forward", mine.linear(*values.values(), None), forward(**values))
    yield from check_gradient(
        "Linear, backward", forward, lambda grad_y, *arrays: mine.linear(*arrays, grad_y), draw, seed=seed
    )


def check_loss(mine: Any, seed: int) -> Iterator[str]:
    labels = generator(seed, "labels").permutation(np.arange(5) % 3)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        return {"logits": 2 * rng.standard_normal((5, int(rng.integers(3, 7))))}

    def loss(logits: Array) -> Array:
        return np.asarray(numpy_kernels.cross_entropy_forward(logits, labels, 0.0, -100)[0])

    known = cross_entropy_right(0.0)

    def with_labels(function: Any) -> Any:
        return lambda grad_loss, logits: function(grad_loss, logits, labels)

    right = type(known)(
        with_labels(known.terms),
        {sentence: with_labels(variant) for sentence, variant in known.variants.items()},
        None if known.sizes is None else with_labels(known.sizes),
        known.divisor,
    )
    yield from check_op(mine, seed, "CrossEntropy", loss, draw, (labels,), {"logits": right})


def descend(
    module: ModuleType, weights: Sequence[Array], gradients: Sequence[Sequence[Array]], options: Sequence[float]
) -> Any:
    """Where the reader's code runs: let SGD do some steps with given gradients; return the weights after each."""

    class Weight:
        def __init__(self, data: Array) -> None:
            self.data, self.grad = data, np.zeros(1)

    tensors = [Weight(weight) for weight in weights]
    optimizer = module.SGD(tensors, *options)
    found = []
    for step in gradients:
        for tensor, grad in zip(tensors, step, strict=True):
            tensor.grad = grad
        optimizer.step()
        found.append([tensor.data for tensor in tensors])
    return found


def steps_of(
    weights: Sequence[Array], gradients: Sequence[Sequence[Array]], options: Sequence[float], mistake: str = ""
) -> list[list[Array]]:
    """Return the weights after each step of SGD, or of one with a mistake in it."""
    lr, momentum, decay = options
    velocities: list[Array] = [np.zeros_like(weight) for weight in weights]
    values, found = list(weights), []
    for step in gradients:
        for i, grad in enumerate(step):
            moved = grad + (0 if mistake == "no decay" else decay) * values[i]
            if mistake == "dampened":
                velocities[i] = momentum * velocities[i] + (1 - momentum) * moved
            elif mistake == "lr inside":
                velocities[i] = momentum * velocities[i] + moved * lr
            else:
                velocities[i] = (0 if mistake == "no momentum" else momentum) * velocities[i] + moved
            sign = -1 if mistake == "uphill" else 1
            values[i] = values[i] - sign * (1 if mistake == "lr inside" else lr) * velocities[i]
        found.append(list(values))
    return found


SGD_MISTAKES = {
    "no momentum": "momentum is ignored: the velocity keeps nothing of the last one",
    "no decay": "weight_decay is ignored",
    "dampened": "grad is multiplied by 1 − momentum; here it is added whole",
    "uphill": "it goes uphill: w − lr · v, not w + lr · v",
}


def check_sgd(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "SGD")
    weights = [rng.standard_normal((2, 3)), rng.standard_normal(4)]
    gradients = [[rng.standard_normal((2, 3)), rng.standard_normal(4)] for _ in range(4)]
    for head, options in {
        "SGD": (0.1, 0.0, 0.0), "SGD with momentum": (0.1, 0.9, 0.0), "SGD with weight decay": (0.1, 0.0, 0.05),
        "SGD with both": (0.2, 0.8, 0.1),
    }.items():  # fmt: skip
        given, wanted = mine.descend(weights, gradients, options), steps_of(weights, gradients, options)
        if not alike(given, wanted):
            for mistake, sentence in SGD_MISTAKES.items():
                if alike(given, steps_of(weights, gradients, options, mistake)):
                    raise Wrong(f"{head}: {sentence}")
            if alike(given[:1], wanted[:1]):
                raise Wrong(f"{head}: the first step is right, the second is not: is the velocity kept?")
            raise Wrong(f"{head}: the weights are wrong after the first step already")
        yield head


def alike(one: Any, other: Any) -> bool:
    pairs = [(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)]
    return all(np.shape(a) == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


def losses(module: ModuleType, epochs: int) -> Any:
    """Where the reader's code runs: train one linear layer, all of whose weights begin at 0, on the digits."""
    layer = module.Linear(64, 10, np.random.default_rng(0))
    layer.weight.data = np.zeros((64, 10), np.float32)
    model = module.Sequential(module.Flatten(), layer)
    return module.train(model, epochs, 0.1, say=None)


def right_losses(epochs: int) -> list[float]:
    """Do the same in plain NumPy: softmax regression, whose gradient is x times what was said minus what should be."""
    from minires.data.digits import PATH

    with np.load(PATH) as file:
        images, labels = file["images"].reshape(-1, 64).astype(np.float64), file["labels"].astype(np.int64)
    images = (images - images.mean()) / images.std()
    kept = np.arange(len(labels)) % 5 > 0
    images, labels = images[kept], labels[kept]
    parameters = [np.zeros((64, 10)), np.zeros(10)]
    velocities = [np.zeros((64, 10)), np.zeros(10)]
    rng, found = np.random.default_rng(0), list[float]()
    steps = epochs * (len(images) // 32)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - 31, 32):
            batch = order[start : start + 32]
            logits = images[batch] @ parameters[0] + parameters[1]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            lr = 0.1 * (1 + np.cos(np.pi * len(found) / steps)) / 2
            found.append(float(-np.log(p[np.arange(32), labels[batch]]).mean()))
            error = (p - np.eye(10)[labels[batch]]) / 32
            for i, grad in enumerate([images[batch].T @ error, error.sum(axis=0)]):
                velocities[i] = 0.9 * velocities[i] + grad + 1e-3 * parameters[i]
                parameters[i] = parameters[i] - lr * velocities[i]
    return found


def check_train(mine: Any, seed: int) -> Iterator[str]:
    wanted = right_losses(1)
    found = mine.losses(1)
    if not isinstance(found, list) or len(found) != len(wanted) or not all(isinstance(one, float) for one in found):
        raise Wrong("train: it should give back the loss of each step, a list")
    if abs(found[0] - wanted[0]) > 1e-4:
        raise Wrong(f"train: the first loss is {found[0]:.4f}, and should be log 10, since all weights are 0")
    if all(abs(one - found[0]) < 1e-9 for one in found[:2]):
        raise Wrong("train: the loss stays as it is; is the optimizer's step there?")
    if not np.allclose(found[:3], wanted[:3], rtol=1e-3):
        raise Wrong("train: the first steps go wrong; are the gradients of the last step forgotten before backward?")
    if not np.allclose(found, wanted, rtol=1e-2, atol=1e-2):
        raise Wrong("train: the losses are not those of this training")
    yield f"train, {len(found)} steps on the digits: loss {found[0]:.2f} -> {np.mean(found[-10:]):.2f}"


PARTS = [
    part(5, "layers.py", {"Linear": check_linear, "CrossEntropy": check_loss}, {"linear": linear}),
    part(5, "optim.py", {"SGD": check_sgd}, {"descend": descend}),
    part(5, "train.py", {"train": check_train}, {"losses": losses}),
]
