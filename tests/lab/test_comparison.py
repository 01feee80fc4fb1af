"""The comparison of plain and residual twins: right gradients, equal starts, complete files, honest zeros."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from minires import kernels, lab, models, ops, training
from minires.data import Loader, load_digits
from minires.engine import Tensor
from minires.lab.gradient_norms import measure
from minires.lab.networks import Network
from minires.optim import SGD, CosineAnnealingLR

IMAGES, LABELS = (array[:16] for array in load_digits()[:2])


def network(depth=8, skip=True, init="he", norm="batch", activation="relu"):
    return Network(depth, skip, init, norm, activation)


def log10_ratio(depth, skip, init="he", norm="batch"):
    logs = measure(network(depth, skip, init, norm).build(seed=0), IMAGES, LABELS)["log10_grad_h"]
    return logs[0] - logs[-1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return lab.compare(depths=(8, 14), steps=3, seeds=2, batch_size=16, out=out)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gradients_of_the_outputs(skip, norm):
    """Each ‖dL/dh‖ again, by cutting the network at that output and making h a leaf."""
    model = network(14, skip, norm=norm).build(seed=1)
    profile = measure(model, IMAGES, LABELS)

    model.to("float64")
    blocks = [*model.layer1, *model.layer2, *model.layer3]
    h = model.relu(model.bn1(model.conv1(Tensor(IMAGES.astype(np.float64)))))
    expected = []
    for i in range(len(blocks) + 1):
        leaf = Tensor(h.data, requires_grad=True)
        y = leaf
        for block in blocks[i:]:
            y = block(y)
        ops.cross_entropy(model.fc(ops.global_avg_pool2d(y)), LABELS).backward()
        expected.append(np.sqrt((leaf.grad**2).sum()))
        h = blocks[i](Tensor(h.data)) if i < len(blocks) else h
    assert profile["outputs"] == ["stem", *(f"layer{stage}.{i}" for stage in (1, 2, 3) for i in (0, 1))]
    np.testing.assert_allclose(profile["grad_h"], expected, rtol=1e-9)


def test_gradients_of_the_weights():
    model = network(8).build(seed=0)
    profile = measure(model, IMAGES, LABELS)
    model.to("float64")
    ops.cross_entropy(model(Tensor(IMAGES.astype(np.float64))), LABELS).backward()
    assert len(profile["weights"]) == 8  # an 8-layer network: 7 convolutions and the classifier
    for name, grad_w, relative in zip(profile["weights"], profile["grad_w"], profile["relative_grad_w"], strict=True):
        weight = dict(model.named_parameters())[name]
        assert grad_w == pytest.approx(np.sqrt((weight.grad**2).sum()), rel=1e-9)
        assert relative == pytest.approx(grad_w / np.sqrt((weight.data**2).sum()), rel=1e-9)


def test_outputs_of_preactivation_and_bottleneck_blocks_are_found():
    for name in ("preact_resnet20", "resnet50"):
        model = models.make(name, in_channels=1, num_classes=10, stem="cifar", seed=0)
        outputs = measure(model, IMAGES[:4], LABELS[:4])["outputs"]
        assert outputs[0] == "stem" and len(outputs) == (10 if name == "preact_resnet20" else 17)


def test_measuring_changes_nothing():
    model = network().build(seed=0)
    before = model.state_dict()
    model.eval()
    measure(model, IMAGES, LABELS)
    after = model.state_dict()
    assert not model.training
    assert all(parameter.grad is None and parameter.dtype == np.float32 for parameter in model.parameters())
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_twins_start_equal(norm):
    plain = network(14, skip=False, norm=norm).build(seed=3).state_dict()
    residual = network(14, skip=True, norm=norm).build(seed=3).state_dict()
    assert list(plain) == list(residual)
    assert all(np.array_equal(plain[name], residual[name]) for name in plain)


def test_initialization_norm_and_skip_each_do_something_else():
    """Without norm PyTorch's default vanishes; with batch norm plain networks explode backwards; skips flatten both."""
    assert log10_ratio(56, skip=False, init="pytorch", norm="none") < -20
    assert abs(log10_ratio(56, skip=True, init="pytorch", norm="none")) < 1
    assert log10_ratio(56, skip=False) > 3 > log10_ratio(20, skip=False) > 0.8
    assert 0 < log10_ratio(56, skip=True) < 2
    assert log10_ratio(56, skip=False, init="he", norm="none") > -8  # He's initialization vanishes far less


