"""The ResNet family: blocks, networks, their broken variants, and `make` for models by name.

Every file lists in `__all__` the names that it adds to `minires.models`; of `family.py`, whose table is such a list,
all names count.
"""

# ruff: noqa: F403
from minires.models.blocks import *
from minires.models.broken import *
from minires.models.family import *
from minires.models.folding import *
from minires.models.registry import *
from minires.models.resnet import *
from minires.models.resnext import *
from minires.models.schemes import *
