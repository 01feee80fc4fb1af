"""The experiments `gradient-flow` and `aftermath`: their bands at a smaller size, and what they say of one seed."""

import math

import numpy as np
import pytest

from minires import kernels, lab
from minires.data import load_digits
from minires.lab.early_layers import describe, flipped, outputs_of
from minires.lab.experiment import lines_of
from minires.lab.experiments import aftermath, find
from minires.lab.networks import Network, load_images
from minires.lab.short_training import train
from minires.optim import SGD


@pytest.fixture(scope="module")
def flow():
    return lab.gradient_flow(lr=0.05, steps=20, moments=(0, 1, 5, 20), batch_size=16, kernels="numpy")


def test_the_explosion_is_gone_within_twenty_steps(flow):
    ratio = {(row["name"], row["step"]): row["log10_ratio"] for row in flow["tables"]["moments"]}
    assert list(ratio) == [(name, step) for name in ("plain-56", "residual-56") for step in (0, 1, 5, 20)]
    assert 2.9 < ratio["plain-56", 0] < 4.5 and ratio["plain-56", 20] < 2
    assert 0.5 < ratio["residual-56", 0] < 2.2 and abs(ratio["residual-56", 20]) < 2
    rows = {row["name"]: row for row in flow["tables"]["summary"]}
    assert rows["plain-56"]["train_loss"] > 0.85 * math.log(10)


def test_two_questions_are_answered_apart(flow):
    said = "\n".join(lines_of(flow))
    assert "nothing is learned" in said and "in this one seed" in said
    assert "vanishes" not in said.partition("measured")[2]


def test_every_finding_is_inside_its_band(flow):
    outside = [finding["what"] for finding in flow["findings"] if not finding["inside"]]
    assert outside == [] or outside == ["residual-56: loss at the end over guessing's"]  # only 20 steps


def test_rounding_parts_two_kernel_sets_slowly():
    report = lab.gradient_flow(depths=8, skip=True, lr=0.05, steps=4, batch_size=8, rounding=True, kernels="numpy")
    rows = report["tables"]["rounding"]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["difference"] < 1e-4
    assert all(row["loss"] == pytest.approx(row["loss_numba"], rel=0.1) for row in rows)
    assert any("another rounding" in finding["what"] for finding in report["findings"])


def test_ctrl_c_keeps_the_networks_that_are_finished(monkeypatch):
    trained = []

    def interrupted(network, *others):
        trained.append(network.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return real(network, *others)

    from minires.lab import comparison

    real = comparison.train
    monkeypatch.setattr(comparison, "train", interrupted)
    report = lab.gradient_flow(depths=8, lr=0.05, steps=2, batch_size=8, kernels="numpy")
    assert report["interrupted"] and report["answer"] == "open"
    assert {row["name"] for row in report["tables"]["losses"]} == {"plain-8"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": 21}, "6n \\+ 2 layers"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"moments": (-1,)}, "a moment must be from 0"),
    ],
)
def test_impossible_networks(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        lab.gradient_flow(out=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


# Aftermath


@pytest.fixture(scope="module")
def after():
    options = {"depths": 20, "at": 2, "steps": 4, "batch_size": 8, "seeds": 2, "kernels": "numpy"}
    return lab.aftermath(interventions=aftermath.INTERVENTIONS, **options)


def test_every_intervention_of_every_seed_is_a_row(after):
    rows = after["tables"]["interventions"]
    assert [(row["seed"], row["intervention"]) for row in rows] == [
        (seed, name) for seed in (0, 1) for name in aftermath.INTERVENTIONS]  # fmt: skip
    numbers = ("log10_ratio_start", "log10_ratio_at", "log10_ratio_end", "loss_end")
    assert all(math.isfinite(row[key]) for row in rows for key in numbers)
    assert [(row["seed"], row["network"], row["step"]) for row in after["tables"]["outputs"]] == [
        (seed, name, step) for seed in (0, 1) for name in ("plain-20", "residual-20") for step in (0, 1, 2)
    ]  # fmt: skip


def test_all_but_the_classifier_put_back_explodes_as_at_the_start(after):
    rows = {row["intervention"]: row for row in after["tables"]["interventions"] if row["seed"] == 0}
    back = rows["all but the classifier"]
    assert back["log10_ratio_at"] == pytest.approx(back["log10_ratio_start"], abs=0.4)
    assert rows["nothing"]["log10_ratio_at"] != pytest.approx(back["log10_ratio_at"], abs=1e-6)


@pytest.mark.parametrize("name", aftermath.PUT_BACK)
def test_what_is_put_back(name):
    network = Network(8, skip=False)
    model = network.build(0)
    start = model.state_dict()
    rng = np.random.default_rng(0)
    for _, parameter in model.named_parameters():
        parameter.data += rng.standard_normal(parameter.shape).astype(np.float32)
    moved = model.state_dict()
    aftermath.put_back(model, start, aftermath.PUT_BACK[name])
    expected = {
        "nothing": set(),
        "convolutions": {key for key in start if "conv" in key},
        "scales": {key for key in start if "bn" in key and key.endswith("weight")},
        "shifts": {key for key in start if "bn" in key and key.endswith("bias")},
        "scales and shifts": {key for key in start if "bn" in key and key.endswith(("weight", "bias"))},
        "all but the classifier": {key for key in start if not key.startswith("fc")},
    }[name]
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, start[key] if key in expected else moved[key], err_msg=key)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.1 * (0.5 + 0.5**1.5), 0.05, 0.1 * (0.5 - 0.5**1.5)]),
        ({"begin": 2}, [0.05, 0.1 * (0.5 - 0.5**1.5)]),
        ({"end": 1}, [0.1]),
        ({"warmup": 2}, [0.05, 0.075 * (0.5 + 0.5**1.5), 0.05, 0.1 * (0.5 - 0.5**1.5)]),
    ],
)
def test_learning_rates_of_a_training_in_parts(monkeypatch, options, expected):
    """Those of a cosine over 4 steps, wherever it begins."""
    rates = []
    step = SGD.step

    def noting(optimizer):
        rates.append(optimizer.param_groups[0]["lr"])
        step(optimizer)

    monkeypatch.setattr(SGD, "step", noting)
    with kernels.use("numpy"):
        record = train(Network(8, skip=True).build(0), load_images().batches(8, 0), 4, 0.1, **options)
    assert rates == pytest.approx(expected) and len(record["losses"]) == len(expected)


