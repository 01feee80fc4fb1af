"""What a comparison says: its figures in a few numbers per network, a table, and sentences computed from them.

Two questions are kept apart: what becomes of the gradient, and whether something is learned. A network can learn
nothing with a gradient that is as large at the stem as at the last block, and learn well with one that is not.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from minires.lab.gradient_norms import log10_ratio
from minires.lab.networks import SETTING
from minires.lab.norm_verdict import need_of_batch_norm

FAR = 100  # a gradient that changes by more than this factor between the last block and the stem vanishes or explodes
LAST_STEPS = 10  # the training loss is the mean over the last so many steps
NOTHING, WELL = 0.9, 0.25  # of guessing's loss: with more than that nothing is learned, with less it is learned well
LAG = 0.1  # of accuracy, between running statistics and a batch's own: worth a sentence


def summarize(networks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each network of a report one row: its switches, gradient ratios, loss and accuracy.

    The ratio is ‖dL/dh‖ at the stem's output over that at the last block's, as log10; of each figure the mean, the
    smallest and the largest over seeds. None where there is none: not trained, diverged, a gradient of 0.
    """
    rows = []
    for network in networks:
        trained = [run["trained"] for run in network["runs"] if run["trained"] is not None]
        finished = [record for record in trained if record["diverged_at"] is None]
        row = {key: network[key] for key in ("name", "label", "depth", "skip", *SETTING)}
        row["guessing"] = math.log(network["classes"])
        row["seeds"] = len(network["runs"])
        row |= over_seeds("log10_ratio_initial", [log10_ratio(run["initial"]) for run in network["runs"]])
        row |= over_seeds("log10_ratio_trained", [log10_ratio(record["gradients"]) for record in finished])
        row |= over_seeds("train_loss", [mean(record["losses"][-LAST_STEPS:]) for record in finished])
        row["test_accuracy"] = mean([record["test_accuracy"] for record in finished])
        row["test_accuracy_batch"] = mean([record["test_accuracy_batch"] for record in finished])
        row |= {"trained_seeds": len(trained), "diverged_seeds": len(trained) - len(finished)}
        rows.append(row)
    return rows


