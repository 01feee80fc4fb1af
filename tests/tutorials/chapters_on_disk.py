"""The chapters as files, and how they are run: each in a process of its own, quick, on the NumPy kernels."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
NAMES = [path.stem for path in CHAPTERS]


def environment(home):
    """What a chapter's process gets: quick mode, no window, no settings of the user's."""
    return {
        **os.environ,
        "MINIRES_QUICK": "1",
        "MINIRES_KERNELS": "numpy",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR") or str(Path(sys.prefix) / "matplotlib"),  # its font list
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "HOME": str(home),
        "TERM": "dumb",
        "NO_COLOR": "1",
    }


def number_of(path):
    return int(path.name[:2])
