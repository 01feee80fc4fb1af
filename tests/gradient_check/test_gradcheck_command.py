"""`minires gradcheck`: the table, the exit code, the options, and that it looks at what runs."""

import re
from itertools import product

import numpy as np
import pytest

from minires import kernels, ops
from minires.cli.main import main
from minires.gradient_check import case_check
from minires.gradient_check.cases import all_cases
from minires.kernels import numba_kernels, numpy_kernels
from minires.kernels.numba_kernels import convolution


def test_everything_is_right_under_every_kernel_set_and_every_op_has_a_line(capsys):
    assert main(["gradcheck"]) == 0
    text = capsys.readouterr().out
    assert "under numpy and numba kernels" in text
    cases = all_cases()
    ops_checked = {case.op for case in cases}
    assert f"{len(cases)} cases of {len(ops_checked)} ops, {4 * len(cases)} checks: all gradients are right." in text
    for op in ops_checked:
        for kernel_set, dtype in product(("numpy", "numba"), ("float64", "float32")):
            assert re.search(rf"\nok +{kernel_set} +{dtype} .* {op}(:|\n)", text), (op, kernel_set, dtype)
    assert "WRONG" not in text and "undecided" not in text
    for way in ("im2col", "winograd", "direct"):
        assert re.search(rf"\nok .* conv2d: {way}\n", text)


def test_one_op_lists_its_cases_and_what_computed_them(capsys):
    assert main(["gradcheck", "--op", "conv2d", "--kernels", "numpy"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    of_it = [case for case in all_cases() if case.op == "conv2d"]
    assert f"{len(of_it)} cases of 1 op, {2 * len(of_it)} checks: all" in text and "batch_norm" not in text
    for case in of_it:
        assert f" {case.name}: x " in text
    assert "conv2d, 3×3: x 2×2×5×6, weight 3×2×3×3, bias 3; by im2col" in text


def test_a_wrong_gradient_ends_in_exit_code_one_and_is_explained(capsys, monkeypatch):
    monkeypatch.setattr(ops.arithmetic.Sqrt, "backward", lambda self, grad_y: (grad_y / self.y,))
    assert main(["gradcheck", "--op", "sqrt"]) == 1
    text = capsys.readouterr().out
    assert "\nWRONG  " in text
    assert "sqrt (numpy kernels, float64)\ngradcheck: the gradient of Sqrt is wrong" in text
    assert "this is twice what it should be" in text
    assert "1 WRONG." in text


def test_an_unknown_op_is_refused_with_the_known_ones(capsys):
    assert main(["gradcheck", "--op", "convolve"]) == 2
    message = capsys.readouterr().err
    assert "unknown op 'convolve'; known: " + ", ".join(sorted({case.op for case in all_cases()})) in message


# What the default looks at

BUGS = {
    "the mean term of batch norm in NumPy's kernels": (numpy_kernels, "batch_norm_backward", "batch_norm"),
    "Winograd's result": (convolution, "winograd_convolution", "conv2d"),
    "Winograd's weight gradient": (convolution, "winograd_grad_weight", "conv2d"),
    "the direct input gradient": (convolution, "direct_grad_input", "conv2d"),
    "the direct weight gradient": (convolution, "direct_grad_weight", "conv2d"),
    "every float32 weight gradient": (numba_kernels, "conv2d_grad_weight", "conv2d"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_kernel_that_is_wrong_in_one_set_alone_is_caught(bug, monkeypatch):
    module, name, op = BUGS[bug]
    right = getattr(module, name)

    def a_tenth_more(*given, **options):
        result = right(*given, **options)
        if isinstance(result, tuple):
            return (1.1 * result[0], *result[1:])
        return np.asarray(1.1 * result, result.dtype)

    monkeypatch.setattr(module, name, a_tenth_more)
    cases = [case for case in all_cases() if case.op == op]
    rows = [row for case in cases for row in case_check.check_case(case, ["numpy", "numba"])]
    wrong = [row for row in rows if row.verdict == "WRONG"]
    assert wrong
    if module is not numpy_kernels:
        assert {row.kernels for row in wrong} == {"numba"}
        assert all("roundings" in row.message for row in wrong)


def test_another_formula_with_its_own_right_gradient_is_caught(monkeypatch):
    """Forward and backward agree, so finite differences are content; the function is another one."""
    right = numpy_kernels.output_size
    monkeypatch.setattr(numpy_kernels, "output_size", lambda x, k, s, p: right((*x[:2], x[2] - p[0], x[3]), k, s, p))
    with kernels.use("numpy"):
        cases = [case for case in all_cases() if case.op == "avg_pool2d"]
        rows = [row for case in cases for row in case_check.check_case(case, ["numpy"])]
    assert any("the op's formula" in row.message for row in rows)


def test_an_output_of_another_dtype_is_caught(monkeypatch):
    right = numpy_kernels.relu_backward
    monkeypatch.setattr(numpy_kernels, "relu_backward", lambda grad_y, y: right(grad_y, y).astype(np.float64))
    case = next(case for case in all_cases() if case.name == "relu")
    rows = case_check.check_case(case, ["numpy"])
    assert [row.verdict for row in rows] == ["ok", "WRONG"] and "float" in rows[1].message
