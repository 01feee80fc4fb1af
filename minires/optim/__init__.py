"""Optimizers, learning-rate schedules and gradient clipping: from `.grad` arrays to new `.data` arrays."""

from minires.optim.adam import Adam, AdamW
from minires.optim.clipping import clip_grad_norm
from minires.optim.optimizer import Optimizer
from minires.optim.schedules import ConstantWarmup, CosineAnnealingLR, LinearWarmup, MultiStepLR, Schedule
from minires.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ConstantWarmup",
    "CosineAnnealingLR",
    "LinearWarmup",
    "MultiStepLR",
    "Optimizer",
    "Schedule",
    "clip_grad_norm",
]
