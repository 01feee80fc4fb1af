"""Initial values: mean, variance and range of many draws (the table of nn/initialization.py)."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from minires import models, nn
from minires.gradient_check.updates.update import Update, roundings_off
from minires.kernels import Array

SIGMAS = 5  # by which a drawn variance may miss the scheme's
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
