"""MiniRes: residual networks from scratch, to read, to step through, and to measure."""

__version__ = "0.1.0"
