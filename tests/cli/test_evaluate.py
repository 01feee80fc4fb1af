"""`minires evaluate --weights`: a file of weights on a data set, in one command."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from minires import Tensor, data, interop, models
from minires.cli.main import main
from minires.data.pixel_units import normalization

sys.path.insert(0, str(Path(__file__).parents[1] / "interop"))
from torch_writer import ordered, writer  # noqa: E402


@pytest.fixture
def digits():
    return data.load("digits")


def network(**options):
    model = models.resnet20(**{"in_channels": 1, "width": 4, "seed": 3, **options})
    rng = np.random.default_rng(0)
    for name, array in model.state_dict().items():
        if name.endswith("running_mean"):
            dict(model.named_buffers())[name][...] = rng.standard_normal(array.shape) * 0.3
    return model.eval()


@pytest.mark.parametrize("layout", ["zip", "rows"])
@pytest.mark.parametrize(("how", "mean", "std"), [("0.5/0.25", 0.5, 0.25), ("mnist", 0.1307, 0.3081)])
def test_a_published_file(tmp_path, capsys, digits, layout, how, mean, std):
    """The accuracy is that of the network on pixels from 0 to 1 that were normalized by hand."""
    model = network()
    made = writer(layout)
    state = {f"module.{name}".replace("module.fc", "module.linear"): a for name, a in model.state_dict().items()}
    content = {"state_dict": ordered({name: made.tensor(array) for name, array in state.items()}), "best_prec1": 91.7}
    path = made.write(tmp_path / "w.th", content, layout)
    options = ["--model", "resnet20", "--data", "digits", "--normalize", how, "--set", "model.width=4"]
    assert main(["evaluate", "--weights", str(path), *options]) == 0
    printed = capsys.readouterr().out
    pixels = (digits.test_images / np.float32(255) - np.float32(mean)) / np.float32(std)
    predicted = model(Tensor(pixels.astype(np.float32))).data.argmax(axis=1)
    accuracy = (predicted == digits.test_labels).mean()
    assert f"test accuracy {accuracy:.2%}, " in printed and f"on {len(predicted)} images of digits" in printed
    assert "the weights are those under 'state_dict'" in printed
    assert main(["evaluate", "--weights", str(path), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] == accuracy and result["images"] == len(predicted) and result["data"] == "digits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "takes a run's folder, or --weights"),
        (["runs/x", "--weights", "{file}"], "takes a run's folder, or --weights"),
        (["runs/x", "--model", "resnet20"], "--model are for --weights"),
        (["--weights", "{file}"], "add --model, --data, --normalize"),
        (["--weights", "{file}", "--model", "resnet20", "--data", "digits"], "add --normalize; .*imagenet"),
        (["--weights", "nowhere.pth", "--model", "resnet20", "--data", "digits", "--normalize", "data"], "there is no"),
        (["--weights", "{file}", "--model", "resnet20", "--data", "digits", "--normalize", "imagenet"], "3 numbers"),
        (
            ["--weights", "{file}", "--model", "resnet20", "--data", "digits", "--normalize", "127.5/63.75"],
            "of pixels from 0 to 255: divide by 255, 0.5000/0.2500",
        ),
        (["--weights", "{file}", "--model", "resnet20", "--data", "digits", "--normalize", "0.5"], "or MEAN/STD such"),
        (["--weights", "{file}", "--model", "resnet20", "--data", "digits", "--normalize", "0.5/0"], "a std above 0"),
        (["--weights", "{file}", "--model", "resnet20", "--data", "digits", "--normalize", "imagnet"], "unknown"),
        (["--weights", "{file}", "--model", "resnet32", "--data", "digits", "--normalize", "data"], "is missing"),
        (["--weights", "{three}", "--model", "resnet20", "--data", "digits", "--normalize", "data"], "3 channels"),
        (["--weights", "{two}", "--model", "resnet20", "--data", "digits", "--normalize", "data"], "knows 2 classes"),
    ],
)  # fmt: skip
def test_what_does_not_fit(tmp_path, capsys, options, message):
    import re

    files = {"file": network(), "three": network(in_channels=3), "two": network(num_classes=2)}
    for name, model in files.items():
        interop.save_weights(model, tmp_path / f"{name}.safetensors")
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in files}
    settings = ["--set", "model.width=4"] if "digits" in options else []
    assert main(["evaluate", *[option.format(**paths) for option in options], *settings]) != 0
    assert re.search(message, capsys.readouterr().err)


def test_units_of_mean_and_std(digits):
    """What is of pixels from 0 to 1 is not taken for what is of pixels from 0 to 255, nor the other way round."""
    images, labels = digits.test_images, digits.test_labels
    one = np.ones(1, np.float32)
    with pytest.raises(ValueError, match=r"of pixels from 0 to 1, .* give mean \* 255 and std \* 255"):
        data.Loader(images, labels, 32, mean=0.1307 * one, std=0.3081 * one)
    mean, std = normalization("mnist", digits)
    data.Loader(images, labels, 32, mean=mean, std=std)
    np.testing.assert_allclose([mean[0], std[0]], [0.1307 * 255, 0.3081 * 255], rtol=1e-6)
    unit = images / np.float32(255)
    with pytest.raises(ValueError, match="of pixels from 0 to 255, .* give mean / 255 and std / 255"):
        data.Loader(unit, labels, 32, mean=mean, std=std)
    data.Loader(unit, labels, 32, mean=0.1307 * one, std=0.3081 * one)
    data.Loader(images, labels, 32, mean=0 * one, std=one)  # the pixels as they are
    dark = np.minimum(images, 3)
    data.Loader(dark, labels, 32, mean=0.5 * one, std=one)
    floats = data.Dataset("unit", unit, labels, unit, labels)
    np.testing.assert_allclose(normalization("mnist", floats)[0], [0.1307], rtol=1e-6)
    np.testing.assert_array_equal(normalization("data", digits)[0], digits.mean)
