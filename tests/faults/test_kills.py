"""Every kind of kill a few times, the moments drawn by number: see tests/kills.py, which does a thousand."""

import sys

import kills
import pytest

KILLS = 20


@pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and disks as Linux has them")
def test_trainings_killed_in_every_way_end_as_one_that_was_left_alone(tmp_path):
    wanted = {kind: KILLS if kind == "kill" else 1 for kind in kills.KINDS}
    report = kills.carry_out(tmp_path, seed=7, wanted=wanted, kernels=("numpy",))
    print(kills.summary(report))
    assert report["failures"] == []
    assert sum(report["phases of kills"].values()) >= KILLS
    assert all(report["done"].get(kind) for kind in kills.KINDS if kind != "full disk" or report["a disk of its own"])
