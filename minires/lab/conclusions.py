"""What a comparison says: its figures in a few numbers per network, a table, and sentences computed from them."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from minires.lab.norm_verdict import need_of_batch_norm

FAR = 100  # a gradient that changes by more than this factor between the last block and the stem vanishes or explodes
LAST_STEPS = 10  # the training loss is the mean over the last so many steps


def summarize(networks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each network of a report one row: its switches, gradient ratios, loss and accuracy.

    The ratio is ‖dL/dh‖ at the stem's output over that at the last block's, as log10: the mean over seeds, and at
    initialization the smallest and largest. None where there is no figure: not trained, diverged, a gradient of 0.
    """
    rows = []
    for network in networks:
        initial = [log10_ratio(run["initial"]) for run in network["runs"]]
        known = [ratio for ratio in initial if ratio is not None]
        trained = [run["trained"] for run in network["runs"] if run["trained"] is not None]
        finished = [record for record in trained if record["diverged_at"] is None]
        row = {key: network[key] for key in ("name", "depth", "skip", "init", "norm", "activation")}
        row |= {
            "log10_ratio_initial": mean(initial),
            "log10_ratio_initial_min": min(known, default=None),
            "log10_ratio_initial_max": max(known, default=None),
            "log10_ratio_trained": mean([log10_ratio(record["gradients"]) for record in finished]),
            "train_loss": mean([mean(record["losses"][-LAST_STEPS:]) for record in finished]),
            "test_accuracy": mean([record["test_accuracy"] for record in finished]),
            "trained_seeds": len(trained),
            "diverged_seeds": len(trained) - len(finished),
        }
        rows.append(row)
    return rows


def log10_ratio(norms: dict[str, Any]) -> float | None:
    """Return log10 of the first output's gradient over the last one's; None where one of them is 0 or not finite."""
    first, last = norms["log10_grad_h"][0], norms["log10_grad_h"][-1]
    return None if first is None or last is None else first - last


def mean(values: Sequence[Any]) -> float | None:
    """Return the mean; None for no values, and where one is missing."""
    return None if not values or None in values else sum(values) / len(values)


def summary_table(summary: Sequence[dict[str, Any]]) -> str:
    """Write the summary for a terminal, one line a network, under a heading for each choice of init and norm."""
    lines = []
    for (init, norm), rows in groupby(summary, key=lambda row: (row["init"], row["norm"])):
        lines += ["", f"init {init}, norm {norm}, log10 of ‖dL/dh‖ at the stem over that at the last block",
                  f"{'network':<14} {'at init':>8} {'over seeds':>16} {'trained':>9} {'loss':>8} {'test accuracy':>14}"]
        for row in rows:
            low, high = row["log10_ratio_initial_min"], row["log10_ratio_initial_max"]
            spread = f"{figure(low, '.2f')} … {figure(high, '.2f')}"
            lines.append(f"{row['name']:<14} {figure(row['log10_ratio_initial'], '.2f'):>8} {spread:>16} "
                         f"{figure(row['log10_ratio_trained'], '.2f'):>9} {figure(row['train_loss'], '.3f'):>8} "
                         f"{figure(row['test_accuracy'], '.1%'):>14}" + "  diverged" * (row["diverged_seeds"] > 0))
    return "\n".join(lines[1:])


def figure(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


def verdict(summary: Sequence[dict[str, Any]]) -> list[str]:
    """Say in sentences what the summary's figures show, for each choice of init and norm."""
    sentences = []
    for (init, norm), group in groupby(summary, key=lambda row: (row["init"], row["norm"])):
        rows = list(group)
        sentences.append(f"With init {init} and norm {norm}, from the last block back to the stem:")
        for row in rows:
            sentences.append(f"  {row['name']}: the gradient {change(row['log10_ratio_initial'])}")
        deepest = max([row["depth"] for row in rows])
        pair = {row["skip"]: row for row in rows if row["depth"] == deepest}
        if len(pair) == 2:
            sentences += ["  " + sentence for sentence in effect_of_skips(pair[False], pair[True])]
    return sentences + need_of_batch_norm(summary)


def change(log10: float | None) -> str:
    """Say what happens to a gradient that ends up 10^log10 times as large."""
    if log10 is None:
        return "has no ratio: at one end it is 0, or not a finite number"
    if abs(log10) <= math.log10(FAR):
        return f"is multiplied by {10 ** log10:.2g}: it stays within a factor of {FAR}"
    return f"is multiplied by {10 ** log10:.1e}: it {'explodes' if log10 > 0 else 'vanishes'}"


def effect_of_skips(plain: dict[str, Any], residual: dict[str, Any]) -> list[str]:
    """Compare the deepest pair of twins: by how much the gradient changes at the start, and where training got."""
    sentences = []
    if plain["log10_ratio_initial"] is not None and residual["log10_ratio_initial"] is not None:
        gain = abs(plain["log10_ratio_initial"]) - abs(residual["log10_ratio_initial"])
        if abs(gain) < 0.3:
            sentences.append(f"At {plain['depth']} layers the skips make little difference to that.")
        else:
            what = "flatten it" if gain > 0 else "make it steeper"
            by = f"{10 ** abs(gain):.0f}" if abs(gain) < 4 else f"{10 ** abs(gain):.0e}"
            sentences.append(f"At {plain['depth']} layers the skips {what}, by a factor of {by}.")
    for row in (plain, residual):
        if row["train_loss"] is not None:
            sentences.append(f"After training, {row['name']} has a loss of {row['train_loss']:.3f}, and its gradient "
                             f"{change(row['log10_ratio_trained'])}.")
    diverged = [row["name"] for row in (plain, residual) if row["diverged_seeds"]]
    if diverged:
        sentences.append(f"Training diverged: {', '.join(diverged)}.")
    return sentences
