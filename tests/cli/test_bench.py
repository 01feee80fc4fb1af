"""minires bench: times of both kernels, the table of ops, and what it refuses."""

import re

import numpy as np
import pytest

from minires import Tensor, kernels, models, ops, optim
from minires.cli.main import main
from minires.engine import thread
from minires.observe import profiling

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


def test_operations_are_counted_by_the_definition():
    with kernels.use("numpy"):
        model = models.cifar_resnet(8, seed=0)
        images, labels = np.zeros((2, 3, 8, 8), np.float32), np.array([1, 2])
        sgd = optim.SGD(model.parameters(), lr=0.0)
        profile = profiling.profile_step(model, sgd, images, labels, rounds=1)
    assert thread.observer is None
    rows = {(row.op, row.shape): row for row in profile.rows}
    stem = rows["Conv2d", "2×3×8×8 · 16×3×3×3"]
    assert stem.flops == 2 * (2 * 8 * 8 * 16 * 3 * 9) * 2  # forward and the weight's gradient; the image needs none
    first = rows["Conv2d", "2×16×8×8 · 16×16×3×3"]
    assert (first.calls, first.flops) == (2, 2 * 2 * (2 * 8 * 8 * 16 * 16 * 9) * 3)
    linear = rows["Linear", "2×64 · 10×64"]
    assert linear.flops == 2 * 2 * 64 * 10 * 3
    assert profile.step_s > 0 and all(row.seconds > 0 for row in profile.rows)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 9, 7)])
def test_fused_ops_count_what_their_single_ops_count(shape):
    images, labels = np.zeros(shape, np.float32), np.array([1, 2])

    def forward_and_backward(fused):
        with kernels.use("numpy"):
            model = models.cifar_resnet(8, seed=0, fused=fused)
            clock = profiling.observed(lambda: ops.cross_entropy(model(Tensor(images)), labels).backward())
        return sum(row.flops for row in clock.rows.values())

    assert forward_and_backward(fused=True) == forward_and_backward(fused=False)


def test_the_table_says_how_much_is_left_out():
    rows = [profiling.Row("Conv2d", f"{i}×1", 1, 0.001, 0.002, 3_000_000) for i in range(4)]
    text = profiling.table(profiling.Profile(rows, 0.5, 1.0), peak=2e9, limit=2)
    assert text.count("Conv2d") == 2 and "2 more: 6.00 ms" in text and " 1      50%" in text


def test_a_profile_that_fails_leaves_no_observer():
    with pytest.raises(ValueError, match="conv2d"):
        profiling.observed(lambda: ops.conv2d(Tensor([1.0]), Tensor([1.0])))
    assert thread.observer is None


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
