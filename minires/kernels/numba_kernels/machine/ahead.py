"""A second process that compiles what a run will call later, while this one compiles what it calls now.

    this process     direct_products · winograd_layers_forward · …           winograd_layers_backward: from the cache
    the second one   winograd_layers_backward · direct_weight_products · …   each name printed when it is there

Kernels are kept in a folder on disk, so it does not matter who has compiled one: the first step from an empty cache
takes half the time where there are two cores. Whoever knows what a run will call says so with `expect`: a program as
soon as it knows its network (`kernels.compile_ahead`), else the first layer of the forward pass. There is one such
process in the life of this one. Where nothing is missing, where there is one core, or where no process can be started,
nothing happens, and kernels are compiled when they are called.
"""

import atexit
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from minires.kernels.numba_kernels.machine import compilation, threads

# What the training of a network with 3×3 filters calls after its forward pass: of fused layers, and of single ones. Of
# fused ones some small kernels are left out, or this process would have less to do than the second.
FUSED = ("winograd_layers_backward", "direct_weight_products", "direct_weight_gradient", "add_narrow_by_16")
UNFUSED = (
    "pass_where_positive", "sum_gradients_by_16", "finish_gradients", "gradient_of_x", "winograd_weight_products",
    "winograd_weight_gradient", "direct_weight_products", "direct_weight_gradient", "widen_backward",
)  # fmt: skip

helpers: list[subprocess.Popen[str]] = []  # the process, while it is at work
expected: dict[str, None] = {}  # the kernels that it has not finished, in their order
asked = False  # expect was called


def expect(names: tuple[str, ...]) -> None:
    """Let a second process compile these kernels for float32, if they are not in the cache; the first time only."""
    global asked
    if asked:
        return
    asked = True
    if numba.config.DISABLE_JIT or threads.initial_number() < 2 or not sys.executable:
        return
    missing = [name for name in names if not any(compilation.cache_folder().rglob(f"*.{name}-*.nbi"))]
    if len(missing) < 2:
        return
    package = str(Path(__file__).resolve().parents[4])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        helper = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *missing],  # -P: not a minires of the folder that it runs in
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "MINIRES_KERNELS": "numpy", "MINIRES_NUM_THREADS": "1"},
        )
    except OSError:
        return
    helpers.append(helper)
    expected.update(dict.fromkeys(missing))
    atexit.register(helper.terminate)


def wait_for(name: str, show: Callable[[], None]) -> None:
    """Return when the second process has compiled a kernel, if it is at it, or will come to it, or has ended. show:
    tells the user that one waits for it."""
    while name in expected:
        show()
        done = helpers[-1].stdout.readline().strip() if helpers[-1].stdout is not None else ""
        if done == "":  # it has ended: what is left is compiled here
            expected.clear()
            return
        expected.pop(done, None)


def forget() -> None:
    """In a forked child: the process is its parent's."""
    helpers.clear()
    expected.clear()


compilation.before_compiling.append(wait_for)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)


def main(names: list[str]) -> None:
    """Compile these kernels, one after the other, and print the name of each that is in the cache then."""
    importlib.import_module("minires.kernels.numba_kernels")  # it makes all kernels known
    by_name: dict[str, Any] = {kernel.name: kernel for kernel in compilation.all_kernels}
    for name in names:
        by_name[name].compile("float32")
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
