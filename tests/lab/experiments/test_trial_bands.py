"""Bands of the experiments at smaller settings and fixed seeds. A training's numbers depend on the processor: wide."""

import math
from math import comb

import numpy as np
import pytest

from minires import models, nn, ops
from minires.engine import Tensor
from minires.lab import trials
from minires.lab.experiments import (
    activations,
    batch_norm,
    degradation,
    landscape,
    lesion,
    no_norm,
    optimizers,
    paths,
    preactivation,
    shattered_gradients,
    shortcuts,
    stem,
    width,
)
from minires.lab.networks import Images, load_images
from minires.lab.progress import Progress


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def rows_of(module, **changed):
    """Carry an experiment out in silence; return its tables."""
    experiment = module.EXPERIMENT
    settings = experiment.resolve(False, None, changed)
    tables = {}
    for table, row in experiment.run(settings, Progress()):
        tables.setdefault(table, []).append(row)
    return tables, settings


def test_scatter_follows_the_sum_of_one_over_width():
    tables, _ = rows_of(width, widths=(20, 80), depths=(20,), seeds=100)
    narrow, wide = tables["draws"]
    assert (narrow["beta"], wide["beta"]) == (1.0, 0.25)
    assert 2.5 < narrow["var_log"] < 11 and 0.6 < wide["var_log"] < 2.6
    assert narrow["draws"] == 100 and narrow["dead"] < 30


def test_plain_gradients_shatter_under_batch_norm_alone():
    def lag_1(name):
        values = []
        for seed in range(4):
            _, grad = shattered_gradients.gradients(shattered_gradients.NETS[name], points=128, width=100, seed=seed)
            values.append(shattered_gradients.autocorrelation(grad, 1))
        return np.mean(values)

    noise, quiet = lag_1("plain-24, batch norm"), lag_1("residual-50, batch norm, branches × 0.1")
    assert abs(noise) < 0.25 and quiet > noise + 0.15
    assert lag_1("one layer") > 0.85 and lag_1("plain-24, no norm") > 0.6


def test_autocorrelation_of_known_series():
    assert shattered_gradients.autocorrelation(np.sin(np.linspace(0, 6, 5000)), 1) > 0.99
    assert shattered_gradients.autocorrelation(np.array([1.0, -1] * 50), 1) == pytest.approx(-0.99)


def test_gradients_of_the_line_are_differences():
    net = shattered_gradients.NETS["plain-24, no norm"]
    x, grad = shattered_gradients.gradients(net, points=9, width=20, seed=0)
    finer, _ = shattered_gradients.gradients(net, points=17, width=20, seed=0)
    assert x[0] == -2 and x[-1] == 2 and len(finer) == 17 and grad.shape == (9,)


# log10 of the ratio at 50 layers, from an independent NumPy program.
@pytest.mark.parametrize(
    ("name", "skip", "norm", "expected", "margin"),
    [
        ("relu", False, True, math.log10(7.8e3), 0.4), ("elu", False, True, math.log10(8.9), 0.4),
        ("selu", False, True, math.log10(12), 0.4), ("relu", True, True, math.log10(24), 0.4),
        ("elu", True, True, math.log10(6.5), 0.4), ("elu", False, False, math.log10(0.052), 0.6),
        ("selu", False, False, math.log10(6.5), 0.6),
    ],
)  # fmt: skip
def test_activations_in_the_twins(name, skip, norm, expected, margin):
    activation = activations.ACTIVATIONS[name]
    logs = [activations.log10_ratio(activation, skip, norm, 50, seed) for seed in range(2)]
    assert np.mean(logs) == pytest.approx(expected, abs=margin)


def test_counts_of_paths():
    assert paths.share(54, 19, 35) == pytest.approx(0.98, abs=5e-4)
    assert paths.share(54, 5, 17) == pytest.approx(0.00454, abs=5e-6)
    tables, settings = rows_of(paths, depth=8, width=4, steps=2, samples=3)
    counts = [row for row in tables["counts"] if row["blocks"] == 3]
    assert [row["paths"] for row in counts] == [1, 3, 3, 1]
    assert all(row["error_of_sum"] < 1e-9 for row in tables["lengths"])
    assert len(tables["lengths"]) == 2 * 4 and paths.judge(tables, settings).findings[2].inside


def test_the_middle_path_is_where_half_the_weight_lies():
    rows = [{"length": k, "paths": comb(4, k), "mean_norm": 1.0} for k in range(5)]
    assert paths.middle(rows) == 2
    rows = [{**row, "mean_norm": 0.1 ** row["length"]} for row in rows]
    assert paths.middle(rows) == 0
    assert paths.factor_per_branch(rows) == pytest.approx(0.1)


