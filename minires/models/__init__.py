"""The ResNet family: blocks, networks, their broken variants, and `make` for models by name."""

from minires.models.blocks import BasicBlock as BasicBlock
from minires.models.blocks import Bottleneck as Bottleneck
from minires.models.blocks import PreActBlock as PreActBlock
from minires.models.blocks import PreActBottleneck as PreActBottleneck
from minires.models.broken import AlwaysProjectedBlock as AlwaysProjectedBlock
from minires.models.broken import MisplacedNormBlock as MisplacedNormBlock
from minires.models.family import *  # noqa: F403  the builders and the table of makers
from minires.models.registry import BLOCKS as BLOCKS
from minires.models.registry import MODELS as MODELS
from minires.models.registry import make as make
from minires.models.resnet import PreActResNet as PreActResNet
from minires.models.resnet import ResNet as ResNet
from minires.models.schemes import SCHEMES as SCHEMES
from minires.models.schemes import initialize as initialize
