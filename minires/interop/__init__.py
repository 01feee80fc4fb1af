"""Networks from and for other tools: safetensors files with torchvision's names, or those of the CIFAR repositories;
ONNX files; networks that come trained.
"""

from minires.interop.about import About, read_about
from minires.interop.names import CIFAR_NAMES, FOREIGN_NAMES, own_names
from minires.interop.onnx_exporters import EXPORTERS as ONNX_EXPORTERS
from minires.interop.onnx_file import save_onnx
from minires.interop.trained import PRETRAINED, about_network, load_network, pretrained, weights_of
from minires.interop.weights import LoadedWeights, load_weights, options_of, read_weights, save_weights

__all__ = [
    "CIFAR_NAMES",
    "FOREIGN_NAMES",
    "ONNX_EXPORTERS",
    "PRETRAINED",
    "About",
    "LoadedWeights",
    "about_network",
    "load_network",
    "load_weights",
    "options_of",
    "own_names",
    "pretrained",
    "read_about",
    "read_weights",
    "save_onnx",
    "save_weights",
    "weights_of",
]
