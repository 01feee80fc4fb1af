"""The sessions in docs/stepping_through.md, replayed command by command on a pseudo-terminal, line numbers included."""

import ast
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from test_pdb import Session
from transcripts import code_blocks, exchanges, mismatch, same_line

from minires import Tensor, debug, kernels, models, ops
from minires.data import load_digits

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "stepping_through.md"


@pytest.fixture(scope="module")
def broken_norm():
    (source,) = [block for block in code_blocks(PAGE, "python") if block.startswith("# broken_norm.py")]
    return source


def replay(session, block):
    _, pairs = exchanges(block)
    assert pairs
    for command, expected in pairs:
        if command == "quit":
            session.child.sendline("quit")
            session.child.expect(session.eof)
            return
        printed = session(command).splitlines()
        if printed and printed[0].strip() == command:
            printed = printed[1:]  # the terminal's echo
        said = mismatch([as_pdb_counts(line) for line in expected], printed)
        assert not said, f"after {command!r} {said}"


def as_pdb_counts(line, version=sys.version_info):
    """From Python 3.13 on pdb sets a breakpoint by name on the function's first line, before on the `def` above it."""
    by_name = re.match(r"(.*reakpoint \d+ at minires/\S+:)(\d+)$", line)
    return f"{by_name[1]}{int(by_name[2]) + 1}" if by_name and version >= (3, 13) else line


def opened(require, arguments):
    pexpect = require("pexpect")
    session = Session(pexpect, arguments, "numpy", prompt=r"\((?:Pdb|minires)\) ")
    session.eof = pexpect.EOF
    return session


def test_the_pdb_session(require, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (block,) = [block for block in code_blocks(PAGE, "console") if "python -m pdb" in block]
    session = opened(require, ["-m", "pdb", "tests/debug/stepped_program.py"])
    replay(session, block)
    session.child.close(force=True)


def test_the_session_that_finds_the_wrong_backward(require, monkeypatch, tmp_path, broken_norm):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    Path("broken_norm.py").write_text(broken_norm, encoding="utf-8")
    blocks = [block for block in code_blocks(PAGE, "console") if "(minires)" in block]
    assert len(blocks) == 4
    session = opened(require, ["broken_norm.py"])
    greeting = session.greeting.replace("\r\n", "\n").splitlines()
    assert mismatch(exchanges(blocks[0])[0][1:], greeting) == ""
    for block in blocks:
        replay(session, block)
    assert not session.child.isalive()


def test_the_mistake_is_one_of_the_planted_bugs(broken_norm, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "gradient_check")
    bugs = importlib.import_module("planted_bugs.normalization")
    names = {"np": np, "numpy_kernels": kernels.numpy_kernels}
    exec(
        broken_norm[broken_norm.index("def batch_norm_backward") : broken_norm.index("numpy_kernels.batch_norm")], names
    )
    rng = np.random.default_rng(0)
    grad_y, x = rng.standard_normal((2, 5, 4, 2, 3))
    weight, mean, var = rng.uniform(0.5, 1.5, (3, 4))
    given = (grad_y, x, weight, mean, var, 1e-5)
    for one, other in zip(names["batch_norm_backward"](*given), bugs.mean_term_dropped(*given), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_the_other_examples_run(monkeypatch, capsys):
    images, labels, _, _ = load_digits()
    model = models.resnet20(in_channels=1, seed=0)
    names = {"debug": debug, "ops": ops, "model": model, "images": Tensor(images[:2]), "labels": labels[:2]}
    with kernels.use("numpy"):
        names["loss"] = ops.cross_entropy(model(names["images"]), labels[:2])
        examples = [block for block in code_blocks(PAGE, "python") if "broken_norm" not in block]
        assert len(examples) == 2
        for example in reversed(examples):
            exec(example, names)
    out = capsys.readouterr().out
    assert out.count("Step ") == 71 - 46 and out.count("Fork of layer") == 9


def test_every_command_in_the_page_exists():
    text = PAGE.read_text(encoding="utf-8")
    from minires.debug.terminal import GROUPS

    prompts = re.findall(r"^\(minires\) (\w+)", text, re.MULTILINE)
    assert set(prompts) <= {name for names in GROUPS.values() for name in names}


def test_sites_elsewhere_in_the_docs_are_calls_in_that_function():
    sources = {path.name: path for path in (REPOSITORY / "minires" / "models").glob("*.py")}
    sites = [
        (page.name, *site)
        for page in sorted((REPOSITORY / "docs").glob("*.md"))
        for site in re.findall(r"\b(\w+\.py):(\d+) in\s+(\w+)", page.read_text(encoding="utf-8"))
        if site[0] in sources
    ]
    assert len(sites) > 3
    for page, name, number, function in sites:
        functions = [
            node
            for node in ast.walk(ast.parse(sources[name].read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name == function
        ]
        lines = {node.lineno for one in functions for node in ast.walk(one) if isinstance(node, ast.Call)}
        assert int(number) in lines, f"{page}: {name}:{number} in {function}: calls are in the lines {sorted(lines)}"


def test_breakpoints_by_name_are_where_this_python_sets_them():
    line = "Breakpoint 1 at minires/ops/convolution.py:28"
    assert as_pdb_counts(line, (3, 12)) == line
    assert as_pdb_counts(line, (3, 13)) == "Breakpoint 1 at minires/ops/convolution.py:29"
    assert as_pdb_counts("Breakpoint 1 at broken_norm.py:17", (3, 13)) == "Breakpoint 1 at broken_norm.py:17"


@pytest.mark.parametrize(
    "expected, actual, same",
    [
        ("norm 0.261", "norm 0.262", True),
        ("norm 0.261", "norm 0.361", False),
        ("step 5 of 71", "step 6 of 71", False),
        ("error 2.2e-08", "error 9.2e-08", True),
        ("error 2.2e-08", "error 9.2e-03", False),
        ("> minires/ops/shortcut.py(17)backward()", "> /somewhere/minires/ops/shortcut.py(17)backward()", True),
        ("> minires/ops/shortcut.py(17)backward()", "> /somewhere/minires/ops/shortcut.py(19)backward()", False),
        ("Linear  fc  resnet.py:125 in forward", "Linear  fc  resnet.py:129 in forward", False),
        ("('minires/models/blocks.py', 62, 'forward')", "('/home/me/minires/models/blocks.py', 63, 'forward')", False),
        ("     26  def backward(self, grad_y)", "     28  def backward(self, grad_y)", False),
        ("(8, 64, 2, 2)  → ReLU", "(8, 64, 2, 2)   → Tanh", False),
        ("0.3  ████▋", "0.3  ████▌", True),
    ],
)
def test_what_counts_as_the_same_line(expected, actual, same):
    assert same_line(expected, actual) == same


def test_lines_that_are_missing_or_left_out_are_found():
    assert mismatch(["a", "…", "c"], ["a", "b", "b", "c"]) == ""
    assert mismatch(["a", "…"], ["a", "b"]) == ""
    assert "the page says\nc" in mismatch(["a", "…", "c"], ["a", "b"])
    assert mismatch(["a", "c"], ["a", "b"]).endswith("but there was\na\nb")
    assert "the page leaves out\nb" in mismatch(["a"], ["a", "b"])


@pytest.mark.parametrize("skipped", [[], ["…"]])
def test_a_stale_line_number_is_shown_as_it_should_read(skipped):
    page = [*skipped, "> minires/ops/convolution.py(28)backward()"]
    said = mismatch(page, ["> /home/me/minires/ops/convolution.py(29)backward()"])
    assert said.endswith("but it should read\n> minires/ops/convolution.py(29)backward()")
