"""docs/norms.md shows what `minires compare` found, and the verdict that follows from it."""

import json
from pathlib import Path

import pytest

from minires.lab.norm_verdict import need_of_batch_norm

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "norms.md").read_text(encoding="utf-8")
RUNS = json.loads((ROOT / "benchmarks" / "results" / "lab" / "norms.json").read_text(encoding="utf-8"))


def cell(value, spec):
    return "-" if value is None else format(value, spec)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["command"])
def test_the_page_has_the_figures_of_the_run(run):
    assert f"{run['lr']}" in PAGE and f"after {run['steps']} steps" in PAGE
    for row in run["summary"]:
        loss = "diverged" if row["diverged_seeds"] else cell(row["train_loss"], ".3f")
        figures = cell(row["log10_ratio_initial"], ".2f"), loss, cell(row["test_accuracy"], ".1%")
        assert f"| {' | '.join([row['name'], row['norm'], *figures])} |" in PAGE


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["command"])
def test_the_page_has_the_verdict_that_follows(run):
    assert "```text\n" + "\n".join(need_of_batch_norm(run["summary"])) + "\n```" in PAGE


def test_what_the_page_concludes_follows_from_the_figures():
    large, small = [{(row["name"], row["norm"]): row for row in run["summary"]} for run in RUNS]
    guessing = 2.3026
    for norm in ("group", "layer"):
        assert large["residual-56", norm]["train_loss"] > 0.99 * guessing
        assert small["residual-56", norm]["train_loss"] < 0.5 * small["plain-56", norm]["train_loss"]
        assert abs(large["plain-56", "layer"]["log10_ratio_initial"]) < 1
    assert large["residual-56", "batch"]["train_loss"] < 0.1 and small["residual-56", "batch"]["train_loss"] < 0.1
    assert large["residual-20", "group"]["train_loss"] < 0.5 * large["plain-20", "group"]["train_loss"]
    assert all(run["residual-56", "none"]["diverged_seeds"] for run in (large, small))
