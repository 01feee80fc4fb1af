"""The house rules on imports, read from the sources: they go down only, and nothing heavy comes before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minires

PACKAGE = Path(minires.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if PACKAGE / "learn" / "package" not in path.parents  # what is handed out to readers; it knows no other file here
}

# The rooms that stand directly under each: a room may import those, and all that stand under them. A new room is one
# line here; a new module in a room is none.
UNDER = {
    "kernels": [],
    "displays": ["kernels"],
    "engine": ["displays"],
    "ops": ["engine"],
    "observe": ["ops"],
    "nn": ["observe"],
    "models": ["nn"],
    "optim": ["engine"],
    "data": ["kernels"],
    "gradient_check": ["models", "optim"],
    "program": [],
    "language": [],
    "minires": ["data", "gradient_check", "optim", "program"],
    "training": ["data", "models", "optim"],
    "runs": ["minires", "training"],
    "interop": ["runs"],
    "parallel": ["runs"],
    "plots": ["runs"],
    "pages": [],
    "playground": ["pages", "runs"],
    "debug": ["language", "pages", "plots"],
    "lab": ["plots"],
    "learn": ["debug", "lab"],
    "cli": ["interop", "learn", "parallel", "playground"],
    "__main__": ["cli"],
}


def below(room: str) -> set[str]:
    """List all rooms under a room, itself among them."""
    return {room}.union(*[below(other) for other in UNDER[room]])


# The one upward arrow: a tensor's operators are calls of ops.
EXCEPTIONS = {("minires.engine", "ops")}

HEAVY = ["numba", "llvmlite", "matplotlib", "cupy", "tqdm", "PIL", "pooch", "requests", "safetensors", "threadpoolctl"]
LIBRARY_NAMES = set(sys.stdlib_module_names) | set(HEAVY) | {"numpy", "scipy", "jax", "sklearn", "torch", "pytest"}


def room_of(module: str) -> str:
    """`minires.nn.layers` is in the room `nn`; the package's own file is the room `minires`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "minires"


ROOMS = {room_of(module) for module in MODULES}


def imported_modules(tree: ast.AST) -> list[str]:
    """Every dotted name imported anywhere in a file, also inside functions: `from a import b` gives `a.b`."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write the full name"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def rooms_imported(tree: ast.AST) -> set[str]:
    rooms = set()
    for name in imported_modules(tree):
        parts = name.split(".")
        if parts[0] == "minires":
            rooms.add(parts[1] if len(parts) > 1 and parts[1] in ROOMS else "minires")
    return rooms


def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    room = room_of(module)
    assert room in UNDER, f"{module}: a new room; say in UNDER what it stands on"
    upward = {other for other in rooms_imported(parse(module)) - below(room) if (module, other) not in EXCEPTIONS}
    assert not upward, f"{module} may not import {', '.join(sorted(upward))}"


def test_the_reader_of_imports_sees_them_all():
    source = """
import minires.cli.main
from minires import __version__, ops
def late():
    from minires.nn import Module
"""
    assert rooms_imported(ast.parse(source)) == {"cli", "ops", "minires", "nn"}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_tests_or_pickle(module):
    tops = {name.partition(".")[0] for name in imported_modules(parse(module))}
    assert not tops & {"tests", "tutorials", "benchmarks", "pickle", "cPickle", "dill", "shelve", "marshal"}


@pytest.mark.parametrize("module", MODULES)
def test_no_pickle_is_ever_loaded(module):
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False, f"{module}:{node.value.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_named_like_a_library(module):
    name = module.rpartition(".")[2]
    assert name not in LIBRARY_NAMES - {"__main__"}


def functions_bound_in(module: str) -> set[str]:
    """Names a file binds to a function or class at its top: by def, by class, or by importing one from a module."""
    names = set()
    for node in parse(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            imported = [alias for alias in node.names if f"{node.module}.{alias.name}" not in MODULES]
            names |= {alias.asname or alias.name for alias in imported}
    return names


@pytest.mark.parametrize("module", [module for module in MODULES if "." in module])
def test_no_module_shares_its_name_with_a_function(module):
    """Else `break minires.ops.conv2d.conv2d`, by name, finds the one where the other is meant."""
    package, _, name = module.rpartition(".")
    assert name not in functions_bound_in(module) or module == "minires.cli.main"  # main by custom
    assert name not in functions_bound_in(package)


def heavy_modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return which of HEAVY it has loaded."""
    script = f"{code}\nimport sys\nprint('LOADED', *[name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import minires",
        "import minires.cli.main as m; m.main(['--help'])",
        "import minires.cli.main as m; m.main(['--version'])",
        "import minires; minires.kernels.use('numpy'); minires.Tensor([1.0], requires_grad=True).sum().backward()",
        "from minires.data import load_digits; load_digits()",
    ],
)
def test_numpy_is_enough(code):
    assert heavy_modules_after(code) == set()


def test_the_probe_sees_a_heavy_module():
    assert "tqdm" in heavy_modules_after("import tqdm")
