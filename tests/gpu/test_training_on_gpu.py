"""Tensors, models and whole trainings on the GPU: the same numbers as on the CPU, and nothing that makes it wait."""

import numpy as np
import pytest

from minires import kernels, lab, models, nn, ops
from minires.data import Dataset, Loader, RandomCrop, RandomHorizontalFlip, load_digits
from minires.engine import Tensor, no_grad
from minires.kernels import devices
from minires.kernels.emulation import fake_cupy
from minires.optim import SGD, AdamW
from minires.runs.records import read_json
from minires.training import Trainer, evaluate

IMAGES = np.random.default_rng(0).standard_normal((8, 3, 12, 10)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 10, 8)


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def test_tensors_go_there_and_back(gpu):
    x = Tensor(IMAGES, requires_grad=True)
    there = x.to("cuda")
    assert isinstance(there.data, gpu.ndarray) and there.requires_grad and there.device == "cuda:0"
    assert there.to("cuda") is there and there.to("cuda:0") is there
    np.testing.assert_array_equal(there.numpy(), IMAGES)
    np.testing.assert_array_equal(there.to("cpu").data, IMAGES)
    assert repr(there) == "Tensor((8, 3, 12, 10), float32, cuda:0, leaf)"
    (there * 2).sum().backward()
    assert isinstance(there.grad, gpu.ndarray) and there.grad.get().max() == 2


def test_repr_copies_nothing(gpu):
    x = Tensor(IMAGES).to("cuda")
    fake_cupy.waits.clear()
    repr(x)
    assert fake_cupy.waits == []


def test_two_devices_in_one_op_are_named(gpu):
    here, there = Tensor(np.ones((2, 3), np.float32)), Tensor(np.ones(3, np.float32)).to("cuda")
    with pytest.raises(TypeError, match=r"Add: .* one device, got \(2, 3\) float32 on cpu, \(3,\) float32 on cuda:0"):
        here + there
    with pytest.raises(TypeError, match="cross_entropy: logits are on cuda:0, labels on cpu; move the labels"):
        ops.cross_entropy(Tensor(np.ones((2, 3), np.float32)).to("cuda"), np.array([0, 1]))
    model = nn.Linear(3, 2).to("cuda")
    with pytest.raises(TypeError, match=r"Linear: .* got \(2, 3\) float32 on cpu, \(2, 3\) float32 on cuda:0"):
        model(here)


def test_two_gpus_in_one_op_are_named(gpu, monkeypatch):
    if gpu.__version__ != "fake":
        pytest.skip("needs two GPUs")
    monkeypatch.setattr(fake_cupy.ndarray, "device", property(lambda self: fake_cupy.Device(self.host.size)))
    one, other = Tensor(gpu.asarray(np.ones(1))), Tensor(gpu.asarray(np.ones(2)))
    with pytest.raises(TypeError, match=r"Add: .* got \(1,\) float64 on cuda:1, \(2,\) float64 on cuda:2"):
        one + other


def step(model, optimizer, images, labels, **options):
    """One training step with nothing read back, as a loop without metrics makes it; return the loss, still there."""
    optimizer.zero_grad()
    loss = ops.cross_entropy(model(Tensor(images)), labels, **options)
    loss.backward()
    optimizer.step()
    return loss


def steps_on(device, make, make_optimizer, steps=2):
    """Train for a few steps; return the losses and all that the model then holds."""
    model = make().to(device)
    optimizer = make_optimizer(model.parameters())
    images, labels = (Tensor(array).to(device).data for array in (IMAGES, LABELS))
    model.train()
    losses = [step(model, optimizer, images, labels, label_smoothing=0.1).item() for _ in range(steps)]
    with no_grad():
        logits = model.eval()(Tensor(images)).numpy()
    return losses, {**model.state_dict(), "logits": logits}


def small(block, **options):
    return models.network_of(block, (1, 1, 1), (4, 6, 9), seed=3, **options)


def sgd(parameters):
    return SGD(parameters, 0.05, momentum=0.9, weight_decay=1e-3, nesterov=True)


