"""The rule of the compiled kernels: in an innermost loop stands no call, and no array is handed out uncounted."""

import inspect
import os
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")
from machine_code import calls_in_inner_loops  # noqa: E402

# A loop without a loop inside may call what is a long piece of work by itself, and functions of the C library.
PIECES_OF_WORK = {
    "copy_numbers", "copy_pixels", "sum_pixels", "sums_of_block", "transform_filter", "transform_output_gradient",
    "transform_patch", "weight_gradient_of_share",
}  # fmt: skip
LIBRARY = {"expf", "exp", "memset", "memcpy", "sched_yield", "usleep"}

COMPILE = """
import gc, pickle, sys
from numba.core import types
from numba.core.dispatcher import Dispatcher
from minires.kernels import numba_kernels
from minires.kernels.numba_kernels.machine import compilation

def holds_array(one):
    return isinstance(one, types.Array) or isinstance(one, types.BaseTuple) and any(map(holds_array, one))

assembly, uncounted, handed_out = {}, 0, []
for kernel in compilation.all_kernels:
    kernel.compile("float32")
    assembly[kernel.name] = "\\n".join(kernel.compiled.inspect_asm().values())
for one in [one for one in gc.get_objects() if isinstance(one, Dispatcher)]:
    if one.targetoptions.get("_nrt") is False:
        uncounted += len(one.overloads)
        handed_out += [one.__name__ for made in one.overloads.values() if holds_array(made.signature.return_type)]
pickle.dump((assembly, uncounted, handed_out), sys.stdout.buffer)
"""


def in_a_fresh_process(code, cache):
    environment = {**os.environ, "MINIRES_CACHE": str(cache), "MINIRES_KERNELS": "", "MINIRES_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="there is no machine code")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="it reads the machine code of x86")
def test_no_call_stands_in_an_inner_loop(tmp_path):
    assembly, uncounted, handed_out = pickle.loads(in_a_fresh_process(COMPILE, tmp_path))
    assert handed_out == [] and uncounted > 50
    loops, found = 0, {}
    for kernel, text in assembly.items():
        calls, count = calls_in_inner_loops(text)
        loops += count
        for function, names in calls.items():
            others = {name for name in names - LIBRARY if not any(piece in name for piece in PIECES_OF_WORK)}
            if others:
                found[kernel, function] = others
    assert loops > 10 * len(assembly)
    assert found == {}


def test_no_kernel_takes_more_than_twelve_parameters():
    from minires.kernels import numba_kernels  # noqa: F401
    from minires.kernels.numba_kernels.machine import compilation

    found = {kernel.name: parameters_of(kernel.compiled) for kernel in compilation.all_kernels}
    assert len(found) > 20 and {name: count for name, count in found.items() if count > 12} == {}


def parameters_of(function):
    return len(inspect.signature(getattr(function, "py_func", function)).parameters)


def test_a_call_in_an_inner_loop_is_found():
    import numba

    @numba.njit("float64(float64[::1])")
    def no_call(x):
        total = 0.0
        for i in range(x.size):
            total += x[i] * x[i]
        return total

    @numba.njit("float64(float64[::1], int64)")
    def with_call(x, times):
        total = 0.0
        for _ in range(times):
            for i in range(x.size):
                total += np.sin(x[i])
        return total

    for function, expected in ((no_call, set()), (with_call, {"sin"})):
        calls, loops = calls_in_inner_loops("\n".join(function.inspect_asm().values()))
        assert loops > 0 and set().union(*calls.values()) == expected


def test_without_numbas_private_option_results_are_the_same(tmp_path):
    code = """
import sys
from numba.core.options import DefaultOptions
if OPTION == "missing":
    del DefaultOptions._nrt
import numpy as np
from minires.kernels.numba_kernels.machine import compilation
from minires.kernels.numba_kernels.gradient_sums import BY_Y, sum_gradients_by_16
assert bool(compilation.UNCOUNTED) == (OPTION == "there")
rng = np.random.default_rng(0)
grad_y, y, x = rng.standard_normal((3, 1000 * 32)).astype(np.float32)
constants, sums = np.ones((3, 32), np.float32), np.empty(2 * 16 * 32, np.float32)
sum_gradients_by_16(grad_y, y, x, np.empty_like(x), *constants, sums, 1000, BY_Y)
sys.stdout.buffer.write(sums.tobytes())
"""
    found = [in_a_fresh_process(f"OPTION = {option!r}{code}", tmp_path / option) for option in ("there", "missing")]
    assert found[0] == found[1] and len(found[0]) == 4096
