"""Wrong backward passes, one mistake each: what the gradient checker must catch.

Each names the case of minires/gradient_check/cases.py whose shapes reveal it, and, where the checker can tell what kind
of mistake it is, what the message must say. They lie in files named like those of minires/ops; all are imported here.
"""

import importlib
import pkgutil

from planted_bugs.planting import BUGS, Bug

__all__ = ["BUGS", "Bug"]

for file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{file.name}")
