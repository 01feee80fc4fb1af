"""Networks that come trained: that in the package is as its card says; those of the digits are trained once."""

import hashlib
import json

import numpy as np
import pytest

from minires import Tensor, data, interop, training
from minires.interop import trained
from minires.runs.building import EVALUATION_BATCH

FACTS = json.loads((trained.FOLDER / "resnet20-cifar10.json").read_text(encoding="utf-8"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A small network of the digits to train, and an empty cache."""
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "cache"))
    entry = trained.Trained("small", "resnet20", ("steps=40", "model.width=8"))
    monkeypatch.setitem(trained.PRETRAINED, "small-digits", entry)
    return tmp_path / "cache" / "networks"


def test_the_file_is_the_one_of_the_card():
    path = interop.weights_of("resnet20-cifar10")
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == FACTS["sha256"]
    assert len(content) == FACTS["bytes"] <= 600_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for fact in (FACTS["sha256"], f"{FACTS['accuracy']:.2%}", f"seed {FACTS['seed']}", f"{FACTS['steps']:,} steps"):
        assert fact in card
    assert "MIT" in card and "Krizhevsky" in card


def synthetic_images():
    """Four pictures of 32×32 that need no data set: smooth colours, drawn by a seed."""
    coarse = np.random.default_rng(7).uniform(0, 255, (4, 3, 4, 4))
    return coarse.repeat(8, axis=2).repeat(8, axis=3).round().astype(np.float32)


def test_the_network_answers_as_it_did():
    """The logits of four made pictures, as they were when the file was made."""
    about = interop.about_network("resnet20-cifar10")
    assert about.classes == FACTS["classes"] and about.shape == [3, 32, 32]
    mean, std = (np.array(numbers, np.float32).reshape(3, 1, 1) for numbers in (about.mean, about.std))
    images = Tensor((synthetic_images() - mean) / std)
    for fused in (False, True):
        model = interop.pretrained("resnet20-cifar10", fused=fused)
        assert not model.training
        np.testing.assert_allclose(model(images).data, FACTS["logits"], rtol=0, atol=2e-3)
    assert sum([parameter.size for parameter in model.parameters()]) == FACTS["parameters"]


def test_a_network_of_the_digits_is_trained_once(cache, capsys):
    model = interop.pretrained("small-digits")
    said = capsys.readouterr().err
    (path,) = cache.iterdir()
    assert "small-digits is trained now, once: 40 steps" in said and str(path) in said
    dataset = data.load("digits")
    about = interop.about_network("small-digits")
    mean, std = np.array(about.mean, np.float32), np.array(about.std, np.float32)
    images, labels = dataset.test_images, dataset.test_labels
    loader = data.Loader(images, labels, EVALUATION_BATCH, False, mean=mean, std=std)
    assert training.evaluate(model, loader)[1] > 0.3  # where guessing has 0.1
    again = interop.pretrained("small-digits")
    assert capsys.readouterr().err == ""
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)
    path.write_bytes(path.read_bytes()[:1000])
    interop.pretrained("small-digits")
    said = capsys.readouterr().err
    assert "damaged" in said and "small-digits is trained anew" in said
    assert [found.name for found in cache.iterdir()] == [path.name]


def test_another_recipe_is_another_file(cache, monkeypatch):
    before = trained.kept_at("small-digits", trained.recipe_of("small-digits"))
    entry = trained.Trained("small", "resnet20", ("steps=41", "model.width=8"))
    monkeypatch.setitem(trained.PRETRAINED, "small-digits", entry)
    assert trained.kept_at("small-digits", trained.recipe_of("small-digits")) != before
    assert {"resnet20-digits", "plain20-digits", "resnet20-cifar10"} <= set(interop.PRETRAINED)


def test_a_cache_that_cannot_be_written_is_said_before_the_work(cache, capsys):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="choose another folder with MINIRES_DATA"):
        interop.pretrained("small-digits")
    assert "trained now" not in capsys.readouterr().err


def test_unknown_names():
    with pytest.raises(ValueError, match=r"pretrained: unknown network 'resnet21'; known: resnet20-cifar10, resnet20-"):
        interop.pretrained("resnet21")
    with pytest.raises(FileNotFoundError, match="no file nowhere.pth, and no network of that name; known: res"):
        interop.weights_of("nowhere.pth")


def test_a_name_goes_before_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet20-cifar10").write_text("no weights")
    assert interop.weights_of("resnet20-cifar10").parent == trained.FOLDER
    with pytest.raises(ValueError, match="resnet20-cifar10"):
        interop.load_network("./resnet20-cifar10", "resnet20")
