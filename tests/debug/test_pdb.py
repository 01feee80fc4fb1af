"""pdb itself, typed at through a pseudo-terminal: breakpoints in hand-written backwards, steps to the arithmetic."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("stepped_program.py")
PROMPT = r"\(Pdb\) "
KERNELS = ("numpy", "numba")
BACKWARDS = {
    "minires.ops.shortcut.ResidualAdd.backward": "shortcut.py",
    "minires.ops.normalization.BatchNorm.backward": "normalization.py",
    "minires.ops.convolution.Conv2d.backward": "convolution.py",
}


def environment(kernels):
    """Plain output, and these kernels."""
    return {**os.environ, "MINIRES_KERNELS": kernels, "TERM": "dumb", "NO_COLOR": "1", "PYTHON_COLORS": "0"}


@pytest.fixture(scope="module", params=KERNELS)
def kernels(request):
    """Run the program once without a debugger: compiled kernels are then in Numba's cache, and it is known to work."""
    done = subprocess.run(
        [sys.executable, PROGRAM], env=environment(request.param), capture_output=True, text=True, timeout=300
    )
    assert f"kernels {request.param}, |grad_x|" in done.stdout, done.stderr
    return request.param


class Session:
    """A program and its debugger's prompt on a pseudo-terminal; with `echo`, what is typed comes back too."""

    def __init__(self, pexpect, arguments, kernels, prompt=PROMPT, echo=False):
        self.prompt = prompt
        self.child = pexpect.spawn(
            sys.executable, arguments, env=environment(kernels), encoding="utf-8", timeout=240, echo=echo,
            dimensions=(50, 200),
        )  # fmt: skip
        self.child.expect(prompt)
        self.greeting = self.child.before

    def __call__(self, command):
        """Type a command; return what is printed up to the next prompt."""
        self.child.sendline(command)
        self.child.expect(self.prompt)
        return self.child.before.replace("\r\n", "\n")

    def at_the_line_after(self, call):
        """Where the program stopped: from Python 3.13 on that is the call itself, so step over it."""
        return self("n") if call in self.greeting.splitlines()[-1] else self.greeting

    def frames(self):
        """List the functions from the user's line, outside in."""
        shown = re.findall(r"^[> ] (\S+)\(\d+\)(\S+)\(\)", self("w"), re.MULTILINE)
        names = [(Path(path).name, function) for path, function in shown]
        return names[names.index(("stepped_program.py", "<module>")) + 1 :]


@pytest.fixture
def pdb(require, kernels):
    session = Session(require("pexpect"), ["-m", "pdb", str(PROGRAM)], kernels)
    session("import minires")
    yield session
    session.child.close(force=True)


def test_breakpoints_by_name_are_hit_on_the_calling_thread(pdb, kernels):
    for name, file in BACKWARDS.items():
        assert re.search(rf"Breakpoint \d at .*/ops/{file}:\d+", pdb(f"b {name}"))
    pdb("import threading")
    stops = []
    out = pdb("c")
    while "backward()" in out:
        stops.append(re.search(r"(\w+\.py)\(\d+\)backward\(\)", out)[1])
        assert pdb.frames() == [("engine.py", "backward"), (stops[-1], "backward")]
        assert "(2, 4, 6, 5)" in pdb("p grad_y.shape")
        assert "float32" in pdb("p grad_y.dtype")
        assert "'MainThread'" in pdb("p __import__('threading').current_thread().name")
        assert "stepped_program.py" in pdb("p self.site[0]") or "blocks.py" in pdb("p self.site[0]")
        out = pdb("c")
    add, norm, conv = "shortcut.py", "normalization.py", "convolution.py"
    assert stops == [add, norm, conv, norm, conv]  # the block, backwards
    assert f"kernels {kernels}, |grad_x|" in out


def test_three_frames_to_the_arithmetic(pdb, kernels):
    pdb("b minires.ops.convolution.Conv2d.backward")
    assert "-> grad_x = grad_weight = grad_bias = None" in pdb("c")
    assert "(4, 4, 3, 3)" in pdb("p self.weight.shape")
    pdb("n")
    assert "self.kernels.conv2d_grad_input(" in pdb("n")
    pdb("s")
    files = {"numpy": "numpy_kernels.py", "numba": "convolution.py"}
    assert pdb.frames() == [
        ("engine.py", "backward"),
        ("convolution.py", "backward"),
        (files[kernels], "conv2d_grad_input"),
    ]
    if kernels == "numpy":
        for _ in range(5):  # sizes, and the weight as a matrix
            pdb("n")
        assert "(4, 36)" in pdb("p w.shape")
    pdb("r")
    pdb("n")
    assert "(2, 4, 6, 5)" in pdb("p grad_x.shape")
    assert "ValueError" not in pdb("cl 1") and "|grad_x| 13." in pdb("c")


def test_compiled_kernels_are_stepped_over(pdb, kernels):
    pdb("b minires.ops.normalization.BatchNorm.backward")
    pdb("c")
    assert "grad_x, grad_weight, grad_bias = grads" in pdb("n")
    assert "(4,)" in pdb("p grads[1].shape")
    pdb("n")
    assert "True" in pdb("p bool(abs(grad_x.sum(axis=(0, 2, 3))).max() < 1e-4)")


def test_stepping_into_the_line_that_calls_backward(pdb):
    line = PROGRAM.read_text().splitlines().index("loss.backward()") + 1
    pdb(f"b {line}")
    assert "-> loss.backward()" in pdb("c")
    assert "engine.py" in pdb("s")
    out = ""
    for _ in range(30):
        out = pdb("n")
        if "# step in here" in out:
            break
    assert "grads = op.backward(grad_y)  # step in here" in out
    assert "reduction.py" in pdb("s")
    assert [function for _, function in pdb.frames()] == ["backward", "backward"]


def test_set_trace_skips_what_is_not_ours(require, tmp_path):
    program = tmp_path / "traced.py"
    program.write_text(
        "import numpy as np\n"
        "from minires import Tensor, debug\n"
        "x = Tensor(np.ones((2, 3)), requires_grad=True)\n"
        "debug.set_trace()\n"
        "y = np.pad(x.data, 1)\n"
        "loss = (x * 2.0).sum()\n"
    )
    session = Session(require("pexpect"), [str(program)], "numpy")
    assert "-> y = np.pad(x.data, 1)" in session.at_the_line_after("set_trace")
    assert "-> loss = (x * 2.0).sum()" in session("s")  # over np.pad, which is Python
    assert "engine.py" in session("s")  # and into MiniRes
    session.child.close(force=True)


def test_breakpoint_can_be_made_to_skip_too(require, tmp_path, monkeypatch):
    program = tmp_path / "traced.py"
    program.write_text("import numpy as np\nbreakpoint()\ny = np.pad(np.ones(3), 1)\nprint(y.sum())\n")
    monkeypatch.setenv("PYTHONBREAKPOINT", "minires.debug.set_trace")
    session = Session(require("pexpect"), [str(program)], "numpy")
    assert "-> y = np.pad(np.ones(3), 1)" in session.at_the_line_after("breakpoint()")
    assert "-> print(y.sum())" in session("s")
    session.child.close(force=True)