NETWORKS = {
    "basic": lambda: small(models.BasicBlock, shortcut="A"),
    "basic, fused": lambda: small(models.BasicBlock, fused=True),
    "bottleneck": lambda: small(models.Bottleneck, stem="imagenet"),
    "bottleneck, fused": lambda: small(models.Bottleneck, fused=True),
    "preactivation": lambda: small(models.PreActBlock),
    "without batch norm": lambda: small(models.BasicBlock, norm="none", skip=False, activation="elu"),
}


@pytest.mark.parametrize("optimizer", [sgd, lambda p: AdamW(p, 1e-2)], ids=["SGD", "AdamW"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_is_the_one_on_the_cpu(gpu, network, optimizer):
    """In float64: float32 would need a tolerance that lets mistakes through."""
    make = lambda: NETWORKS[network]().to("float64")  # noqa: E731
    images, float32 = globals()["IMAGES"], np.float32
    assert images.dtype == float32
    try:
        globals()["IMAGES"] = images.astype(np.float64)
        losses, state = steps_on("cuda", make, optimizer)
        expected_losses, expected = steps_on("cpu", make, optimizer)
    finally:
        globals()["IMAGES"] = images
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    assert state.keys() == expected.keys()
    for name, array in state.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("fused", [False, True])
def test_a_training_in_float32(gpu, fused):
    make = lambda: small(models.BasicBlock, fused=fused)  # noqa: E731
    losses, state = steps_on("cuda", make, sgd)
    expected_losses, expected = steps_on("cpu", make, sgd)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    assert {array.dtype.name for array in state.values()} == {"float32"}
    for name, array in state.items():
        np.testing.assert_allclose(
            array, expected[name], rtol=0, atol=2e-3 * np.abs(expected[name]).max(), err_msg=name
        )


def test_twice_the_same_bits(gpu):
    runs = [steps_on("cuda", lambda: small(models.BasicBlock, shortcut="A"), sgd)[1] for _ in range(2)]
    for name, array in runs[0].items():
        np.testing.assert_array_equal(array, runs[1][name], err_msg=name)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_waits_for_nothing(gpu, fused):
    """Seen by the fake CuPy, whose arrays note every way out."""
    if gpu.__version__ != "fake":
        pytest.skip("a real array does not tell; the fake one does, in the other run of this test")
    model = models.resnet20(fused=fused).to("cuda")
    optimizer = sgd(model.parameters())
    images, labels = gpu.asarray(np.ascontiguousarray(IMAGES[:2, :, :5, :4])), gpu.asarray(LABELS[:2])
    fake_cupy.waits.clear(), fake_cupy.launches.clear()
    step(model, optimizer, images, labels)
    assert fake_cupy.waits == []
    ours = [
        name
        for name in fake_cupy.launches
        if name.startswith(("conv2d", "batch_norm", "relu", "cross", "sgd", "option"))
    ]
    assert (len(fake_cupy.launches), len(ours)) == ((239, 159) if fused else (286, 197))
    assert fake_cupy.launches.count("sgd_step") == 1
    assert (
        sum(name.startswith("conv2d") for name in fake_cupy.launches) == 19 + 18 + 19
    )  # none for the images' gradient


def trainer_on(device):
    model = small(models.BasicBlock, shortcut="A").to(device)
    images, labels = ((Tensor(array).to(device).data) for array in (IMAGES, LABELS))
    augmentation = (RandomCrop(2), RandomHorizontalFlip())
    loader = Loader(images, labels, 4, seed=5, augmentation=augmentation)
    test = Loader(images, labels, 4, shuffle=False)
    return Trainer(model, loader, sgd(model.parameters()), evaluation=("test", test), max_norm=1.0)


def test_the_trainer_with_augmentation_and_evaluation(gpu):
    logs = {"cpu": [], "cuda": []}
    for device, records in logs.items():
        trainer_on(device).train(3, records.append)
    for here, there in zip(logs["cpu"], logs["cuda"], strict=True):
        assert here.keys() == there.keys()
        for name in here.keys() - {"images_per_second", "test_accuracy", "accuracy"}:
            assert there[name] == pytest.approx(here[name], rel=2e-3), name


def test_a_training_goes_on_bit_for_bit_from_what_was_saved(gpu, tmp_path):
    from minires.runs import checkpoint
    from minires.runs.state import TrainingState

    through, stopped, resumed = trainer_on("cuda"), trainer_on("cuda"), trainer_on("cuda")
    through.train(4, lambda record: None)
    stopped.train(2, lambda record: None)
    checkpoint.save(tmp_path, 2, TrainingState(stopped).state_dict(), stopped.model.fc.weight.data)
    state, environment = checkpoint.load(checkpoint.newest(tmp_path))
    assert environment["kernels"] == "cupy"
    TrainingState(resumed).load_state_dict(state)
    resumed.train(4, lambda record: None)
    expected = through.model.state_dict()
    for name, array in resumed.model.state_dict().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_model_trained_there_is_evaluated_here(gpu):
    trainer = trainer_on("cuda")
    trainer.train(2, lambda record: None)
    there = evaluate(trainer.model, trainer.evaluation[1])
    here = evaluate(trainer.model.to("cpu"), Loader(IMAGES, LABELS, 4, shuffle=False))
    assert here == pytest.approx(there, rel=1e-4)


def test_dropout_draws_the_same_mask(gpu):
    x = np.ones((50, 4), np.float32)
    here = ops.dropout(Tensor(x), 0.5, np.random.default_rng(0)).numpy()
    np.testing.assert_array_equal(ops.dropout(Tensor(x).to("cuda"), 0.5, np.random.default_rng(0)).numpy(), here)


def test_the_comparison_of_networks_with_and_without_skips(gpu, monkeypatch):
    few = [array[:8] for array in load_digits()]
    monkeypatch.setattr("minires.lab.networks.load_digits", lambda: few)
    options = {"depths": 8, "seeds": 1, "steps": 2, "batch_size": 4}
    there, here = (lab.compare(**options, device=device) for device in ("cuda", "cpu"))
    assert there["device"] == "cuda" and not there["interrupted"]
    for network, other in zip(there["networks"], here["networks"], strict=True):
        run, expected = network["runs"][0], other["runs"][0]
        for name in ("grad_h", "grad_w", "relative_grad_w"):
            np.testing.assert_allclose(run["initial"][name], expected["initial"][name], rtol=1e-6)
        np.testing.assert_allclose(run["trained"]["losses"], expected["trained"]["losses"], rtol=1e-3)


def test_the_commands_take_a_device(gpu, tmp_path, monkeypatch, capsys):
    """The whole of `minires train --device cuda`, one step on few images: data, augmentation, records, checkpoint."""
    from minires.cli.main import main

    monkeypatch.setattr(Dataset, "to", few_images(Dataset.to))
    command = ["train", "--device", "cuda", "--out", str(tmp_path), "--set", "steps=1", "batch_size=4",
               'augmentation=["crop", "flip"]', "ema_decay=0.9", "max_norm=1.0", "model.name=resnet20"]  # fmt: skip
    assert main(command) == 0, capsys.readouterr().err
    folder = next(tmp_path.iterdir())
    config = read_json(folder / "config.json")["arguments"]
    assert config["device"] == "cuda" and config["model"]["fused"] is True
    assert list(folder.glob("checkpoints/*.safetensors"))


def few_images(move):
    def few(dataset, device):
        dataset = move(dataset, device)
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            setattr(dataset, name, getattr(dataset, name)[:6])
        return dataset

    return few


@pytest.mark.parametrize("command", [["train"], ["compare"]], ids=" ".join)
def test_without_a_gpu_the_commands_say_what_is_missing(command, monkeypatch, tmp_path, capsys):
    from minires.cli.main import main

    monkeypatch.setattr(devices, "gpu_problem", lambda: "there is none")
    assert main([*command, "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "device 'cuda' is not available: there is none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
