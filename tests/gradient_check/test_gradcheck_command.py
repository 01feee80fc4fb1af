"""`minires gradcheck`: the table, the exit code, the options."""

import numpy as np

from minires import ops
from minires.cli.main import main
from minires.gradient_check.cases import all_cases


def test_the_table_lists_every_case_and_the_exit_code_is_zero(capsys):
    assert main(["gradcheck", "--kernels", "numpy"]) == 0
    text = capsys.readouterr().out
    assert "float64, numpy kernels" in text
    cases, words = all_cases(), " ".join(text.split())
    for case in cases:
        assert f" {case.name}: " in words
    assert text.count("\nok  ") == len(cases) and "WRONG" not in text
    assert f"{len(cases)} cases of {len({case.op for case in cases})} ops: all gradients are right." in text
    assert "conv2d, 3×3: x 2×2×5×6, weight 3×2×3×3, bias 3\n" in text


def test_one_op(capsys):
    assert main(["gradcheck", "--op", "conv2d"]) == 0
    text = capsys.readouterr().out
    of_it = [case for case in all_cases() if case.op == "conv2d"]
    assert f"{len(of_it)} cases of 1 op: all" in text and "batch_norm" not in text


def test_a_wrong_gradient_ends_in_exit_code_one_and_is_explained(capsys, monkeypatch):
    monkeypatch.setattr(ops.arithmetic.Sqrt, "backward", lambda self, grad_y: (grad_y / self.y,))
    monkeypatch.setattr(ops.arithmetic.Exp, "backward", lambda self, grad_y: (grad_y.astype(np.float32),))
    assert main(["gradcheck"]) == 1
    text = capsys.readouterr().out
    assert text.count("\nWRONG  ") == 2
    assert "sqrt\ngradcheck: the gradient of Sqrt is wrong" in text
    assert "backward gives 2 times the gradient" in text
    assert "exp\nExp at" in text and "dtype float32 for input 0 of dtype float64" in text
    assert "2 WRONG." in text


def test_an_unknown_op_is_refused_with_the_known_ones(capsys):
    assert main(["gradcheck", "--op", "convolve"]) == 2
    message = capsys.readouterr().err
    assert "unknown op 'convolve'; known: " + ", ".join(sorted({case.op for case in all_cases()})) in message
