"""Editors: breakpoints in hand-written backwards through debugpy, which VS Code uses, and the shipped configuration."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from editor import Editor
from test_pdb import KERNELS, PROGRAM, environment

from minires import ops

REPOSITORY = Path(__file__).resolve().parents[2]


def first_line(function):
    """The first line of a function's body, where an editor's user clicks."""
    return function.__code__.co_firstlineno + 1


BREAKPOINTS = {
    Path(ops.shortcut.__file__): [first_line(ops.shortcut.ResidualAdd.backward)],
    Path(ops.normalization.__file__): [first_line(ops.normalization.BatchNorm.backward)],
    Path(ops.convolution.__file__): [first_line(ops.convolution.Conv2d.backward)],
}


@pytest.fixture
def editor(require, request):
    require("debugpy")
    subprocess.run([sys.executable, PROGRAM], env=environment(request.param or "numpy"), check=True, timeout=300)
    editor = Editor(PROGRAM, request.param)
    yield editor
    editor.process.kill()


@pytest.mark.parametrize(
    "editor",
    [
        "numpy",
        None,
        pytest.param(
            "numba",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 12),
                reason="from 3.12 on debugpy fails an assertion where compiled functions are called under breakpoints",
            ),
        ),
    ],
    indirect=True,
    ids=[*KERNELS[:1], "its own choice", "numba"],
)
def test_breakpoints_are_hit_on_the_calling_thread_and_lead_to_the_arithmetic(editor, request):
    editor.begin(BREAKPOINTS)
    stops = []
    main_thread = None
    while (stop := editor.stopped()) is not None:
        thread, frames = stop
        names = [(Path(frame["source"]["path"]).name, frame["name"].rpartition(".")[2]) for frame in frames]
        stops.append(names[0])
        assert names[1:3] == [("engine.py", "backward"), ("stepped_program.py", "<module>")]
        main_thread = main_thread or thread
        assert thread == main_thread
        assert editor.value("__import__('threading').current_thread().name", frames[0]) == "'MainThread'"
        assert editor.value("grad_y.shape", frames[0]) == "(2, 4, 6, 5)"
        if names[0][0] == "convolution.py" and stops.count(names[0]) == 1:
            step_to_the_kernel(editor, thread, frames)
        else:
            editor.ask("continue", threadId=thread)
    block = ["shortcut.py", "normalization.py", "convolution.py", "normalization.py", "convolution.py"]
    assert stops == [(file, "backward") for file in block]
    printed = editor.close()
    expected = "numba" if "numba" in request.node.name else "numpy"
    assert f"kernels {expected}, |grad_x| 13." in printed
    if "choice" in request.node.name:
        assert "a debugger is attached, so the NumPy kernels are used" in printed


def step_to_the_kernel(editor, thread, frames):
    """Two presses of "step over", one of "step into"; then back out, over the kernel, to its result."""
    assert editor.value("self.weight.shape", frames[0]) == "(4, 4, 3, 3)"
    for _ in range(2):
        thread, frames = editor.press("next", thread)
    assert frames[0]["name"].endswith("backward")
    thread, frames = editor.press("stepIn", thread)
    assert frames[0]["name"] == "conv2d_grad_input"
    assert [frame["name"].rpartition(".")[2] for frame in frames[:4]] == [
        "conv2d_grad_input", "backward", "backward", "<module>",
    ]  # fmt: skip
    thread, frames = editor.press("stepOut", thread)
    thread, frames = editor.press("next", thread)
    assert editor.value("grad_x.shape", frames[0]) == "(2, 4, 6, 5)"
    editor.ask("continue", threadId=thread)


def test_the_shipped_configuration_names_what_exists_and_chooses_the_numpy_kernels():
    text = (REPOSITORY / ".vscode" / "launch.json").read_text(encoding="utf-8")
    configurations = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))["configurations"]
    assert len(configurations) >= 3
    for configuration in configurations:
        assert configuration["type"] == "debugpy" and configuration["request"] == "launch"
        assert configuration["env"]["MINIRES_KERNELS"] == "numpy"
        assert configuration["justMyCode"] is False
        program = configuration.get("program")
        if program is not None and "${file}" not in program:
            assert (REPOSITORY / program.replace("${workspaceFolder}/", "")).is_file()


WATCHED = """
import numpy as np
from minires import Tensor, debug, ops
x = Tensor(np.array([1.0, 0.0]), requires_grad=True)
with np.errstate(all="ignore"), debug.watch():
    loss = (ops.sqrt(x) * 3.0).sum()
    loss.backward()
print("went on:", x.grad)
"""


def test_a_watch_stops_the_editor_just_before_the_guilty_backward_runs_again(require, tmp_path):
    require("debugpy")
    program = tmp_path / "watched.py"
    program.write_text(WATCHED)
    editor = Editor(program, "numpy")
    try:
        editor.begin({})
        thread, frames = editor.stopped()
        assert [frame["name"].rpartition(".")[2] for frame in frames][0] == "step_into"
        for _ in range(4):  # over the breakpoint() itself, and into the call
            if frames[0]["name"].endswith("step_into"):
                thread, frames = editor.press("stepIn", thread)
        assert frames[0]["name"].rpartition(".")[2] == "backward"
        assert Path(frames[0]["source"]["path"]).name == "arithmetic.py"
        assert editor.value("grad_y.tolist(), self.y.tolist()", frames[0]) == "([3.0, 3.0], [1.0, 0.0])"
        editor.ask("continue", threadId=thread)
        assert editor.stopped() is None
        printed = editor.close()
    finally:
        editor.process.kill()
    assert "watch: stopped at Sqrt, backward pass" in printed and "went on: [1.5 inf]" in printed
