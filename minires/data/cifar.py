"""CIFAR-10 and CIFAR-100 in their binary version: records of one or two label bytes and 3072 pixel bytes.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the layout is on
https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minires.data.dataset import Dataset
from minires.data.downloads import download, unpack
from minires.data.published import PublishedSet, RemoteFile
from minires.kernels import Array

BLOCK = 1000  # records read at a time: 3 MB beside the images


@dataclass(frozen=True)
class CifarSet(PublishedSet):
    """One of the CIFAR sets. label_bytes: of a record, the last of them is the class. names_file: a class a line."""

    train_files: tuple[str, ...]
    test_file: str
    names_file: str
    label_bytes: int

    @property
    def record_bytes(self) -> int:
        channels, height, width = self.shape
        return self.label_bytes + channels * height * width

    def is_complete(self, folder: Path) -> bool:
        return all([(folder / name).is_file() for name in (*self.train_files, self.test_file, self.names_file)])

    def download_into(self, folder: Path, timeout: float | None = None) -> None:
        """Download the one archive into the folder above, and unpack it."""
        (archive,) = self.remote
        path = download(archive.url, archive.md5, folder.parent / archive.name, archive.size, timeout)
        names = [f"{self.folder_name}/{name}" for name in (*self.train_files, self.test_file, self.names_file)]
        total = (self.train_images + self.test_images) * self.record_bytes
        unpack(path, names, folder, max_bytes=total + 1_000_000)  # and a few short text files

    def read(self, folder: Path) -> Dataset:
        """Read the unpacked files. ValueError for a file of the wrong size, or with labels outside the classes."""
        classes = (folder / self.names_file).read_text(encoding="ascii", errors="replace").split()
        if len(classes) != self.classes:
            raise ValueError(f"{folder / self.names_file} should name {self.classes} classes, it names {len(classes)}")
        train_images, train_labels = self.read_part([folder / name for name in self.train_files], self.train_images)
        test_images, test_labels = self.read_part([folder / self.test_file], self.test_images)
        return Dataset(self.name, train_images, train_labels, test_images, test_labels, classes)

    def read_part(self, paths: list[Path], count: int) -> tuple[Array, Array]:
        """Return the images (count, C, H, W), uint8, and the labels of files that hold equally many records."""
        images = np.empty((count, *self.shape), np.uint8)
        labels = np.empty(count, np.int64)
        size = count // len(paths) * self.record_bytes
        done = 0
        for path in paths:
            if path.stat().st_size != size:
                raise ValueError(
                    f"{path} should be {size} bytes long, it is {path.stat().st_size}: it is cut short or another "
                    f"file. Delete it, and `minires data fetch {self.name}` brings it again"
                )
            with open(path, "rb") as file:
                for _ in range(0, size, BLOCK * self.record_bytes):
                    block = np.fromfile(file, np.uint8, BLOCK * self.record_bytes).reshape(-1, self.record_bytes)
                    rows = slice(done, done + len(block))
                    labels[rows] = block[:, self.label_bytes - 1]
                    images[rows] = block[:, self.label_bytes :].reshape(-1, *self.shape)
                    done += len(block)
            highest = int(labels[done - count // len(paths) : done].max())
            if highest >= self.classes:
                raise ValueError(f"{path} has the label {highest}, but {self.title} has {self.classes} classes")
        return images, labels


CIFAR10 = CifarSet(
    name="cifar10",
    title="CIFAR-10",
    shape=(3, 32, 32),
    classes=10,
    train_images=50_000,
    test_images=10_000,
    folder_name="cifar-10-batches-bin",
    remote=(
        RemoteFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171
        ),
    ),
    source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    train_files=tuple([f"data_batch_{k}.bin" for k in range(1, 6)]),
    test_file="test_batch.bin",
    names_file="batches.meta.txt",
    label_bytes=1,
)

CIFAR100 = CifarSet(
    name="cifar100",
    title="CIFAR-100",
    shape=(3, 32, 32),
    classes=100,
    train_images=50_000,
    test_images=10_000,
    folder_name="cifar-100-binary",
    remote=(
        RemoteFile(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733
        ),
    ),
    source=CIFAR10.source,
    train_files=("train.bin",),
    test_file="test.bin",
    names_file="fine_label_names.txt",
    label_bytes=2,  # the superclass, then the class
)
