"""What recipes can say besides: one-cycle, cutout, mixup, weights of classes, no decay of norms, drop_last."""

import numpy as np
import pytest

from minires import Tensor, data, nn, ops, optim, runs, training
from minires.runs import Recipe
from minires.runs.building import without_decay_of_norms

rng = np.random.default_rng(0)
LATER = ("drop_last", "mixup", "class_weights", "decay_norms")


def built(*settings):
    return runs.build(runs.resolve("digits", ["model.width=4", "steps=6", *settings]))


def test_every_one_can_be_set_and_is_kept():
    settings = ["drop_last=true", "mixup=0.4", "class_weights=[1, 0.5]", "decay_norms=false", 'augmentation=["cutout"]']
    recipe = runs.resolve("he2015", [*settings, "schedule.name=onecycle", "schedule.pct_start=0.2"])
    assert (recipe.drop_last, recipe.mixup, recipe.class_weights, recipe.decay_norms) == (True, 0.4, [1, 0.5], False)
    assert recipe.schedule.name == "onecycle" and recipe.schedule.pct_start == 0.2
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    plain = runs.resolve("he2015")
    assert not set(LATER) & set(plain.to_dict()) and set(LATER) <= set(plain.to_dict(complete=True))
    assert Recipe.from_dict(plain.to_dict()) == plain


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mixup=-1", "mixup must be at least 0"), ("class_weights=[1, -1]", "class_weights must be at least 0"),
        ("drop_last=1", "drop_last must be true or false"), ("decay_norms=0", "decay_norms must be true or false"),
        ("class_weights=2", "class_weights must be a list"), ("schedule.name=one", "unknown schedule 'one'"),
    ],
)  # fmt: skip
def test_other_values_are_refused(setting, message):
    with pytest.raises((ValueError, TypeError), match=message):
        runs.resolve("digits", [setting])


def test_another_kind_drops_the_old_ones_options_and_says_so(capsys):
    recipe = runs.resolve("he2015", ["schedule.name=cosine", "optimizer.name=adam", "optimizer.lr=0.01"])
    assert recipe.schedule.name == "cosine" and recipe.optimizer.lr == 0.01
    said = capsys.readouterr().err
    assert "the schedule is cosine in place of multistep, which had milestones=[32000, 48000], gamma=0.1" in said
    assert "the optimizer is adam in place of sgd, which had momentum=0.9, weight_decay=0.0001" in said
    runs.resolve("he2015", ["schedule.name=multistep", "schedule.gamma=0.5", "optimizer.lr=0.2"])
    runs.resolve("digits", ["schedule.name=constant"])
    assert "multistep" not in capsys.readouterr().err


def test_no_decay_of_norms_and_biases():
    trainer = built("decay_norms=false", "optimizer.weight_decay=0.5")
    decay = {id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    named = dict(trainer.model.named_parameters())
    assert len(decay) == len(named)
    for name, parameter in named.items():
        matrix = name.endswith("weight") and ("conv" in name or "fc" in name)
        assert decay[id(parameter)] == (0.5 if matrix else 0), name
    assert {group["weight_decay"] for group in built("optimizer.weight_decay=0.5").optimizer.param_groups} == {0.5}


def test_groups_keep_their_rates():
    wide, narrow = Tensor(np.ones((2, 2)), requires_grad=True), Tensor(np.ones(2), requires_grad=True)
    head = Tensor(np.ones(3), requires_grad=True)
    split = without_decay_of_norms([{"params": [wide, narrow], "lr": 1.0}, {"params": [head], "lr": 9.0}])
    optimizer = optim.SGD(split, lr=0.1, weight_decay=0.5)
    found = [(group["params"], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert found == [([wide], 1.0, 0.5), ([narrow], 1.0, 0.0), ([head], 9.0, 0.0)]


def test_cutout_against_loops():
    images = rng.integers(1, 255, (5, 3, 7, 9), dtype=np.uint8)
    draws, fill = rng.random((5, 2)), np.array([10.4, 20.6, 30.0])
    for size in (1, 3, 4, None):
        cut = data.Cutout(size, fill)(images, draws)
        assert cut.dtype == np.uint8
        side = size or 3
        for n in range(5):
            y, x = int(draws[n, 0] * 7) - side // 2, int(draws[n, 1] * 9) - side // 2
            for i in range(7):
                for j in range(9):
                    inside = y <= i < y + side and x <= j < x + side
                    expected = [10, 21, 30] if inside else images[n, :, i, j]
                    assert cut[n, :, i, j].tolist() == list(expected)
    assert not data.Cutout(40)(images, draws).any(), "black, where no colour is given"
    floats = images.astype(np.float32)
    assert data.Cutout(2, fill)(floats, draws).dtype == np.float32
    with pytest.raises(ValueError, match="size must be at least 1"):
        data.Cutout(0)


def test_a_cutout_of_the_mean_is_zero_after_the_normalization():
    trainer = built('augmentation=["cutout"]')
    images, _ = next(trainer.loader.epoch(0))
    assert (np.abs(images).reshape(len(images), -1) < 0.02).sum(axis=1).min() >= 4  # a quarter of 4×4, at a corner


def test_mixup_by_hand():
    images = rng.standard_normal((4, 1, 2, 2)).astype(np.float32)
    labels = np.array([2, 0, 1, 1])
    mixed, soft = data.mixup(images, labels, 3, 0.7, np.random.default_rng(5))
    generator = np.random.default_rng(5)
    share, other = generator.beta(0.7, 0.7), generator.permutation(4)
    for n in range(4):
        np.testing.assert_allclose(mixed[n], share * images[n] + (1 - share) * images[other[n]], rtol=1e-6)
        expected = np.zeros(3)
        expected[labels[n]] += share
        expected[labels[other[n]]] += 1 - share
        np.testing.assert_allclose(soft[n], expected, rtol=1e-6)
    assert mixed.dtype == soft.dtype == np.float32
    with pytest.raises(ValueError, match="alpha must be above 0"):
        data.mixup(images, labels, 3, 0.0, generator)


def small_trainer(mixup=0.0, **options):
    images = np.random.default_rng(7).standard_normal((40, 1, 4, 4)).astype(np.float32)
    labels = np.arange(40) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), seed=0)
    loader = data.Loader(images, labels, 10, seed=1, prefetch=0, mixup=mixup, num_classes=3)
    return training.Trainer(model, loader, optim.SGD(model.parameters(), lr=0.1), **options)


def test_mixed_batches_are_a_function_of_seed_and_step():
    plain, mixed = small_trainer().loader, small_trainer(mixup=1.0).loader
    ahead = data.Loader(plain.images, plain.labels, 10, seed=1, prefetch=2, mixup=1.0, num_classes=3)
    for step in (0, 3, 6):  # of 4 batches an epoch
        images, labels = next(plain.stream(step))
        wanted = data.mixup(images, labels, 3, 1.0, np.random.default_rng([1, step, 2]))
        for loader in (mixed, ahead):
            for array, expected in zip(next(loader.stream(step)), wanted, strict=True):
                np.testing.assert_array_equal(array, expected)
    with pytest.raises(ValueError, match="mixup needs num_classes"):
        data.Loader(plain.images, plain.labels, 10, mixup=1.0)


@pytest.mark.parametrize("options", [{}, {"class_weights": np.array([0.5, 2.0, 1.0], np.float32)}])
@pytest.mark.parametrize("mixed", [0.0, 0.6])
def test_accumulation_changes_nothing(options, mixed):
    """Without batch norm: the same gradient in one part as in three, whose masses differ."""
    grads = []
    for accumulation in (1, 3, 9):
        trainer = small_trainer(accumulation=accumulation, mixup=mixed, **options)
        images, labels = next(trainer.loader.stream(0))
        record = trainer.train_step(images, labels)
        grads.append((record["loss"], [parameter.grad.copy() for parameter in trainer.model.parameters()]))
    for loss, arrays in grads[1:]:
        assert loss == pytest.approx(grads[0][0], rel=1e-5)
        for array, wanted in zip(arrays, grads[0][1], strict=True):
            np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6)


