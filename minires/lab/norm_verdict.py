"""Do skips need *batch* norm? What a comparison of several norms says about it, from its summary alone.

Two questions are kept apart, as everywhere in the lab: what the skips do to the gradient of an untrained network, and
whether the network then learns what its plain twin does not. The second has an answer for one learning rate only, since
networks with other norms have other rates that suit them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Pair = tuple[Row, Row]  # a plain network and its residual twin

NEARER = 0.3  # log10: the skips flatten the gradient where its ratio comes nearer to 1 by more than this, a factor of 2
FLAT = 1.0  # log10: a plain network whose ratio is within this, a factor of 10, leaves them nothing to flatten
HALF = 0.5  # they help to learn where the residual twin ends below this share of the plain one's loss


def need_of_batch_norm(summary: Sequence[Row]) -> list[str]:
    """Answer in sentences, for each init and depth; none where batch norm is not compared with another.

    summary: rows as `conclusions.summarize` makes them.
    """
    sentences = []
    for init in dict.fromkeys([row["init"] for row in summary]):
        rows = [row for row in summary if row["init"] == init]
        said = []
        for depth in sorted({row["depth"] for row in rows}):
            pairs = twins([row for row in rows if row["depth"] == depth])
            if "batch" in pairs and len(pairs) > 1:
                for figures, answer in (untrained(pairs), trained(pairs)):
                    said += [f"  {depth} layers, {figures}"] * bool(figures) + [f"    {answer}"] * bool(answer)
        if said:
            sentences += [f"Do skips need batch norm? With init {init}, plain → residual:", *said]
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


def untrained(pairs: Mapping[str, Pair]) -> tuple[str, str]:
    """Say with which norms the skips flatten the gradient before training: the figures, and the answer."""
    said, flatter, flat = [], {}, []
    for norm, (plain, residual) in pairs.items():
        before, after = plain["log10_ratio_initial"], residual["log10_ratio_initial"]
        if before is None or after is None:
            continue
        said.append(f"{norm} {power(before)} → {power(after)}")
        if abs(before) <= FLAT and norm != "batch":
            flat.append(norm)
        else:
            flatter[norm] = abs(before) - abs(after) > NEARER
    if not said:
        return "", ""
    answer = answered(flatter, "flatten the gradient", "Yes")
    if flat:
        answer = f"{answer} With {listed(flat)} there is little to flatten.".strip()
    return f"gradient, stem over last block: {', '.join(said)}", answer


def trained(pairs: Mapping[str, Pair]) -> tuple[str, str]:
    """Say with which norms the residual twin learns what the plain one does not: the figures, and the answer."""
    said, better = [], {}
    for norm, (plain, residual) in pairs.items():
        if plain["trained_seeds"] and residual["trained_seeds"]:
            said.append(f"{norm} {end(plain)} → {end(residual)}")
            better[norm] = learns_more(plain, residual)
    if not said:
        return "", ""
    seeds = max([residual["trained_seeds"] for _, residual in pairs.values()])
    sure = "Yes, at this learning rate" + (" and in this one seed" if seeds == 1 else "")
    answer = answered(better, "halve the loss", sure)
    if answer.startswith(sure):
        answer += " Another --lr may answer otherwise."
    return f"training loss: {', '.join(said)}", answer


def power(log10: float) -> str:
    return f"10^{round(log10, 1) + 0.0:.1f}"  # −0.0 + 0.0 is 0.0


def end(row: Row) -> str:
    return "diverged" if row["train_loss"] is None else f"{row['train_loss']:.3f}"


def learns_more(plain: Row, residual: Row) -> bool:
    if residual["train_loss"] is None or residual["diverged_seeds"]:
        return False
    return bool(plain["train_loss"] is None or residual["train_loss"] < HALF * plain["train_loss"])


def answered(helps: Mapping[str, bool], what: str, sure: str) -> str:
    """Say whether it takes batch norm: `helps` has, by norm, whether the skips do it; sure: how a yes is said."""
    if "batch" not in helps or len(helps) < 2:
        return ""
    others = {norm: does for norm, does in helps.items() if norm != "batch"}
    yes = listed([norm for norm, does in others.items() if does])
    no = listed([norm for norm, does in others.items() if not does])
    if not helps["batch"]:
        return f"With batch norm they do not {what}; " + (f"with {yes} they do." if yes else f"nor with {no}.")
    if not yes:
        return f"{sure}: they {what} with batch norm alone."
    if not no:
        return f"No: they {what} with {yes} as well."
    return f"No: they {what} with {yes} as well, though not with {no}."


def listed(norms: Sequence[str]) -> str:
    """Write names of norms: "group norm, layer norm and no norm"."""
    words = ["no norm" if norm == "none" else f"{norm} norm" for norm in norms]
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])
