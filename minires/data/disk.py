"""What reading and writing files have in common: plain files alone are read, errors name file and cure, and what a
killed process left behind is swept.

A file or folder in the making has a name of its own, `.NAME.PID`, beside the place it is moved to when it is whole.
"""

import errno
import glob
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, the size a file may have


def check_plain(path: str | os.PathLike[str]) -> None:
    """Refuse what is no plain file: a pipe would be waited for, a device has no end.

    ValueError, naming the path, for a folder, pipe, socket or device; OSError where there is nothing.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise ValueError(f"{os.fspath(path)} is {kind}, and must be a plain file")


def read_plain(path: Path) -> bytes:
    """Read a plain file whole. ValueError where it is none, naming it; OSError where there is nothing."""
    check_plain(path)
    return path.read_bytes()


@contextmanager
def naming(path: str | os.PathLike[str], cure: str = "choose another place") -> Iterator[None]:
    """In its block, an OSError of writing becomes one that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            cure = f"make room on that disk, or {cure}"
        raise OSError(error.errno, f"{os.fspath(path)} cannot be written ({reason_of(error)}); {cure}") from error


def reason_of(error: OSError) -> str:
    """Say in the system's words what went wrong, without the number, the path or another message around it."""
    return os.strerror(error.errno) if error.errno else str(error)


def temporary_name(path: Path) -> Path:
    """Return where this process makes the file or folder that will be `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside `path` for the block, in which `path` is made; sweep those that killed processes left."""
    sweep(path.parent, glob.escape(path.name))
    folder = temporary_name(path)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, pattern: str = "*") -> None:
    """Delete what killed processes left half made in a folder: `.NAME.PID`, where NAME fits a pattern as of `glob`.

    What belongs to a process that lives stays. Errors are none of the caller's: what cannot be deleted stays too.
    """
    if os.name != "posix":  # Windows cannot ask for a process without ending it
        return
    for path in folder.glob(".*"):
        parts = re.fullmatch(r"\.(.+)\.(\d{1,9})", path.name)
        if parts is None or not fnmatchcase(parts[1], pattern) or is_alive(int(parts[2])):
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:
            continue


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, as another user's too."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return pid > 0
