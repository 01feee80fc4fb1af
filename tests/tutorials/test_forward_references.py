"""No chapter uses a name of MiniRes before the chapter that introduces it.

INTRODUCED lists, for each chapter, the names that it introduces, as they are used: "Tensor", "ops.conv2d",
"nn.Conv2d", "data.load_digits". A name may be used in its chapter and in all later ones. The names are read from the
chapter's code, imports and attributes of imported rooms alike: `from minires import ops` and then `ops.relu` is
"ops.relu". A listed name also admits what hangs on it: "lab" admits lab.compare.
"""

import ast

import pytest
from chapters_on_disk import CHAPTERS, NAMES, number_of

INTRODUCED = {
    1: ["Tensor", "learn.quick", "ops.exp"],
    2: ["Op", "backward_order", "no_grad", "plots.COLOURS"],
    3: ["ops.tanh", "plots.Animation"],
    4: ["gradcheck", "gradient_check.GradientError", "ops.activation.Softmax", "ops.relu", "ops.softmax"],
    5: [
        "data.load_digits",
        "nn.Flatten",
        "nn.Linear",
        "nn.ReLU",
        "nn.Sequential",
        "ops.cross_entropy",
        "ops.flatten",
        "ops.linear",
        "optim.SGD",
    ],
    6: ["nn.Conv2d", "ops.conv2d"],
    7: [],
    8: ["nn.BatchNorm2d", "ops.batch_norm"],
    9: ["nn.initialize", "ops.elu", "ops.selu", "ops.sigmoid"],
    10: ["nn.GlobalAvgPool2d"],
    11: ["nn.Module", "ops.option_a", "ops.residual_add"],
    12: ["models", "nn.totals"],
    13: ["debug", "kernels", "learn.replaced", "ops.shortcut.ResidualAdd"],
    14: ["lab"],
    15: [],
    16: [
        "data.Loader",
        "data.RandomCrop",
        "data.RandomHorizontalFlip",
        "learn.recorded_trainings",
        "nn.Parameter",
        "optim.Adam",
        "optim.CosineAnnealingLR",
        "optim.LinearWarmup",
        "runs",
        "training",
    ],
    17: [],
    18: ["__file__"],
    19: ["learn.recorded.Recorded"],
    20: ["data.load", "interop", "runs.finetuning"],
}


def names_used(source):
    """Return the names of MiniRes that a source uses, dotted, without the leading "minires."."""
    tree = ast.parse(source)
    meaning = {}  # a local name and the dotted name that it stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "minires":
                    meaning[alias.asname or "minires"] = alias.name if alias.asname else "minires"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "minires":
            for alias in node.names:
                meaning[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = set()
    for node in ast.walk(tree):
        if id(node) not in inner and isinstance(node, ast.Name | ast.Attribute):
            dotted = ast.unparse(node)
            first, _, rest = dotted.partition(".")
            if first in meaning and dotted.replace(".", "").isidentifier():
                names.add(f"{meaning[first]}.{rest}".rstrip("."))
    return {name.removeprefix("minires").removeprefix(".") for name in names} - {""}


def admitted(name, known):
    parts = name.split(".")
    return any(".".join(parts[:length]) in known for length in range(1, len(parts) + 1))


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_no_name_before_its_chapter(path):
    known = {name for number in range(1, number_of(path) + 1) for name in INTRODUCED[number]}
    used = names_used(path.read_text(encoding="utf-8"))
    ahead = sorted(name for name in used if not admitted(name, known))
    assert not ahead, f"{path.name} uses {ahead}: introduce them there and say so in INTRODUCED, or do without"


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_what_a_chapter_introduces_is_in_it(path):
    used = names_used(path.read_text(encoding="utf-8"))
    for name in INTRODUCED[number_of(path)]:
        assert any(admitted(one, {name}) for one in used) or name == "learn.quick", f"{path.name} never uses {name}"


def test_no_name_is_introduced_twice():
    names = [name for introduced in INTRODUCED.values() for name in introduced]
    assert sorted(names) == sorted(set(names))


def test_the_reader_of_names_sees_them_all():
    source = """
import minires.kernels as k
import minires
from minires import Tensor, ops as o
from minires.data import load_digits
x = Tensor([1.0]).data
y = o.relu(o.conv2d(x))
minires.nn.Linear(load_digits(), k.use)
import numpy as np
np.zeros(3)
"""
    assert names_used(source) == {"Tensor", "ops.relu", "ops.conv2d", "nn.Linear", "data.load_digits", "kernels.use"}
    assert admitted("models.resnet20", {"models"}) and not admitted("ops.conv2d", {"ops.conv2"})
