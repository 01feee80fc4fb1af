"""Modules that hold parameters and call ops: the layers, how they start, and what they cost."""

from minires.nn.activation import ELU as ELU
from minires.nn.activation import SELU as SELU
from minires.nn.activation import LeakyReLU as LeakyReLU
from minires.nn.activation import ReLU as ReLU
from minires.nn.activation import Sigmoid as Sigmoid
from minires.nn.activation import Tanh as Tanh
from minires.nn.initialization import SCHEMES as SCHEMES
from minires.nn.initialization import initialize as initialize
from minires.nn.layers import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from minires.nn.layers import AvgPool2d as AvgPool2d
from minires.nn.layers import Conv2d as Conv2d
from minires.nn.layers import Dropout as Dropout
from minires.nn.layers import Flatten as Flatten
from minires.nn.layers import GlobalAvgPool2d as GlobalAvgPool2d
from minires.nn.layers import Identity as Identity
from minires.nn.layers import Linear as Linear
from minires.nn.layers import MaxPool2d as MaxPool2d
from minires.nn.layers import Sequential as Sequential
from minires.nn.module import Module as Module
from minires.nn.module import Parameter as Parameter
from minires.nn.normalization import BatchNorm1d as BatchNorm1d
from minires.nn.normalization import BatchNorm2d as BatchNorm2d
from minires.observe.counting import Totals as Totals
from minires.observe.counting import totals as totals
