"""The published layouts, read from small files of the same layout; fetched, damaged, foreign."""

import dataclasses
import gzip
import tracemalloc

import numpy as np
import pytest
from made_files import cifar10, cifar100, cifar_archive, fashion_mnist, idx_bytes, mnist, write_all

from minires.data import cifar as cifar_module
from minires.data.cifar import CIFAR10, CIFAR100
from minires.data.idx import FASHION_MNIST, KMNIST, MNIST


def same(dataset, arrays):
    train_images, train_labels, test_images, test_labels = arrays
    np.testing.assert_array_equal(dataset.train_images, train_images)
    np.testing.assert_array_equal(dataset.train_labels, train_labels)
    np.testing.assert_array_equal(dataset.test_images, test_images)
    np.testing.assert_array_equal(dataset.test_labels, test_labels)
    assert dataset.train_images.dtype == dataset.test_images.dtype == np.uint8
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int64


@pytest.mark.parametrize("make", [cifar10, cifar100])
@pytest.mark.parametrize("block", [1, 4, 1000])
def test_cifar_is_read_record_by_record(tmp_path, monkeypatch, make, block):
    monkeypatch.setattr(cifar_module, "BLOCK", block)
    entry, files, arrays = make()
    write_all(tmp_path / entry.folder_name, files)
    dataset = entry.load(tmp_path)
    same(dataset, arrays)
    assert dataset.classes == [f"kind_{k}" for k in range(entry.classes)]


def test_a_record_countable_by_hand(tmp_path):
    """One label byte, then 1024 red, 1024 green, 1024 blue bytes, row by row."""
    entry, files, _ = cifar10(images_in_a_file=1, test_images=1)
    red_row, green, blue = bytes(range(32)) + bytes(31 * 32), bytes([100] * 1024), bytes([200] * 1024)
    files["test_batch.bin"] = bytes([7]) + red_row + green + blue
    write_all(tmp_path, files)
    dataset = entry.read(tmp_path)
    assert dataset.test_labels.tolist() == [7]
    assert dataset.test_images[0, 0, 0].tolist() == list(range(32))
    assert dataset.test_images[0, 0, 1:].max() == 0
    assert dataset.test_images[0, 1].min() == 100
    assert dataset.test_images[0, 2].min() == 200


def test_loading_holds_the_images_once(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar_module, "BLOCK", 50)
    entry, files, arrays = cifar10(images_in_a_file=800, test_images=800)
    write_all(tmp_path, files)
    size = sum(array.nbytes for array in arrays)
    del files, arrays
    tracemalloc.start()
    dataset = entry.read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset.train_images.nbytes < size < peak < 1.2 * size


def test_the_folder_itself_or_the_one_above_is_used_as_it_is(server, tmp_path):
    entry, files, arrays = cifar10()
    write_all(tmp_path / entry.folder_name, files)
    assert entry.fetch(tmp_path) == tmp_path / entry.folder_name
    assert entry.fetch(tmp_path / entry.folder_name) == tmp_path / entry.folder_name
    same(entry.load(str(tmp_path / entry.folder_name)), arrays)


