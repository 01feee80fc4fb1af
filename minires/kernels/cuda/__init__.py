"""The CUDA sources, as text: needed without CuPy too, to compile them where there is no GPU.

Each `.cu` file is compiled by itself, once per dtype: REAL stands for float or double in it. CuPy remembers compiled
code by its text, so the text handed to it has the `#include`d files already in.
"""

import functools
from pathlib import Path

FOLDER = Path(__file__).parent
THREADS = 256  # of every block of every kernel
REAL = {"float32": "float", "float64": "double"}
FILES = tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))


@functools.cache
def source(file: str) -> str:
    """Return the text of `file`.cu, with each file it includes in place of the first line that asks for it."""
    return "".join(_lines(f"{file}.cu", set()))


def _lines(name: str, included: set[str]) -> list[str]:
    lines = [f'#line 1 "{name}"\n']
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if not line.startswith('#include "'):
            lines.append(line)
            continue
        wanted = line.split('"')[1]
        if wanted not in included:
            included.add(wanted)
            lines += _lines(wanted, included)
        lines.append(f'#line {number + 1} "{name}"\n')
    return lines


def options(dtype: str) -> tuple[str, ...]:
    """Return the compiler's options for arrays of this dtype."""
    return ("--std=c++17", f"-DREAL={REAL[dtype]}", f"-DTHREADS={THREADS}")
