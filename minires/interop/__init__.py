"""Weights from and for other tools: safetensors files with torchvision's names, or those of the CIFAR repositories."""

from minires.interop.names import CIFAR_NAMES, FOREIGN_NAMES, own_names
from minires.interop.weights import LoadedWeights, load_weights, options_of, read_weights, save_weights

__all__ = [
    "CIFAR_NAMES",
    "FOREIGN_NAMES",
    "LoadedWeights",
    "load_weights",
    "options_of",
    "own_names",
    "read_weights",
    "save_weights",
]
