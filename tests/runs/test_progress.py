"""The progress bar: steps that compile are shown, and are not counted on for the time remaining."""

import io
import time

import pytest

from minires.runs import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    return clock


def test_the_first_step_is_left_out_of_the_time_remaining(clock):
    bar = progress.ProgressBar(total=12, initial=1, file=io.StringIO(), bar_format="{n_fmt} {elapsed}<{remaining}")
    bar._time = lambda: clock["now"]
    bar.start_t = bar.last_print_t = clock["now"]
    clock["now"] = 20.0
    bar.update(timed=False)
    assert str(bar) == "2 00:20<?"
    clock["now"] = 24.0
    bar.update()
    assert str(bar) == "3 00:24<00:36"
    bar.update(9, timed=False)  # to the end: nothing remains
    assert str(bar) == "12 00:24<00:00"
    bar.close()


def test_compiling_is_left_out_whenever_it_comes(clock, monkeypatch):
    compiled = {"seconds": 3.0}  # before the bar
    monkeypatch.setattr(progress.kernels, "compile_seconds", lambda: compiled["seconds"])
    bar = progress.ProgressBar(total=11, file=io.StringIO(), bar_format="{n_fmt} {elapsed}<{remaining}")
    bar._time = lambda: clock["now"]
    bar.start_t = bar.last_print_t = clock["now"]
    clock["now"] = 25.0
    compiled["seconds"] += 20.0
    bar.update()
    assert str(bar) == "1 00:25<00:50"
    clock["now"] = 40.0
    compiled["seconds"] += 10.0
    bar.update()
    assert str(bar) == "2 00:40<00:45"
    bar.close()


def test_without_a_terminal_it_is_silent():
    file = io.StringIO()
    with progress.ProgressBar(total=2, file=file, disable=None) as bar:
        bar.update(timed=False)
        bar.update()
    assert bar.disable and file.getvalue() == ""
