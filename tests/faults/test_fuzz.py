"""Arrays changed between any two calls: a few of the sequences that `fuzz.py` goes through by the thousand.

And that it would find what it looks for: a planted difference, a signal, a number read behind an array's end.
"""

import subprocess
import sys

import changes_to_arrays
import fuzzing
import pytest
from fuzz import HERE, fuzz, run_child

from minires import kernels

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and walls of memory as Linux has them")
COUNT = 80


@pytest.fixture(autouse=True)
def both_kernel_sets(require):
    require("numba")


@pytest.mark.parametrize("guard", [False, True])
def test_no_signal_and_no_silent_difference(guard):
    report = fuzz(seed=1, count=COUNT, guard=guard, batch=COUNT)
    assert report["findings"] == []
    assert report["counts"]["sequences"] == COUNT
    assert min(report["counts"][outcome] for outcome in ("done", "refused", "changes")) > COUNT / 3


def first_finding(count=40):
    return next(filter(None, (fuzzing.examine(1, number)[0] for number in range(count))), None)


def test_a_planted_difference_is_found(monkeypatch):
    numba = kernels.use("numba").module
    right = numba.conv2d_grad_weight
    monkeypatch.setattr(numba, "conv2d_grad_weight", lambda *arguments: 1.2 * right(*arguments))
    assert first_finding()["kind"] == "another result"


def test_a_refusal_that_changed_something_is_found(monkeypatch):
    monkeypatch.setattr("minires.runs.ema.check_fit", lambda *arguments: None)
    assert first_finding(200)["kind"] == "a refusal that changed something"


WALL = """
import ctypes, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from guarded import guarded
array = guarded(np.arange(5.0), at_end=sys.argv[2] == "end")
assert (array == range(5)).all()
place = array.ctypes.data + (array.nbytes if sys.argv[2] == "end" else -8)
print(ctypes.c_double.from_address(array.ctypes.data).value, flush=True)
ctypes.c_double.from_address(place).value
"""


@pytest.mark.parametrize("side", ["end", "start"])
def test_a_number_read_beyond_a_wall_ends_the_process(side):
    done = subprocess.run([sys.executable, "-c", WALL, str(HERE), side], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("0.0\n", -11), done.stderr


def test_a_child_that_is_ended_by_a_signal_is_a_finding_and_the_next_goes_on_behind_it(tmp_path, monkeypatch):
    """The sources of such a child: its fuzzing.py kills it at sequence 3."""
    source = (HERE / "fuzz.py").read_text(encoding="utf-8")
    (tmp_path / "fuzz.py").write_text(source, encoding="utf-8")
    (tmp_path / "fuzzing.py").write_text(
        "import os\ndef examine(seed, number, guard):\n"
        "    if number == 3:\n        os.abort()\n    return None, 1, 1, 1\n", encoding="utf-8"
    )  # fmt: skip
    monkeypatch.setattr("fuzz.__file__", str(tmp_path / "fuzz.py"))
    findings, counts, behind = run_child(0, 0, 10, False)
    assert [(finding["sequence"], finding["kind"]) for finding in findings] == [(3, "signal 6")]
    assert behind == 4
    findings, counts, behind = run_child(0, behind, 10, False)
    assert (findings, counts["sequences"], behind) == ([], 6, 10)


def test_the_sequences_have_every_change_in_every_place():
    disturbed = set()
    with kernels.use("numpy"):
        for number in range(100):
            disturbed |= {entry[0] for entry in fuzzing.Sequence(1, number).play() if entry[1] == "change"}
    places = {name.partition(": ")[2] for name in disturbed}
    changes = {name.partition(": ")[0] for name in disturbed}
    assert {change.__name__ for change in changes_to_arrays.CHANGES} <= changes
    assert {"images", "labels", "a parameter", "a gradient", "running statistics", "an average", "an activation",
            "what the optimizer keeps", "CrossEntropy.labels", "MaxPool2d.winners"} <= places  # fmt: skip