@pytest.mark.slow
def test_the_deeper_plain_network_is_worse_on_its_own_images():
    tables, settings = rows_of(degradation, depths=(8, 44), steps=40)
    found = degradation.judge(tables, settings)
    plain, residual, ratio = [finding.value for finding in found.findings]
    assert plain > 0.6 and residual < 0.6 and ratio > 1.5
    assert found.answer == "right", found


def test_a_deleted_residual_block_leaves_its_shortcut(digits):
    model = models.cifar_resnet(14, in_channels=1, width=4, seed=0).eval()
    x = Tensor(digits.test[0][:5])
    h = model.relu(model.bn1(model.conv1(x)))
    blocks = [block for stage in (model.layer1, model.layer2, model.layer3) for block in stage]
    for number, block in enumerate(blocks):
        h = ops.relu(block.downsample(h)) if number in (1, 2) else block(h)
    expected = model.fc(model.avgpool(h)).data
    whole = model(x).data
    with lesion.without(model, [1, 2]):
        np.testing.assert_allclose(model(x).data, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model(x).data, whole)
    assert not np.allclose(whole, expected)


def test_a_swap_is_undone_also_after_an_error(digits):
    model = models.cifar_resnet(14, in_channels=1, width=4, seed=0).eval()
    assert lesion.swappable(model) == []  # two blocks a stage, of which the first has another shape
    model = models.cifar_resnet(20, in_channels=1, width=4, seed=0).eval()
    assert lesion.swappable(model) == [(1, 2), (4, 5), (7, 8)]
    before = [stage.layers for stage in (model.layer1, model.layer2, model.layer3)]
    with pytest.raises(ZeroDivisionError), lesion.swapped(model, 1, 2):
        assert model.layer1.layers == (before[0][0], before[0][2], before[0][1])
        raise ZeroDivisionError
    assert [stage.layers for stage in (model.layer1, model.layer2, model.layer3)] == before


def test_a_plain_block_is_replaced_by_what_its_shortcut_would_be(digits):
    plain = models.cifar_resnet(8, in_channels=1, width=4, skip=False, seed=0).eval()
    with lesion.without(plain, [0, 1, 2]):
        logits = plain(Tensor(digits.test[0][:5]))
    assert logits.shape == (5, 10)


def test_a_direction_has_the_weights_norms_filter_by_filter(digits):
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0)
    drawn = landscape.direction(model, seed=1)
    weights = {name: weight.data for name, weight in model.named_parameters() if weight.ndim >= 2}
    assert drawn.keys() == weights.keys()
    for name, weight in weights.items():
        norms = [np.linalg.norm(array.reshape(len(weight), -1), axis=1) for array in (drawn[name], weight)]
        np.testing.assert_allclose(norms[0], norms[1], rtol=1e-5)


def test_the_slice_goes_through_the_trained_weights_and_leaves_them(digits):
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0)
    before = model.state_dict()
    some = trials.some(digits, "train", 32)
    first, second = landscape.direction(model, 1), landscape.direction(model, 2)
    found = {(a, b): loss for a, b, loss in landscape.losses_on_slice(model, *some, first, second, (-0.5, 0.0, 0.5))}
    expected = ops.cross_entropy(model.eval()(Tensor(some[0])), some[1]).item()
    assert len(found) == 9 and found[0.0, 0.0] == pytest.approx(expected, rel=1e-4)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    parameters = dict(model.named_parameters())
    for name in first:
        parameters[name].data[...] += 0.5 * first[name] - 0.5 * second[name]
    moved = ops.cross_entropy(model(Tensor(some[0])), some[1]).item()
    assert found[0.5, -0.5] == pytest.approx(moved, rel=1e-3)


def test_which_points_of_a_slice_are_not_convex():
    a, b = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    assert landscape.share_not_convex(np.exp(a**2 + b**2)) == 0
    assert landscape.share_not_convex(np.exp(a**2 - b**2)) == 1
    assert landscape.share_below(np.array([[0.5, 2.0], [np.nan, 0.1]]), 1.0) == 0.5


def test_order_of_the_shortcuts_at_the_start(digits):
    batch = trials.first_batch(digits, 16, 0)

    def log10(kind):
        model = shortcuts.build(kind, 56, 1, 4, seed=0)
        return shortcuts.log10_ratio(shortcuts.measure(model, *batch))

    identity, always, plain = (
        log10(kind) for kind in ("identity (option A)", "1×1 convolution alone (always)", "none (plain)")
    )
    assert 0 < identity < 2.5 and always > identity + 0.3 and plain > identity + 1


def test_rank_correlation():
    assert shortcuts.rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert shortcuts.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_only_preactivation_hands_the_gradient_on_unchanged(digits):
    batch = trials.first_batch(digits, 8, 0)
    kept = {}
    for order, (block, _) in preactivation.ORDERS.items():
        model = models.cifar_resnet(20, block=block, in_channels=1, width=4, seed=0)
        kept[order] = preactivation.arriving(model, *batch)
    exact = [order for order, value in kept.items() if abs(value - 1) < 1e-9]
    assert exact == ["ReLU before the addition", "ReLU-only pre-activation", "full pre-activation"]
    assert kept["original"] < 0.97


