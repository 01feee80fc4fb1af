"""The terminal debugger: every command, errors that leave it standing, scripts, pipes, and the command line."""

import io
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from test_pdb import Session

from minires import Tensor, debug, kernels, models, ops
from minires.cli.main import main
from minires.data import load_digits
from minires.debug import screen
from minires.debug.terminal import Debugger
from minires.kernels import numpy_kernels


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def made(commands="", **options):
    """A debugger on ResNet-20 and three digits, and its model."""
    images, labels, _, _ = load_digits()
    model = models.make("resnet20", in_channels=1, seed=0, **options)
    loss = ops.cross_entropy(model(Tensor(images[:3])), labels[:3])
    return Debugger(loss, model, io.StringIO(commands)), model


@pytest.fixture
def session(capsys):
    """`session("step", "stats")` does the commands and returns what they print; `session.debugger` is there after."""

    def do(*commands, **options):
        do.debugger, do.model = made("\n".join(commands) + "\n", **options)
        do.debugger.cmdloop()
        return capsys.readouterr().out

    return do


def test_the_greeting_says_where_one_is(session):
    out = session()
    assert re.search(r"The backward pass of Tensor\(\(\), float32, CrossEntropy at test_terminal.py:\d+ in made\)", out)
    assert "loss " in out and ": 71 ops." in out and "`help` lists the commands" in out


def test_steps_say_what_arrived_what_left_and_where_it_goes(session):
    out = session("step", "s 2", "s 4")
    assert "(minires) step\nstep 1 of 71  CrossEntropy  -  test_terminal.py" in out
    assert "step 3 of 71  GlobalAvgPool2d  avgpool  resnet.py:" in out
    last = out[out.index("step 7 of 71  Conv2d  layer3.2.conv2  blocks.py:") :]
    conv = session.model.layer3[2].conv2
    assert re.search(r"arrived  grad_y +\(3, 64, 2, 2\) +norm [\d.]+", last)
    assert re.search(r"left +grad_x +\(3, 64, 2, 2\) +norm [\d.]+ +→ ReLU layer3.2.relu1", last)
    norm = f"{np.linalg.norm(conv.weight.grad.astype(np.float64)):.3g}"
    assert re.search(rf"grad_weight +\(64, 64, 3, 3\) +norm {re.escape(norm)} +→ layer3.2.conv2.weight", last)


def test_a_gradient_that_meets_another_is_said_to_be_added(session):
    out = session("until layer3.2.conv1")
    assert "→ ReLU layer3.1.relu2 (added to what came before)" in out


def test_next_leaves_the_block(session):
    out = session("next", "next", "next", "next", "next", "next")
    heads = [line.split()[4:6] for line in out.splitlines() if line.startswith("step ")]
    assert heads == [
        ["CrossEntropy", "-"], ["Linear", "fc"], ["GlobalAvgPool2d", "avgpool"], ["ReLU", "layer3.2.relu2"],
        ["ReLU", "layer3.1.relu2"], ["ReLU", "layer3.0.relu2"],
    ]  # fmt: skip


def test_until_continue_and_breaks(session):
    out = session("until layer3.1", "until op BatchNorm", "break layer2.0.conv1", "break op OptionA", "continue",
                  "continue", "clear 1", "break", "clear", "break", "continue")  # fmt: skip
    heads = re.findall(r"^step (\d+) of 71  (\w+)", out, re.MULTILINE)
    assert heads[:4] == [("11", "ReLU"), ("13", "BatchNorm"), ("25", "OptionA"), ("46", "Conv2d")]
    assert "break 1: layer2.0.conv1\nbreak 2: op OptionA\n" in out
    assert "break 2\nstep 25" in out and "break 1\nstep 46" in out
    assert "(minires) break\nbreak 1: op OptionA\n" in out
    assert "no breaks" in out
    assert "The pass is complete: 71 ops.\nstep 71 of 71  Conv2d  conv1" in out
    assert not session.debugger.failed


