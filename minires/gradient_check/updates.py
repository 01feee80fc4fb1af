"""What is no gradient: running statistics, optimizers' steps, schedules, clipping, initial values.

Each against a formula that is written down here once more, number by number in float64, from the paper or from
PyTorch's documentation, and shares no line with the code that it checks. `minires gradcheck --updates` goes through
`all_updates`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from minires import models, nn, optim
from minires.engine import Tensor
from minires.kernels import Array

ROUNDINGS = 40  # of the dtype, that an updated array may be off after all its steps
DTYPES = ("float32", "float64")
SIGMAS = 5  # by which a drawn variance may miss the scheme's


@dataclass
class Update:
    """check() returns what is wrong, "" if nothing is, and the worst error in words."""

    name: str
    check: Callable[[], tuple[str, str]]


def all_updates(seed: int = 0) -> list[Update]:
    """List every update with all its options; under the kernels in use when each is checked."""
    makers = (running_statistics, sgd_steps, adam_steps, clippings, schedules, initial_values, block_values)
    return [update for maker in makers for update in maker(seed)]


def roundings_off(pairs: list[tuple[str, Array, Array]], dtype: Any) -> tuple[str, str]:
    """Compare arrays with what they should be, by the largest number that each should have."""
    worst, problem = 0.0, ""
    for what, array, right in pairs:
        unit = float(np.finfo(dtype).eps) * max(float(np.abs(right).max(initial=0.0)), 1e-30)
        off = float(np.abs(array.astype(np.float64) - right).max(initial=0.0)) / unit
        if not problem and (array.dtype != dtype or not off <= ROUNDINGS):
            numbers = f"{array.ravel()[:4]}, not {right.ravel()[:4]}"
            problem = f"{what} is {array.dtype} and {off:.3g} roundings off: {numbers}"
        worst = max(worst, off)
    return problem, f"{worst:.1f} roundings"


# Batch norm's running statistics (Ioffe and Szegedy 2015, algorithm 2; the old value's share is PyTorch's)


def running_statistics(seed: int) -> Iterator[Update]:
    shapes = (2, 3, 4, 5), (1, 4, 3, 3), (7, 3)
    for shape, momentum, dtype in product(shapes, (0.1, 0.4, 1.0), DTYPES):
        name = f"running statistics, x {shape}, momentum {momentum}, {dtype}"
        yield Update(name, partial(check_statistics, shape, momentum, dtype, seed))


def check_statistics(shape: tuple[int, ...], momentum: float, dtype: str, seed: int) -> tuple[str, str]:
    rng, C = np.random.default_rng(seed), shape[1]
    layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(C, momentum=momentum).to(dtype)
    mean, var = [0.0] * C, [1.0] * C
    for _ in range(3):
        x = (1 + 2 * rng.standard_normal(shape)).astype(dtype)
        layer(Tensor(x))
        for c in range(C):
            numbers = x[:, c].astype(np.float64).ravel().tolist()
            m = math.fsum(numbers) / len(numbers)
            unbiased = math.fsum([(number - m) ** 2 for number in numbers]) / (len(numbers) - 1)
            mean[c] += momentum * (m - mean[c])
            var[c] += momentum * (unbiased - var[c])
    before = layer.running_mean.copy()
    layer.eval()
    layer(Tensor(x))
    found = [("running_mean", layer.running_mean, np.array(mean)), ("running_var", layer.running_var, np.array(var))]
    return roundings_off([*found, ("running_mean after evaluation", layer.running_mean, before)], dtype)


# Optimizers: one number at a time, in Python's own arithmetic

SHAPES = ((3, 4), (5,), (2, 3, 2, 2), ())


def drive(
    make: Callable[[Any], Any], follow: Callable[..., float], steps: int, dtype: str, seed: int
) -> tuple[str, str]:
    """Take steps with drawn gradients, and the same number by number with follow(w, grad, own state, step count)."""
    rng = np.random.default_rng(seed)
    params = [Tensor(np.asarray(rng.standard_normal(shape), dtype), requires_grad=True) for shape in SHAPES]
    optimizer = make(params)
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
        for shape, param, numbers in zip(SHAPES, params, expected, strict=True)
    ]
    return roundings_off(pairs, dtype)


def sgd_steps(seed: int) -> Iterator[Update]:
    for momentum, decay, nesterov, dtype in product((0.0, 0.9, 0.4), (0.0, 0.1), (False, True), DTYPES):
        if nesterov and momentum == 0:
            continue
        options: dict[str, Any] = {"lr": 0.05, "momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
        name = f"SGD, momentum {momentum}, weight decay {decay}{', Nesterov' if nesterov else ''}, {dtype}"
        yield Update(name, partial(drive, partial(optim.SGD, **options), partial(sgd, **options), 6, dtype, seed))


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
    for max_norm, dtype in product((0.5, 3.0, 1e6), DTYPES):
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


# Schedules: the learning rate after every step, by another form of the same definition


def schedules(seed: int) -> Iterator[Update]:
    cosine, steps = optim.CosineAnnealingLR, optim.MultiStepLR
    made: dict[str, tuple[Callable[[Any], Any], Callable[[int, float], float]]] = {
        "MultiStepLR": (lambda o: steps(o, [3, 5, 9], 0.2), lambda n, lr: lr * 0.2 ** ((n >= 3) + (n >= 5) + (n >= 9))),
        "MultiStepLR, gamma by default": (lambda o: steps(o, [2]), lambda n, lr: lr * (0.1 if n >= 2 else 1)),
        "CosineAnnealingLR": (lambda o: cosine(o, 10), lambda n, lr: lr * math.cos(math.pi * n / 20) ** 2),
        "CosineAnnealingLR, eta_min": (
            lambda o: cosine(o, 7, 0.01),
            lambda n, lr: 0.01 + (lr - 0.01) * math.cos(math.pi * n / 14) ** 2,
        ),
        "LinearWarmup": (lambda o: optim.LinearWarmup(o, 4), lambda n, lr: lr * (1 if n >= 4 else (4 + 2 * n) / 12)),
        "LinearWarmup on a cosine": (
            lambda o: optim.LinearWarmup(o, 5, 0.2, cosine(o, 12)),
            lambda n, lr: lr * min(1.0, 0.2 + 0.16 * n) * math.cos(math.pi * n / 24) ** 2,
        ),
        "ConstantWarmup": (lambda o: optim.ConstantWarmup(o, 3, 0.1), lambda n, lr: lr * (0.1 if n < 3 else 1)),
        "ConstantWarmup on steps": (
            lambda o: optim.ConstantWarmup(o, 3, 0.1, steps(o, [2, 6])),
            lambda n, lr: lr * (0.1 if n < 3 else 1) * 0.1 ** ((n >= 2) + (n >= 6)),
        ),
    }
    for name, (make, follow) in made.items():
        yield Update(name, partial(check_schedule, make, follow))


def check_schedule(make: Callable[[Any], Any], follow: Callable[[int, float], float]) -> tuple[str, str]:
    one, other = [Tensor(np.zeros(2, np.float32), requires_grad=True) for _ in range(2)]
    groups: list[dict[str, Any]] = [{"params": [one]}, {"params": [other], "lr": 0.3}]
    optimizer = optim.SGD(groups, lr=0.1)
    schedule, worst = make(optimizer), 0.0
    for step in range(14):
        for group, start in zip(optimizer.param_groups, (0.1, 0.3), strict=True):
            right = follow(step, start)
            error = abs(group["lr"] - right) / start
            worst = max(worst, error)
            if not error <= 1e-12:
                return f"after {step} steps the rate that began at {start} is {group['lr']:.9g}, not {right:.9g}", "-"
        schedule.step()
    return "", f"{worst:.1e}"


# Initial values: mean, variance and range of many draws (the table of nn/initialization.py)

LAYERS = {"convolution": (96, 48, 3, 3), "linear": (120, 200), "convolution of 4 groups": (96, 48, 3, 3)}


def initial_values(seed: int) -> Iterator[Update]:
    for scheme, layer in product(("pytorch", "lecun", "xavier", "he", "he_fan_in"), LAYERS):
        yield Update(f"initial values, {scheme}, {layer}", partial(check_initial, scheme, layer, seed))


def check_initial(scheme: str, layer: str, seed: int) -> tuple[str, str]:
    shape = LAYERS[layer]
    F, C, taps = shape[0], shape[1], math.prod(shape[2:])
    groups = 4 if "groups" in layer else 1
    module = nn.Linear(C, F, init=None) if layer == "linear" else nn.Conv2d(C, F, 3, groups=groups, init=None)
    nn.initialize(module, scheme, seed)
    C, F = C // groups, F // groups
    weight, bias = module.weight.data.astype(np.float64), module.bias.data.astype(np.float64)  # type: ignore[union-attr]
    variance = {
        "pytorch": 1 / (3 * C * taps),
        "lecun": 1 / (C * taps),
        "xavier": 2 / ((C + F) * taps),
        "he": 2 / C if layer == "linear" else 2 / (F * taps),
        "he_fan_in": 2 / (C * taps),
    }[scheme]
    uniform = scheme in ("pytorch", "xavier")
    problem, off = drawn_as(weight, variance, uniform)
    if scheme == "pytorch":
        problem = problem or drawn_as(bias, variance, uniform)[0]
    elif np.any(bias != 0):
        problem = problem or f"the bias does not start at 0: {bias[:4]}"
    return problem, off


def drawn_as(numbers: Array, variance: float, uniform: bool) -> tuple[str, str]:
    """Compare mean, variance and the share within one deviation with a distribution's, in standard errors of each."""
    deviation, fourth = math.sqrt(variance), 1.8 if uniform else 3.0
    within = 1 / math.sqrt(3) if uniform else math.erf(1 / math.sqrt(2))
    n = numbers.size
    found = {
        "mean": float(numbers.mean()) / (deviation / math.sqrt(n)),
        "variance": (float(np.mean(numbers**2)) / variance - 1) / math.sqrt((fourth - 1) / n),
        "share within one deviation": (float(np.mean(np.abs(numbers) < deviation)) - within)
        / math.sqrt(within * (1 - within) / n),
    }
    for what, off in found.items():
        if not abs(off) <= SIGMAS:
            return f"the {what} of {n} draws is {off:.1f} standard errors off, with variance {variance:.4g}", "-"
    if uniform and np.abs(numbers).max() > math.sqrt(3) * deviation * (1 + 1e-6):
        return f"a draw of {np.abs(numbers).max():.4g} is beyond ±√3 deviations", "-"
    return "", f"{max(map(abs, found.values())):.1f} standard errors"


