"""Batch norm's running statistics (Ioffe and Szegedy 2015, algorithm 2; the old value's share is PyTorch's)."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from minires import nn
from minires.engine import Tensor
from minires.gradient_check.updates.update import DTYPES, Update, roundings_off


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
    assert layer.running_mean is not None and layer.running_var is not None
    before = layer.running_mean.copy()
    layer.eval()
    layer(Tensor(x))
    found = [("running_mean", layer.running_mean, np.array(mean)), ("running_var", layer.running_var, np.array(var))]
    return roundings_off([*found, ("running_mean after evaluation", layer.running_mean, before)], dtype)
