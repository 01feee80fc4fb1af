"""`minires compare` from the command line: what it prints, what it leaves, how it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from minires import training
from minires.cli.main import main

QUICK = ["compare", "--depths", "8", "14", "--seeds", "2", "--steps", "2", "--batch-size", "8"]


def test_compare(tmp_path, capsys):
    assert main([*QUICK, "--out", str(tmp_path), "--kernels", "numpy", "--seed", "3"]) == 0
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "report.json", "summary.csv", "layers.csv", "losses.csv", "moments.csv",
        "gradient_flow.png", "weight_gradients.png"}
    report = json.loads((folder / "report.json").read_text())
    assert report["seeds"] == [3, 4] and report["steps"] == 2
    printed, progress = capsys.readouterr()
    for row in report["summary"]:
        (line,) = [line for line in printed.splitlines() if line.startswith(row["name"] + " ")]
        assert f"{row['log10_ratio_initial']:.2f}" in line and f"{row['train_loss']:.3f}" in line
    assert all(sentence in printed for sentence in report["verdict"])
    assert str(folder / "gradient_flow.png") in printed
    assert "\r" not in progress  # no terminal, no bar
    assert "100%" in progress and "residual-14" in progress


def test_switches(tmp_path, capsys):
    arguments = ["compare", "--depths", "8", "--init", "pytorch", "lecun", "--norm", "none", "--skip", "on",
                 "--activation", "elu", "--seeds", "1", "--steps", "0", "--batch-size", "4", "--out", str(tmp_path)]
    assert main(arguments) == 0
    (report,) = tmp_path.glob("*/report.json")
    networks = json.loads(report.read_text())["networks"]
    assert [(entry["init"], entry["norm"], entry["skip"], entry["activation"]) for entry in networks] == [
        ("pytorch", "none", True, "elu"), ("lecun", "none", True, "elu")]
    progress = capsys.readouterr().err
    assert "measure residual-8" in progress and "train residual-8" not in progress


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("--init", "best", "known: pytorch, lecun, xavier, he"),
        ("--norm", "instance", "known: batch, none, group, layer"),
        ("--data", "letters", "known: digits"),
        ("--html", "report.pdf", "must end in .html"),
        ("--html", "nowhere/report.html", "there is no folder"),
        ("--activation", "swish", "known: relu"),
        ("--kernels", "fortran", "known: numpy, numba"),
        ("--skip", "maybe", "off"),
        ("--depths", "21", "8, 14"),
    ],
)
def test_unknown_names(tmp_path, capsys, option, value, known):
    assert main([*QUICK, "--out", str(tmp_path), option, value]) == 2
    message = capsys.readouterr().err
    assert value in message and known in message
    assert list(tmp_path.iterdir()) == []


def test_impossible_numbers(tmp_path, capsys):
    assert main([*QUICK, "--out", str(tmp_path), "--steps", "-1"]) == 2
    assert capsys.readouterr().err == "minires compare: steps must be at least 0, got -1\n"


def test_unwritable_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([*QUICK, "--out", str(tmp_path / "file")]) == 2
    assert "cannot write to the output folder" in capsys.readouterr().err


def test_drawn_again(tmp_path, capsys):
    assert main([*QUICK, "--out", str(tmp_path), "--kernels", "numpy", "--moments", "1"]) == 0
    (folder,) = tmp_path.iterdir()
    before = {path: path.read_bytes() for path in folder.glob("*.png")}
    for path in before:
        path.unlink()
    assert main(["plot", str(folder)]) == 0
    assert {path: path.read_bytes() for path in folder.glob("*.png")} == before
    assert main(["plot", str(folder), str(folder)]) == 2
    assert "is drawn alone" in capsys.readouterr().err


def test_ctrl_c(tmp_path, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "train", interrupted)
    assert main([*QUICK, "--out", str(tmp_path)]) == 130
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "report.json").read_text())["interrupted"] is True
    assert (folder / "gradient_flow.png").stat().st_size > 10_000
    printed, message = capsys.readouterr()
    assert "plain-14" in printed and "interrupted; what was finished" in message


def test_ctrl_c_before_anything_was_measured(tmp_path, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("minires.lab.comparison.measure", interrupted)
    assert main([*QUICK, "--out", str(tmp_path)]) == 130
    (report,) = tmp_path.glob("*/report.json")
    assert json.loads(report.read_text())["interrupted"] is True
    assert not list(tmp_path.glob("*/*.png"))


@pytest.mark.skipif(os.name == "nt", reason="no such signal on Windows")
def test_a_real_interrupt(tmp_path):
    command = [sys.executable, "-m", "minires", "compare", "--depths", "8", "--seeds", "1", "--steps", "1000000",
               "--batch-size", "8", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*/report.json")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, message = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "plain-8" in printed and "interrupted" in message and "Traceback" not in message
    (report,) = tmp_path.glob("*/report.json")
    assert json.loads(report.read_text())["interrupted"] is True