def block_values(seed: int) -> Iterator[Update]:
    for scheme in ("zero_gamma", "skipinit", "skipinit_sqrt", "fixup"):
        yield Update(f"initial values of blocks, {scheme}", partial(check_blocks, scheme, seed))


def check_blocks(scheme: str, seed: int) -> tuple[str, str]:
    """Compare ResNet-14 (L = 6 blocks of m = 2 layers) with the same drawn by "he" and scaled by hand."""
    norm = "batch" if scheme == "zero_gamma" else "none"
    model = models.cifar_resnet(14, norm=norm, init=scheme, seed=seed)
    plain = models.cifar_resnet(14, norm=norm, init=scheme, seed=seed)
    nn.initialize(plain, "he", seed)
    right = dict(plain.named_parameters())
    pairs = []
    for name, parameter in model.named_parameters():
        expected = right[name].data.astype(np.float64)
        in_block, end = name.startswith("layer"), name.rpartition(".")[0].rpartition(".")[2]
        if scheme == "zero_gamma" and in_block and name.endswith("bn2.weight"):
            expected = 0 * expected
        elif scheme.startswith("skipinit") and in_block and parameter.size == 1 and name.endswith("weight"):
            expected = 0 * expected + (1 / math.sqrt(6) if scheme == "skipinit_sqrt" else 0)
        elif scheme == "fixup" and in_block and end == "conv1" and name.endswith("weight"):
            expected = expected * 6**-0.5
        elif scheme == "fixup" and (name == "fc.weight" or (end == "conv2" and name.endswith("weight"))):
            expected = 0 * expected
        pairs.append((name, parameter.data, expected))
    return roundings_off(pairs, "float32")
