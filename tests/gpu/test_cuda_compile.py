"""Every CUDA source compiles for real GPUs, without one: by NVRTC, the compiler CuPy calls, in a pinned version."""

import ctypes
import importlib.metadata
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from minires.kernels import cuda

ARCHITECTURES = ["sm_80", "sm_90", "sm_120"]
FLOAT_ONLY = {"convolution_tf32"}
# float is what people train in, on any GPU; double is there to check gradients, and compiles for one.
SOURCES = [(file, "float32", architecture) for file in cuda.FILES for architecture in ARCHITECTURES]
SOURCES += [(file, "float64", "sm_90") for file in cuda.FILES if file not in FLOAT_ONLY]


@pytest.fixture(scope="module")
def nvrtc():
    try:
        files = importlib.metadata.files("nvidia-cuda-nvrtc")
    except importlib.metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            pytest.fail("NVRTC is missing, and the gate skips nothing: pip install 'minires-engine[gpu-compile]'")
        pytest.skip("NVRTC is missing; pip install 'minires-engine[gpu-compile]'")
    paths = {file.name: str(file.locate()) for file in files}
    for name in [name for name in paths if re.fullmatch(r"libnvrtc-builtins\.so\.[\d.]+", name)]:
        ctypes.CDLL(paths[name], ctypes.RTLD_GLOBAL)  # NVRTC looks for it by name when it compiles
    return ctypes.CDLL(paths["libnvrtc.so.13"])


def compiled(nvrtc, code, options):
    """Return whether NVRTC compiles the code to machine code, and all it says about it."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"code.cu", 0, None, None) == 0
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), array)
    assert nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
    log = ctypes.create_string_buffer(size.value)
    assert nvrtc.nvrtcGetProgramLog(program, log) == 0
    if status == 0:
        assert nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0 and size.value > 0
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, log.value.decode()


def spills(log):
    """Return the bytes of registers and arrays that each kernel keeps in memory."""
    return [sum(map(int, found)) for found in re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill", log)]


@pytest.fixture(scope="module")
def results(nvrtc):
    """What NVRTC says about each source, on all cores: it takes seconds for the convolutions."""

    def compile_one(source):
        file, dtype, architecture = source
        options = [f"--gpu-architecture={architecture}", "--ptxas-options=-v", *cuda.options(dtype)]
        return compiled(nvrtc, cuda.source(file), options)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(SOURCES, pool.map(compile_one, SOURCES), strict=True))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: " ".join(source))
def test_compiles_without_warnings_or_spills(results, source):
    worked, log = results[source]
    assert worked, log
    assert "warning" not in log.lower(), log
    assert spills(log) and not any(spills(log)), log


def test_the_log_shows_what_is_looked_for(nvrtc):
    """An unused variable is a warning; a register array with an index known at run time only is a stack frame."""
    options = ["--gpu-architecture=sm_90", "--ptxas-options=-v"]
    worked, log = compiled(nvrtc, 'extern "C" __global__ void f() { int unused; }', options)
    assert worked and "warning" in log and "code.cu(1)" in log
    code = 'extern "C" __global__ void f(float *x, int k) { float a[64]; for (int i = 0; i < k; i++) a[x[i] > 0 ? i : 0] = x[i]; *x = a[k]; }'  # noqa: E501
    worked, log = compiled(nvrtc, code, options)
    assert worked and sum(spills(log)) >= 256, log
    worked, log = compiled(nvrtc, "nonsense", options)
    assert not worked and "error" in log


@pytest.mark.parametrize("file", ["common.cuh", "product.cuh", "convolution_tf32.cu"])
def test_an_error_names_the_file_and_its_line(nvrtc, file, tmp_path, monkeypatch):
    shutil.copytree(cuda.FOLDER, tmp_path / "cuda")
    text = (tmp_path / "cuda" / file).read_text()
    (tmp_path / "cuda" / file).write_text(f"{text}nonsense\n")
    monkeypatch.setattr(cuda, "FOLDER", tmp_path / "cuda")
    code = cuda.source.__wrapped__("convolution_tf32")
    _, log = compiled(nvrtc, code, ["--gpu-architecture=sm_90", *cuda.options("float32")])
    assert f"{file}({len(text.splitlines()) + 1}): error" in log


def test_sources_are_whole():
    """What is handed to the compiler includes nothing, and each file once: CuPy remembers code by its text."""
    for file in cuda.FILES:
        text = cuda.source(file)
        assert '#include "' not in text and text.count("typedef REAL real;") == 1
