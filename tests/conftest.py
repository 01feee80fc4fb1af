"""What all tests share: the hypothesis profiles, and how a test asks for a library that may be missing."""

import importlib
import os
from collections.abc import Callable
from types import ModuleType

# Before NumPy is loaded, and for the processes that tests start: the products here are small, and several BLAS threads
# that share two cores with anything else wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000)  # pytest --hypothesis-profile=long
hypothesis.settings.load_profile("ci")


@pytest.fixture
def require() -> Callable[[str], ModuleType]:
    """`require("mypy")` is a module; where it is missing, the test is skipped, and in the gate (CI set) it fails."""

    def module_or_skip(name: str) -> ModuleType:
        if os.environ.get("CI"):
            try:
                return importlib.import_module(name)
            except ImportError as error:
                pytest.fail(f"{name} is missing, and the gate skips nothing: {error}", pytrace=False)
        return pytest.importorskip(name)

    return module_or_skip
