"""The answer to "do skips need batch norm?" follows from the figures, and says no more than they do."""

from minires import lab
from minires.lab.norm_verdict import need_of_batch_norm


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
    return "\n".join(need_of_batch_norm([row for rows in pairs for row in rows]))


GOOD = {"log10": (4.0, 1.0), "loss": (2.3, 0.1)}
BAD = {"log10": (3.0, 3.1), "loss": (2.3, 2.2)}


def test_no_where_the_skips_help_with_other_norms_too():
    said = text(pair("none", **GOOD), pair("batch", **GOOD), pair("group", **GOOD))
    assert "With init he" in said and "56 layers, gradient" in said and "56 layers, training loss" in said
    assert "none 10^4.0 → 10^1.0, batch 10^4.0 → 10^1.0, group" in said
    assert "No: they flatten the gradient with no norm and group norm as well." in said
    assert "none 2.300 → 0.100, batch 2.300 → 0.100" in said
    assert "No: they halve the loss with no norm and group norm as well." in said


def test_yes_where_they_help_with_batch_norm_alone():
    said = text(pair("none", **BAD), pair("batch", **GOOD), pair("layer", **BAD))
    assert "Yes: they flatten the gradient with batch norm alone." in said
    assert "Yes, at this learning rate and in this one seed: they halve the loss with batch norm alone. Another" in said
    said = text(pair("none", **BAD, seeds=3), pair("batch", **GOOD, seeds=3))
    assert "Yes, at this learning rate: they halve" in said


def test_between():
    said = text(pair("none", **BAD), pair("batch", **GOOD), pair("group", **GOOD), pair("layer", **GOOD))
    assert "No: they halve the loss with group norm and layer norm as well, though not with no norm." in said


def test_a_plain_network_whose_gradient_is_flat_leaves_the_skips_nothing_to_do():
    said = text(pair("batch", **GOOD), pair("group", **GOOD), pair("layer", log10=(-0.04, 0.3)))
    assert "layer 10^0.0 → 10^0.3" in said
    assert "No: they flatten the gradient with group norm as well. With layer norm there is little to flatten." in said
    said = text(pair("batch", **GOOD), pair("layer", log10=(0.4, 0.3)))
    assert "10^0.3\n    With layer norm there is little to flatten." in said


def test_where_they_do_not_help_with_batch_norm_nothing_is_needed():
    assert "With batch norm they do not halve the loss; nor with group norm." in text(
        pair("batch", **BAD), pair("group", **BAD)
    )
    assert "With batch norm they do not halve the loss; with group norm they do." in text(
        pair("batch", **BAD), pair("group", **GOOD)
    )


def test_divergence_is_no_help_but_a_plain_twin_that_diverges_is_outdone():
    said = text(pair("batch", **GOOD), pair("none", loss=(2.3, None), diverged=(0, 1)))
    assert "none 2.300 → diverged" in said and "halve the loss with batch norm alone" in said
    said = text(pair("batch", **GOOD), pair("none", loss=(None, 0.2), diverged=(1, 0)))
    assert "none diverged → 0.200" in said and "No: they halve the loss with no norm as well." in said
    assert "batch norm alone" in text(pair("batch", **GOOD), pair("none", loss=(2.3, 0.2), seeds=2, diverged=(0, 1)))


def test_every_depth_and_every_init_for_itself():
    said = text(
        pair("batch", **GOOD), pair("group", **BAD), pair("batch", **GOOD, depth=20), pair("group", **GOOD, depth=20)
    ).splitlines()
    begins = ["  20 layers, g", "    No: they f", "  20 layers, t", "    No: they h"]
    begins += ["  56 layers, g", "    Yes: they ", "  56 layers, t", "    Yes, at th"]
    assert [line[:14] for line in said[1:]] == begins
    said = text(pair("batch", **GOOD), pair("group", **GOOD), pair("batch", **BAD, init="lecun"),
                pair("group", **BAD, init="lecun"))  # fmt: skip
    assert said.index("With init he") < said.index("No:") < said.index("With init lecun") < said.index("they do not")


def test_without_training_only_the_gradient_is_spoken_of():
    said = text(pair("batch", **GOOD, seeds=0), pair("group", **GOOD, seeds=0))
    assert "No: they flatten the gradient" in said and "loss" not in said


def test_silent_where_there_is_nothing_to_compare():
    assert need_of_batch_norm([]) == []
    assert text(pair("batch", **GOOD)) == "" and text(pair("none", **GOOD), pair("group", **GOOD)) == ""
    assert text(pair("batch", **GOOD)[:1], pair("group", **GOOD)[1:]) == ""
    said = text(pair("batch", log10=(None, 0.0), loss=(2.3, 0.1)), pair("group", **GOOD))
    assert "flatten" not in said and "halve the loss with group norm" in said


def test_a_comparison_says_it():
    norms = ("none", "batch", "group", "layer")
    report = lab.compare(depths=8, norm=norms, seeds=1, steps=2, batch_size=8)
    assert [entry["norm"] for entry in report["networks"][::2]] == list(norms)
    assert "Do skips need batch norm? With init he, plain → residual:" in report["verdict"]
