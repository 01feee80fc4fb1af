"""MNIST, Fashion-MNIST and KMNIST, in IDX files: a magic number, the sizes, the bytes; packed with gzip or not.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998;
H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747, 2017;
T. Clanuwat et al., "Deep learning for classical Japanese literature", arXiv:1812.01718, 2018.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minires.data.dataset import Dataset
from minires.data.downloads import DAMAGED, md5_of
from minires.data.idx_contents import MARKS, set_in
from minires.data.published import PublishedSet, RemoteFile
from minires.kernels import Array


@dataclass(frozen=True)
class IdxSet(PublishedSet):
    """A set of four IDX files: images and labels to train, images and labels to test. names: of the classes."""

    names: tuple[str, ...]

    def is_complete(self, folder: Path) -> bool:
        return all([packed_or_not(folder / file.name) is not None for file in self.remote])

    def read(self, folder: Path) -> Dataset:
        """Read the files. ValueError for one that is damaged, of other sizes, with labels outside the classes, and for
        the files of another set of the same names."""
        _, height, width = self.shape
        sizes = [(self.train_images, height, width), (self.train_images,)]
        sizes += [(self.test_images, height, width), (self.test_images,)]
        arrays, hashes = [], []
        for file, size in zip(self.remote, sizes, strict=True):
            path = packed_or_not(folder / file.name)
            assert path is not None  # fetch has seen it
            array = read_idx(path, size)
            if len(size) == 1:
                hashes.append(md5_of(path))
            if len(size) == 1 and array.max() >= self.classes:
                raise ValueError(f"{path} has the label {array.max()}, but {self.title} has {self.classes} classes")
            arrays.append(array if len(size) == 1 else array[:, np.newaxis])
        train_images, train_labels, test_images, test_labels = arrays
        found = set_in((hashes[0], hashes[1]), train_images, train_labels)
        if found is not None and found != self.name:
            raise ValueError(
                f"the files in {folder} are those of {MARKS[found].title}, which have the names of {self.title}'s: ask "
                f"for {found}, or put the files of {self.title} into a folder {self.folder_name} of their own"
            )
        return Dataset(self.name, train_images, train_labels, test_images, test_labels, self.names)


def packed_or_not(path: Path) -> Path | None:
    """Return name.gz, name without .gz, or either with a dot in it as some unpack it, whichever is there."""
    dotted = path.with_name(path.name.replace("-idx", ".idx"))
    for candidate in (path, path.with_suffix(""), dotted, dotted.with_suffix("")):
        if candidate.is_file():
            return candidate
    return None


def read_idx(path: Path, shape: tuple[int, ...]) -> Array:
    """Read an IDX file of unsigned bytes that must be of this shape. ValueError where it is not, or is damaged."""
    magic = bytes([0, 0, 8, len(shape)])  # 8: unsigned bytes
    expected = magic + np.array(shape, ">u4").tobytes()
    size = int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(len(expected))
            data = file.read(size + 1)  # no more than that, whatever the file unpacks to
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged or no gzip file ({error}); delete it to download it again") from error
    if head[:4] != magic:
        raise ValueError(f"{path} is no IDX file of {len(shape)} sizes and bytes: it begins with {head[:4].hex()}")
    if head != expected:
        found = tuple(np.frombuffer(head[4 : len(head) // 4 * 4], ">u4").tolist())
        raise ValueError(f"{path} should hold {shape}, it holds {found}")
    if len(data) != size:
        raise ValueError(f"{path} should hold {size} values, it holds {'more' if len(data) > size else len(data)}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)  # a bytearray, so that the array can be written to


def idx_files(base: str, hashes_and_sizes: tuple[tuple[str, int], ...]) -> tuple[RemoteFile, ...]:
    """Name the four files that each set has."""
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        [
            RemoteFile(f"{base}/{kind}-ubyte.gz", md5, size)
            for kind, (md5, size) in zip(kinds, hashes_and_sizes, strict=True)
        ]
    )


MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    shape=(1, 28, 28),
    classes=10,
    train_images=60_000,
    test_images=10_000,
    folder_name="mnist",
    remote=idx_files(
        "https://ossci-datasets.s3.amazonaws.com/mnist",  # the first publisher's server refuses downloads
        (
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
    ),
    source="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, 1998; "
    "http://yann.lecun.com/exdb/mnist/",
    names=tuple("0123456789"),
)

FASHION_MNIST = IdxSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    shape=(1, 28, 28),
    classes=10,
    train_images=60_000,
    test_images=10_000,
    folder_name="fashion-mnist",
    remote=idx_files(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        (
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
            ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        ),
    ),
    source="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017; "
    "https://github.com/zalandoresearch/fashion-mnist",
    names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)

KMNIST = IdxSet(
    name="kmnist",
    title="KMNIST",
    shape=(1, 28, 28),
    classes=10,
    train_images=60_000,
    test_images=10_000,
    folder_name="kmnist",
    remote=idx_files(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        (
            ("bdb82020997e1d708af4cf47b453dcf7", 18_165_135),
            ("e144d726b3acfaa3e44228e80efcd344", 29_497),
            ("5c965bf0a639b31b8f53240b1b52f4d7", 3_041_136),
            ("7320c461ea6c1c855c0b718fb2a4b134", 5_120),
        ),
    ),
    source="T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha, Deep learning for classical "
    "Japanese literature, 2018; https://github.com/rois-codh/kmnist",
    names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)