def test_report(report):
    assert [entry["name"] for entry in report["networks"]] == ["plain-8", "residual-8", "plain-14", "residual-14"]
    assert report["seeds"] == report["trained_seeds"] == [0, 1] and report["interrupted"] is False
    for entry in report["networks"]:
        assert [run["seed"] for run in entry["runs"]] == [0, 1]
        for run in entry["runs"]:
            assert len(run["trained"]["losses"]) == 3 and 0 <= run["trained"]["test_accuracy"] <= 1
            for profile in (run["initial"], run["trained"]["gradients"]):
                assert len(profile["outputs"]) == entry["depth"] // 2 and len(profile["weights"]) == entry["depth"]
                for quantity in ("grad_h", "grad_w", "relative_grad_w"):
                    values, logs = profile[quantity], profile[f"log10_{quantity}"]
                    assert all(math.isfinite(value) and value > 0 for value in values)
                    np.testing.assert_allclose(logs, [math.log10(value) for value in values], rtol=1e-12)
    first = report["networks"][0]["runs"]
    assert first[0]["initial"]["loss"] == pytest.approx(first[0]["trained"]["losses"][0], rel=1e-5)  # the same batch
    assert first[0]["initial"]["grad_h"] != first[1]["initial"]["grad_h"]
    assert first[0]["initial"]["grad_h"] != first[0]["trained"]["gradients"]["grad_h"]


def test_moments(report):
    assert report["moments"] == [0, 1, 2, 3]
    for entry in report["networks"]:
        for run in entry["runs"]:
            moments = run["trained"]["moments"]
            assert [norms["step"] for norms in moments] == [1, 2, 3]
            assert moments[-1]["log10_grad_h"] == run["trained"]["gradients"]["log10_grad_h"]
            assert moments[0]["log10_grad_h"] != run["initial"]["log10_grad_h"]


def test_a_moment_is_what_measuring_after_so_many_steps_gives():
    """Steps taken here by hand, from the same batches, lead to the same gradients."""
    report = lab.compare(depths=8, skip=False, seeds=1, steps=6, moments=(2,), batch_size=16, lr=0.01, kernels="numpy")
    model = network(skip=False).build(seed=0)
    images, labels, _, _ = load_digits()
    batches = Loader(images, labels, 16, drop_last=True, seed=0)
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    schedule = CosineAnnealingLR(optimizer, 6)
    with kernels.use("numpy"):
        for batch, _ in zip(batches.epoch(0), range(2), strict=False):
            optimizer.zero_grad()
            ops.cross_entropy(model(Tensor(batch[0])), batch[1]).backward()
            optimizer.step()
            schedule.step()
        expected = measure(model, *next(batches.epoch(0)))
    assert report["moments"] == [0, 2, 6]
    moment = report["networks"][0]["runs"][0]["trained"]["moments"][0]
    np.testing.assert_allclose(moment["log10_grad_h"], expected["log10_grad_h"], atol=1e-4)


def test_learning_rate_and_activation_are_switches():
    options = {"lr": (0.1, 0.001), "activation": ("relu", "elu"), "seeds": 1, "steps": 1, "batch_size": 8}
    report = lab.compare(depths=8, skip=True, **options)
    entries = report["networks"]
    assert [entry["label"] for entry in entries] == [
        f"residual-8, activation {name}, lr {lr}" for name in ("relu", "elu") for lr in (0.1, 0.001)]  # fmt: skip
    fast, slow = entries[0]["runs"][0], entries[1]["runs"][0]
    assert fast["initial"] == slow["initial"] and fast["trained"]["losses"] == slow["trained"]["losses"]
    assert fast["trained"]["moments"][0]["loss"] != slow["trained"]["moments"][0]["loss"]


def test_both_accuracies_are_there(report):
    for row in report["summary"]:
        assert 0 <= row["test_accuracy"] <= 1 and 0 <= row["test_accuracy_batch"] <= 1


def test_other_images(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"train_images": rng.integers(0, 256, (40, 3, 8, 8)), "test_images": rng.integers(0, 256, (20, 3, 8, 8))}
    labels = {"train_labels": np.arange(40) % 4, "test_labels": np.arange(20) % 4}
    np.savez(tmp_path / "few.npz", **{name: array.astype(np.uint8) for name, array in arrays.items()}, **labels)
    report = lab.compare(depths=8, skip=True, seeds=1, steps=1, batch_size=8, data=str(tmp_path / "few.npz"))
    (entry,) = report["networks"]
    assert entry["classes"] == 4 and report["summary"][0]["guessing"] == pytest.approx(math.log(4))