def over_seeds(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Return a figure's mean over seeds, its smallest and its largest value."""
    known = [value for value in values if value is not None]
    return {name: mean(values), f"{name}_min": min(known, default=None), f"{name}_max": max(known, default=None)}


def mean(values: Sequence[Any]) -> float | None:
    """Return the mean; None for no values, and where one is missing."""
    return None if not values or None in values else sum(values) / len(values)


def settings_of(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Group rows by what they have in common besides depth and skip, in words: "init he, norm batch"."""
    shown = [key for key in SETTING if key in ("init", "norm") or len({row[key] for row in rows}) > 1]
    groups = groupby(rows, key=lambda row: [row[key] for key in SETTING])
    named = []
    for values, group in groups:
        pairs = zip(SETTING, values, strict=True)
        known = [f"{key} {value}" for key, value in pairs if key in shown and value is not None]
        named.append((", ".join(known) or "these networks", list(group)))
    return named


def summary_table(summary: Sequence[dict[str, Any]]) -> str:
    """Write the summary for a terminal, one line a network, under a heading for each setting."""
    lines = []
    for setting, rows in settings_of(summary):
        lines += ["", f"{setting}: log10 of ‖dL/dh‖ at the stem over that at the last block",
                  f"{'network':<14} {'at init':>8} {'over seeds':>16} {'trained':>9} {'over seeds':>16} {'loss':>8} "
                  f"{'test accuracy':>14}"]  # fmt: skip
        for row in rows:
            lines.append(f"{row['name']:<14} {figure(row['log10_ratio_initial'], '.2f'):>8} "
                         f"{spread(row, 'log10_ratio_initial'):>16} {figure(row['log10_ratio_trained'], '.2f'):>9} "
                         f"{spread(row, 'log10_ratio_trained'):>16} {figure(row['train_loss'], '.3f'):>8} "
                         f"{figure(row['test_accuracy'], '.1%'):>14}"
                         + "  diverged" * (row["diverged_seeds"] > 0))  # fmt: skip
    return "\n".join(lines[1:])


def figure(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


def spread(row: dict[str, Any], name: str) -> str:
    """Say the range over seeds; of one seed there is none."""
    count = row["seeds"] if name == "log10_ratio_initial" else row["trained_seeds"] - row["diverged_seeds"]
    if count == 1:
        return "one seed"
    return f"{figure(row[name + '_min'], '.2f')} … {figure(row[name + '_max'], '.2f')}"


def verdict(summary: Sequence[dict[str, Any]]) -> list[str]:
    """Say in sentences what the summary's figures show, for each setting."""
    sentences = []
    for setting, rows in settings_of(summary):
        sentences.append(f"With {setting}, before training, from the last block back to the stem:")
        for row in rows:
            sentences.append(f"  {row['name']}: the gradient {change(row, 'log10_ratio_initial', row['seeds'])}")
        deepest = max([row["depth"] for row in rows])
        pair = {row["skip"]: row for row in rows if row["depth"] == deepest}
        if len(pair) == 2:
            sentences += ["  " + sentence for sentence in effect_of_skips(pair[False], pair[True])]
        sentences += after_training(rows)
    return sentences + need_of_batch_norm(summary)


def change(row: dict[str, Any], name: str, seeds: int) -> str:
    """Say what happens to a gradient that ends up 10^log10 times as large. One seed is not called a rule."""
    log10, low, high = row[name], row[name + "_min"], row[name + "_max"]
    if log10 is None:
        return "has no ratio: at one end it is 0, or not a finite number"
    far = math.log10(FAR)
    by = f"is multiplied by {10**log10:.2g}" if abs(log10) <= far else f"is multiplied by {10**log10:.1e}"
    if seeds == 1:
        return f"{by} in this one seed"
    if -far <= low and high <= far:
        return f"{by}: it stays within a factor of {FAR}, in {all_of(seeds)}"
    if low > far or high < -far:
        return f"{by}: it {'explodes' if low > 0 else 'vanishes'}, in {all_of(seeds)}"
    return f"{by}, from {10**low:.1e} to {10**high:.1e} over {seeds} seeds"


def all_of(seeds: int) -> str:
    return "both seeds" if seeds == 2 else f"all {seeds} seeds"


def effect_of_skips(plain: dict[str, Any], residual: dict[str, Any]) -> list[str]:
    """Compare the deepest pair of twins: by how much the gradient changes before training."""
    if plain["log10_ratio_initial"] is None or residual["log10_ratio_initial"] is None:
        return []
    gain = abs(plain["log10_ratio_initial"]) - abs(residual["log10_ratio_initial"])
    if abs(gain) < 0.3:
        return [f"At {plain['depth']} layers the skips make little difference to that."]
    what = "flatten it" if gain > 0 else "make it steeper"
    by = f"{10 ** abs(gain):.0f}" if abs(gain) < 4 else f"{10 ** abs(gain):.0e}"
    return [f"At {plain['depth']} layers the skips {what}, by a factor of {by}."]


def learned(loss: float, guessing: float) -> str:
    """Say whether a loss is one of a network that has learned, beside the loss of guessing."""
    if loss > NOTHING * guessing:
        return "nothing is learned"
    return "it learns" if loss < WELL * guessing else "it learns slowly"


def after_training(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Say of each trained network whether it has learned, and, apart from that, what its gradient is then."""
    sentences = []
    known = [row for row in rows if row["train_loss"] is not None]
    if known:
        sentences.append("After training, the loss first, and then, which is another question, the gradient:")
    for row in known:
        loss, guessing = row["train_loss"], row["guessing"]
        gradient = change(row, "log10_ratio_trained", row["trained_seeds"] - row["diverged_seeds"])
        words = f"loss {loss:.3f} (guessing has {guessing:.2f}), {learned(loss, guessing)}; the gradient {gradient}"
        sentences.append(f"  {row['name']}: {words}")
    for row in known:
        running, own = row["test_accuracy"], row["test_accuracy_batch"]
        if running is not None and own is not None and own - running > LAG:
            sentences.append(f"  {row['name']}: test accuracy {running:.1%} with the running statistics of its norms, "
                             f"{own:.1%} with each batch's own: the running ones lag behind the weights")  # fmt: skip
    alone = [row for row in known if row["trained_seeds"] == 1]
    stuck = [row["name"] for row in alone if row["train_loss"] > NOTHING * row["guessing"]]
    if stuck:
        sentences.append(
            "  One seed does not say where the gradient goes in a network that learns nothing: that of "
            f"{', '.join(stuck)} ends elsewhere with another seed"
        )
    diverged = [row["name"] for row in rows if row["diverged_seeds"]]
    if diverged:
        sentences.append(f"  Training diverged: {', '.join(diverged)}.")
    return sentences