def test_cifar_is_downloaded_once_and_unpacked(server, tmp_path):
    entry, files, arrays = cifar10()
    data, entry = cifar_archive(entry, files, server.url)
    server.files["cifar-10-binary.tar.gz"] = data
    assert entry.find(tmp_path) is None
    same(entry.load(tmp_path), arrays)
    same(entry.load(tmp_path), arrays)
    assert server.asked == ["cifar-10-binary.tar.gz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]


def test_an_archive_put_there_by_hand_is_unpacked(tmp_path):
    entry, files, arrays = cifar10()
    data, entry = cifar_archive(entry, files, "http://127.0.0.1:9")
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(data)
    same(entry.load(tmp_path), arrays)


def test_an_archive_cut_short_is_not_unpacked(server, tmp_path):
    entry, files, _ = cifar10()
    data, entry = cifar_archive(entry, files, server.url)
    server.files["cifar-10-binary.tar.gz"] = data[: len(data) // 2]
    with pytest.raises(ValueError, match=r"gave another file than the one published"):
        entry.load(tmp_path)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is not the published file"):
        entry.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]


def damage_length(files):
    files["data_batch_3.bin"] = files["data_batch_3.bin"][:-1]


def lose_records(files):
    files["data_batch_3.bin"] = files["data_batch_3.bin"][: 5 * 3073]


def be_foreign(files):
    files["test_batch.bin"] = b"<html>not here</html>"


def mislabel(files):
    files["data_batch_3.bin"] = bytes([10]) + files["data_batch_3.bin"][1:]


def lose_a_name(files):
    files["batches.meta.txt"] = b"cat\ndog\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_length, r"data_batch_3\.bin should be 30730 bytes long, it is 30729: .*`minires data fetch cifar10`"),
        (lose_records, r"data_batch_3\.bin should be 30730 bytes long, it is 15365"),
        (be_foreign, r"test_batch\.bin should be 30730 bytes long, it is 21"),
        (mislabel, r"data_batch_3\.bin has the label 10, but CIFAR-10 has 10 classes"),
        (lose_a_name, r"batches\.meta\.txt should name 10 classes, it names 2"),
    ],
)
def test_damaged_cifar_files_are_named(tmp_path, damage, message):
    entry, files, _ = cifar10()
    damage(files)
    write_all(tmp_path / entry.folder_name, files)
    with pytest.raises(ValueError, match=message):
        entry.load(tmp_path)


@pytest.mark.parametrize("make", [mnist, fashion_mnist])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read_packed_or_not(tmp_path, make, packed):
    entry, files, arrays = make()
    if not packed:
        files = {name.removesuffix(".gz"): gzip.decompress(data) for name, data in files.items()}
    write_all(tmp_path / entry.folder_name, files)
    dataset = entry.load(tmp_path)
    arrays[0], arrays[2] = arrays[0][:, None], arrays[2][:, None]
    same(dataset, arrays)
    assert dataset.train_images.flags.writeable
    assert dataset.classes[9] == {"mnist": "9", "fashion-mnist": "Ankle boot"}[entry.name]


def test_idx_files_are_downloaded_and_what_is_there_is_kept(server, tmp_path):
    entry, files, arrays = mnist(server.url)
    server.files |= files
    write_all(tmp_path / "mnist", dict(list(files.items())[:1]))
    np.testing.assert_array_equal(entry.load(tmp_path).test_images[:, 0], arrays[2])
    assert server.asked == list(files)[1:]


def test_mnist_and_fashion_mnist_share_names_but_no_folder(server, tmp_path):
    entry, files, _ = mnist(server.url)
    server.files |= files
    entry.fetch(tmp_path)
    assert fashion_mnist()[0].find(tmp_path) is None


