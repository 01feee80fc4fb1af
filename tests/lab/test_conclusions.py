"""What is said about a comparison follows from its figures."""

from minires.lab import conclusions


def row(name, log10=0.0, loss=1.0, accuracy=0.5, **others):
    kind, _, depth = name.partition("-")
    return {"name": name, "depth": int(depth), "skip": kind == "residual", "init": "he", "norm": "batch",
            "log10_ratio_initial": log10, "log10_ratio_initial_min": log10, "log10_ratio_initial_max": log10,
            "log10_ratio_trained": 0.5, "train_loss": loss, "test_accuracy": accuracy, "diverged_seeds": 0, **others}


def text(*rows):
    return "\n".join(conclusions.verdict(rows))


def test_vanishing_exploding_and_neither():
    said = text(row("plain-56", 3.9), row("plain-20", 1.4), row("plain-32", -21.0))
    assert "plain-56: the gradient is multiplied by 7.9e+03: it explodes" in said
    assert "plain-20: the gradient is multiplied by 25: it stays within a factor of 100" in said
    assert "plain-32: the gradient is multiplied by 1.0e-21: it vanishes" in said


def test_what_the_skips_do_is_said_of_the_deepest_pair():
    said = text(row("plain-20", 9.0), row("residual-20", 0.0), row("plain-56", 3.5), row("residual-56", 1.5))
    assert "At 56 layers the skips flatten it, by a factor of 100." in said and "At 20" not in said
    assert "skips make it steeper, by a factor of 100" in text(row("plain-56", 0.1), row("residual-56", 2.1))
    assert "make little difference" in text(row("plain-56", -1.0), row("residual-56", 1.1))
    assert "skips" not in text(row("plain-56"))


def test_losses_and_divergence():
    said = text(row("plain-56", loss=2.3), row("residual-56", loss=None, diverged_seeds=1))
    assert "After training, residual-56" not in said and "Training diverged: residual-56." in said
    said = text(row("plain-56", loss=2.3), row("residual-56", loss=0.1))
    assert "After training, plain-56 has a loss of 2.300, and its gradient is multiplied by 3.2: it stays" in said
    assert "After training, residual-56 has a loss of 0.100" in said


def test_no_figure():
    said = text(row("plain-56", None), row("residual-56", 1.0, loss=None))
    assert "plain-56: the gradient has no ratio: at one end it is 0, or not a finite number" in said
    assert "skips" not in said
    line = conclusions.summary_table([row("plain-56", None, None, None)]).splitlines()[-1]
    assert line.split()[:2] == ["plain-56", "-"] and line.split()[-1] == "-"


def test_table():
    lines = conclusions.summary_table([row("plain-56", 3.5), row("residual-56", -1.25, diverged_seeds=1)]).splitlines()
    assert lines[2].split() == ["plain-56", "3.50", "3.50", "…", "3.50", "0.50", "1.000", "50.0%"]
    assert lines[3].startswith("residual-56       -1.25") and lines[3].endswith("diverged")


def test_one_heading_for_each_setting():
    said = text(row("plain-8"), row("plain-8", norm="none"))
    assert "With init he and norm batch" in said and "With init he and norm none" in said
