"""The chapters as files, and how they are run: each in a process of its own, quick, on the NumPy kernels."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from transcripts import CHAPTERS, environment  # noqa: E402

__all__ = ["CHAPTERS", "NAMES", "ROOT", "environment", "number_of"]

NAMES = [path.stem for path in CHAPTERS]


def number_of(path):
    return int(path.name[:2])
