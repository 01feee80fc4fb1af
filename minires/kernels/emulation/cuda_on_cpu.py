"""Builds the CUDA sources for the CPU (behind `cuda_cpu.h`) and launches their kernels, in `cupy.RawModule`'s place.

A launch checks what a GPU would not: that each argument has the type that the kernel's parameter has.
"""

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HEADER = Path(__file__).with_name("cuda_cpu.h")
KERNEL = re.compile(r'extern "C"\s+void\s+(\w+)\s*\(')

thread_order = "forward"  # or "backward"


def build(code: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """Compile one source; kept in the temporary folder under a name made of all that goes into it."""
    text = f"{HEADER.read_text()}\n{code}"
    key = hashlib.sha256("\0".join([text, *options]).encode()).hexdigest()[:20]
    folder = own_folder()
    library = folder / f"{key}.so"
    if not library.exists():
        source, built = folder / f"{key}-{os.getpid()}.cpp", folder / f"{key}-{os.getpid()}.so"
        source.write_text(f"{text}\n{launchers(text, options)}")
        gcc(
            "-O1",
            "-shared",
            "-fPIC",
            "-Wall",
            "-Wno-unknown-pragmas",
            "-Wno-maybe-uninitialized",
            *options,
            source,
            "-o",
            built,
        )
        built.rename(library)
        source.unlink()
    return ctypes.CDLL(str(library))


def own_folder() -> Path:
    """Return the folder for what was built. RuntimeError where another user made it, or may write into it."""
    folder = Path(tempfile.gettempdir()) / f"minires-cuda-on-cpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022 or folder.is_symlink():
        raise RuntimeError(f"{folder} is not this user's alone: remove it, or choose another place with TMPDIR")
    return folder


def launchers(text: str, options: tuple[str, ...]) -> str:
    """Give every kernel, also one that a macro makes, a function that can be called from Python."""
    return "\n".join(f"LAUNCHER({name})" for name in KERNEL.findall(gcc("-E", "-P", *options, "-", input=text)))


def gcc(*arguments: Any, input: str | None = None) -> str:
    command = ["g++", "-x", "c++", *map(str, arguments)]
    done = subprocess.run(command, input=input, capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


class Kernel:
    """One kernel of a library: called with a grid, a block and arguments."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name, self.function = name, getattr(library, f"launch_{name}")
        signature = getattr(library, f"signature_{name}")
        signature.restype = ctypes.c_char_p
        self.parameters = signature().decode().split()

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
        """arguments: NumPy arrays, NumPy numbers, Python floats; np.intp(0) is an array that is left out."""
        assert len(arguments) == len(self.parameters), f"{self.name}: {len(arguments)} arguments, {self.parameters}"
        cells: list[Any] = []
        cell: Any
        for place, (argument, parameter) in enumerate(zip(arguments, self.parameters, strict=True)):
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous, f"{self.name}: argument {place} is not contiguous"
                given, cell = f"{argument.dtype}*", ctypes.c_void_p(argument.ctypes.data)
            elif type(argument) is np.intp and argument == 0 and parameter.endswith("*"):
                given, cell = parameter, ctypes.c_void_p(0)
            elif type(argument) is float:
                given, cell = "float64", ctypes.c_double(argument)
            else:
                assert isinstance(argument, np.integer), f"{self.name}: argument {place} is a {type(argument)}"
                given, cell = argument.dtype.name, np.ctypeslib.as_ctypes_type(argument.dtype)(int(argument))  # type: ignore[arg-type]
            assert given == parameter, f"{self.name}: argument {place} is {given}, its parameter {parameter}"
            cells.append(cell)
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        assert grid[0] < 2**31 and max(grid[1:]) < 2**16 and min(grid) > 0 and block[0] <= 1024, (grid, block)
        addresses = (ctypes.c_void_p * len(cells))(*[ctypes.addressof(cell) for cell in cells])
        backwards = int(thread_order == "backward")
        if self.function((ctypes.c_uint * 3)(*grid), block[0], backwards, addresses):
            raise RuntimeError(f"{self.name}: a barrier that some threads did not reach")
