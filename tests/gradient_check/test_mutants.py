"""The measure of the checker: which mutants there are, and that the table kept of them says what its verdicts say."""

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", BENCHMARKS / "mutation" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutants"]


def changes_of(mutants, text):
    (function,) = ast.parse(text).body
    found = list(mutants.changes(function, False))
    return {(mutants.source(one.old), mutants.source(one.new)): one.argument_check for one in found}


def test_what_only_refuses_bad_input_is_marked(mutants):
    text = """
def f(x, axis):
    if x is None:
        raise ValueError(f"x is {x}")
    elif axis < 0:
        axis = 2 * axis
    check_shape("f", x)
    y = checks.checked(x + 1)
    return y.sum(axis=axis)
"""
    found = changes_of(mutants, text)
    marked = {change for change, argument_check in found.items() if argument_check}
    others = set(found) - marked
    assert {("x is None", "x is not None"), ("x + 1", "x - 1"), ("check_shape('f', x)", "pass")} <= marked
    assert {("axis < 0", "axis <= 0"), ("2 * axis", "2 / axis")} <= others
    assert {("y.sum(axis=axis)", "y.mean(axis=axis)"), ("y.sum(axis=axis)", "y.sum()")} <= others


def test_every_kind_of_change_is_made(mutants):
    text = """
def g(a, b, u, v, dtype):
    a[u] = -b.T
    a += b if u and v else 0.5
    return a.astype(b.dtype, copy=True)
"""
    wanted = [("a += b if u and v else 0.5", "a -= b if u and v else 0.5"), ("u and v", "u or v"), ("u", "v"),
              ("b.T", "b"), ("-b.T", "b.T"), ("0.5", "1.0"), ("a[u] = -b.T", "pass"), ("b.dtype", "float"),
              ("a.astype(b.dtype, copy=True)", "a"), ("True", "False")]  # fmt: skip
    found = changes_of(mutants, text)
    assert [change for change in wanted if change not in found] == []


def test_a_mutant_is_the_function_with_the_change(mutants):
    mutant = next(one for one in mutants.mutants_of("ops/arithmetic.py") if one.change == "-grad_y → grad_y")
    assert (mutant.function, mutant.argument_check) == ("Subtract.backward", False)
    code = mutant.code()
    assert code.co_qualname == "Subtract.backward"
    assert code.co_code != mutants.find(compile_file(mutants, mutant.file), mutant.function).co_code


def compile_file(mutants, file):
    path = mutants.PACKAGE / file
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_the_table_is_that_of_the_verdicts():
    record = json.loads((BENCHMARKS / "results" / "mutation.json").read_text(encoding="utf-8"))
    kinds = json.loads((BENCHMARKS / "mutation" / "equivalent.json").read_text(encoding="utf-8"))
    listed = [name for reasons in kinds.values() for names in reasons.values() for name in names]
    assert len(set(listed)) == len(listed)
    for file, row in record["files"].items():
        mine = {name: verdict for name, verdict in record["mutants"].items() if name.startswith(file + ":")}
        assert row["run"] == len(mine)
        to_kill = row["run"] - row["the same"] - row["other"]
        survivors = [name for name in record["survivors"] if name in mine]
        assert row["killed"] == to_kill - len(survivors)
        assert row["score"] is None or row["score"] == round(100 * row["killed"] / to_kill, 1)
    survived = {name for name, verdict in record["mutants"].items() if verdict == "survived"}
    assert set(record["survivors"]) <= survived and not set(record["survivors"]) & set(listed)
