"""The arithmetic beneath an op's backward: the kernels that it calls, and what these call in turn.

Shown is the version that is meant to be read, NumPy's, whichever has run: all kernel sets compute the same.
"""

import inspect
import re

from minires.kernels import numpy_kernels
from minires.observe.step import Source, source_of

CALLED_BY_OP = re.compile(r"self\.kernels\.(\w+)\(")
CALLED = re.compile(r"(?<![.\w])(\w+)\(")


def kernels_beneath(backward: Source) -> tuple[list[Source], list[Source]]:
    """Return the kernels that a backward names, and the functions of their file that they are made of, all once."""
    kernels = known(CALLED_BY_OP.findall(backward.text))
    found = list(kernels)
    for source in found:  # which grows on the way
        body = source.text.partition(":\n")[2]
        found += [one for one in known(CALLED.findall(body)) if one not in found]
    return kernels, found[len(kernels) :]


def known(names: list[str]) -> list[Source]:
    """Return where the functions of the NumPy kernels among some names are written, in the order of the names."""
    functions = [getattr(numpy_kernels, name, None) for name in dict.fromkeys(names)]
    here = numpy_kernels.__name__
    return [source_of(one) for one in functions if inspect.isfunction(one) and one.__module__ == here]
