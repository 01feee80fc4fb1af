"""What the published data sets have in common: facts for the reader, where their files lie, how they are fetched."""

from dataclasses import dataclass
from pathlib import Path

from minires.data.dataset import Dataset
from minires.data.downloads import data_folder, download


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: where it is, its MD5 as its publisher states it, its size in bytes."""

    url: str
    md5: str
    size: int

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class PublishedSet:
    """A data set that is published as files of a fixed size.

    folder_name: the folder of its files below the data folder. files: the names a complete folder has.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: int
    train_images: int
    test_images: int
    folder_name: str
    remote: tuple[RemoteFile, ...]
    source: str

    @property
    def download_size(self) -> int:
        return sum([file.size for file in self.remote])

    def find(self, data_dir: str | Path | None = None) -> Path | None:
        """Return the folder that holds all files: the data folder's `folder_name`, or the data folder itself."""
        root = data_folder(data_dir)
        for folder in (root / self.folder_name, root):
            if self.is_complete(folder):
                return folder
        return None

    def fetch(self, data_dir: str | Path | None = None, timeout: float | None = None) -> Path:
        """Return the folder that holds all files, downloading what is missing. timeout: as of `download`."""
        found = self.find(data_dir)
        if found is not None:
            return found
        folder = data_folder(data_dir) / self.folder_name
        self.download_into(folder, timeout)
        return folder

    def load(self, data_dir: str | Path | None = None) -> Dataset:
        """Return the data set, downloading what is missing."""
        return self.read(self.fetch(data_dir))

    def is_complete(self, folder: Path) -> bool:
        raise NotImplementedError

    def download_into(self, folder: Path, timeout: float | None = None) -> None:
        """Download the files one by one; none may be larger than it is known to be."""
        for file in self.remote:
            download(file.url, file.md5, folder / file.name, file.size, timeout)

    def read(self, folder: Path) -> Dataset:
        raise NotImplementedError
