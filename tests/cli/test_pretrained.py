"""Networks that come trained, by name, wherever a command takes weights."""

import io
import json
import re
import sys

import numpy as np
import pytest

from minires import Tensor, data, interop, models, ops
from minires.cli.main import main
from minires.interop import trained


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A small network of the digits that is there already, under the name small-digits."""
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "cache"))
    entry = trained.Trained("small", "resnet20", ("steps=3", "model.width=4"))
    monkeypatch.setitem(trained.PRETRAINED, "small-digits", entry)
    path = trained.kept_at("small-digits", trained.recipe_of("small-digits"))
    path.parent.mkdir(parents=True)
    digits = data.load("digits")
    about = interop.About(
        "resnet20", {"width": 4}, "digits", [1, 8, 8], digits.classes, digits.mean.tolist(), digits.std.tolist()
    )
    interop.save_weights(models.resnet20(in_channels=1, width=4, seed=0), path, about=about)
    return path


def test_list(small, capsys):
    assert main(["pretrained", "list"]) == 0
    printed = capsys.readouterr().out
    for name in interop.PRETRAINED:
        assert name in printed
    assert str(small) in printed and "trained on first use" in printed and "shipped" in printed


def test_info(small, tmp_path, capsys):
    facts = json.loads((trained.FOLDER / "resnet20-cifar10.json").read_text(encoding="utf-8"))
    assert main(["pretrained", "info", "resnet20-cifar10"]) == 0
    assert facts["sha256"] in capsys.readouterr().out
    assert main(["pretrained", "info", "small-digits"]) == 0
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in capsys.readouterr().out
    interop.save_weights(models.resnet20(width=4, seed=0), tmp_path / "w.safetensors")
    assert main(["pretrained", "info", str(tmp_path / "w.safetensors")]) == 0
    assert "does not say of which model it is" in capsys.readouterr().out
    assert main(["pretrained", "info", "resnet21"]) == 2
    assert "no network of that name; known: resnet20-cifar10" in capsys.readouterr().err


def test_evaluate(small, capsys):
    assert main(["evaluate", "--weights", "small-digits"]) == 0
    by_name = capsys.readouterr().out.splitlines()[-1]
    assert main(["evaluate", "small-digits"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == by_name
    options = ["--model", "resnet20", "--data", "digits", "--normalize", "data"]
    assert main(["evaluate", "--weights", str(small), *options]) == 0
    by_hand = capsys.readouterr().out.splitlines()[-1]
    assert by_name.partition(" of digits")[0] == by_hand.partition(" of digits")[0]
    assert "normalized as it was trained" in by_name


def test_evaluate_on_pictures(small, tmp_path, capsys):
    """A folder of pictures is read in the size and colours that the network knows; other names of classes are said."""
    from PIL import Image

    digits = data.load("digits")
    for part in ("train", "test"):
        for k in range(10):
            folder = tmp_path / "pictures" / part / (digits.classes[k] if k else "zero")
            folder.mkdir(parents=True)
            image = digits.test_images[digits.test_labels == k][0, 0]
            Image.fromarray(image).resize((16, 16), Image.Resampling.NEAREST).convert("RGB").save(folder / "0.png")
    assert main(["evaluate", "--weights", "small-digits", "--data", str(tmp_path / "pictures")]) == 0
    printed, said = capsys.readouterr()
    assert "on 10 images of pictures" in printed and "small-digits knows 0, 1, 2" in said
    dataset = data.load(tmp_path / "pictures", image_size=8, channels=1)
    about = interop.about_network("small-digits")
    pixels = (dataset.test_images.astype(np.float32) - about.mean[0]) / np.float32(about.std[0])
    right = interop.pretrained("small-digits")(Tensor(pixels.astype(np.float32))).data.argmax(axis=1)
    assert f"test accuracy {(right == dataset.test_labels).mean():.2%}" in printed


def test_export_and_back(small, tmp_path, capsys):
    """Half precision rounds each number to 11 binary digits, and no more."""
    path = tmp_path / "half.safetensors"
    assert main(["export", "small-digits", str(path), "--dtype", "float16"]) == 0
    assert "resnet20" in capsys.readouterr().out
    assert interop.read_about(path).classes == interop.about_network("small-digits").classes
    before, after = interop.read_weights(small), interop.read_weights(path)
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert after[name].dtype == np.float16
        np.testing.assert_allclose(after[name], array, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small-digits", "w.safetensors", "--size", "8", "8"], "--size is of an ONNX file's images"),
        (["small-digits", "w.onnx", "--dtype", "float16"], "--dtype is of a file of weights"),
        (["small-digits", "w.safetensors", "--dtype", "float8"], "unknown dtype 'float8'; known: float16, float32"),
        (["resnet21", "w.safetensors"], "there is no resnet21: the source is a run's folder, a file of weights, "),
    ],
)
def test_exports_that_cannot_be(small, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()


def test_finetune(small, tmp_path, capsys):
    out = tmp_path / "runs"
    settings = ["--set", "steps=1", "evaluate_every=1", "--kernels", "numpy"]
    arguments = ["finetune", "small-digits", "--data", "digits", "--classes", "3", "8", "--out", str(out), *settings]
    assert main(arguments) == 0
    (folder,) = out.iterdir()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["arguments"]
    assert config["finetune"]["source"] == "small-digits" and config["model"]["width"] == 4
    assert config["finetune"]["mean"] == interop.about_network("small-digits").mean


def debugged(capsys, *arguments):
    before, sys.stdin = sys.stdin, io.StringIO("q\n")
    try:
        code = main(["debug", *arguments])
    finally:
        sys.stdin = before
    return code, capsys.readouterr()


def test_debug(small, capsys):
    """The loss is that of the trained weights on a batch of the data that they know."""
    code, said = debugged(capsys, "--pretrained", "small-digits", "--batch-size", "4")
    assert code == 0
    model, digits = interop.pretrained("small-digits").train(), data.load("digits")
    images, labels = digits.train_images, digits.train_labels
    loader = data.Loader(images, labels, 4, seed=0, mean=digits.mean, std=digits.std)
    batch, answers = next(loader.epoch(0))
    loss = ops.cross_entropy(model(Tensor(batch)), answers).item()
    assert float(re.search(r"loss ([\d.]+)", said.out)[1]) == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pretrained", "resnet21"], "unknown network 'resnet21'; known: resnet20-cifar10"),
        (["--pretrained", "--model", "resnet56"], "unknown network 'resnet56-digits'; known:"),
        (["--pretrained", "--skip", "off", "--norm", "none"], "leave out --norm, --skip off; the plain twin is"),
        (["--pretrained", "resnet20-cifar10", "--data", "digits"], "takes images of 3 channels and 10 classes, "),
    ],
)
def test_debug_of_what_is_not_there(capsys, arguments, message):
    code, said = debugged(capsys, *arguments)
    assert code == 2 and message in said.err
