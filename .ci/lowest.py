"""Print constraints for pip: the lowest versions that pyproject.toml allows of what the tests need without a GPU.

    python .ci/lowest.py > lowest.txt && pip install -c lowest.txt '.[test,onnx,mpi]'

A bound that no test ever meets is a guess; .github/workflows/tests.yml installs these and runs the tests.
"""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("test", "onnx", "mpi")
BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[.*?\])?\s*(?P<bounds>[^;]*)(?P<marker>;.*)?")


def lowest(requirement: str) -> str | None:
    """`numba>=0.61; sys_platform != 'emscripten'` gives `numba==0.61; …`; None where no lower bound is said."""
    found = BOUND.fullmatch(requirement)
    assert found is not None, requirement
    versions = re.findall(r"(?:>=|==)\s*([\w.*]+)", found["bounds"])
    return f"{found['name']}=={versions[0]}{found['marker'] or ''}" if versions else None


def constraints() -> list[str]:
    """List the constraints of the dependencies and of EXTRAS."""
    extras = [PROJECT["optional-dependencies"][name] for name in EXTRAS]
    requirements = [*PROJECT["dependencies"], *[one for extra in extras for one in extra]]
    return sorted({line for requirement in requirements if (line := lowest(requirement)) is not None})


if __name__ == "__main__":
    print(*constraints(), sep="\n")
