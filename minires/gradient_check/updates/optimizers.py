"""Optimizers' steps and clipping: one number at a time, in Python's own arithmetic."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from minires import optim
from minires.engine import Tensor
from minires.gradient_check.updates.update import DTYPES, Update, roundings_off

SHAPES = ((3, 4), (5,), (2, 3, 2, 2), ())


def drive(
    make: Callable[[Any], Any],
    follow: Callable[..., float],
    steps: int,
    dtype: str,
    seed: int,
    shapes: tuple[tuple[int, ...], ...] = SHAPES,
) -> tuple[str, str]:
    """Take steps with drawn gradients, and the same number by number with follow(w, grad, own state, step count).

    A second group has a parameter that never gets a gradient, and stays as it is.
    """
    rng = np.random.default_rng(seed)
    params = [Tensor(np.asarray(rng.standard_normal(shape), dtype), requires_grad=True) for shape in shapes]
    idle = Tensor(np.ones(3, dtype), requires_grad=True)
    optimizer = make([{"params": params}, {"params": [idle]}])
    expected = [param.data.astype(np.float64).ravel().tolist() for param in params]
    states: list[list[dict[str, float]]] = [[{} for _ in numbers] for numbers in expected]
    counts = [0] * len(params)
    for step in range(steps):
        for place, param in enumerate(params):
            param.grad = np.asarray(rng.standard_normal(param.shape), dtype)
            if place == 1 and step in (0, 2):  # without a gradient a parameter stays, and its count too
                param.grad = None
                continue
            counts[place] += 1
            grads = param.grad.astype(np.float64).ravel().tolist()
            for i, grad in enumerate(grads):
                expected[place][i] = follow(expected[place][i], grad, states[place][i], counts[place])
        optimizer.step()
    pairs = [
        (f"parameter {shape} after {steps} steps", param.data, np.reshape(numbers, shape))
        for shape, param, numbers in zip(shapes, params, expected, strict=True)
    ]
    return roundings_off([*pairs, ("a parameter without a gradient", idle.data, np.ones(3))], dtype)


def sgd_steps(seed: int) -> Iterator[Update]:
    for momentum, decay, nesterov, dtype in product((0.0, 0.9, 0.4), (0.0, 0.1), (False, True), DTYPES):
        if nesterov and momentum == 0:
            continue
        options: dict[str, Any] = {"lr": 0.05, "momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
        name = f"SGD, momentum {momentum}, weight decay {decay}{', Nesterov' if nesterov else ''}, {dtype}"
        yield Update(name, partial(drive, partial(optim.SGD, **options), partial(sgd, **options), 6, dtype, seed))
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "nesterov": False}
    alone = partial(drive, partial(optim.SGD, **options), partial(sgd, **options), 6, "float32", seed, ((2, 3),))
    yield Update("SGD, one parameter, float32", alone)


def sgd(
    w: float, grad: float, state: dict[str, float], count: int, lr: float, momentum: float, weight_decay: float,
    nesterov: bool,
) -> float:  # fmt: skip
    """torch.optim.SGD's algorithm."""
    grad = grad + weight_decay * w
    velocity = grad if count == 1 else momentum * state["v"] + grad
    state["v"] = velocity
    if nesterov:
        return w - lr * (grad + momentum * velocity)
    return w - lr * velocity


def adam_steps(seed: int) -> Iterator[Update]:
    betas = ((0.9, 0.999), (0.0, 0.99), (0.9, 0.0), (0.5, 0.9), (0.0, 0.0))
    for maker, pair, decay, eps in product((optim.Adam, optim.AdamW), betas, (0.0, 0.1), (1e-8, 0.1)):
        steps, dtype = (130, "float64") if eps == 0.1 else (6, "float32")
        options: dict[str, Any] = {"lr": 0.02, "betas": pair, "weight_decay": decay, "eps": eps}
        name = f"{maker.__name__}, betas {pair}, weight decay {decay}, eps {eps}, {steps} steps, {dtype}"
        follow = partial(adam, decoupled=maker is optim.AdamW, **options)
        yield Update(name, partial(drive, partial(maker, **options), follow, steps, dtype, seed))
    options = {"lr": 0.02, "betas": (0.9, 0.999), "weight_decay": 0.0, "eps": 1e-8}
    yield Update(
        "Adam, 130 steps, float32",
        partial(drive, partial(optim.Adam, **options), partial(adam, decoupled=False, **options), 130, "float32", seed),
    )
    follow = partial(adam, decoupled=False, **options)
    alone = partial(drive, partial(optim.Adam, **options), follow, 6, "float32", seed, ((2, 3),))
    yield Update("Adam, one parameter, float32", alone)


def adam(
    w: float, grad: float, state: dict[str, float], count: int, lr: float, betas: tuple[float, float],
    weight_decay: float, eps: float, decoupled: bool,
) -> float:  # fmt: skip
    """Kingma and Ba 2015, algorithm 1; decoupled: Loshchilov and Hutter 2019, algorithm 2."""
    if decoupled:
        w = w - lr * weight_decay * w
    else:
        grad = grad + weight_decay * w
    state["m"] = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    state["s"] = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    mean, square = state["m"] / (1 - betas[0] ** count), state["s"] / (1 - betas[1] ** count)
    return w - lr * mean / (math.sqrt(square) + eps)


def clippings(seed: int) -> Iterator[Update]:
    for max_norm, dtype in product((0.5, 3.0, 8.0, 1e6), DTYPES):  # the norm is a little below 8
        yield Update(f"clip_grad_norm, max_norm {max_norm}, {dtype}", partial(check_clipping, max_norm, dtype, seed))


def check_clipping(max_norm: float, dtype: str, seed: int) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    params: list[Any] = [Tensor(np.zeros(shape, dtype), requires_grad=True) for shape in SHAPES]
    grads = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
    params.append(Tensor(np.zeros(2, dtype), requires_grad=True))
    before = [grad.astype(np.float64) for grad in grads]
    length = math.sqrt(math.fsum([float(number) ** 2 for grad in before for number in grad.ravel()]))
    given = optim.clip_grad_norm(params, max_norm)
    share = min(1.0, max_norm / (length + 1e-6))
    pairs = [("a gradient", param.grad, share * right) for param, right in zip(params[:-1], before, strict=True)]
    pairs += [("a gradient that was written into", grad, right) for grad, right in zip(grads, before, strict=True)]
    if not abs(given - length) <= 1e-6 * length:
        return f"the norm is {length:.9g}, clip_grad_norm gave {given:.9g}", "-"
    return roundings_off(pairs, dtype)
