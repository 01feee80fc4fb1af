"""From loss.backward() to the arithmetic of a gradient: at most three plain Python frames, and breakpoints by name."""

import bdb
import dis

import numpy as np
import pytest

import minires.engine
import minires.ops.convolution
import minires.ops.normalization
import minires.ops.shortcut
from minires import Tensor, kernels, ops
from minires.kernels import numpy_kernels


class Stops(bdb.Bdb):
    """A debugger that notes, at each breakpoint, the function names from backward()'s caller down, and the locals."""

    def __init__(self, *functions):
        bdb.Breakpoint.clearBreakpoints()  # they are shared by all debuggers of the process
        super().__init__()
        self.stops = []
        for function in functions:
            code = function.__code__
            first_line = min(line for _, line in dis.findlinestarts(code) if line and line > code.co_firstlineno)
            assert self.set_break(code.co_filename, first_line, funcname=None) is None

    def user_line(self, frame):
        if self.break_here(frame):
            names, outer = [], frame
            while outer is not None and outer.f_code.co_name != "graph_and_backward":
                names.append((outer.f_globals["__name__"], outer.f_code.co_qualname))
                outer = outer.f_back
            variables = dict(frame.f_locals)
            variables["saved"] = set(vars(variables.get("self")) if "self" in variables else ())
            self.stops.append((names[::-1], variables))
        self.set_continue()


def graph_and_backward():
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((2, 3, 5, 4)), requires_grad=True)
    weight = Tensor(rng.standard_normal((3, 3, 3, 3)), requires_grad=True)
    scale, shift = Tensor(np.ones(3), requires_grad=True), Tensor(np.zeros(3), requires_grad=True)
    branch, _, _ = ops.batch_norm(ops.conv2d(x, weight, padding=1), scale, shift)
    loss = ops.residual_add(x, ops.relu(branch)).sum()
    loss.backward()


def stops_at(*functions):
    debugger = Stops(*functions)
    with kernels.use("numpy"):
        debugger.runcall(graph_and_backward)
    return debugger.stops


@pytest.mark.parametrize("kernel", ["conv2d_grad_weight", "conv2d_grad_input"])
def test_three_frames_to_the_arithmetic_of_the_convolution(kernel):
    (frames, variables), *more = stops_at(getattr(numpy_kernels, kernel))
    assert frames == [
        ("minires.engine", "Tensor.backward"),
        ("minires.ops.convolution", "Conv2d.backward"),
        ("minires.kernels.numpy_kernels", kernel),
    ]
    assert variables["grad_y"].shape == (2, 3, 5, 4)
    assert more == []


def test_three_frames_to_batch_norm_and_relu():
    for kernel, op in [("batch_norm_backward", "BatchNorm"), ("relu_backward", "ReLU")]:
        [(frames, _)] = stops_at(getattr(numpy_kernels, kernel))
        assert [name for _, name in frames] == ["Tensor.backward", f"{op}.backward", kernel]


@pytest.mark.parametrize(
    "backward, saved",
    [
        (minires.ops.convolution.Conv2d.backward, ["x", "weight", "stride", "padding"]),
        (minires.ops.normalization.BatchNorm.backward, ["x", "weight", "mean", "var", "eps"]),
        (minires.ops.shortcut.ResidualAdd.backward, []),
    ],
)
def test_a_breakpoint_set_by_qualified_name_is_hit_with_the_saved_words_in_reach(backward, saved):
    [(frames, variables)] = stops_at(backward)
    assert len(frames) == 2
    assert variables["grad_y"].shape == (2, 3, 5, 4)
    assert set(saved) <= variables["saved"]


def test_the_step_path_is_plain_functions():
    """No generator, decorator, closure or comprehension in any frame between the user's line and the kernel."""
    path = [
        minires.engine.Tensor.backward,
        minires.engine.deliver,
        minires.engine.accumulate,
        minires.ops.convolution.Conv2d.backward,
        minires.ops.normalization.BatchNorm.backward,
        minires.ops.shortcut.ResidualAdd.backward,
        numpy_kernels.conv2d_grad_input,
        numpy_kernels.conv2d_grad_weight,
        numpy_kernels.batch_norm_backward,
        numpy_kernels.relu_backward,
    ]
    for function in path:
        code = function.__code__
        assert not hasattr(function, "__wrapped__")
        assert code.co_freevars == () and code.co_flags & 0x20 == 0  # no closure, no generator
        nested = [const.co_name for const in code.co_consts if hasattr(const, "co_name")]
        assert nested == [], f"{function.__qualname__} defines {nested}"
