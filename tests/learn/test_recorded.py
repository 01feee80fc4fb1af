"""What chapter 19 shows where there is no compiler is what comes out where there is one."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from minires.kernels import emulation
from minires.learn import chapters
from minires.learn.recorded import Recorded

CHAPTER = chapters.path_of(19)
PROGRAM = """
import json, runpy, sys
found = runpy.run_path(sys.argv[1])["shown"].found
print("FOUND", json.dumps(found))
"""


def run(tmp_path, **environment):
    settings = {**os.environ, "MINIRES_QUICK": "1", "MINIRES_KERNELS": "numpy", "MPLBACKEND": "agg", **environment}
    settings.pop("MINIRES_RECORD", None)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(CHAPTER)],
        cwd=tmp_path, env=settings, capture_output=True, text=True, encoding="utf-8", timeout=600, check=True,
    ).stdout  # fmt: skip


def alike(one, other, place=""):
    if isinstance(one, dict):
        assert list(one) == list(other), place
        for key in one:
            if key == "differ by":  # of rounding, and nothing but small
                assert max(one[key], other[key]) < 1e-3
            else:
                alike(one[key], other[key], f"{place}/{key}")
    elif "without" in place:
        assert isinstance(one, float)  # what a kernel without barriers gives is nobody's promise
    else:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=place)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulated GPU is Linux's")
def test_the_record_is_what_the_experiments_give(tmp_path):
    if shutil.which("g++") is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("g++ is missing, and without it nothing says whether the record is true")
    found = json.loads(run(tmp_path, PYTHONIOENCODING="utf-8").rpartition("FOUND ")[2])
    alike(found, json.loads(CHAPTER.with_suffix(".json").read_text(encoding="utf-8")))


def test_without_a_compiler_the_chapter_says_so_and_shows_the_record(tmp_path):
    printed = run(tmp_path, PATH=str(tmp_path), PYTHONIOENCODING="utf-8")
    assert "g++" in printed.splitlines()[0] or "Linux" in printed.splitlines()[0]
    assert "waited for the card 0 times" in printed and printed.rstrip().endswith("FOUND {}")


def test_an_experiment_is_carried_out_only_where_nothing_is_missing():
    assert Recorded(19, None)("mine", lambda: [1, 2]) == [1, 2]
    with pytest.raises(KeyError, match="mine"):
        Recorded(19, "something is missing")("mine", lambda: [1, 2])


def test_the_emulated_gpu_is_there_inside_its_block_alone():
    if emulation.problem():
        with pytest.raises(RuntimeError, match="emulation.gpu: the emulated GPU"), emulation.gpu():
            pass
        return
    before = sys.modules.get("cupy")
    with emulation.gpu() as cupy:
        assert sys.modules["cupy"] is cupy and cupy.__version__ == "fake"
    assert sys.modules.get("cupy") is before
    with pytest.raises(ValueError, match='"forward" or "backward", got \'sideways\''), emulation.gpu("sideways"):
        pass
