"""The experiments: each builds networks, measures, and gives back plain data."""

from minires.lab.gradient_flow import compare
from minires.lab.hessian import hvp, top_eigenvalue

__all__ = ["compare", "hvp", "top_eigenvalue"]
