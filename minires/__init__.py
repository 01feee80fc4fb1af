"""MiniRes: residual networks from scratch, to read, to step through, and to measure."""

from minires import kernels, ops
from minires.engine import Tensor, no_grad

__version__ = "0.1.0"
__all__ = ["Tensor", "__version__", "kernels", "no_grad", "ops"]
