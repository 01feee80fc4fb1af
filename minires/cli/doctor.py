"""`minires doctor`: what is installed, what is in use, and what is missing with the command that brings it."""

import argparse
import importlib.metadata
import os
import platform
import shutil
import textwrap

import minires
from minires import kernels
from minires.cli.as_json import add_json, print_json
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
    "requests": "downloads of data sets, too",
    "threadpoolctl": "threads of the matrix products",
    "onnx": "export of networks: minires-engine[onnx]",
    "mpi4py": "training on several processes: minires-engine[mpi]",
}
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


EXAMPLES = [
    ("minires doctor", "what is installed, and what runs"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser, "print it as JSON")
    parser.add_argument("--need-gpu", action="store_true", help="exit with 1 where no GPU can be used")


def run(args: argparse.Namespace) -> int:
    problem = gpu_problem()
    if args.json:
        print_json(facts(problem))
        return 1 if problem and args.need_gpu else 0
    show("minires", minires.__version__)
    show("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    show("processor", f"{os.cpu_count()} threads")
    print("\nlibraries")
    for name, purpose in LIBRARIES.items():
        version = version_of(name)
        show(f"  {name}", f"{version if version else f'missing; pip install {name}':<34}{purpose}")
    installed = [(name, version_of(name)) for name in CUPY if version_of(name)]
    for name, version in installed:
        show(f"  {name}", f"{version:<34}kernels on the GPU")
    print("\nCPU")
    show("  kernels", kernels.in_use())
    show("  threading", threading_layer())
    print("\nGPU")
    if problem:
        show("  none:", problem, column=8)
    else:
        for name, value in gpu_lines():
            show(f"  {name}", value)
    return 1 if problem and args.need_gpu else 0


def facts(problem: str | None) -> dict[str, object]:
    """Return what the command prints, for other programs."""
    names = [*LIBRARIES, *CUPY]
    return {
        "minires": minires.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": os.cpu_count(),
        "libraries": {name: version_of(name) for name in names},
        "kernels": kernels.in_use(),
        "threading": threading_layer(),
        "gpu": None if problem else dict(gpu_lines()),
        "gpu_problem": problem or None,
    }


def show(name: str, value: str, column: int = 0) -> None:
    """Print a name and its value in a column beside it, on more lines where the terminal is narrow."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 30)
    column = column or (16 if name.startswith(" ") else 14)
    column = max(column, len(name) + 1)
    if len(name) + len(value) > width - 2:  # columns in the value do not fit either
        value = " ".join(value.split())
    lines = textwrap.wrap(value, width - column, replace_whitespace=False, drop_whitespace=True) or [""]
    print(f"{name:<{column}}" + f"\n{'':{column}}".join(lines))


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


def gpu_lines() -> list[tuple[str, str]]:
    gpu = gpu_description()
    cuda = f"driver for {cuda_version(gpu['driver_cuda'])}, CuPy {gpu['cupy']} with {cuda_version(gpu['runtime_cuda'])}"
    return [
        ("device", f"{gpu['device']} of {gpu['count']}: {gpu['name']}"),
        ("memory", f"{gpu['memory_bytes'] / 2**30:.1f} GiB, {gpu['free_bytes'] / 2**30:.1f} free"),
        ("capability", f"{gpu['compute_capability']}, {gpu['multiprocessors']} multiprocessors"),
        ("CUDA", cuda),
    ]


def cuda_version(number: int) -> str:
    """13020 is CUDA 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
