"""The experiments: each builds networks, measures, and gives back plain data."""

from minires.lab.gradient_flow import compare

__all__ = ["compare"]
