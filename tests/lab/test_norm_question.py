"""The answer to "do skips need batch norm?" follows from the figures, and says no more than they do."""

from minires import lab
from minires.lab.norm_question import norm_verdict


def pair(norm, log10=(0.0, 0.0), loss=(1.0, 1.0), depth=56, init="he", seeds=1, diverged=(0, 0)):
    """A plain network and its residual twin."""
    return [
        {
            "name": f"{'residual' if skip else 'plain'}-{depth}", "depth": depth, "skip": bool(skip), "init": init,
            "norm": norm, "log10_ratio_initial": log10[skip], "train_loss": loss[skip], "trained_seeds": seeds,
            "diverged_seeds": diverged[skip],
        }
        for skip in (0, 1)
    ]  # fmt: skip


def text(*pairs):
    return "\n".join(norm_verdict([row for rows in pairs for row in rows]))


GOOD = {"log10": (4.0, 1.0), "loss": (2.3, 0.1)}
FLAT = {"log10": (1.0, 1.1), "loss": (2.3, 2.2)}


def test_no_where_the_skips_help_with_other_norms_too():
    said = text(pair("none", **GOOD), pair("batch", **GOOD), pair("group", **GOOD))
    assert "At 56 layers, with init he" in said
    assert "none 10^4.0 → 10^1.0, batch 10^4.0 → 10^1.0, group" in said
    assert "No: they keep the gradient's size with no norm and group norm as well." in said
    assert "none 2.300 → 0.100, batch 2.300 → 0.100" in said and "in this one seed" in said
    assert "No: they lower the loss with no norm and group norm as well." in said


def test_yes_where_they_help_with_batch_norm_alone():
    said = text(pair("none", **FLAT), pair("batch", **GOOD), pair("layer", **FLAT))
    assert "Yes: they keep the gradient's size with batch norm, and not with no norm and layer norm." in said
    assert "Yes: they lower the loss with batch norm, and not with no norm and layer norm." in said


def test_between():
    said = text(pair("none", **FLAT), pair("batch", **GOOD), pair("group", **GOOD), pair("layer", **GOOD))
    assert "No: they lower the loss with group norm and layer norm as well, though not with no norm." in said


def test_where_they_do_not_help_with_batch_norm_nothing_is_needed():
    assert "With batch norm they do not lower the loss; nor with group norm." in text(
        pair("batch", **FLAT), pair("group", **FLAT)
    )
    assert "With batch norm they do not lower the loss; with group norm they do." in text(
        pair("batch", **FLAT), pair("group", **GOOD)
    )


def test_divergence_is_no_help_but_a_plain_twin_that_diverges_is_outdone():
    said = text(pair("batch", **GOOD), pair("none", log10=(0.0, 0.0), loss=(2.3, None), diverged=(0, 1)))
    assert "none 2.300 → diverged" in said and "lower the loss with batch norm, and not with no norm" in said
    said = text(pair("batch", **GOOD), pair("none", log10=(9.0, 0.0), loss=(None, 0.2), diverged=(1, 0)))
    assert "none diverged → 0.200" in said and "No: they lower the loss with no norm as well." in said


def test_the_deepest_twins_speak_and_every_init_for_itself():
    said = text(
        pair("batch", **GOOD), pair("group", **FLAT), pair("batch", **GOOD, depth=20), pair("group", **GOOD, depth=20)
    )
    assert "Yes: they lower the loss with batch norm, and not with group norm." in said and "At 20" not in said
    said = text(pair("batch", **GOOD), pair("group", **GOOD), pair("batch", **FLAT, init="lecun"),
                pair("group", **FLAT, init="lecun"))  # fmt: skip
    assert said.index("with init he") < said.index("No:") < said.index("with init lecun") < said.index("they do not")


def test_without_training_only_the_gradient_is_spoken_of():
    said = text(pair("batch", **GOOD, seeds=0), pair("group", **GOOD, seeds=0))
    assert "No: they keep the gradient's size" in said and "loss" not in said
    assert "mean of 3 seeds" in text(pair("batch", **GOOD, seeds=3), pair("group", **GOOD, seeds=3))


def test_silent_where_there_is_nothing_to_compare():
    assert norm_verdict([]) == []
    assert text(pair("batch", **GOOD)) == "" and text(pair("none", **GOOD), pair("group", **GOOD)) == ""
    assert text(pair("batch", **GOOD)[:1], pair("group", **GOOD)[1:]) == ""
    said = text(pair("batch", log10=(None, 0.0), loss=(2.3, 0.1)), pair("group", **GOOD))
    assert "keep the gradient's size" not in said and "lower the loss with group norm" in said


def test_a_comparison_says_it():
    norms = ("none", "batch", "group", "layer")
    report = lab.compare(depths=8, norm=norms, seeds=1, steps=2, batch_size=8)
    assert [entry["norm"] for entry in report["networks"][::2]] == list(norms)
    assert "Do skips need batch norm? At 8 layers, with init he:" in report["verdict"]
