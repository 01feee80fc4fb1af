"""Data sets by name and path."""

import numpy as np
import pytest
from made_files import cifar10, write_all

from minires.data import load
from minires.data import registry as module
from minires.data.registry import PUBLISHED


def arrays(**changed):
    labels = np.arange(6) % 2
    images = np.arange(6 * 3 * 2 * 2, dtype=np.uint8).reshape(6, 3, 2, 2)
    given = {"train_images": images, "train_labels": labels, "test_images": images[:2], "test_labels": labels[:2]}
    return {name: value for name, value in (given | changed).items() if value is not None}


def test_a_published_set_comes_from_its_folder(tmp_path, monkeypatch):
    entry, files, parts = cifar10()
    write_all(tmp_path / "here" / entry.folder_name, files)
    monkeypatch.setitem(PUBLISHED, "cifar10", entry)
    np.testing.assert_array_equal(load("cifar10", tmp_path / "here").train_images, parts[0])
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "here"))
    np.testing.assert_array_equal(load("cifar10").train_images, parts[0])
    with pytest.raises(TypeError, match="data.load: cifar10 takes no options, got image_size"):
        load("cifar10", image_size=3)


def test_arrays_from_a_file(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays())
    dataset = load(tmp_path / "mine.npz")
    assert (dataset.name, dataset.classes) == ("mine", ["0", "1"])
    np.testing.assert_array_equal(dataset.train_images, arrays()["train_images"])
    np.savez_compressed(tmp_path / "mine.npz", **arrays(classes=np.array(["cat", "dog"])))
    assert load(str(tmp_path / "mine.npz")).classes == ["cat", "dog"]


def test_damaged_and_foreign_files_of_arrays(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays(test_labels=None))
    with pytest.raises(ValueError, match=r"mine\.npz is no data set: it lacks test_labels; it has train_images, "):
        load(path)
    np.savez(path, **arrays())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"mine\.npz is no data set: File is not a zip file"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"mine\.npz is no data set: "):
        load(path)
    np.savez(path, **arrays(train_labels=np.array([{}, 1, 0, 1, 0, 1], object)))
    with pytest.raises(ValueError, match=r"mine\.npz is no data set: Object arrays cannot be loaded"):
        load(path)
    np.savez(path, **arrays(train_labels=np.arange(6)), classes=["a", "b"])
    with pytest.raises(ValueError, match="Dataset mine: labels run from 0 to 5, but there are 2 classes"):
        load(path)
    whole = bytearray(path.read_bytes())
    whole[200] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"mine\.npz is no data set: Bad CRC-32"):
        load(path)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    known = "digits, cifar10, cifar100, mnist, fashion-mnist, kmnist, or the path of a folder of pictures"
    for name in ("imagenet", tmp_path / "none", tmp_path / "none.npz"):
        with pytest.raises(ValueError, match=rf"data\.load: unknown data set '{name}'; known: {known}"):
            load(name)


def test_options_of_another_kind_of_set_are_refused(tmp_path):
    with pytest.raises(TypeError, match="data.load: digits takes the options split, got image_size, skip_bad"):
        load("digits", image_size=3, skip_bad=True)
    with pytest.raises(
        TypeError, match=r"data\.load: .* takes the options image_size, channels, skip_bad, seed, max_pixels, got split"
    ):
        load(tmp_path, split="random")
    np.savez(tmp_path / "mine.npz", **arrays())
    with pytest.raises(TypeError, match=r"data\.load: .*mine\.npz takes no options, got seed"):
        load(tmp_path / "mine.npz", seed=3)


def test_a_name_goes_before_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load("digits").name == "digits"
    with pytest.raises(ValueError, match="digits has 0 folders"):
        load("./digits")


def test_every_published_set_is_known_by_its_own_name():
    assert module.NAMES == ("digits", *[entry.name for entry in PUBLISHED.values()])
