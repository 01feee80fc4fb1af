"""Every op of the package has an ONNX exporter, and onnxruntime computes from what it writes what the op does."""

import importlib
import pkgutil
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minires import Tensor, interop, nn, ops
from minires.engine import Op
from minires.gradient_check import cases
from minires.interop.onnx_record import record


class Function(nn.Module):
    """A function of parameters; the images of the file that is written count for nothing."""

    def __init__(self, function, arrays):
        self.function = function
        self.inputs = [nn.Parameter(array) for array in arrays]

    def forward(self, images):
        y = self.function(*self.inputs)
        return y[0] if isinstance(y, tuple) else y

    def named_parameters(self):
        yield from zip([f"input{i}" for i in range(len(self.inputs))], self.inputs, strict=True)


def all_ops():
    """List the classes of ops that compute: one that others share their code through has no forward."""
    found = []
    for module in pkgutil.iter_modules(ops.__path__, "minires.ops."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.name:
                found += [value] if "forward" in vars(value) else []
    return found


ALL_OPS = all_ops()
CASES = cases.all_cases()


@pytest.fixture
def session_of(require, tmp_path):
    """Write a module as an ONNX file and return what runs it: images → output."""
    require("onnx")
    onnxruntime = require("onnxruntime")

    def make(module, input_shape=(1,), name="model.onnx"):
        interop.save_onnx(module, tmp_path / name, input_shape)
        session = onnxruntime.InferenceSession(tmp_path / name)
        return lambda images: session.run(None, {"input": images})[0]

    return make


def close(got, expected):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    largest = np.abs(expected).max(initial=0)
    rounding = np.finfo(np.float32).eps  # of 1: a loss near 0 is the logarithm of a number near 1
    np.testing.assert_allclose(got, expected, rtol=0, atol=max(1e-5 * largest, rounding))


@pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.__name__)
def test_every_op_has_an_exporter(op):
    assert op in interop.ONNX_EXPORTERS, f"write down in interop/onnx_exporters.py how ONNX says {op.__name__}"


def test_every_exporter_is_run_by_a_case():
    """Else an exporter could be there and be wrong."""
    kinds = set()
    for case in CASES:
        kinds |= {step.kind for step in record(Function(case.fn, list(case.arguments.values())), (1,)).steps}
    assert set(ALL_OPS) <= kinds


# What becomes of infinities and NaN, in a maximum or times 0, ONNX leaves to whoever computes.
FINITE = [case for case in CASES if all(np.isfinite(array).all() for array in case.arguments.values())]
# ONNX's evaluator takes a max pool's pads in another order than the standard has them. onnxruntime keeps to it. And it
# has erf in float32, in which 1 + erf loses what is left of GELU on the left.
NOT_IN_DOUBLE = {"max_pool2d": r"padding \((\d), (?!\1)", "gelu": r"none.*offset −"}
IN_DOUBLE = [case for case in FINITE if not re.search(NOT_IN_DOUBLE.get(case.op, "(?!)"), case.name)]


@pytest.mark.parametrize("case", IN_DOUBLE, ids=lambda case: case.name)
def test_every_case_of_the_gradient_check_in_double(case, require, tmp_path):
    """By the evaluator that comes with ONNX and defines what its operators mean."""
    onnx = require("onnx")
    module = Function(case.fn, list(case.arguments.values()))
    interop.save_onnx(module, tmp_path / "case.onnx", (1,))
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(onnx.load(tmp_path / "case.onnx"))
    expected = np.asarray(module(None).data)
    got = np.asarray(evaluator.run(None, {"input": np.zeros((1, 1))})[0])
    assert got.shape == expected.shape and got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7 * np.abs(expected).max())  # attributes are float32


SINGLE = [case for case in FINITE if "given statistics" not in case.variant]  # which are double, and do not convert


@pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.name)
def test_the_cases_in_single_precision_in_onnxruntime(case, session_of):
    module = Function(case.fn, [array.astype(np.float32) for array in case.arguments.values()])
    expected = module(None).data
    close(session_of(module)(np.zeros((1, 1), np.float32)), np.asarray(expected))


def test_softmax_over_two_axes_and_reductions_over_none(session_of):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 30

    def function(x):
        y = ops.softmax(x, axis=(1, 2)) + ops.log_softmax(x, axis=(0, 2))
        return y + ops.sum(x, axis=()) - ops.max(x, axis=())

    module = Function(function, [x])
    close(session_of(module)(np.zeros((1, 1), np.float32)), module(None).data)


@st.composite
def indexed(draw):
    """A shape and an index that fits it: slices, integers, None, ..., arrays of integers and of bools."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    together = [(), (2,), (3, 1)][rng.integers(3)]  # the shape of the index arrays: they are broadcast
    leading = int(rng.integers(len(shape) + 1))
    trailing = int(rng.integers(len(shape) - leading + 1)) if rng.integers(2) else None
    sizes = [*shape[:leading], *([] if trailing is None else [..., *shape[len(shape) - trailing :]])]
    parts, mask_used = [], False
    for size in sizes:
        if size is ...:
            parts.append(...)
            continue
        kind = rng.choice(["slice", "int", "array", "array", "mask", "none"])
        if kind == "int":
            parts.append(int(rng.integers(-size, size)))
        elif kind == "array" and together:
            parts.append(rng.integers(-size, size, together))
        elif kind == "mask" and not together and not mask_used:
            mask_used = True
            parts.append(rng.random(size) > 0.3)
        else:
            bounds = [None, *range(-size - 1, size + 2)]
            start, stop = (bounds[rng.integers(len(bounds))] for _ in range(2))
            parts.append(slice(start, stop, [None, 1, 2, -1, -2][rng.integers(5)]))
        if kind == "none":
            parts.append(None)
    return shape, tuple(parts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # `require` keeps nothing
@given(indexed())
def test_an_index_means_the_same_there(require, tmp_path_factory, shape_and_index):
    require("onnx")
    onnxruntime = require("onnxruntime")
    shape, index = shape_and_index
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    path = tmp_path_factory.getbasetemp() / "index.onnx"
    interop.save_onnx(Function(lambda x: x[index], [x]), path, (1,))
    got = onnxruntime.InferenceSession(path).run(None, {"input": np.zeros((1, 1), np.float32)})[0]
    np.testing.assert_array_equal(got, x[index])


def test_an_index_that_onnx_cannot_say_is_refused(session_of):
    with pytest.raises(ValueError, match=r"Getitem at test_onnx_ops.py:\d+ in .*single True or False"):
        session_of(Function(lambda x: x[True], [np.ones(3, np.float32)]))


def test_an_op_of_ones_own_is_refused_by_name_and_line_and_exports_with_an_exporter(session_of, monkeypatch):
    class Cube(Op):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            return self.factor * x**3

    module = Function(lambda x: Cube(2.0)(x), [np.array([1.0, -2.0], np.float32)])
    with pytest.raises(ValueError, match=r"no exporter for Cube at test_onnx_ops.py:\d+ in <lambda>.*ONNX_EXPORTERS"):
        session_of(module)

    def cube(graph, step, x):
        return graph.node("Mul", graph.number(step.options["factor"]), graph.node("Pow", x, graph.number(3)))

    monkeypatch.setitem(interop.ONNX_EXPORTERS, Cube, cube)
    close(session_of(module)(np.zeros((1, 1), np.float32)), np.array([2.0, -16.0], np.float32))


def test_a_tensor_that_is_a_constant_or_the_input_itself(session_of):
    images = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    run = session_of(Function(lambda: Tensor([1.0, 2.0]), []))
    np.testing.assert_array_equal(run(images[:, :1]), [1, 2])
    np.testing.assert_array_equal(session_of(nn.Identity(), (2,))(images), images)