def test_the_gradients_are_those_of_backward(session):
    session("continue")
    twin, twin_model = made()
    twin.loss.backward()
    for (name, one), other in zip(session.model.named_parameters(), twin_model.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad, err_msg=name)


def test_back_replays(session):
    out = session("step 5", "back", "back 3", "back", "step", "continue", "back 70")
    heads = [line.split()[1] for line in out.splitlines() if line.startswith("step ")]
    assert heads == ["5", "4", "1", "1", "71", "1"]
    assert "Before the first step: Tensor(" in out


def test_where_shows_the_call_and_the_backward(session):
    out = session("until layer3.2.conv2", "where")
    assert re.search(r"called at minires/models/blocks.py:\d+ in forward", out) or "blocks.py" in out
    assert re.search(r"^-> +\d+ +y = self.conv2\(y\)$", out, re.MULTILINE)
    assert re.search(r"^ +\d+ +y = self.bn2\(y\)$", out, re.MULTILINE)
    assert re.search(r"backward at .*convolution.py:\d+\n +\d+ +def backward\(self, grad_y", out)
    line = kernels.numpy_kernels.conv2d_grad_weight.__code__.co_firstlineno
    assert re.search(rf"conv2d_grad_weight: .*numpy_kernels.py:{line}$", out, re.MULTILINE)


def test_stats(session):
    out = session("until layer3.2.bn2", "stats")
    step = session.debugger.here
    for name, array in (("y", step.tensor.data), ("grad_y", step.grad_y), ("grad_x", step.inputs[0].grad)):
        row = next(line.split() for line in out.splitlines() if line.startswith(f"  {name} "))
        assert row[5] == f"{np.linalg.norm(array.astype(np.float64)):.4g}"
        assert row[8] == f"{np.mean(array == 0):.1%}" and row[9:] == ["0", "0"]
    assert "so far: 6 of 71 ops; 4 parameters (778 numbers) have gradients, of norm" in out


def test_print(session):
    out = session(
        "until layer3.2.conv2", "print grad", "p grad weight", "print grad_x.shape", "p float(abs(grad_y).max())",
        "p step.parameters", "p np.pi", "p model.fc.weight.shape",
    )  # fmt: skip
    assert "grad_y (3, 64, 2, 2) float32\n[[[[" in out and "grad_weight (64, 64, 3, 3) float32" in out
    assert "\n(3, 64, 2, 2)\n" in out and "['layer3.2.conv2.weight']" in out and str(math.pi) in out
    assert str(float(abs(session.debugger.here.grad_y).max())) in out and "(10, 64)" in out
    assert len(out.splitlines()) < 80  # long arrays are shortened


def test_histograms(session):
    out = session("until layer3.2.relu1", "hist", "hist grad_x log")
    grad_x = session.debugger.here.inputs[0].grad
    zeros = int((grad_x == 0).sum())
    assert zeros > 0 and f"log10 |grad_x| (3, 64, 2, 2): 768 numbers, {zeros} zeros" in out
    for heading, total in (("grad_y (3", None), ("log10 |grad_x|", 768 - zeros)):
        lines = out[out.index(heading) :].splitlines()[1:17]
        counts = [int(line.split()[-1]) for line in lines]
        assert max(counts) == int(next(line for line in lines if "█" * 36 in line).split()[-1])
        assert total is None or sum(counts) == total


def test_forks(session):
    out = session("step", "forks", "until layer3.1", "forks")
    assert "no fork is complete yet" in out
    (fork,) = debug.forks(session.debugger.steps)
    assert f"layer3.2  {fork.x_norm:.3g}" in out and f"{fork.skip_share:.1%}  {fork.branch_share:.1%}" in out


