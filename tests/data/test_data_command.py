"""`minires data` from the command line."""

import dataclasses

import numpy as np
import pytest
from made_files import cifar10, cifar_archive, write_all
from test_image_files import folder_of

from minires.cli.main import main
from minires.data.registry import NAMES, PUBLISHED


@pytest.fixture
def small_cifar(server, monkeypatch):
    entry, files, _ = cifar10()
    server.files["cifar-10-binary.tar.gz"], entry = cifar_archive(entry, files, server.url)
    monkeypatch.setitem(PUBLISHED, "cifar10", entry)
    return entry, files


def test_list_says_what_is_here_and_what_a_download_weighs(small_cifar, tmp_path, capsys):
    entry, files = small_cifar
    assert main(["data", "list", "--data-dir", str(tmp_path / "data")]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert set(NAMES) < set(lines)
    assert "1438 + 359" in lines["digits"] and "1×8×8" in lines["digits"] and lines["digits"].endswith("shipped")
    assert lines["cifar100"].endswith("to download: 169 MB")
    assert lines["cifar10"].endswith("to download: 0 MB")
    assert lines["Downloads"] == f"Downloads go to {tmp_path / 'data'}."
    write_all(tmp_path / "data" / entry.folder_name, files)
    assert main(["data", "list", "--data-dir", str(tmp_path / "data")]) == 0
    assert str(tmp_path / "data" / entry.folder_name) in capsys.readouterr().out


def test_fetch_downloads_once(small_cifar, server, tmp_path, capsys):
    for _ in range(2):
        assert main(["data", "fetch", "cifar10", "--data-dir", str(tmp_path)]) == 0
        folder = tmp_path / "cifar-10-batches-bin"
        expected = f"{folder}: Dataset(cifar10, 50 + 10 images (3, 32, 32) uint8, 10 classes)\n"
        assert capsys.readouterr().out == expected
    assert len(server.asked) == 1
    assert main(["data", "fetch", "digits"]) == 0


def test_fetch_says_what_is_wrong(small_cifar, server, tmp_path, capsys, monkeypatch):
    server.files.clear()
    assert main(["data", "fetch", "cifar10", "--data-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "minires data: http://127.0.0.1" in error
    assert f"put that file at {tmp_path / 'cifar-10-binary.tar.gz'}" in error
    server.files["cifar-10-binary.tar.gz"] = b"another file"
    assert main(["data", "fetch", "cifar10", "--data-dir", str(tmp_path)]) == 2
    assert "gave another file than the one published" in capsys.readouterr().err
    assert main(["data", "fetch", "imagenet"]) == 2
    assert "unknown data set 'imagenet'; known: digits, cifar10" in capsys.readouterr().err
    wrong = dataclasses.replace(PUBLISHED["cifar10"], train_images=100)
    monkeypatch.setitem(PUBLISHED, "cifar10", wrong)
    write_all(tmp_path / wrong.folder_name, small_cifar[1])
    assert main(["data", "fetch", "cifar10", "--data-dir", str(tmp_path)]) == 2
    assert "data_batch_1.bin should be 61460 bytes long" in capsys.readouterr().err


def test_info(tmp_path, capsys):
    assert main(["data", "info", "digits"]) == 0
    printed = capsys.readouterr().out
    assert "digits: 1×8×8 (channels, height, width), uint8" in printed
    assert printed.splitlines()[-1].split() == ["all", "1438", "359"]
    folder_of(tmp_path / "pets", {"cat": 10, "bird": 15})
    (tmp_path / "pets" / "cat" / "bad.png").write_bytes(b"")
    assert main(["data", "info", str(tmp_path / "pets")]) == 2
    assert "1 of 26 pictures cannot be read" in capsys.readouterr().err
    assert main(["data", "info", str(tmp_path / "pets"), "--skip-bad"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["bird", "12", "3"] in rows and ["cat", "8", "2"] in rows
    np.savez(tmp_path / "a.npz", train_images=np.zeros((2, 1, 2, 2), np.uint8), train_labels=np.array([0, 1]),
             test_images=np.zeros((2, 1, 2, 2), np.uint8), test_labels=np.array([0, 1]))  # fmt: skip
    assert main(["data", "info", str(tmp_path / "a.npz")]) == 0


def test_a_training_goes_on_without_bad_pictures_if_told_to(tmp_path, capsys):
    folder_of(tmp_path / "pets", {"cat": 5, "bird": 5})
    (tmp_path / "pets" / "cat" / "bad.png").write_bytes(b"")
    settings = ["--set", "data.image_size=8", "steps=1", "batch_size=4", 'augmentation=["resized_crop", "flip"]']
    arguments = ["train", "--model", "resnet20", "--data", str(tmp_path / "pets"), "--recipe", "digits", *settings]
    arguments += ["--kernels", "numpy", "--out", str(tmp_path / "runs")]
    assert main(arguments) == 2
    assert "1 of 11 pictures cannot be read (skip_bad, --skip-bad, goes on without them)" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main([*arguments, "--skip-bad"]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_info_of_a_published_set_names_its_source(small_cifar, tmp_path, capsys):
    write_all(tmp_path, small_cifar[1])
    assert main(["data", "info", "cifar10", "--data-dir", str(tmp_path)]) == 0
    assert "Krizhevsky" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["data"], ["data", "burn"], ["data", "fetch"], ["data", "list", "extra"]])
def test_bad_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "usage: minires" in capsys.readouterr().err