def test_one_seed_settles_nothing(after):
    one = lab.aftermath(depths=8, at=1, steps=2, batch_size=8, interventions=("nothing",), kernels="numpy")
    assert one["answer"] == "open" and "One seed" in one["open"]
    said = "\n".join(lines_of(after))
    for words in ("before training: 10^", "the convolutions' values go back", "directions", "between on and off"):
        assert words in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interventions": "magic"}, "unknown intervention 'magic'; known: nothing, convolutions"),
        ({"at": 80}, "at must be from 1 to steps - 1, 79, got 80"),
        ({"depths": 9}, "6n \\+ 2 layers"),
    ],
)
def test_impossible_interventions(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        lab.aftermath(out=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_verdict_over_seeds():
    """The words follow from the rows, whatever they are."""
    names = ("nothing", "convolutions", "scales")
    loss = {"nothing": 2.29, "convolutions": 1.9, "scales": 2.28}

    def rows(seed, **changed):
        return [{"depth": 56, "lr": 0.05, "seed": seed, "intervention": name, "log10_ratio_start": 3.6,
                 "log10_ratio_at": -1.0, "log10_ratio_end": -1.0, "loss_at": 2.3, "guessing": math.log(10),
                 "loss_end": {**loss, **changed}[name]} for name in names]  # fmt: skip

    settings = {**find("aftermath").settings, "seeds": 2, "seed": 0, "interventions": names}
    judged = aftermath.judge({"interventions": rows(0) + rows(1), "outputs": []}, settings)
    assert judged.answer == "half right" and "convolutions in 2 of 2 seeds, scales in 0 of 2 seeds" in judged.words
    judged = aftermath.judge({"interventions": rows(0) + rows(1, convolutions=2.29), "outputs": []}, settings)
    assert judged.answer == "open" and "convolutions in 1 of 2 seeds" in judged.words
    look = {"depth": 56, "lr": 0.05, "network": "plain-56", "output": "layer1.8", "likeness": 0.5, "flipped": 0.48}
    ranks = ((0, 40.0), (1, 2.0))
    looks = [{**look, "seed": seed, "step": step, "rank": rank} for seed in (0, 1) for step, rank in ranks]
    judged = aftermath.judge({"interventions": rows(0) + rows(1), "outputs": looks}, settings)
    assert judged.answer == "half right" and "layer1.8 fills 2.0 directions instead of 40.0" in judged.words
    looks[1]["rank"] = 30.0
    judged = aftermath.judge({"interventions": rows(0) + rows(1), "outputs": looks}, settings)
    assert judged.answer == "open" and "not so in 2 seeds" in judged.words
    judged = aftermath.judge({"interventions": rows(0) + rows(1, nothing=1.0), "outputs": []}, settings)
    assert judged.answer == "open" and "learns by itself" not in judged.words
    judged = aftermath.judge({"interventions": rows(0, nothing=0.5) + rows(1, nothing=1.0), "outputs": []}, settings)
    assert judged.answer == "open" and "learns by itself, to a loss of 0.50 … 1.00" in judged.words
    judged = aftermath.judge({"interventions": rows(0) + rows(1, nothing=None), "outputs": []}, settings)
    assert "it diverges" in "\n".join(judged.lines)


# What the early layers say


def test_outputs_are_those_of_the_forward_pass():
    images, labels = (array[:6] for array in load_digits()[:2])
    model = Network(8, skip=True).build(0)
    outputs = outputs_of(model, images, labels)
    assert [*outputs] == ["stem", "layer1.0", "layer2.0", "layer3.0"]
    assert outputs["layer3.0"].shape == (6, 64, 2, 2)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_describe_on_outputs_of_which_all_is_known():
    alike = {"differing": 0.0, "likeness": pytest.approx(1), "rank": 0.0, "positive": 1.0, "fixed": 1.0}
    assert describe(np.ones((5, 2, 3, 3))) == alike
    rng = np.random.default_rng(0)
    one_direction = rng.standard_normal((5, 1)) * rng.standard_normal((1, 18))
    assert describe(one_direction)["rank"] == pytest.approx(1)
    apart = np.eye(4)
    found = describe(apart)
    assert found["rank"] == pytest.approx(3) and found["likeness"] == pytest.approx(0)
    assert found["positive"] == 0.25 and found["fixed"] == 0.0
    assert found["differing"] == pytest.approx(0.75)
    assert describe(np.zeros((3, 4)))["differing"] is None
    assert flipped(np.array([[1.0, -1.0, 2.0, -2.0]]), np.array([[1.0, 1.0, -2.0, -2.0]])) == 0.5