def test_tree_opens_the_way_to_the_step(session):
    out = session("until layer3.1.bn2", "tree 1", "tree 9")
    first, second = out.split("(minires) tree 9")
    assert re.search(r"^-> +bn2 +BatchNorm +[\d.]+ +█", first, re.MULTILINE)
    assert re.search(r"^ +layer1 +·$", first, re.MULTILINE) and "downsample" not in first
    assert re.search(r"^ +downsample +OptionA +·$", second, re.MULTILINE)
    names = [line.split()[0] for line in second.splitlines() if line.startswith("    ") and line[4] != " "][1:]
    assert names == ["conv1", "bn1", "relu", "layer1", "layer2", "layer3", "avgpool", "fc", "-"]


def test_list(session):
    out = session("list 2", "step", "list 3", "continue", "list")
    assert "    1  CrossEntropy" in out and "   … and 69 more" in out
    assert re.search(r"->  1  CrossEntropy.*\n    2  Linear +fc", out)
    assert out.count("->") == 2 and "->  71  Conv2d  conv1" in out


def test_watch_stops_the_walk(session):
    out = session("watch norm>3 in layer3.2", "continue", "watch off", "continue")
    assert "watch: stopped at Conv2d in layer3.2.conv2, backward pass" in out
    assert "above 3; what arrived has norm" in out
    heads = re.findall(r"^step (\d+) of 71", out, re.MULTILINE)
    assert heads == ["7", "71"]


@pytest.mark.parametrize("walk", ["step 30", "next", "until layer1.0.conv1"])
def test_watch_stops_every_kind_of_walk(walk, session, monkeypatch):
    right = ops.shortcut.ResidualAdd.backward
    monkeypatch.setattr(ops.shortcut.ResidualAdd, "backward", lambda op, grad: right(op, grad * np.float32("nan")))
    out = session("until layer3.2", "watch nan", walk)
    assert "watch: stopped at ResidualAdd in layer3.2" in out
    assert "grad_shortcut" in out and "768 NaN" in out
    assert session.debugger.here.module_path == "layer3.2"


def test_check_proves_an_op_right(session):
    out = session("until layer3.2.relu2", "check")
    assert re.search(r"Right: \d+ comparisons, worst relative error \d\.\de-\d\d\.", out)


def test_check_shows_a_wrong_backward(session, monkeypatch):
    right = ops.activation.Tanh.backward
    monkeypatch.setattr(ops.activation.Tanh, "backward", lambda op, grad: (right(op, grad)[0] * 2,))
    out = session("until layer3.2.relu1", "check", activation="tanh")
    assert re.search(r"WRONG\. .*the gradient of Tanh at blocks.py:\d+ in forward is wrong", out)
    assert "this is twice what it should be" in out
    assert not session.debugger.failed  # the answer is no, the command was done


def test_into_runs_the_backward_again_under_pdb(session):
    out = session("until layer3.2.conv2", "into", "p grad_y.shape, self.stride", "n", "c", "stats", "into", "q", "step")
    assert re.search(r"> .*convolution.py\(\d+\)backward\(\)\n-> grad_x = grad_weight = grad_bias = None", out)
    assert "((3, 64, 2, 2), (1, 1))" in out
    assert "grad_weight  (64, 64, 3, 3)" in out and "step 8 of 71" in out
    assert not session.debugger.failed


def test_pictures(session, tmp_path):
    out = session("until layer3.2.bn2", f"plot {tmp_path}/step.png", f"draw {tmp_path}/graph.svg")
    assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "graph.svg").read_text().startswith("<svg")
    assert f"{tmp_path}/step.png\n" in out and f"{tmp_path}/graph.svg\n" in out


def test_help_lists_every_command_and_explains_each(session):
    out = session("help", "help watch", "h u")
    for name in dir(Debugger):
        if name.startswith("do_") and name != "do_EOF":
            assert re.search(rf"\b{name[3:]}\b", out)
            assert getattr(Debugger, name).__doc__
    assert "watch nan norm<1e-8 ratio>1e3 in layer3.*" in out and "patterns with * and ? do as well" in out
    assert all(len(line) <= 120 for line in out.splitlines())


