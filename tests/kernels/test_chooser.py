"""kernels_for and use: one place where a backend is chosen."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minires import kernels
from minires.kernels import numpy_kernels


def test_use_is_a_context_manager_that_restores():
    before = kernels.in_use()
    with kernels.use("numpy") as module:
        assert module is numpy_kernels
        assert kernels.kernels_for(np.zeros(1)) is numpy_kernels
        assert kernels.in_use() == "numpy"
    assert kernels.in_use() == before


def test_unknown_kernels_and_options_are_refused_and_nothing_changes():
    before = kernels.in_use()
    with pytest.raises(ValueError, match="unknown kernels 'cuda'; known: numpy, numba"):
        kernels.use("cuda")
    with pytest.raises(ValueError, match="the numpy kernels take no options, got winograd"):
        kernels.use("numpy", winograd=False)
    assert kernels.in_use() == before


def in_a_fresh_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    return done.stdout.strip(), done.stderr.strip(), done.returncode


def test_the_environment_chooses():
    code = "from minires import kernels; print(kernels.in_use())"
    assert in_a_fresh_process(code, MINIRES_KERNELS="numpy") == ("numpy", "", 0)
    _, error, status = in_a_fresh_process(code, MINIRES_KERNELS="mkl")
    assert status != 0 and "unknown kernels 'mkl'" in error
