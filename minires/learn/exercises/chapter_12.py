"""Chapter 12: three listings of residual blocks that run and are wrong, for the reader to mend."""

from collections.abc import Iterator, Sequence
from typing import Any

from minires.gradient_check.fitting import same
from minires.learn.examiner import Wrong
from minires.learn.exercise import Exercise
from minires.learn.structure import Description, Ref, check_used_once, computed_again, describe, described

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

def check_basic(mine: Any, seed: int) -> Iterator[str]:
    yield from check_branch(mine, "BasicBlock", (8,), seed, BASIC, [3, 3], [8, 8])


def check_shortcut_block(mine: Any, seed: int) -> Iterator[str]:
    for arguments, which in (
        ((8, 8, 1), "where shapes stay"),
        ((8, 16, 2), "where shapes change"),
        ((8, 16, 1), "where the channels alone change"),
        ((8, 8, 2), "where the stride alone changes the shape"),
    ):
        shortcut = "" if which == "where shapes stay" else "Conv2d BatchNorm"
        yield from check_branch(
            mine, "ShortcutBlock", arguments, seed, BASIC, [3, 3], [arguments[1]] * 2, shortcut, which, arguments[2]
        )


def check_bottleneck(mine: Any, seed: int) -> Iterator[str]:
    yield from check_branch(mine, "Bottleneck", (2,), seed, BOTTLENECK, [1, 3, 1], [2, 2, 8])


def check_branch(
    mine: Any, name: str, arguments: tuple[int, ...], seed: int, wanted: str, sizes: list[int], widths: list[int],
    shortcut: str = "", which: str = "", stride: int = 1,
) -> Iterator[str]:  # fmt: skip
    """Compare what a block does, op by op, with what it should do; compute it again; yield the head."""
    head = f"{name} {which}".strip()
    block = describe(head, mine, name, arguments, seed)
    additions = [i for i, op in enumerate(block.ops) if op.name == "ResidualAdd"]
    if len(additions) != 1:
        raise Wrong(f"{head}: there are {len(additions)} residual additions, and should be one: ops.residual_add")
    addition = additions[0]
    if block.names([block.last[1]]) != "ReLU" or block.ops[block.last[1]].inputs[0] != ("op", addition):
        raise Wrong(f"{head}: the last thing that happens must be a ReLU, right after the addition")
    one, other = block.ops[addition].inputs
    aside, branch = (one, other) if len(block.way(one)) <= len(block.way(other)) else (other, one)
    check_shortcut(head, block, aside, shortcut, stride)
    made = [number for number in block.way(branch) if not shortcut or number not in block.way(aside)]
    check_order(head, block.names(made), wanted)
    check_used_once(head, block)
    convolutions = [number for number in made if block.ops[number].name == "Conv2d"]
    check_filters(head, block, convolutions, sizes, widths, stride)
    check_biases(head, block)
    again = computed_again(block)
    if not same(block.y, again, 1e-4):
        raise Wrong(f"{head}: what came out is not what these operations make of x; is .data written into on the way?")
    yield head


def check_shortcut(head: str, block: Description, aside: Ref, wanted: str, stride: int) -> None:
    """`Wrong` unless the shortcut is x itself, or, where shapes change, option B's convolution and norm."""
    way = block.way(aside)
    found = block.names(way)
    if not wanted and aside != ("leaf", 0):
        raise Wrong(f"{head}: there is no identity path: {found or 'a copy'} stands on the shortcut, where x should be")
    if found != wanted:
        raise Wrong(f"{head}: on the shortcut there is {found or 'nothing'}, which is not option B")
    for number in way:
        if block.ops[number].name != "Conv2d":
            continue
        size, step = block.weight(number).shape[2:], tuple(block.ops[number].options["stride"])
        if size != (1, 1):
            raise Wrong(f"{head}: the convolution on the shortcut is {size[0]}×{size[1]}, and option B's is 1×1")
        if step != (stride, stride):
            raise Wrong(f"{head}: the convolution on the shortcut has the stride {step}, and the block's is {stride}")


def check_order(head: str, found: str, wanted: str) -> None:
    if found == wanted:
        return
    convolutions, norms = found.count("Conv2d"), found.count("BatchNorm")
    if "BatchNormInference" in found:
        raise Wrong(f"{head}: a norm takes its running statistics: in training it takes the batch's")
    if convolutions != wanted.count("Conv2d"):
        raise Wrong(f"{head}: the branch has {convolutions} convolutions, and should have {wanted.count('Conv2d')}")
    if norms != wanted.count("BatchNorm"):
        raise Wrong(f"{head}: of batch norms the branch has {norms}, and should have {wanted.count('BatchNorm')}")
    if found.startswith(("BatchNorm", "ReLU")):
        raise Wrong(
            f"{head}: the branch begins with {found.split()[0]}: that is pre-activation, another block: {found}"
        )
    if not found.endswith("BatchNorm"):
        raise Wrong(f"{head}: what the branch adds has not been normalized: its last norm comes too early")
    if found.count("ReLU") < wanted.count("ReLU"):
        raise Wrong(f"{head}: the order on the branch is wrong, a ReLU is missing: {found}")
    raise Wrong(f"{head}: the order on the branch is wrong: {found}")


def check_filters(
    head: str, block: Description, convolutions: Sequence[int], sizes: list[int], widths: list[int], stride: int
) -> None:
    shapes = [block.weight(number).shape for number in convolutions]
    if [shape[2] for shape in shapes] != sizes or [shape[3] for shape in shapes] != sizes:
        raise Wrong(f"{head}: filters of {[shape[2] for shape in shapes]} pixels; compare with the docstring")
    if [shape[0] for shape in shapes] != widths:
        raise Wrong(f"{head}: the convolutions give {[shape[0] for shape in shapes]} channels; where is it narrow?")
    strides = [tuple(block.ops[number].options["stride"]) for number in convolutions]
    if strides != [(stride, stride)] + [(1, 1)] * (len(strides) - 1):
        raise Wrong(f"{head}: the strides on the branch are {strides}: the first convolution has the block's, {stride}")


def check_biases(head: str, block: Description) -> None:
    """`Wrong` for a convolution with a bias, which the norm behind it takes away again."""
    if any(op.name == "Conv2d" and len(op.inputs) > 2 for op in block.ops):
        raise Wrong(f"{head}: a convolution in front of a batch norm has a bias, which the norm takes away again")


EXERCISE = Exercise(
    chapter=12,
    name="blocks_to_mend",
    title="Three residual blocks that run and are wrong",
    text=TEXT,
    hints=HINTS,
    checks={"BasicBlock": check_basic, "ShortcutBlock": check_shortcut_block, "Bottleneck": check_bottleneck},
    beside={"described": described},
)
