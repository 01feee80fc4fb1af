"""The lowest versions that pyproject.toml allows, as `.ci/lowest.py` reads them for a run of the tests with them."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOWEST = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))


@pytest.mark.parametrize(
    ("requirement", "constraint"),
    [
        ("numpy>=2.0,<2.6", "numpy==2.0"),
        ("numba>=0.61; sys_platform != 'emscripten'", "numba==0.61; sys_platform != 'emscripten'"),
        ("a-b.c[extra] >= 1.2.3", "a-b.c==1.2.3"),
        ("nvrtc==13.0.*", "nvrtc==13.0.*"),
        ("nvidia-cublas-cu12", None),
        ("pillow<13", None),
    ],
)
def test_a_requirement(requirement, constraint):
    assert LOWEST["lowest"](requirement) == constraint


def test_every_dependency_has_a_lowest_version():
    names = [line.partition("==")[0] for line in LOWEST["constraints"]()]
    assert len(names) == len(set(names))
    wanted = [LOWEST["BOUND"].fullmatch(one)["name"] for one in LOWEST["PROJECT"]["dependencies"]]
    assert set(wanted) <= set(names)


def test_the_workflow_runs_the_oldest_python_with_these():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    oldest = LOWEST["PROJECT"]["requires-python"].removeprefix(">=")
    assert f'versions: lowest\n            python: "{oldest}"' in workflow and "python .ci/lowest.py" in workflow
    assert f".[{','.join(LOWEST['EXTRAS'])}]" in workflow