def test_signal_without_norm_and_with_scaled_branches(digits):
    images, _ = trials.first_batch(digits, 8, 0)

    def growth(name):
        norm, init = no_norm.STARTS[name]
        return no_norm.variance_growth(
            models.cifar_resnet(44, in_channels=1, width=4, norm=norm, init=init, seed=0), images
        )

    assert growth("nothing") > 2
    assert abs(growth("SkipInit, 0")) < 1 and abs(growth("Fixup")) < 1 and abs(growth("SkipInit, 1/√blocks")) < 1.5


def test_identities_of_batch_norm():
    found = batch_norm.identities(seed=5)
    assert len(found) == 5
    for name, (value, expected) in found.items():
        assert value == pytest.approx(expected, abs=1e-6), name


def test_the_two_modes_differ_where_batches_are_small(digits):
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0)
    trials.train(model, digits, 60, 0.05, 0)
    trials.settle(model, digits)
    before = model.state_dict()
    small, large = ([batch_norm.predictions(model, digits.test[0][:128], size, mode) for mode in (True, False)]
                    for size in (2, 64))  # fmt: skip
    assert (small[0] != small[1]).mean() > (large[0] != large[1]).mean() + 0.05
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


def test_settled_statistics_are_those_of_the_weights_now(digits):
    model = models.cifar_resnet(8, in_channels=1, width=4, seed=0)
    trials.settle(model, digits, batches=60)
    stem_output = model.conv1(Tensor(digits.train[0])).data
    np.testing.assert_allclose(model.bn1.running_mean, stem_output.mean(axis=(0, 2, 3)), atol=0.1)
    np.testing.assert_allclose(model.bn1.running_var, stem_output.var(axis=(0, 2, 3)), rtol=0.2)


def test_sizes_and_costs_of_the_stems():
    expected = {"cifar": (555.4, [32, 32, 16, 8, 4]), "imagenet": (37.0, [16, 8, 8, 4, 2, 1])}
    for name, (millions, heights) in expected.items():
        model = models.resnet18(num_classes=10, stem=name, init=None)
        assert nn.totals(model, (3, 32, 32)).multiply_adds / 1e6 == pytest.approx(millions, abs=0.05)
        assert [row["height"] for row in stem.sizes(model, (3, 32, 32))] == heights


def test_the_ways_step_as_they_say(digits):
    """One step each by hand: momentum starts at zero, L1 pulls by its sign, L2 by the weight."""
    for name in ("SGD 0.01, alone", "SGD, momentum, strong L1", "SGD, momentum, strong L2"):
        way = optimizers.WAYS[name]
        model, same = (models.cifar_resnet(8, in_channels=1, width=4, seed=0) for _ in range(2))
        images, labels = trials.first_batch(digits, 64, 0, "float32")
        ops.cross_entropy(same.train()(Tensor(images)), labels).backward()
        losses = optimizers.train(model, digits, way, 1, 64, 0, lambda timed: None)
        w, grad = same.conv1.weight.data, same.conv1.weight.grad
        step = way.lr * (grad + way.l1 * np.sign(w) + way.l2 * w)
        np.testing.assert_allclose(model.conv1.weight.data, w - step, rtol=1e-4, atol=1e-6)
        assert len(losses) == 1 and math.isfinite(losses[0])


def test_a_training_that_diverges_says_when(digits):
    model = models.cifar_resnet(8, in_channels=1, width=4, norm="none", seed=0)
    progress = Progress()
    progress.start(20)
    done = trials.train(model, digits, 20, 1e4, 0, progress=progress)
    assert done.diverged_at == len(done.losses) + 1 <= 20 and done.loss is None and progress.done == 20


def test_images_begin_with_the_batch_that_a_training_sees(digits):
    images, labels = trials.first_batch(digits, 16, 3)
    first = next(digits.batches(16, 3).epoch(0))
    np.testing.assert_array_equal(images, first[0])
    np.testing.assert_array_equal(labels, first[1])
    assert images.dtype == np.float64 and digits.channels == 1


def test_some_images_are_those_that_batches_hold():
    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(0, 256, (10, 3, 4, 4), np.uint8), np.arange(10) % 2
    scale = {"mean": np.array([100, 90, 80], np.float32), "std": np.array([50, 60, 70], np.float32)}
    images = Images("made", (pixels, labels), (pixels[:4], labels[:4]), 2, scale)
    found, names = trials.some(images, "train", 6)
    expected = (pixels[:6] - scale["mean"][:, None, None]) / scale["std"][:, None, None]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(names, labels[:6])
    assert len(trials.some(images, "test")[0]) == 4
