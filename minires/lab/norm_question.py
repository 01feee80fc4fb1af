"""Do skips need *batch* norm? What a comparison of several norms says about it, from its summary alone.

Two questions are kept apart, as everywhere in the lab: whether the skips keep the gradient's size on its way through an
untrained network, and whether the network then learns what its plain twin does not.
"""

import math
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
Pair = tuple[Row, Row]  # a plain network and its residual twin

FLATTER = math.log10(2)  # the skips flatten the gradient where its ratio comes nearer to 1 by more than this factor
LOWER = 0.5  # they help to learn where the residual twin ends below this share of the plain one's loss


def norm_verdict(summary: Sequence[Row]) -> list[str]:
    """Answer in sentences, for the deepest twins of each init; none where batch norm is not compared with another.

    summary: rows as `conclusions.summarize` makes them.
    """
    sentences = []
    for init in dict.fromkeys([row["init"] for row in summary]):
        rows = [row for row in summary if row["init"] == init]
        depth = max([row["depth"] for row in rows])
        pairs = twins([row for row in rows if row["depth"] == depth])
        if "batch" not in pairs or len(pairs) < 2:
            continue
        sentences.append(f"Do skips need batch norm? At {depth} layers, with init {init}:")
        sentences += ["  " + sentence for sentence in (*on_the_way_back(pairs), *in_training(pairs))]
    return sentences


def twins(rows: Sequence[Row]) -> dict[str, Pair]:
    """Return (plain, residual) by norm, where both are there once."""
    pairs = {}
    for norm in dict.fromkeys([row["norm"] for row in rows]):
        plain = [row for row in rows if row["norm"] == norm and not row["skip"]]
        residual = [row for row in rows if row["norm"] == norm and row["skip"]]
        if len(plain) == len(residual) == 1:
            pairs[norm] = plain[0], residual[0]
    return pairs


def on_the_way_back(pairs: dict[str, Pair]) -> list[str]:
    """Say with which norms the skips flatten the gradient before training."""
    said, flatter = [], {}
    for norm, (plain, residual) in pairs.items():
        before, after = plain["log10_ratio_initial"], residual["log10_ratio_initial"]
        if before is not None and after is not None:
            said.append(f"{norm} 10^{before:.1f} → 10^{after:.1f}")
            flatter[norm] = abs(before) - abs(after) > FLATTER
    answer = answered(flatter, "keep the gradient's size")
    return [f"gradient at the stem over that at the last block, plain → residual: {', '.join(said)}.", *answer]


def in_training(pairs: dict[str, Pair]) -> list[str]:
    """Say with which norms the residual twin learns what the plain one does not."""
    said, better = [], {}
    for norm, (plain, residual) in pairs.items():
        if plain["trained_seeds"] and residual["trained_seeds"]:
            said.append(f"{norm} {end(plain)} → {end(residual)}")
            better[norm] = learns_more(plain, residual)
    if not said:
        return []
    seeds = max([residual["trained_seeds"] for _, residual in pairs.values()])
    over = "in this one seed" if seeds == 1 else f"mean of {seeds} seeds"
    return [f"training loss, plain → residual: {', '.join(said)} ({over}).", *answered(better, "lower the loss")]


def end(row: Row) -> str:
    return "diverged" if row["train_loss"] is None else f"{row['train_loss']:.3f}"


def learns_more(plain: Row, residual: Row) -> bool:
    if residual["train_loss"] is None or residual["diverged_seeds"]:
        return False
    return plain["train_loss"] is None or residual["train_loss"] < LOWER * plain["train_loss"]


def answered(helps: dict[str, bool], what: str) -> list[str]:
    """Say whether it takes batch norm: `helps` has, by norm, whether the skips do it."""
    if "batch" not in helps or len(helps) < 2:
        return []
    others = {norm: does for norm, does in helps.items() if norm != "batch"}
    yes = listed([norm for norm, does in others.items() if does])
    no = listed([norm for norm, does in others.items() if not does])
    if not helps["batch"]:
        return [f"With batch norm they do not {what}; " + (f"with {yes} they do." if yes else f"nor with {no}.")]
    if not yes:
        return [f"Yes: they {what} with batch norm, and not with {no}."]
    if not no:
        return [f"No: they {what} with {yes} as well."]
    return [f"No: they {what} with {yes} as well, though not with {no}."]


def listed(norms: list[str]) -> str:
    """Write names of norms: "group, layer and no norm"."""
    words = ["no norm" if norm == "none" else f"{norm} norm" for norm in norms]
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])