@pytest.mark.parametrize(
    "command, message",
    [
        ("frobnicate", "unknown command 'frobnicate'; `help` lists the commands"),
        ("help frobnicate", "no command 'frobnicate'"),
        ("stats", "no step was taken yet; `step` takes the first"),
        ("step many", "expected a whole number from 1 up, got 'many'"),
        ("back", "cannot go back 1 steps after 0"),
        ("until layer9", "nothing ahead fits module 'layer9'"),
        ("until", "until: give a module, as in `until layer2.0.conv1`, or an op: `until op Conv2d`"),
        ("break nowhere", "break: no op of this pass fits 'nowhere'"),
        ("clear 3", "clear: there is no break 3"),
        ("watch norm", "watch: cannot read 'norm'; examples: watch nan,"),
        ("watch norm<abc", "could not convert string to float: 'abc'"),
        ("watch norm<-1", "watch: norm_below must be above 0, got -1.0"),
        ("draw graph.jpg", "draw: graph.jpg must end in .svg"),
        ("print 1 / 0", "print: ZeroDivisionError: division by zero"),
        ("print grad z", "no step was taken yet"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_walk_goes_on(command, message, session):
    out = session(command, "step")
    assert f"*** {message}" in out or (f"*** backward_steps.{command.split()[0]}: {message}" in out)
    assert "step 1 of 71" in out
    assert session.debugger.failed


def test_arrays_that_are_not_there_are_named(session):
    out = session("step", "hist grad_weight", "print grad z", "plot step.gif")
    assert "*** hist: there is no array 'grad_weight' here; arrays: grad_y, y, logits, grad_logits" in out
    assert "*** print: there is no grad_z here; arrays: grad_y, y, logits, grad_logits" in out
    assert "*** plot: step.gif must end in .png" in out


def test_comments_and_empty_lines_of_a_script_do_nothing(session):
    out = session("# a comment", "", "step", "", "# step")
    assert out.count("step 1 of 71") == 1 and "step 2" not in out


def test_completion_knows_commands_modules_ops_and_arrays():
    debugger, _ = made()
    assert debugger.completenames("s") == ["step", "stats"]
    assert debugger.complete_until("layer2.0.b") == ["layer2.0.bn1", "layer2.0.bn2"]
    assert "BatchNorm" in debugger.complete_break("B")
    next(debugger.steps), next(debugger.steps)
    assert debugger.complete_print("grad_") == ["grad_bias", "grad_weight", "grad_x", "grad_y"]


def test_explore_ends_with_all_gradients(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("step\nquit\n"))
    x = Tensor(np.ones(3), requires_grad=True)
    debug.explore((x * 2.0).sum())
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])
    assert "step 1 of 2  Sum" in capsys.readouterr().out


def test_a_gradient_that_is_not_finite_is_shown_as_such(session, monkeypatch, tmp_path):
    right = ops.pooling.GlobalAvgPool2d.backward

    def wrong(op, grad_y):
        grad_x = right(op, grad_y)[0].copy()
        grad_x.reshape(-1)[:3] = np.nan, np.inf, 0
        return (grad_x,)

    monkeypatch.setattr(ops.pooling.GlobalAvgPool2d, "backward", wrong)
    out = session("until avgpool", "stats", "hist grad_x", "step", f"plot {tmp_path}/wrong.png", "forks", "tree")
    assert "1 NaN 1 inf" in out and ", 2 not finite" in out and "not finite" in out[out.index("tree") :]
    assert not session.debugger.failed


def test_a_bar_says_how_much():
    assert screen.bar(1.0, 4) == "████" and screen.bar(0.5, 4) == "██" and screen.bar(0.0, 4) == ""
    assert screen.bar(1e-9, 4) == "▏" and screen.bar(0.53125, 4) == "██▏"
    assert screen.log_bar(1.0, [1.0, 1e-8]) == "█" * screen.BAR
    assert 1 <= len(screen.log_bar(1e-8, [1.0, 1e-8])) <= 2 and screen.log_bar(0.0, [1.0]) == "0"
    assert len(screen.log_bar(0.5, [1.0, 0.5])) > screen.BAR // 2  # half is much, on a scale of two decades at least


def test_the_prompt_on_a_terminal(require):
    arguments = ["-m", "minires", "debug", "--batch-size", "2"]
    typed = Session(require("pexpect"), arguments, "numpy", prompt=r"\((?:Pdb|minires)\) ", echo=True)
    assert "`help` lists the commands" in typed.greeting
    assert "step 1 of 71  CrossEntropy" in typed("step")
    assert "step 2 of 71  Linear" in typed("")  # an empty line repeats the last command
    assert re.search(r"affine\.py\(\d+\)backward\(\)", typed("into"))
    assert "(2, 10)" in typed("p grad_y.shape")
    typed("c")  # out of pdb
    typed.child.send("continue")
    # A signal that comes before the prompt waits for a key is seen only at that key.
    typed.child.expect_exact("continue")
    typed.child.sendintr()  # gives up the line
    typed.child.expect(typed.prompt)
    assert "step 3 of 71  GlobalAvgPool2d" in typed("step")
    typed.child.sendline("quit")
    typed.child.expect(require("pexpect").EOF)
    assert "***" not in typed.child.before


# The command line


def test_the_command_reads_a_script(tmp_path, capsys):
    script = tmp_path / "session.txt"
    script.write_text("step\nforks\n")
    assert main(["debug", "--batch-size", "2", "--layer", "layer2.1", "--script", str(script)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"step 33 of 71  ReLU  layer2.1.relu2", out) and "step 34 of 71  ResidualAdd  layer2.1" in out
    assert "layer2.2" in out


def test_a_script_that_fails_ends_in_1(tmp_path, capsys):
    script = tmp_path / "session.txt"
    script.write_text("until nowhere\nstep\n")
    assert main(["debug", "--batch-size", "2", "--script", str(script)]) == 1
    assert "step 1 of" in capsys.readouterr().out


def test_the_command_reads_a_pipe():
    command = [sys.executable, "-m", "minires", "debug", "--batch-size", "2", "--norm", "none", "--skip", "off"]
    done = subprocess.run(command, input="step 2\nstats\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "(minires) step 2\nstep 2 of 41  Linear  fc" in done.stdout and done.stdout.endswith("(minires) \n")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--twin"], "--twin is for --html"),
        (["--model", "resnet21"], "unknown model 'resnet21'"),
        (["--layer", "layer7"], "nothing ahead fits module 'layer7'"),
        (["--twin", "--html", "p.html", "--skip", "off"], "leave out --twin or --skip off"),
        (["--script", "missing.txt"], "--script missing.txt cannot be read (No such file or directory); give a text"),
        (["--draw", f"{__file__}/g.svg"], "cannot be written (File exists); choose another place for --draw or --html"),
        (["--kernels", "fast"], "unknown kernels 'fast'"),
    ],
)
def test_bad_arguments_end_in_2(arguments, message, capsys):
    assert main(["debug", "--batch-size", "2", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_command_takes_the_options_of_the_model(tmp_path, capsys):
    script = tmp_path / "session.txt"
    script.write_text("until op MaxPool2d\n")
    arguments = ["--model", "resnet18", "--stem", "imagenet", "--shortcut", "B", "--dtype", "float64"]
    assert main(["debug", "--batch-size", "2", *arguments, "--script", str(script)]) == 0
    out = capsys.readouterr().out
    assert "Tensor((), float64, CrossEntropy" in out and "MaxPool2d  maxpool" in out


def test_pictures_and_pages_instead_of_the_prompt(tmp_path, capsys):
    page, picture = tmp_path / "new" / "pass.html", tmp_path / "newer" / "graph.svg"
    assert main(["debug", "--batch-size", "2", "--html", str(page), "--twin", "--draw", str(picture)]) == 0
    assert capsys.readouterr().out.split() == [str(picture), str(page)]
    assert picture.read_text().startswith("<svg") and "<html" in page.read_text()


def test_a_forward_pass_that_is_not_finite_is_reported_before_the_prompt(tmp_path, capsys, monkeypatch):
    right = ops.activation.ReLU.forward
    monkeypatch.setattr(ops.activation.ReLU, "forward", lambda op, x: right(op, x) * np.float32(np.inf))
    script = tmp_path / "session.txt"
    script.write_text("step\n")
    with np.errstate(all="ignore"):
        main(["debug", "--batch-size", "2", "--script", str(script)])
    assert "watch: stopped at ReLU in relu, forward pass" in capsys.readouterr().err


def col2im_that_assigns(cols, x_shape, kernel_size, stride, padding):
    (N, C, _, _), (KH, KW) = x_shape, kernel_size
    I, J = numpy_kernels.output_size(x_shape, kernel_size, stride, padding)
    cols = cols.reshape(N, C, KH, KW, I, J)
    padded = numpy_kernels.padded_zeros(x_shape, padding, cols.dtype)
    for u in range(KH):
        for v in range(KW):
            padded[numpy_kernels.tap(u, v, I, J, stride)] = cols[:, :, u, v]
    return numpy_kernels.crop_images(padded, x_shape, padding)


def test_check_names_the_mistake(session, monkeypatch):
    monkeypatch.setattr(numpy_kernels, "col2im", col2im_that_assigns)
    out = session("until layer3.2.conv2", "check")
    assert "WRONG." in out and "windows overwrite each other: a pixel under several windows must add up" in out


def test_check_is_silent_where_no_name_fits(session, monkeypatch):
    right = numpy_kernels.conv2d_grad_input

    def noisy(grad_y, weight, x_shape, stride, padding):
        noise = np.random.default_rng(5).standard_normal(x_shape).astype(grad_y.dtype)
        return right(grad_y, weight, x_shape, stride, padding) + noise

    monkeypatch.setattr(numpy_kernels, "conv2d_grad_input", noisy)
    assert "its mistake is none of those that have a name" in session("until layer3.2.conv2", "check")


def test_check_all(session, monkeypatch):
    out = session("check all")
    assert re.search(r"71 ops of \d+ kinds and shapes: none is wrong\.", out)
    right = numpy_kernels.relu_backward
    monkeypatch.setattr(numpy_kernels, "relu_backward", lambda grad_y, y: -right(grad_y, y))
    out = session("check all", "check some")
    assert re.search(r"ReLU +layer3.2.relu2 +\d+ +WRONG  grad_x: the sign is wrong", out)
    assert re.search(r"Linear +fc +1 +right", out) and "3 WRONG." in out
    assert "'some' is neither `all` nor nothing" in out


def test_tree_shows_where_gradients_leave_the_formulas(session, monkeypatch):
    out = session("continue", "tree 1")
    assert "by formula" in out and "X" not in out[out.index("by formula") :]
    right = numpy_kernels.batch_norm_backward

    def doubled(grad_y, x, weight, mean, var, eps):
        grad_x, grad_weight, grad_bias = right(grad_y, x, weight, mean, var, eps)
        return 2 * grad_x, grad_weight, grad_bias

    monkeypatch.setattr(numpy_kernels, "batch_norm_backward", doubled)
    out = session("continue", "tree 1")
    assert re.search(r"conv1 +Conv2d .* X$", out, re.MULTILINE)
    assert re.search(r"fc +Linear +[\d.]+ +█\S* +[\d.]+$", out, re.MULTILINE)


def test_a_cosine_with_nothing_is_said_in_words(session, monkeypatch):
    zeros = lambda op, grad: (0 * grad, 0 * op.weight, 0 * op.weight)  # noqa: E731
    monkeypatch.setattr(ops.normalization.BatchNorm, "backward", zeros)
    out = session("until layer3.1", "forks")
    assert "none: the branch gives 0" in out and "nan" not in out
