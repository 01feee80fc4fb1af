"""Small files in the published layouts, written by the tests themselves, and sets that expect them."""

import dataclasses
import gzip
import hashlib
import io
import tarfile

import numpy as np

from minires.data.cifar import CIFAR10, CIFAR100
from minires.data.idx import FASHION_MNIST, MNIST
from minires.data.published import RemoteFile


def md5(data):
    return hashlib.md5(data).hexdigest()


def remote(base, name, data):
    return RemoteFile(f"{base}/{name}", md5(data), len(data))


def tar_gz(files, change=lambda member: None):
    """A .tar.gz of {name: bytes}; change may alter each entry's head."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            change(member)
            tar.addfile(member, io.BytesIO(data[: member.size]))
    return buffer.getvalue()


def cifar(entry, images_in_a_file, test_images, seed=0):
    """A CIFAR set of a few random images: the set, its files by name, its images and labels, train and test."""
    rng = np.random.default_rng(seed)
    count = images_in_a_file * len(entry.train_files)
    parts = []
    for size in (count, test_images):
        labels = rng.permutation(np.arange(size) % entry.classes).astype(np.uint8)
        parts += [rng.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8), labels]
    records = []
    for images, labels in (parts[:2], parts[2:]):
        heads = np.zeros((len(images), entry.label_bytes), np.uint8) + 77  # what stands before the class is not read
        heads[:, -1] = labels
        records.append(np.concatenate([heads, images.reshape(len(images), -1)], axis=1))
    names = dict(zip(entry.train_files, np.split(records[0], len(entry.train_files)), strict=True))
    files = {name: array.tobytes() for name, array in (names | {entry.test_file: records[1]}).items()}
    files[entry.names_file] = "\n".join(f"kind_{k}" for k in range(entry.classes)).encode() + b"\n\n"
    small = dataclasses.replace(entry, train_images=count, test_images=test_images)
    return small, files, parts


def cifar10(images_in_a_file=10, test_images=10):
    return cifar(CIFAR10, images_in_a_file, test_images)


def cifar100():
    return cifar(CIFAR100, 100, 100)


def cifar_archive(entry, files, base):
    """The archive of these files, and the set that finds it at `base`."""
    data = tar_gz({f"{entry.folder_name}/{name}": content for name, content in files.items()})
    return data, dataclasses.replace(entry, remote=(remote(base, entry.remote[0].name, data),))


def idx_bytes(array):
    """An IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def mnist(base="http://127.0.0.1:9", entry=MNIST, train_images=30, test_images=20):
    """An MNIST of a few random images: the set, its packed files by name, the four arrays."""
    rng = np.random.default_rng(1)
    arrays = []
    for size in (train_images, test_images):
        arrays += [rng.integers(0, 256, (size, 28, 28), dtype=np.uint8), (np.arange(size) % 10).astype(np.uint8)]
    names = [file.name for file in entry.remote]
    files = {name: gzip.compress(idx_bytes(array)) for name, array in zip(names, arrays, strict=True)}
    small = dataclasses.replace(
        entry,
        train_images=train_images,
        test_images=test_images,
        remote=tuple(remote(base, name, data) for name, data in files.items()),
    )
    return small, files, arrays


def fashion_mnist(base="http://127.0.0.1:9"):
    return mnist(base, FASHION_MNIST)


def write_all(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
