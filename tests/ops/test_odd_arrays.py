"""Every op with arrays that nobody makes on purpose: an error that Python has a name for, or NumPy's kernels' answer.

0-d, of no numbers, of 2³¹ numbers (one, repeated by its strides), read-only, one memory for all inputs. In a child
process with little memory, since the least that a compiled kernel could do to this one is to end it.
"""

import os
import subprocess
import sys

import pytest

CHILD = """
import resource, sys, warnings

import numpy as np

resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
warnings.simplefilter("ignore")
from minires import kernels
from minires.engine import Tensor
from minires.gradient_check.cases import named_cases

EXPECTED = (ValueError, TypeError, MemoryError, RuntimeError, IndexError, OverflowError)


def odd(x, kind):
    if kind == "0-d":
        return np.array(1.5, x.dtype)
    if kind == "no numbers":
        return np.zeros((0, *x.shape[1:]), x.dtype)
    if kind == "no numbers in the last axis":
        return np.zeros((*x.shape[:-1], 0), x.dtype)
    if kind == "huge":
        first = x[:1] if x.ndim else x
        return np.broadcast_to(first, ((1 << 31) // max(1, first.size) + 1, *x.shape[1:]))
    if kind == "read-only":
        x = x.copy()
        x.flags.writeable = False
        return x
    return x


def run(case, place, kind, dtype):
    arrays = [np.asarray(array, dtype) for array in case.arguments.values()]
    if kind == "one memory":
        memory = np.random.default_rng(0).uniform(0.5, 2, 1 + max([array.size for array in arrays])).astype(dtype)
        arrays = [memory[i % 2 :][: array.size].reshape(array.shape) for i, array in enumerate(arrays)]
    else:
        arrays[place] = odd(arrays[place], kind)
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    try:
        y = case.fn(*tensors)
        y = y[0] if isinstance(y, tuple) else y
        if y.size > 1 << 24:
            return "much"
        y.backward(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
    except EXPECTED as error:
        return type(error).__name__
    return [y.data, *[tensor.grad for tensor in tensors]]


QUICK = "relu conv2d max_pool2d option_a".split()  # others go through all 2³¹ before memory ends
tried = 0
for case in named_cases():
    for kind in sys.argv[1:]:
        if kind == "huge" and case.op not in QUICK:
            continue
        for place in range(1 if kind == "one memory" else len(case.arguments)):
            found = []
            for name in ("numpy", "numba"):
                with kernels.use(name):
                    found.append(run(case, place, kind, "float32"))
            tried += 1
            where = f"{case.name}, input {place}, {kind}"
            one, other = found
            if isinstance(one, str) or isinstance(other, str):
                assert type(one) is type(other), (where, type(one), type(other))
                continue
            for a, b in zip(one, other, strict=True):
                assert (a is None) == (b is None), where
                if a is not None:
                    assert a.shape == b.shape, where
                    a, b = (a, b) if a.size < 1 << 24 else (a[:1, ...].ravel()[:9], b[:1, ...].ravel()[:9])
                    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=where)
print(tried)
"""

KINDS = [["0-d", "no numbers", "no numbers in the last axis"], ["read-only", "one memory"], ["huge"]]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's memory is Linux's")
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: kinds[0])
def test_every_op(kinds):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD, *kinds], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert int(done.stdout) > 20
