"""Modules that hold parameters and call ops: the layers, how they start, and what they cost."""

from minires.nn.activation import ELU, SELU, LeakyReLU, ReLU, Sigmoid, Tanh
from minires.nn.initialization import SCHEMES, initialize
from minires.nn.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    Linear,
    MaxPool2d,
    Sequential,
)
from minires.nn.module import Module, Parameter
from minires.nn.normalization import BatchNorm1d, BatchNorm2d
from minires.observe.counting import Totals, totals

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "ELU",
    "Flatten",
    "GlobalAvgPool2d",
    "Identity",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "SCHEMES",
    "SELU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "Totals",
    "initialize",
    "totals",
]
