"""How parameters start: every one draws from its own generator, keyed by the seed and the parameter's dotted name.

So two networks that share names share values, whatever else either of them has: a plain network and its residual twin
start bit-equal. Draws are made in float64 and rounded to the parameter's dtype.

    scheme           weight of a convolution (F, C, K, K) or linear layer (F, C);  fan_in = C·K·K, fan_out = F·K·K
    "pytorch"        U(±1/√fan_in), biases too: PyTorch's default, kaiming_uniform(a=√5), variance 1/(3·fan_in)
    "lecun"          N(0, 1/fan_in)                 LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998
    "xavier"         U(±√(6/(fan_in + fan_out)))    Glorot, Bengio, 2010, eq. 16
    "he"             N(0, 2/fan_out) for convolutions, N(0, 2/fan_in) for linear layers      He et al.,
    "he_fan_in"      N(0, 2/fan_in)                 "Delving deep into rectifiers", 2015, eq. 10 and 14

A convolution with groups is several side by side, and each is drawn as the convolution it is, with its own C and F.
Biases start at 0 except with "pytorch", the weights of norm layers and other scales at 1. What is made for residual
blocks, such as Fixup, is in `models.schemes`.
"""

import math
import operator
from typing import Any

import numpy as np

from minires.kernels import Array, kernels_for
from minires.nn.module import Module, Parameter, joined

__all__ = ["SCHEMES", "initialize"]

SCHEMES = ("pytorch", "lecun", "xavier", "he", "he_fan_in")


def initialize(model: Module, init: str = "he", seed: int | None = None) -> None:
    """Draw every parameter of a model anew, by its dotted name, in place.

    init: a scheme of the table above. seed: None draws a fresh one. Parameters that are neither a filter, a matrix, a
    `weight` nor a bias stay as they are.
    ValueError, before anything is changed, for an unknown scheme.
    """
    if init not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise ValueError(f"initialize: unknown init {init!r}; known: {known}; for residual networks: models.initialize")
    if seed is not None and operator.index(seed) < 0:
        raise ValueError(f"initialize: seed must be None or a whole number from 0 up, got {seed}")
    entropy: Any = np.random.SeedSequence(seed).entropy  # one for all parameters, also where it is fresh

    drawn = set()
    for prefix, module in model.named_modules():
        for name, parameter in vars(module).items():
            if isinstance(parameter, Parameter) and parameter not in drawn:
                drawn.add(parameter)
                key = tuple(joined(prefix, name).encode())
                generator = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
                start(module, name, parameter, init, generator)


def start(module: Module, name: str, parameter: Parameter, init: str, generator: np.random.Generator) -> None:
    """Give one parameter its start by its shape and its name in its module."""
    weight = getattr(module, "weight", None)
    is_norm = getattr(module, "weight_is_scale", False)  # whose weight may have several axes, as layer norm's
    groups = getattr(module, "groups", 1)
    if parameter.ndim == 4 and parameter is weight and isinstance(groups, int) and groups > 1:
        shape = (parameter.shape[0] // groups, *parameter.shape[1:])  # of the filters of one group
        write(parameter, np.concatenate([draw_weight(init, shape, generator) for _ in range(groups)]))
    elif parameter.ndim >= 2 and not is_norm:
        write(parameter, draw_weight(init, parameter.shape, generator))
    elif name == "bias" and init == "pytorch" and weight is not None and weight.ndim >= 2 and not is_norm:
        bound = 1 / math.sqrt(fans(weight.shape)[0])
        write(parameter, generator.uniform(-bound, bound, parameter.shape))
    elif name == "weight":
        parameter.data[...] = 1
    elif name.endswith("bias"):
        parameter.data[...] = 0


def draw_weight(init: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw filters (F, C, KH, KW) or a matrix (F, C) by the table at the head of this file."""
    fan_in, fan_out = fans(shape)
    if init in ("pytorch", "xavier"):
        bound = 1 / math.sqrt(fan_in) if init == "pytorch" else math.sqrt(6 / (fan_in + fan_out))
        return generator.uniform(-bound, bound, shape)
    if init == "lecun":
        variance = 1 / fan_in
    elif init == "he_fan_in" or len(shape) == 2:  # a classifier's few outputs would make fan_out's draws huge
        variance = 2 / fan_in
    else:
        variance = 2 / fan_out
    return generator.normal(0, math.sqrt(variance), shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs reach one output, and how many outputs one input reaches."""
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def write(parameter: Parameter, values: Array) -> None:
    """Round float64 draws into the parameter, where it is."""
    parameter.data[...] = kernels_for(parameter.data).xp.asarray(values, parameter.dtype)