def test_class_weights_are_those_of_the_loss():
    weights = np.array([0.5, 2.0, 1.0], np.float32)
    trainer = small_trainer(class_weights=weights)
    images, labels = next(trainer.loader.stream(0))
    logits = trainer.model(Tensor(images))
    wanted = ops.cross_entropy(logits, labels, weight=weights).item()
    assert trainer.train_step(images, labels)["loss"] == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="class_weights has 2 numbers, and .* has 10 classes: 0, 1"):
        built("class_weights=[1, 2]")


@pytest.mark.parametrize(
    ("N", "accumulation", "parts"),
    [
        (7, 3, [3, 4]), (10, 3, [4, 4, 2]), (9, 4, [3, 3, 3]), (4, 4, [1, 1, 1, 1]), (5, 2, [3, 2]), (1, 3, [1]),
        (5, 9, [1] * 5), (129, 2, [65, 64]), (128, 1, [128]),
    ],
)  # fmt: skip
def test_a_part_of_one_image_goes_with_the_part_before(N, accumulation, parts):
    found = training.parts_of(N, accumulation)
    assert [end - start for start, end in found] == parts
    assert found[0][0] == 0 and found[-1][1] == N and all(a[1] == b[0] for a, b in zip(found, found[1:], strict=False))


def test_one_image_alone_does_not_stop_a_training(capsys):
    """The digits train on 1438 images: 1438 = 3 · 479 + 1. It is said once, and drop_last leaves it out."""
    trainer = built("batch_size=479", "steps=3")
    assert len(trainer.loader) == 3
    assert capsys.readouterr().err.count("leave one alone; each epoch's last batch has it in addition") == 1
    sizes = [len(labels) for _, labels in trainer.loader.epoch(0)]
    assert sizes == [479, 479, 480]
    dropped = built("batch_size=479", "drop_last=true")
    assert [len(labels) for _, labels in dropped.loader.epoch(0)] == [479] * 3
    assert "alone" not in capsys.readouterr().err


def test_all_of_it_together_trains_and_goes_on_to_the_same_bytes():
    settings = ["mixup=0.5", 'augmentation=["crop", "cutout"]', "class_weights=[1,1,2,1,1,1,1,1,1,0.5]",
                "decay_norms=false", "schedule.name=onecycle", "drop_last=true", "batch_size=64"]  # fmt: skip
    trainer = built(*settings)
    losses = []
    trainer.train(6, lambda record: losses.append(record.get("loss")))
    rates = [trainer.schedule.lr_at(step, 0.1) for step in range(7)]
    assert max(rates) <= 0.1 and rates[0] == pytest.approx(0.1 / 25) and np.isfinite(losses[0])
    again = built(*settings)
    again.train(6, losses.append)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, again.model.state_dict()[name], err_msg=name)
