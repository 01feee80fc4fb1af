"""Files from the network onto the disk: downloaded once, checked by their hash, unpacked with distrust."""

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import time
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from minires.data.disk import check_plain, reason_of, temporary_folder

if TYPE_CHECKING:
    import requests

TIMEOUT = 30  # seconds without a byte, or with so few as
SLOWEST = 1000  # bytes a second
LARGEST = 2 * 10**9  # bytes of a file whose size is not known
CHUNK = 2**16

# What a gzip or tar file that is cut short, or is none, makes the standard library raise.
DAMAGED = (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error)


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Return the folder for downloads: data_dir, else $MINIRES_DATA, else the user's cache folder."""
    chosen = data_dir or os.environ.get("MINIRES_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("minires"))


def md5_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, md5: str, path: Path, size: int = LARGEST, timeout: float | None = None) -> Path:
    """Return `path`, the file of this URL with this MD5: taken as it is where it exists, else downloaded.

    The file appears under its name only when it is whole and its hash is right. What is left of a download that was
    killed is swept. size: bytes, at which a download is given up; timeout: seconds, default `TIMEOUT`, in which not
    `SLOWEST` bytes a second came. ValueError for a wrong hash or more bytes; OSError where the file cannot be had or
    written, with what to do by hand.
    """
    if path.exists():
        check_plain(path)
        found = md5_of(path)
        if found != md5:
            raise ValueError(
                f"{path} is not the published file: its MD5 is {found}, {url} has {md5}. Delete it to download it again"
            )
        return path
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    timeout = TIMEOUT if timeout is None else timeout

    def limit(response: "requests.Response", **_: object) -> None:
        vars(response)["iter_content"] = lambda chunk_size=1: chunks(response, size, timeout)

    downloader = pooch.HTTPDownloader(progressbar=sys.stderr is not None, timeout=timeout, hooks={"response": limit})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path) as temporary:
            pooch.retrieve(url, known_hash=f"md5:{md5}", fname=path.name, path=temporary, downloader=downloader)
            (temporary / path.name).replace(path)
    except requests.RequestException as error:  # also an OSError, so it comes first
        raise OSError(
            f"{url} cannot be downloaded ({failure_of(error, url)}). Without a network, put that file at {path}, or "
            "choose a folder that has it with --data-dir or MINIRES_DATA"
        ) from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path} cannot be written ({reason_of(error)}); choose another folder with --data-dir or MINIRES_DATA",
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{url} gave another file than the one published: {error}. Nothing was kept. Put the right file at {path}"
        ) from error
    return path


def chunks(response: "requests.Response", size: int, timeout: float) -> Iterator[bytes]:
    """Yield what comes, as it comes. ValueError for more bytes than `size`, requests.Timeout where it is too slow."""
    import requests
    import urllib3

    host = urlsplit(response.url).hostname
    total, begun, before = 0, time.monotonic(), 0
    try:
        while data := response.raw.read1(CHUNK, decode_content=True):
            total += len(data)
            if total > size:
                raise ValueError(f"it goes on after the {size} bytes that it should have")
            seconds = time.monotonic() - begun
            if seconds >= timeout:
                if total - before < SLOWEST * seconds:
                    raise requests.Timeout(f"{host} sends less than {SLOWEST} bytes a second", response=None)
                begun, before = begun + seconds, total
            yield data
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.Timeout(f"{host} has sent nothing more for {timeout:g} seconds") from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def failure_of(error: "requests.RequestException", url: str) -> str:
    """Say in few words why a download failed; what Requests itself says of a missing network fills three lines."""
    import requests

    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    host = urlsplit(url).hostname
    if type(error) is requests.Timeout:  # of ours, in the middle of the file
        return str(error)
    if isinstance(error, requests.Timeout):
        return f"{host} does not answer"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return f"the connection to {host} broke off"


def unpack(archive: Path, names: Collection[str], folder: Path, max_bytes: int) -> None:
    """Take the files `names` out of a .tar.gz and put each into `folder`, under the last part of its name.

    Nothing is put there unless all of them are in the archive. ValueError for an archive that is damaged, lacks one of
    the names, holds more than max_bytes, or holds an entry that is no plain file or folder below the archive's root.
    """
    check_plain(archive)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as temporary:
        missing = set(names)
        total = 0
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    check_member(archive, member)
                    total += member.size
                    if total > max_bytes:  # known from the entry's head, before its bytes are unpacked
                        raise ValueError(f"{archive} unpacks to more than {max_bytes / 1e6:.0f} MB: not unpacked")
                    if member.name in missing and member.isreg():
                        source = tar.extractfile(member)
                        assert source is not None  # it is a plain file
                        with source, open(temporary / PurePosixPath(member.name).name, "wb") as target:
                            shutil.copyfileobj(source, target)
                        missing.remove(member.name)
        except DAMAGED as error:
            raise ValueError(f"{archive} is damaged or no .tar.gz ({error}); delete it to download it again") from error
        except OSError as error:
            message = f"{archive} cannot be unpacked into {folder.parent} ({reason_of(error)}); make room there"
            raise OSError(error.errno, message) from error
        if missing:
            raise ValueError(f"{archive} lacks {', '.join(sorted(missing))}: it is another archive than expected")
        folder.mkdir(exist_ok=True)
        for path in temporary.iterdir():
            path.replace(folder / path.name)


def check_member(archive: Path, member: tarfile.TarInfo) -> None:
    """Refuse an entry that points out of the archive or is something else than a file or folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        raise ValueError(f"{archive} holds {member.name!r}, which points out of the archive: not unpacked")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"{archive} holds {member.name!r}, which is neither a file nor a folder: not unpacked")
