"""Downloads that go wrong in every way, and archives that cannot be trusted."""

import errno
import gzip
import io
import os
import subprocess
import sys
import tarfile
import time

import pooch
import pytest
from made_files import md5, tar_gz

from minires.data import downloads as module
from minires.data.downloads import data_folder, download, unpack


def test_a_download_arrives_whole_with_a_progress_bar(server, tmp_path, capfd):
    server.files["a.bin"] = data = os.urandom(300_000)
    path = tmp_path / "new" / "folder" / "a.bin"
    assert download(f"{server.url}/a.bin", md5(data), path) == path
    assert path.read_bytes() == data
    assert "100%" in capfd.readouterr().err
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_file_that_is_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"here")
    assert download(f"{server.url}/a.bin", md5(b"here"), tmp_path / "a.bin") == tmp_path / "a.bin"
    assert server.asked == []


def test_a_file_that_is_there_but_another_is_kept_and_named(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(ValueError, match=rf"a\.bin is not the published file: its MD5 is {md5(b'mine')}.* Delete it"):
        download(f"{server.url}/a.bin", md5(b"theirs"), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"mine"
    assert server.asked == []


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    server.files["a.bin"] = b"changed on the way"
    with pytest.raises(ValueError, match=rf"a\.bin gave another file .*{md5(b'changed on the way')}.*Nothing was kept"):
        download(f"{server.url}/a.bin", md5(b"original"), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["dies", "silent", "missing", "refused"])
def test_a_failed_download_says_what_to_do_by_hand_and_leaves_nothing(server, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    data = os.urandom(100_000)
    url = f"{server.url}/a.bin"
    if fault in ("dies", "silent"):
        server.files["a.bin"] = data
        server.broken["a.bin"] = fault
    if fault == "refused":
        url = "http://127.0.0.1:9/a.bin"  # nothing listens at the discard port
    reason = {"dies": "127.0.0.1", "silent": "127.0.0.1", "missing": "the server answers 404 .*"}.get(
        fault, "no connection to 127.0.0.1"
    )
    message = rf"a\.bin cannot be downloaded \([a-z ]*{reason}[a-z ]*\)\. .* put that file at .*a\.bin, .*MINIRES_DATA"
    with pytest.raises(OSError, match=message):
        download(url, md5(data), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("endless", ValueError, r"a\.bin gave another file .*: it goes on after the 100000 bytes .*Nothing was kept"),
        ("stalls", OSError, r"a\.bin cannot be downloaded \(127\.0\.0\.1 has sent nothing more for 0\.3 seconds\)"),
        ("drips", OSError, r"a\.bin cannot be downloaded \(127\.0\.0\.1 sends less than 1000 bytes a second\)"),
    ],
)
def test_a_download_has_limits(server, tmp_path, fault, error, message):
    server.files["a.bin"] = data = os.urandom(50_000)
    server.broken["a.bin"] = fault
    with pytest.raises(error, match=message):
        download(f"{server.url}/a.bin", md5(data), tmp_path / "a.bin", size=100_000, timeout=0.3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot ask for a process without ending it")
def test_what_a_killed_download_left_is_swept(server, tmp_path):
    server.files["a.bin"] = data = os.urandom(50_000)
    server.broken["a.bin"] = "stalls"
    command = f"from pathlib import Path; from minires.data.downloads import download; download('{server.url}/a.bin', "
    command += f"'{md5(data)}', Path({str(tmp_path / 'a.bin')!r}))"
    with subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob(".a.bin.*/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    (left,) = tmp_path.iterdir()
    other = tmp_path / f".b.bin.{process.pid}"  # of another file: that one's download will see to it
    alive = tmp_path / f".a.bin.{os.getppid()}"
    other.mkdir()
    alive.mkdir()
    del server.broken["a.bin"]
    download(f"{server.url}/a.bin", md5(data), tmp_path / "a.bin")
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.bin", other.name, alive.name])


def test_a_pipe_in_the_place_of_a_download_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.bin")
    with pytest.raises(ValueError, match=r"a\.bin is a pipe, and must be a plain file"):
        download("http://127.0.0.1:9/a.bin", md5(b"data"), tmp_path / "a.bin")


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    server.files["a.bin"] = b"data"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"a\.bin cannot be written .*; choose another folder with --data-dir"):
        download(f"{server.url}/a.bin", md5(b"data"), tmp_path / "file" / "a.bin")


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    server.files["a.bin"] = b"data"
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", no_space)
    with pytest.raises(OSError, match=r"a\.bin cannot be written \(.*No space left on device\); choose another folder"):
        download(f"{server.url}/a.bin", md5(b"data"), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module.shutil, "copyfileobj", no_space)
    with pytest.raises(OSError, match=r"set\.tar\.gz cannot be unpacked into .*out \(.*No space left on device\)"):
        unpacked(tmp_path, tar_gz(GOOD))
    assert list((tmp_path / "out").iterdir()) == []


def test_where_downloads_go(tmp_path, monkeypatch):
    assert data_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.setenv("MINIRES_DATA", "~/named")
    assert data_folder() == data_folder("~/named")
    assert data_folder().is_absolute()
    monkeypatch.delenv("MINIRES_DATA")
    assert data_folder().name == "minires"


WANTED = ["set/a.bin", "set/b.bin"]


def unpacked(tmp_path, data, max_bytes=10_000):
    (tmp_path / "set.tar.gz").write_bytes(data)
    unpack(tmp_path / "set.tar.gz", WANTED, tmp_path / "out" / "set", max_bytes)
    return {path.name: path.read_bytes() for path in (tmp_path / "out" / "set").iterdir()}


def test_unpack_takes_what_is_wanted(tmp_path):
    files = {"set/readme.html": b"no", "set/b.bin": b"bbb", "set/a.bin": b"aa"}
    assert unpacked(tmp_path, tar_gz(files)) == {"a.bin": b"aa", "b.bin": b"bbb"}


def test_unpack_completes_a_folder_and_keeps_what_else_is_in_it(tmp_path):
    (tmp_path / "out" / "set").mkdir(parents=True)
    (tmp_path / "out" / "set" / "a.bin").write_bytes(b"half")
    (tmp_path / "out" / "set" / "notes.txt").write_bytes(b"mine")
    files = unpacked(tmp_path, tar_gz({"set/a.bin": b"whole", "set/b.bin": b"b"}))
    assert files == {"a.bin": b"whole", "b.bin": b"b", "notes.txt": b"mine"}


GOOD = {"set/a.bin": b"a" * 3000, "set/b.bin": b"b" * 3000}


def make_link(member):
    if member.name.endswith("b.bin"):
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def make_device(member):
    if member.name.endswith("b.bin"):
        member.type, member.size = tarfile.CHRTYPE, 0


MANY = {f"set/{number}": bytes(2000) for number in range(10)}  # each small enough, together too much
BOMB = {"set/a.bin": b"a", "set/huge": bytes(1_000_000), "set/b.bin": b"b"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar_gz(GOOD | {"../outside": b"x"}), r"'\.\./outside', which points out of the archive"),
        (tar_gz(GOOD | {"set/../../outside": b"x"}), r"which points out of the archive"),
        (tar_gz(GOOD | {"/outside": b"x"}), r"'/outside', which points out of the archive"),
        (tar_gz(GOOD | {"..\\outside": b"x"}), r"which points out of the archive"),
        (tar_gz(GOOD | {"C:outside": b"x"}), r"which points out of the archive"),
        (tar_gz(GOOD, make_link), r"'set/b\.bin', which is neither a file nor a folder"),
        (tar_gz(GOOD, make_device), r"'set/b\.bin', which is neither a file nor a folder"),
        (tar_gz(BOMB), r"unpacks to more than 0 MB"),
        (tar_gz(MANY | GOOD), r"unpacks to more than 0 MB"),
        (tar_gz({"set/a.bin": b"a"}), r"lacks set/b\.bin: it is another archive"),
        (tar_gz(GOOD)[:-40], r"is damaged or no \.tar\.gz"),
        (tar_gz(GOOD)[:30], r"is damaged or no \.tar\.gz"),
        (gzip.compress(b"not a tar file, but packed"), r"is damaged or no \.tar\.gz"),
        (b"<html>please log in</html>", r"is damaged or no \.tar\.gz"),
        (b"", r"is damaged or no \.tar\.gz"),
    ],
)
def test_an_archive_that_cannot_be_trusted_leaves_nothing(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        unpacked(tmp_path, data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.tar.gz"]
    assert list((tmp_path / "out").iterdir()) == []


def test_every_archive_cut_short_is_refused_or_whole(tmp_path):
    """A cut may fall behind the last wanted byte; then, and only then, the files are there, and right."""
    whole = tar_gz(GOOD)
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        folder = tmp_path / str(length)
        folder.mkdir()
        try:
            files = unpacked(folder, whole[:length])
        except ValueError:
            assert list((folder / "out").iterdir()) == []
        else:
            assert files == {"a.bin": GOOD["set/a.bin"], "b.bin": GOOD["set/b.bin"]}


def test_a_head_that_lies_about_its_size_is_refused(tmp_path):
    def enlarge(member):
        member.size = 10**15

    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as packed:
        member = tarfile.TarInfo("set/a.bin")
        enlarge(member)
        packed.write(member.tobuf() + b"short")
    with pytest.raises(ValueError, match="unpacks to more than"):
        unpacked(tmp_path, buffer.getvalue())