def test_files_hold_the_report(report):
    folder = Path(report["folder"])
    assert folder.name.endswith("-compare-resnet8-14")
    assert json.loads((folder / "report.json").read_text()) == report
    assert json.loads((folder / "config.json").read_text())["arguments"]["depths"] == [8, 14]
    with (folder / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4 * ((4 + 2 * 8) + (7 + 2 * 14))  # skips, seeds, moments, layers
    for row in rows[::37]:
        assert math.log10(float(row["value"])) == pytest.approx(float(row["log10"]))
    with (folder / "losses.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4 * 2 * 3
    with (folder / "moments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 * 4
    first = report["networks"][0]["runs"][0]["initial"]["log10_grad_h"]
    assert float(rows[0]["log10_ratio"]) == pytest.approx(first[0] - first[-1])
    with (folder / "summary.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in report["summary"]]


def test_same_seed_same_report():
    options = dict(depths=8, skip=True, seeds=1, seed=5, steps=2, batch_size=16)
    assert lab.compare(**options) == lab.compare(**options)


def test_switches_multiply_and_default_seeds():
    report = lab.compare(depths=8, init=("he", "pytorch"), norm=("batch", "none"), steps=0, batch_size=8)
    settings = [(entry["init"], entry["norm"], entry["skip"]) for entry in report["networks"]]
    assert settings == [(init, norm, skip) for init in ("he", "pytorch") for norm in ("batch", "none")
                        for skip in (False, True)]
    assert report["seeds"] == [0, 1, 2, 3, 4] and report["trained_seeds"] == [] and report["folder"] is None
    assert all(len(entry["runs"]) == 5 for entry in report["networks"])


def test_without_seeds_only_the_first_is_trained():
    runs = lab.compare(depths=8, skip=True, steps=1, batch_size=8, seed=7)["networks"][0]["runs"]
    assert [run["trained"] is not None for run in runs] == [True, False, False, False, False]
    assert [run["seed"] for run in runs] == [7, 8, 9, 10, 11]


def test_a_gradient_of_zero_is_said_to_be_zero():
    report = lab.compare(depths=8, init="fixup", norm="none", skip=True, seeds=1, steps=0, batch_size=8)
    initial = report["networks"][0]["runs"][0]["initial"]  # Fixup's classifier starts at 0, so nothing comes back
    assert initial["grad_h"] == [0, 0, 0, 0] and initial["log10_grad_h"] == [None] * 4
    assert report["summary"][0]["log10_ratio_initial"] is None
    assert "at one end it is 0" in "\n".join(report["verdict"])


def test_divergence_is_recorded(recwarn):
    report = lab.compare(depths=8, norm="none", skip=True, seeds=1, steps=20, lr=1e3, batch_size=16)
    trained = report["networks"][0]["runs"][0]["trained"]
    assert trained["diverged_at"] == len(trained["losses"]) + 1 <= 20
    assert trained["gradients"] is None and trained["test_accuracy"] is None
    assert all(math.isfinite(loss) for loss in trained["losses"])
    assert report["summary"][0]["diverged_seeds"] == 1 and report["summary"][0]["train_loss"] is None
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_ctrl_c_leaves_what_is_finished(tmp_path, monkeypatch):
    train, calls = training.Trainer.train, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        train(*args)

    monkeypatch.setattr(training.Trainer, "train", interrupted)
    report = lab.compare(depths=8, seeds=1, steps=2, batch_size=16, out=tmp_path)
    assert report["interrupted"] is True
    plain, residual = (entry["runs"][0] for entry in report["networks"])
    assert len(plain["trained"]["losses"]) == 2 and residual["trained"] is None
    assert residual["initial"]["grad_h"][0] > 0
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["summary"][0]["test_accuracy"] is not None and report["summary"][1]["test_accuracy"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": 21}, r"6n \+ 2 layers, 8, 14, …, not 21"),
        ({"depths": ()}, "there is no network"),
        ({"depths": (8, 8)}, "given twice"),
        ({"init": "best"}, "unknown init 'best'; known: pytorch, lecun"),
        ({"norm": "instance"}, "unknown norm 'instance'; known: batch, none, group, layer"),
        ({"lr": 0.0}, "lr must be above 0, got 0.0"),
        ({"lr": (0.1, 0.1)}, "given twice"),
        ({"moments": (0, 81)}, "a moment must be from 0 to 80, the steps, got 81"),
        ({"data": "letters"}, "unknown data set 'letters'"),
        ({"activation": "swish"}, "unknown activation 'swish'; known: relu"),
        ({"init": "zero_gamma"}, "starts every branch at zero, so without skips nothing passes"),
        ({"init": "skipinit"}, "pass norm='none'"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"kernels": "fortran"}, "unknown kernels 'fortran'; known: numpy, numba"),
    ],
)
def test_bad_input_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        lab.compare(**{"depths": 8, "out": tmp_path, **options})
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("minires.lab.comparison.measure", pytest.fail)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write to the output folder"):
        lab.compare(depths=8, out=tmp_path / "file")
