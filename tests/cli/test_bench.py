"""minires bench: times of both kernels, the table of ops, and what it refuses."""

import json
import re

import pytest

from minires import kernels
from minires.cli.main import main

SMALL = ["bench", "--batch-size", "2", "--size", "16", "--rounds", "1"]


def test_times_of_both_kernels(capsys, require):
    require("numba")
    before = kernels.in_use()
    assert main([*SMALL, "--kernels", "numpy", "numba", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "resnet20, 2 images of 16×16, numpy kernels\n" in out
    assert "resnet20, 2 images of 16×16, numba kernels, fused\n" in out
    line = r"(training step|inference) +([\d.]+) ms   quartiles [\d.]+ … [\d.]+ +\d+ images/s   first (?:step|pass) "
    times = re.findall(line, out)
    assert [what for what, _ in times] == ["training step", "inference"] * 2
    assert all(float(ms) > 0 for _, ms in times)
    assert kernels.in_use() == before


@pytest.fixture(autouse=True)
def restored_threads():
    from minires.kernels.numba_kernels.machine import threads

    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def test_the_profile_lists_the_ops_of_a_step(capsys):
    assert main([*SMALL, "--kernels", "numpy", "--profile"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"Conv2d +2×3×16×16 · 16×3×3×3 +1 ", out)
    assert re.search(r"Conv2d +2×16×16×16 · 32×16×3×3, stride 2 +1 ", out)
    assert re.search(r"ResidualAdd +2×16×16×16 · 2×16×16×16 +3 ", out)
    assert re.search(r"optimizer [\d.]+ ms; whole step, unobserved, [\d.]+ ms", out)


def test_bad_sizes_are_refused(capsys):
    for option in ("--batch-size", "--rounds", "--size"):
        assert main(["bench", option, "0"]) == 2
        assert f"minires bench: {option} must be at least 1, got 0" in capsys.readouterr().err
    assert main(["bench", "--model", "vgg"]) == 2
    assert "minires bench: models: unknown model 'vgg'" in capsys.readouterr().err


def test_options_of_the_model(capsys):
    sizes = ["--set", "model.depth=10", "model.width=1"]
    assert main([*SMALL, "--kernels", "numpy", "--model", "wide_resnet", *sizes]) == 0
    assert "wide_resnet, 2 images of 16×16" in capsys.readouterr().out
    for arguments, message in [
        (["--model", "wide_resnet"], "wide_resnet has no size of its own: add --set model.depth=16 model.width=4"),
        (["--set", "steps=3"], "--set is for options of the model here, such as model.depth=16, not 'steps=3'"),
        (["--stem", "imagenet"], "--stem is for resnet18 to resnet152, not for resnet20"),
    ]:
        assert main([*SMALL, *arguments]) == 2
        assert message in capsys.readouterr().err


def test_json(capsys):
    words = [*SMALL, "--kernels", "numpy", "--json"]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in rows] == ["training step", "inference"] and rows[0]["kernels"] == "numpy"
    assert all(row["median_s"] > 0 and row["first_s"] > 0 and row["batch_size"] == 2 for row in rows)
    assert main([*words, "--profile"]) == 0
    (profile,) = json.loads(capsys.readouterr().out)
    assert profile["ops"][0]["calls"] > 0 and profile["peak_flops_per_s"] > 0 and profile["kernels"] == "numpy"


def test_doctor_as_json(capsys):
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["libraries"]["numpy"] and facts["kernels"] in ("numpy", "numba") and "gpu_problem" in facts
