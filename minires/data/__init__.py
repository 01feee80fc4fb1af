"""Data sets and batches: files in, NumPy arrays out."""

from minires.data.batches import Batches
from minires.data.digits import load_digits

__all__ = ["Batches", "load_digits"]
