"""Chapter 12: three listings of residual blocks that run and are wrong, for the reader to mend."""

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from minires import nn
from minires.engine import Op, Tensor, backward_order
from minires.learn.examiner import Wrong
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 12: three blocks to mend.

All three run, the shapes fit, and a network of them learns something. Each has at least one mistake in its structure.
Mend them, then run `minires check 12`. `minires check 12 --hint` helps.
"""

from minires import nn, ops


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a batch norm after each, a ReLU between them, one after the addition."""

    def __init__(self, channels):
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.conv1(x)
        y = self.bn1(y)
        y = ops.relu(y)
        y = self.bn2(y)
        y = self.conv2(y)
        return ops.relu(ops.residual_add(x, y))


class ShortcutBlock(nn.Module):
    """The same from in_channels to channels, with option B: a 1×1 convolution and a batch norm on the shortcut where
    the shapes change, and the identity where they do not."""

    def __init__(self, in_channels, channels, stride):
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.projection = nn.Conv2d(in_channels, channels, 1, stride)

    def forward(self, x):
        y = self.conv1(x)
        y = self.bn1(y)
        y = ops.relu(y)
        y = self.conv2(y)
        y = self.bn2(y)
        return ops.relu(ops.residual_add(self.projection(x), y))


class Bottleneck(nn.Module):
    """From 4·channels to 4·channels: 1×1 down to `channels`, 3×3 there, 1×1 up again; batch norm after each
    convolution, a ReLU after the first two norms, and one after the addition."""

    def __init__(self, channels):
        self.conv1 = nn.Conv2d(4 * channels, 4 * channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(4 * channels, 4 * channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4 * channels)

    def forward(self, x):
        y = self.conv1(x)
        y = ops.relu(y)
        y = self.conv2(y)
        y = self.bn(y)
        return ops.relu(ops.residual_add(x, y))
'''

HINTS = (
    "Write down, for each block, the order of what happens to x on the branch, and compare it with the docstring.",
    "BasicBlock: which of the two norms does not follow its convolution?",
    "ShortcutBlock: if in_channels == channels and stride == 1, what has to be added is x itself. Where there is a "
    "convolution on the shortcut, its norm takes over the work of its bias.",
    "Bottleneck: three convolutions, three norms, and none of them has the 3×3 filters at the full width.",
)

BASIC = "Conv2d BatchNorm ReLU Conv2d BatchNorm"
BOTTLENECK = "Conv2d BatchNorm ReLU Conv2d BatchNorm ReLU Conv2d BatchNorm"


def check(mine: ModuleType) -> Iterator[str]:
    images = Tensor(np.random.default_rng(0).standard_normal((2, 8, 6, 6)).astype(np.float32), requires_grad=True)
    yield from check_branch("BasicBlock", mine.BasicBlock(8), images, BASIC, [3, 3], [8, 8])
    head = "ShortcutBlock where shapes stay"
    yield from check_branch(head, mine.ShortcutBlock(8, 8, 1), images, BASIC, [3, 3], [8, 8])
    head = "ShortcutBlock where shapes change"
    block = mine.ShortcutBlock(8, 16, 2)
    yield from check_branch(head, block, images, BASIC, [3, 3], [16, 16], shortcut="Conv2d BatchNorm")
    yield from check_branch("Bottleneck", mine.Bottleneck(2), images, BOTTLENECK, [1, 3, 1], [2, 2, 8])


def check_branch(
    head: str, block: nn.Module, x: Tensor, wanted: str, sizes: list[int], widths: list[int], shortcut: str = ""
) -> Iterator[str]:
    """Compare what a block does, op by op, with what it should do; yield `head`."""
    y = block(x)
    if not isinstance(y, Tensor):
        raise Wrong(f"{head}: the block gives back {type(y).__name__}, not a tensor; is a return missing?")
    additions = ops_of(y, lambda op: type(op).__name__ == "ResidualAdd")
    if len(additions) != 1:
        raise Wrong(f"{head}: there are {len(additions)} residual additions, and should be one: ops.residual_add")
    if type(y.op).__name__ != "ReLU" or y.op is None or y.op.inputs[0].op is not additions[0]:
        raise Wrong(f"{head}: the last thing that happens must be a ReLU, right after the addition")
    one, other = additions[0].inputs
    aside, branch = (one, other) if len(way(one)) <= len(way(other)) else (other, one)
    check_shortcut(head, aside, x, shortcut)

    made = [op for op in way(branch) if op not in way(aside) or not shortcut]
    found = " ".join([type(op).__name__ for op in made])
    if found != wanted:
        convolutions, norms = found.count("Conv2d"), found.count("BatchNorm")
        if convolutions != wanted.count("Conv2d"):
            raise Wrong(f"{head}: the branch has {convolutions} convolutions, and should have {wanted.count('Conv2d')}")
        if norms != wanted.count("BatchNorm"):
            raise Wrong(f"{head}: of batch norms the branch has {norms}, and should have {wanted.count('BatchNorm')}")
        if not found.endswith("BatchNorm"):
            raise Wrong(f"{head}: what the branch adds has not been normalized: its last norm comes too early")
        raise Wrong(f"{head}: the order on the branch is wrong: {found}")
    weights = [op.inputs[1].shape for op in made if type(op).__name__ == "Conv2d"]
    if [shape[2] for shape in weights] != sizes:
        raise Wrong(f"{head}: filters of {[shape[2] for shape in weights]} pixels; compare with the docstring")
    if [shape[0] for shape in weights] != widths:
        raise Wrong(f"{head}: the convolutions give {[shape[0] for shape in weights]} channels; where is it narrow?")
    check_biases(head, ops_of(y, lambda op: type(op).__name__ == "Conv2d"))
    yield head


def check_shortcut(head: str, aside: Tensor, x: Tensor, wanted: str) -> None:
    """`Wrong` unless the shortcut is x itself, or, where shapes change, the ops wanted."""
    found = " ".join([type(op).__name__ for op in way(aside)])
    if not wanted and aside is not x:
        raise Wrong(f"{head}: there is no identity path: {found or 'a copy'} stands on the shortcut, where x should be")
    if found != wanted:
        raise Wrong(f"{head}: on the shortcut there is {found or 'nothing'}, which is not option B")


def check_biases(head: str, convolutions: list[Op]) -> None:
    """`Wrong` for a convolution with a bias, which the norm behind it takes away again."""
    for op in convolutions:
        if len(op.inputs) > 2:
            raise Wrong(f"{head}: a convolution in front of a batch norm has a bias, which the norm takes away again")


def way(tensor: Tensor) -> list[Op]:
    """The ops that made a tensor, from the input on."""
    return [made.op for made in backward_order(tensor)[::-1] if made.op is not None]


def ops_of(tensor: Tensor, chosen: Callable[[Op], bool]) -> list[Op]:
    return [op for op in way(tensor) if chosen(op)]


EXERCISE = Exercise(
    chapter=12,
    name="blocks_to_mend",
    title="Three residual blocks that run and are wrong",
    text=TEXT,
    names=("BasicBlock", "ShortcutBlock", "Bottleneck"),
    hints=HINTS,
    check=check,
)
