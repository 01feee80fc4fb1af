"""What is said about a comparison follows from its figures."""

import math

from minires.lab import conclusions

CHANGES = ("explodes", "vanishes", "it stays")


def row(name, log10=0.0, loss=1.0, accuracy=0.5, seeds=5, spread=0.0, **others):
    kind, _, depth = name.partition("-")
    initial = {f"log10_ratio_initial{end}": None if log10 is None else log10 + shift * spread
               for end, shift in (("", 0), ("_min", -1), ("_max", 1))}  # fmt: skip
    return {"name": name, "label": name, "depth": int(depth), "skip": kind == "residual", "init": "he", "norm": "batch",
            "activation": "relu", "lr": 0.05, **initial, "log10_ratio_trained": 0.5, "log10_ratio_trained_min": 0.5,
            "log10_ratio_trained_max": 0.5, "train_loss": loss, "guessing": math.log(10), "test_accuracy": accuracy,
            "test_accuracy_batch": accuracy, "seeds": seeds, "trained_seeds": 1, "diverged_seeds": 0,
            **others}  # fmt: skip


def text(*rows):
    return "\n".join(conclusions.verdict(rows))


def test_vanishing_exploding_and_neither():
    said = text(row("plain-56", 3.9), row("plain-20", 1.4), row("plain-32", -21.0))
    assert "plain-56: the gradient is multiplied by 7.9e+03: it explodes, in all 5 seeds" in said
    assert "plain-20: the gradient is multiplied by 25: it stays within a factor of 100, in all 5 seeds" in said
    assert "plain-32: the gradient is multiplied by 1.0e-21: it vanishes, in all 5 seeds" in said


def test_one_seed_is_no_rule():
    said = text(row("plain-56", -7.1, seeds=1, loss=2.3, log10_ratio_trained=-7.0))
    assert "is multiplied by 7.9e-08 in this one seed" in said
    assert not any(word in said for word in CHANGES)
    assert "One seed does not say" in said and "nothing is learned" in said


def test_seeds_that_differ_are_no_rule():
    said = text(row("plain-56", -1.6, spread=2.0))
    assert "from 2.5e-04 to 2.5e+00 over 5 seeds" in said
    assert not any(word in said for word in CHANGES)


def test_what_the_skips_do_is_said_of_the_deepest_pair():
    said = text(row("plain-20", 9.0), row("residual-20", 0.0), row("plain-56", 3.5), row("residual-56", 1.5))
    assert "At 56 layers the skips flatten it, by a factor of 100." in said and "At 20" not in said
    assert "skips make it steeper, by a factor of 100" in text(row("plain-56", 0.1), row("residual-56", 2.1))
    assert "make little difference" in text(row("plain-56", -1.0), row("residual-56", 1.1))
    assert "skips" not in text(row("plain-56"))


def test_learning_is_asked_apart_from_the_gradient():
    said = text(row("plain-56", loss=2.3), row("plain-20", loss=1.5), row("residual-56", loss=0.1))
    assert "plain-56: loss 2.300 (guessing has 2.30), nothing is learned; the gradient is multiplied by 3.2" in said
    assert "plain-20: loss 1.500 (guessing has 2.30), it learns slowly" in said
    assert "residual-56: loss 0.100 (guessing has 2.30), it learns" in said


def test_divergence():
    said = text(row("plain-56", loss=2.3), row("residual-56", loss=None, diverged_seeds=1))
    assert "residual-56: loss" not in said and "Training diverged: residual-56." in said


def test_accuracy_that_running_statistics_spoil():
    said = text(row("residual-56", accuracy=0.145, test_accuracy_batch=0.6))
    assert "test accuracy 14.5% with the running statistics of its norms, 60.0% with each batch's own" in said
    assert "running statistics" not in text(row("residual-56", accuracy=0.59, test_accuracy_batch=0.6))
    assert "running statistics" not in text(row("residual-56", accuracy=None, test_accuracy_batch=None))


def test_no_figure():
    said = text(row("plain-56", None), row("residual-56", 1.0, loss=None))
    assert "plain-56: the gradient has no ratio: at one end it is 0, or not a finite number" in said
    assert "skips" not in said
    line = conclusions.summary_table([row("plain-56", None, None, None)]).splitlines()[-1]
    assert line.split()[:2] == ["plain-56", "-"] and line.split()[-1] == "-"


def test_table():
    rows = [row("plain-56", 3.5, spread=0.1), row("residual-56", -1.25, diverged_seeds=1, trained_seeds=2)]
    lines = conclusions.summary_table(rows).splitlines()
    assert lines[2].split() == ["plain-56", "3.50", "3.40", "…", "3.60", "0.50", "one", "seed", "1.000", "50.0%"]
    assert lines[3].startswith("residual-56       -1.25") and lines[3].endswith("diverged")


def test_one_heading_for_each_setting():
    said = text(row("plain-8"), row("plain-8", norm="none"))
    assert "With init he, norm batch," in said and "With init he, norm none," in said
    said = text(row("plain-8"), row("plain-8", lr=0.005))
    assert "With init he, norm batch, lr 0.05," in said and "With init he, norm batch, lr 0.005," in said
