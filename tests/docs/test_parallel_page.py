"""docs/data_parallel.md shows what benchmarks/parallel.py derives from its measurements, and that derives rightly."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SPEC = importlib.util.spec_from_file_location("benchmark_parallel", ROOT / "benchmarks" / "parallel.py")
parallel = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(parallel)

RECORD = json.loads(parallel.RESULTS.read_text(encoding="utf-8"))
LINK = {"latency_s": 1e-3, "bytes_per_s": 1e6}
WORK = {"batch_size": 64, "bytes": 1_000_000, "seconds_by_batch": {"1": 0.11, "11": 0.21, "64": 0.74}}


def test_the_page_is_made_from_the_results():
    text = parallel.PAGE.read_text(encoding="utf-8")
    assert text == parallel.page(RECORD), "python benchmarks/parallel.py --page"
    assert parallel.section(RECORD) in text


@pytest.mark.parametrize("p", [2, 8, 1024])
def test_an_allreduce_takes_what_the_sum_of_its_rounds_takes(p):
    """Rabenseifner's: log₂p rounds that halve what is sent, and as many that double it again."""
    seconds, size = 0.0, 4096.0
    for round_number in range(1, int(math.log2(p)) + 1):
        seconds += 2 * (LINK["latency_s"] + size / 2**round_number / LINK["bytes_per_s"])
    assert parallel.allreduce_seconds(p, size, LINK) == pytest.approx(seconds)
    assert parallel.allreduce_seconds(1, size, LINK) == 0


def test_a_line_is_found_again():
    assert parallel.line_through([(1, 5.0), (2, 7.0), (10, 23.0)]) == pytest.approx((3.0, 2.0))


def test_what_is_derived_for_one_process_is_what_was_measured():
    row = parallel.derived(WORK, LINK, 1)
    assert row == pytest.approx({"share": 64, "computing": 0.74, "adding": 0.0, "images_per_s": 64 / 0.74})
    row = parallel.derived(WORK, LINK, 4, per_process=64)
    assert row["share"] == 64 and row["images_per_s"] == pytest.approx(256 / (0.74 + 4e-3 + 1.5))


def test_the_largest_number_that_fulfils_a_condition():
    assert parallel.largest(lambda p: p <= 100) == 64 and parallel.largest(lambda p: False) == 1


def test_latency_and_bandwidth_are_found_in_sums_that_they_made():
    messages = {str(size): 2 * LINK["latency_s"] + size / LINK["bytes_per_s"] for size in (1000, 50_000, 10**6)}
    assert parallel.this_machine({"messages": messages}) == pytest.approx(LINK)
