"""Memory, files and threads stay as they are: a small part of what `tests/soak.py --flat` does by the thousand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from resources import growth, not_flat
from run_processes import environment
from workloads import WORKLOADS

SOAK = Path(__file__).parents[1] / "soak.py"
COUNTS = {"steps": 400, "models": 100, "comparisons": 20, "sessions": 60, "inference": 400}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", WORKLOADS)
def test_what_is_done_again_and_again_takes_no_more(name, require):
    require("numba")
    command = [sys.executable, str(SOAK), "--one", name, str(COUNTS[name])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["count"] == COUNTS[name]
    assert report["not flat"] == []


def sample(rss, files=5, threads=2):
    return {"rss": rss, "files": files, "threads": threads, "python threads": 1}


def test_what_grows_is_called_so():
    flat = [sample(200.0)] * 10 + [sample(210.0)] * 90
    assert (growth(flat), not_flat(flat)) == (0, [])
    rising = [sample(200 + number * 0.1) for number in range(100)]
    assert not_flat(rising) == ["resident memory grew by 4.0%"]
    assert not_flat([sample(200.0, files=5 + number // 50) for number in range(100)]) == ["files: 5 then, 6 now"]
    assert not_flat([sample(200.0, threads=number // 30) for number in range(100)]) == ["threads: 0 then, 3 now"]
