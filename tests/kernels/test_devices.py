"""Where there is no GPU, one sentence says what is missing; a machine is played by modules put in CuPy's place."""

import importlib.machinery
import sys
import types

import numpy as np
import pytest

from minires.cli.main import main
from minires.engine import Tensor
from minires.kernels import devices


@pytest.fixture
def machine(monkeypatch):
    """`machine(driver=True, cupy=module)` until the test is over: the library of the driver, and CuPy or None."""

    def play(driver, cupy):
        monkeypatch.setattr(devices, "has_driver", lambda: driver)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if cupy is None:
            monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
        devices.gpu_problem.cache_clear()

    yield play
    devices.gpu_problem.cache_clear()


def cupy_that(available=True, failure=None):
    """A CuPy whose first computation raises `failure`."""

    def ones(shape, dtype):
        if failure:
            raise failure
        return np.ones(shape, dtype)

    module = types.ModuleType("cupy")
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    module.is_available, module.ones, module.asarray = lambda: available, ones, np.asarray
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)
    module.cuda = types.SimpleNamespace(runtime=runtime)
    return module


NVRTC = RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: libnvrtc.so.13: cannot open shared object file")
CUBLAS = ImportError("libcublas.so.13: cannot open shared object file: No such file or directory")
OLD = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")

MISSING = [
    (False, None, r"neither an NVIDIA driver nor CuPy is here; pip install 'minires-engine\[cuda13\]'"),
    (True, None, r"an NVIDIA driver is installed, CuPy is not; pip install 'minires-engine\[cuda13\]'"),
    (False, cupy_that(available=False), "CuPy is installed, but there is no NVIDIA driver on this machine"),
    (True, cupy_that(available=False), "the driver shows no GPU that CuPy can use"),
    (True, cupy_that(failure=NVRTC), r"not the library nvrtc \(.*libnvrtc.so.13.*\); pip install nvidia-cuda-nvrtc"),
    (True, cupy_that(failure=CUBLAS), r"not the library cublas \(.*\); pip install nvidia-cublas"),
    (True, cupy_that(failure=OLD), "the NVIDIA driver is older than this CuPy's CUDA; update it"),
    (True, cupy_that(failure=MemoryError("no room")), "a first computation failed: MemoryError: no room"),
]


@pytest.mark.parametrize("driver, cupy, sentence", MISSING, ids=[sentence[:40] for _, _, sentence in MISSING])
def test_one_sentence_says_what_is_missing(machine, driver, cupy, sentence):
    machine(driver, cupy)
    with pytest.raises(RuntimeError, match=f"to: device 'cuda' is not available: .*{sentence}") as caught:
        Tensor([1.0]).to("cuda")
    assert "\n" not in str(caught.value)


def test_a_gpu_that_does_not_exist(machine):
    machine(True, cupy_that())
    assert devices.gpu_problem() is None
    with pytest.raises(ValueError, match='device \'cuda:1\' does not exist: the GPUs here are "cuda:0" to "cuda:0"'):
        Tensor([1.0]).to("cuda:1")
    for device in ("cuda:", "cuda:-1", "cuda:²", "CUDA"):
        with pytest.raises(ValueError, match=f"to: unknown device '{device}'"):
            Tensor([1.0]).to(device)


def test_the_trial_is_made_once(machine):
    machine(True, cupy_that(failure=NVRTC))
    assert devices.gpu_problem() is devices.gpu_problem()


def test_doctor_names_what_is_there_and_what_is_not(machine, monkeypatch, capsys):
    machine(False, None)
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert f"numpy         {np.__version__}" in printed and "kernels       " in printed
    assert "none: neither an NVIDIA driver nor CuPy is here; pip install 'minires-engine[cuda13]'" in printed
    assert main(["doctor", "--need-gpu"]) == 1


def test_doctor_gives_the_command_that_brings_a_library(machine, monkeypatch, capsys):
    from minires.cli import doctor

    machine(False, None)
    monkeypatch.setattr(doctor, "version_of", lambda name: None if name == "pooch" else "1.0")
    assert main(["doctor"]) == 0
    assert "pooch         missing; pip install pooch" in capsys.readouterr().out


def test_doctor_describes_a_gpu(machine, monkeypatch, capsys):
    cupy = cupy_that()
    cupy.__version__ = "14.2.0"
    runtime = cupy.cuda.runtime
    properties = {"name": b"A GPU", "major": 9, "minor": 0, "multiProcessorCount": 132}
    runtime.getDevice, runtime.getDeviceProperties = lambda: 0, lambda device: properties
    runtime.memGetInfo = lambda: (2**30, 3 * 2**30)
    runtime.driverGetVersion, runtime.runtimeGetVersion = lambda: 13000, lambda: 13020
    machine(True, cupy)
    assert main(["doctor", "--need-gpu"]) == 0
    printed = capsys.readouterr().out
    assert "device        cuda:0 of 1: A GPU" in printed and "memory        3.0 GiB, 1.0 free" in printed
    assert "driver for 13.0, CuPy 14.2.0 with 13.2" in printed
