"""`minires doctor`: what is installed, what is in use, and what is missing with the command that brings it."""

import argparse
import importlib.metadata
import os
import platform

import minires
from minires import kernels
from minires.kernels.devices import gpu_description, gpu_problem

# distribution, what it is for
LIBRARIES = {
    "numpy": "everything",
    "numba": "the fast CPU kernels",
    "safetensors": "checkpoints and weights",
    "matplotlib": "figures",
    "tqdm": "progress lines",
    "pillow": "folders of images",
    "pooch": "downloads of data sets",
    "threadpoolctl": "threads of the matrix products",
}
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--need-gpu", action="store_true", help="exit with 1 where no GPU can be used")


def run(args: argparse.Namespace) -> int:
    problem = gpu_problem()
    print(f"minires       {minires.__version__}")
    print(f"python        {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(f"processor     {os.cpu_count()} threads")
    print("\nlibraries")
    for name, purpose in LIBRARIES.items():
        version = version_of(name)
        line = version if version else f"missing; pip install {name}"
        print(f"  {name:<14}{line:<34}{purpose}")
    installed = [(name, version_of(name)) for name in CUPY if version_of(name)]
    for name, version in installed:
        print(f"  {name:<14}{version:<34}kernels on the GPU")
    print("\nCPU")
    print(f"  kernels       {kernels.in_use()}")
    print(f"  threading     {threading_layer()}")
    print("\nGPU")
    if problem:
        print(f"  none: {problem}")
    else:
        for line in gpu_lines():
            print(f"  {line}")
    return 1 if problem and args.need_gpu else 0


def version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def threading_layer() -> str:
    """What computes on several threads of the CPU: the Numba kernels' own, and the libraries of matrix products."""
    layers = []
    if kernels.in_use() == "numba":
        from minires.kernels.numba_kernels.machine.threads import get_num_threads

        layers.append(f"the kernels' own on {get_num_threads()} threads")
    if version_of("threadpoolctl"):
        import threadpoolctl

        for pool in threadpoolctl.threadpool_info():
            layers.append(f"{pool['internal_api']} {pool['version'] or ''} on {pool['num_threads']} threads")
    return ", ".join(layers) or "not known: threadpoolctl is missing"


def gpu_lines() -> list[str]:
    gpu = gpu_description()
    return [
        f"device        {gpu['device']} of {gpu['count']}: {gpu['name']}",
        f"memory        {gpu['memory_bytes'] / 2**30:.1f} GiB, {gpu['free_bytes'] / 2**30:.1f} free",
        f"capability    {gpu['compute_capability']}, {gpu['multiprocessors']} multiprocessors",
        f"CUDA          driver for {cuda_version(gpu['driver_cuda'])}, CuPy {gpu['cupy']} with "
        f"{cuda_version(gpu['runtime_cuda'])}",
    ]


def cuda_version(number: int) -> str:
    """13020 is CUDA 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