def names_shared(kind, order=None):
    """Files of 60 000 + 10 000 images of a pixel, with the labels of a published set as far as they are known."""
    counts = {"mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]}.get(kind, [6000] * 10)
    labels = np.repeat(np.arange(10, dtype=np.uint8), counts)
    np.random.default_rng(0).shuffle(labels)
    if kind == "fashion-mnist":
        start = np.array([9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9])
        rest = list(np.repeat(np.arange(10, dtype=np.uint8), counts))
        for label in start:
            rest.remove(label)
        labels = np.concatenate([start, rest]).astype(np.uint8)
    grey = {"mnist": 33, "fashion-mnist": 73, "kmnist": 49}[kind]
    arrays = [np.full((60_000, 1, 1), grey, np.uint8), labels, np.full((10_000, 1, 1), grey, np.uint8)]
    arrays.append((np.arange(10_000) % 10).astype(np.uint8))
    return dict(zip([file.name for file in MNIST.remote], [idx_bytes(array) for array in arrays], strict=True))


@pytest.mark.parametrize("held", ["mnist", "fashion-mnist", "kmnist"])
@pytest.mark.parametrize("place", ["", "asked"])
def test_sets_of_the_same_names_are_told_apart(tmp_path, held, place):
    """Asked for one set, with the files of another in its folder or in the data folder itself."""
    files = {name.removesuffix(".gz"): data for name, data in names_shared(held).items()}
    for entry in (MNIST, FASHION_MNIST, KMNIST):
        small = dataclasses.replace(entry, shape=(1, 1, 1))
        folder = tmp_path / entry.name / (entry.folder_name if place else "")
        write_all(folder, files)
        if entry.name == held:
            assert len(small.load(tmp_path / entry.name).train_images) == 60_000
        else:
            with pytest.raises(ValueError, match=rf"are those of .* the names of {entry.title}'s: ask for {held}"):
                small.load(tmp_path / entry.name)


def test_the_hash_of_a_label_file_is_enough(monkeypatch, tmp_path):
    """The packed files as published are known by their MD5, whatever is in them."""
    entry, files, _ = mnist()
    write_all(tmp_path / "mnist", files)
    monkeypatch.setattr("minires.data.idx.md5_of", lambda path: KMNIST.remote[3].md5)
    with pytest.raises(ValueError, match="are those of KMNIST"):
        entry.load(tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_names_with_a_dot(tmp_path, packed):
    entry, files, arrays = mnist()
    write_all(tmp_path / "mnist", {
        name.replace("-idx", ".idx").removesuffix("" if packed else ".gz"): data if packed else gzip.decompress(data)
        for name, data in files.items()
    })  # fmt: skip
    np.testing.assert_array_equal(entry.load(tmp_path).test_images[:, 0], arrays[2])


IMAGES, LABELS = (f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (IMAGES, gzip.compress(b"not idx at all"), r"is no IDX file of 3 sizes and bytes: it begins with 6e6f7420"),
        (IMAGES, gzip.compress(b""), r"is no IDX file of 3 sizes"),
        (IMAGES, gzip.compress(idx_bytes(np.zeros(30, np.uint8))), r"is no IDX file of 3 sizes"),
        (IMAGES, gzip.compress(idx_bytes(np.zeros((30, 28, 27), np.uint8))),
         r"should hold \(30, 28, 28\), it holds \(30, 28, 27\)"),
        (IMAGES, gzip.compress(idx_bytes(np.zeros((30, 28, 28), np.uint8))[:-1]),
         r"should hold 23520 values, it holds 23519"),
        (IMAGES, gzip.compress(idx_bytes(np.zeros((30, 28, 28), np.uint8)) + bytes(10**7)),
         r"should hold 23520 values, it holds more"),
        (IMAGES, gzip.compress(idx_bytes(np.ones((30, 28, 28), np.uint8)))[:-20], r"is damaged or no gzip file"),
        (IMAGES, b"<html>not here</html>", r"is damaged or no gzip file"),
        (LABELS, gzip.compress(idx_bytes(np.full(30, 10, np.uint8))), r"has the label 10, but MNIST has 10 classes"),
    ],
)  # fmt: skip
def test_damaged_idx_files_are_named(tmp_path, name, data, message):
    entry, files, _ = mnist()
    write_all(tmp_path / "mnist", files | {name: data})
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        entry.load(tmp_path)


def test_what_is_said_of_the_real_sets_adds_up():
    """The facts that the loaders rely on, against each other and against what everybody knows of these sets."""
    for entry in (CIFAR10, CIFAR100):
        assert (entry.train_images, entry.test_images) == (50_000, 10_000)
        assert entry.train_images * entry.record_bytes % len(entry.train_files) == 0
        assert entry.remote[0].url.startswith("https://www.cs.toronto.edu/~kriz/")
        assert entry.remote[0].name.endswith("-binary.tar.gz")  # the other archives hold pickles
    assert CIFAR10.record_bytes == 3073
    assert CIFAR100.record_bytes == 3074
    for entry in (MNIST, FASHION_MNIST, KMNIST):
        assert (entry.train_images, entry.test_images) == (60_000, 10_000)
        assert len(entry.names) == entry.classes == 10
    files = [file for entry in (CIFAR10, CIFAR100, MNIST, FASHION_MNIST, KMNIST) for file in entry.remote]
    assert all(len(bytes.fromhex(file.md5)) == 16 for file in files)
    assert len({file.md5 for file in files}) == len(files) == 14
