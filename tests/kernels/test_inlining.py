"""How helpers are compiled: as parts of kernels, one version for all integers, no machine code of their own."""

import gc
import os

import numpy as np
import pytest

pytest.importorskip("numba")
import numba  # noqa: E402

from minires.kernels.numba_kernels.machine import compilation  # noqa: E402
from minires.kernels.numba_kernels.machine.inlining import put_into_kernels  # noqa: E402

compiled_only = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")


@put_into_kernels(error_model="numpy")
def scaled(x, i, twice):
    return 2 * x[i] if twice else x[i]


@numba.njit
def sum_of_some(x, n):
    return scaled(x, 0, False) + scaled(x, 1, True) + scaled(x, n, False)


def test_it_computes_what_the_function_says():
    x = np.array([1.0, 10.0, 100.0])
    assert sum_of_some(x, 2) == 1 + 2 * 10 + 100
    assert sum_of_some(x, 1) == 1 + 2 * 10 + 10


@compiled_only
def test_numbers_in_a_callers_code_make_no_further_versions_but_true_and_false_do():
    sum_of_some(np.ones(3), 2)
    found = [arguments[1:] for arguments in scaled.overloads]
    assert [types[0] for types in found] == [numba.int64] * 2
    assert sorted(types[1].literal_value for types in found) == [False, True]


@compiled_only
def test_only_what_python_can_call_has_machine_code():
    def number(x):
        return x + 1

    engine = numba.core.registry.cpu_target.target_context.codegen()._engine
    for make, expected in ((numba.njit, True), (put_into_kernels(), False)):
        function = make(number)
        function.get_call_template((numba.int64,), {})  # what a caller's compilation asks for
        (made,) = function.overloads.values()
        assert engine.is_symbol_defined(made.fndesc.llvm_func_name) is expected


@pytest.mark.parametrize("enabled", [True, False])
def test_cycles_are_not_looked_for_while_it_compiles_and_then_as_before(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError), compilation.Uncollected():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
