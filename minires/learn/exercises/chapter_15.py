"""Chapter 15: a pre-activation block, a stage and a head that run and are wrong, for the reader to mend."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minires.gradient_check.fitting import same
from minires.kernels import Array
from minires.learn.answer import ReadersError
from minires.learn.examiner import Wrong
from minires.learn.exercise import Exercise
from minires.learn.structure import Description, check_used_once, computed_again, describe, described

TEXT = '''"""Chapter 15: three pieces of a network to mend.

All three run, and a network of them learns something. Each has at least two mistakes. Mend them, then run
`minires check 15`. `minires check 15 --hint` helps.
"""

from minires import models, nn, ops


class PreActBlock(nn.Module):
    """Norm and ReLU before each of two 3×3 convolutions, and nothing after the addition. The first convolution has the
    block's stride. No convolution has a bias.

    Where shapes stay, x itself is added. Where they change (the channels, the size or both), a 1×1 convolution without
    a norm is on the shortcut. It takes what the first norm and ReLU give.
    """

    def __init__(self, in_channels, channels, stride):
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.same = in_channels == channels and stride == 1
        self.projection = None if self.same else nn.Conv2d(in_channels, channels, 1, stride)

    def forward(self, x):
        x = ops.relu(self.bn1(x))
        y = self.conv1(x)
        y = ops.relu(self.bn2(y))
        y = self.conv2(y)
        shortcut = x if self.same else self.projection(x)
        return ops.relu(ops.residual_add(shortcut, y))


def stage(in_channels, channels, blocks, stride):
    """Return an nn.Sequential of so many `models.BasicBlock`s, one behind the other.

    The first goes from in_channels to channels and has the stride. The others change no shape. Each has weights of its
    own.
    """
    first = models.BasicBlock(in_channels, channels, stride)
    other = models.BasicBlock(channels, channels, stride)
    return nn.Sequential(first, *[other] * (blocks - 1))


class Head(nn.Module):
    """What comes behind the last stage: the mean of each channel, and a linear layer with a bias. It gives the logits
    (N, classes) that `ops.cross_entropy` takes, for images of any size."""

    def __init__(self, channels, classes):
        self.pool = nn.GlobalAvgPool2d()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        return ops.softmax(ops.relu(self.fc(self.pool(x))))
'''

HINTS = (
    "Write down for PreActBlock what happens to x on its way over the shortcut, and what happens after the addition.",
    "stage: how many different blocks does the list hold? Print the number of parameters for 2 blocks and for 5. And "
    "print the shape of what comes out.",
    "Head: what does ops.cross_entropy do first with the logits it gets? And what can a logit no longer be, once it "
    "has been through a ReLU?",
)

PREACT = "BatchNorm ReLU Conv2d BatchNorm ReLU Conv2d"
CASES = {
    (8, 8, 1): "where shapes stay",
    (8, 16, 2): "where shapes change",
    (8, 16, 1): "where the channels alone change",
    (8, 8, 2): "where the stride alone changes the shape",
}


def check_block(mine: Any, seed: int) -> Iterator[str]:
    for arguments, which in CASES.items():
        head = f"PreActBlock {which}"
        block = describe(head, mine, "PreActBlock", arguments, seed)
        check_addition(head, block)
        check_shortcut(head, block, arguments)
        check_used_once(head, block)
        check_filters(head, block, arguments)
        check_value(head, block)
        yield head


def check_addition(head: str, block: Description) -> None:
    additions = [op for op in block.ops if op.name == "ResidualAdd"]
    if len(additions) != 1:
        raise Wrong(f"{head}: there are {len(additions)} residual additions, and should be one: ops.residual_add")
    last = block.ops[block.last[1]].name
    if last != "ResidualAdd":
        raise Wrong(
            f"{head}: after the addition comes {last}. Nothing may come there, so that x runs on to the next block as "
            "it is"
        )


def check_shortcut(head: str, block: Description, arguments: tuple[int, ...]) -> None:
    """`Wrong` unless x itself is added to the branch, or, where shapes change, its projection."""
    C, F, stride = arguments
    one, other = block.ops[block.last[1]].inputs
    aside, branch = (one, other) if len(block.way(one)) <= len(block.way(other)) else (other, one)
    found, way = block.names(block.way(aside)), block.way(aside)
    if (C, stride) == (F, 1):
        if found == "BatchNorm ReLU":
            raise Wrong(f"{head}: the skip begins behind the first norm and ReLU; x itself has to be added")
        if aside != ("leaf", 0):
            raise Wrong(f"{head}: there is no identity path: {found or 'a copy'} stands on the shortcut")
    elif found != "BatchNorm ReLU Conv2d":
        raise Wrong(f"{head}: {projection_mistake(found)}")
    elif not set(way[:2]) <= set(block.way(branch)):
        raise Wrong(f"{head}: the projection has a norm and a ReLU of its own; it takes what those of the branch give")
    else:
        size, step = block.weight(way[2]).shape[2:], tuple(block.ops[way[2]].options["stride"])
        if size != (1, 1) or step != (stride, stride):
            raise Wrong(
                f"{head}: on the shortcut stands a {size[0]}×{size[1]} convolution of stride {step}, and should be a "
                f"1×1 of stride {stride}"
            )
    check_order(head, block.names(block.way(branch)))


def projection_mistake(found: str) -> str:
    if found == "Conv2d":
        return "the projection takes x as it came; it should take what the first norm and ReLU give"
    if found == "BatchNorm Conv2d":
        return "the projection takes what the first norm gives, before the ReLU"
    if found.endswith("BatchNorm"):
        return "behind the projection stands a norm; the next block's first norm will do its work"
    return f"on the shortcut there is {found or 'x as it came'}, which is not a projection"


def check_order(head: str, found: str) -> None:
    if found == PREACT:
        return
    if "BatchNormInference" in found:
        raise Wrong(f"{head}: a norm takes its running statistics: in training it takes the batch's")
    if found.count("Conv2d") != 2:
        raise Wrong(f"{head}: the branch has {found.count('Conv2d')} convolutions, and should have 2")
    if found.startswith("Conv2d"):
        raise Wrong(f"{head}: the branch begins with its convolution; norm and ReLU come before it")
    if found.endswith("BatchNorm"):
        raise Wrong(f"{head}: the branch ends in a norm; each norm stands before a convolution")
    if found.endswith("ReLU"):
        raise Wrong(f"{head}: the branch ends in a ReLU, so it can add and never take away")
    if found.startswith("ReLU BatchNorm"):
        raise Wrong(f"{head}: the ReLU comes before its norm; it should come behind")
    if found.count("BatchNorm") != 2 or found.count("ReLU") != 2:
        norms, relus = found.count("BatchNorm"), found.count("ReLU")
        raise Wrong(f"{head}: on the branch there are {norms} norms and {relus} ReLUs, and should be two of each")
    raise Wrong(f"{head}: the order on the branch is wrong: {found}")


def check_filters(head: str, block: Description, arguments: tuple[int, ...]) -> None:
    C, F, stride = arguments
    numbers = [i for i, op in enumerate(block.ops) if op.name == "Conv2d" and block.weight(i).shape[2:] != (1, 1)]
    shapes = [block.weight(i).shape for i in numbers]
    if shapes != [(F, C, 3, 3), (F, F, 3, 3)]:
        raise Wrong(f"{head}: the filters of the branch are {shapes}, and should be {[(F, C, 3, 3), (F, F, 3, 3)]}")
    strides = [tuple(block.ops[i].options["stride"]) for i in numbers]
    if strides != [(stride, stride), (1, 1)]:
        raise Wrong(f"{head}: the strides on the branch are {strides}: the first convolution has the block's, {stride}")
    if any(op.name == "Conv2d" and len(op.inputs) > 2 for op in block.ops):
        raise Wrong(f"{head}: a convolution has a bias")


def check_value(head: str, block: Description) -> None:
    if not same(block.y, computed_again(block), 1e-4):
        raise Wrong(f"{head}: what came out is not what these operations make of x; is .data written into on the way?")


def check_stage(mine: Any, seed: int) -> Iterator[str]:
    for arguments in ((8, 8, 2, 1), (8, 16, 3, 2), (8, 16, 1, 1)):
        C, F, blocks, stride = arguments
        head = f"stage of {blocks} block{'s' if blocks > 1 else ''}, {C} → {F} channels, stride {stride}"
        found = describe(head, mine, "stage", arguments, seed)
        check_blocks(head, found, blocks, stride)
        if found.y.shape[1] != F:
            raise Wrong(f"{head}: {found.y.shape[1]} channels come out")
        check_kind(head, found, blocks + (stride != 1 or C != F) / 2)
        check_used_once(head, found)
        check_value(head, found)
        yield head


def check_blocks(head: str, found: Description, blocks: int, stride: int) -> None:
    """`Wrong` for another number of blocks, for one that stands there several times, and for strides in later ones."""
    additions = [i for i, op in enumerate(found.ops) if op.name == "ResidualAdd"]
    if len(additions) != blocks:
        raise Wrong(f"{head}: there are {len(additions)} blocks")
    firsts = [weights_of(found, after, last) for after, last in zip([-1, *additions], additions, strict=False)]
    if len(set(firsts)) < blocks:
        raise Wrong(
            f"{head}: {blocks} blocks, but only {len(set(firsts))} with weights of their own: `[block] * n` is a list "
            "that holds one block n times"
        )
    later = [op.options["stride"] for op in found.ops[additions[0] :] if "stride" in op.options]
    if any(tuple(step) != (1, 1) for step in later):
        raise Wrong(f"{head}: the stride is in later blocks too; the first alone makes the image smaller")
    size = -(-6 // stride)
    if found.y.shape[2:] != (size, size):
        raise Wrong(f"{head}: 6×6 pixels become {found.y.shape[2]}×{found.y.shape[3]}; the first block has the stride")


def check_kind(head: str, found: Description, pairs: float) -> None:
    """`Wrong` where it is not made of basic blocks: so many pairs of a convolution and a norm, a ReLU last of all."""
    names = [op.name for op in found.ops]
    counts = {names.count("Conv2d"), names.count("BatchNorm")}
    if counts != {2 * pairs} or names[-2:] != ["ResidualAdd", "ReLU"]:
        raise Wrong(f"{head}: these are not models.BasicBlocks: {' '.join(names)}")


def weights_of(found: Description, after: int, last: int) -> tuple[int, ...]:
    """Return which leaves the convolutions between two additions have as weights."""
    return tuple([found.ops[i].inputs[1][1] for i in range(after + 1, last) if found.ops[i].name == "Conv2d"])


def check_head(mine: Any, seed: int) -> Iterator[str]:
    for shape in ((2, 8, 6, 6), (3, 8, 4, 7)):
        head = f"Head for {shape[2]}×{shape[3]} pixels"
        try:
            found = describe(head, mine, "Head", (8, 5), seed, shape)
        except (ReadersError, ValueError) as error:
            if shape == (2, 8, 6, 6):
                raise
            raise Wrong(f"{head}: it took 6×6 pixels, and here it stops: {error}") from error
        check_logits(head, found, shape[0])
        yield head


def check_logits(head: str, found: Description, N: int) -> None:
    x, y, last = found.leaves[0], found.y, found.ops[found.last[1]].name
    if y.shape != (N, 5):
        raise Wrong(f"{head}: the shape is {y.shape}, and should be (N, classes) = {(N, 5)}")
    if np.allclose(y.sum(axis=1), 1, atol=1e-4) and (y >= 0).all():
        raise Wrong(f"{head}: these are probabilities; ops.cross_entropy takes logits, and does the softmax itself")
    if last == "ReLU":
        raise Wrong(f"{head}: a ReLU behind the linear layer: no class could ever get a logit below 0")
    weight, bias = only(head, found, (5, 8), "weight"), only(head, found, (5,), "bias")
    for means, sentence in reductions(x).items():
        if same(y, sentence @ weight.T + bias, 1e-4):
            if means:
                raise Wrong(f"{head}: {means}")
            return
    raise Wrong(f"{head}: this is not weight @ mean + bias, of the mean of each channel")


def reductions(x: Array) -> dict[str, Array]:
    """Return what a channel may be reduced to: "" for its mean, else the mistake in words."""
    N, C, H, W = x.shape
    return {
        "": x.mean(axis=(2, 3)),
        "this is made of the largest number of each channel, not of its mean": x.max(axis=(2, 3)),
        "this is made of the sum of each channel, which grows with the image": x.sum(axis=(2, 3)),
        "this is made of one pixel of each channel": x[:, :, 0, 0],
        "a ReLU stands before the mean": np.maximum(x, 0).mean(axis=(2, 3)),
        "a ReLU stands between the mean and the linear layer": np.maximum(x.mean(axis=(2, 3)), 0),
        "the mean is divided by the wrong number of pixels": x.sum(axis=(2, 3)) / H,
    }


def only(head: str, found: Description, shape: Sequence[int], what: str) -> Array:
    """Return the one trained leaf of a shape; `Wrong` where there is none, or several."""
    fit = [i for i, leaf in enumerate(found.leaves) if i and leaf.shape == tuple(shape)]
    if len(fit) != 1:
        raise Wrong(f"{head}: the linear layer should have one {what} {tuple(shape)}, and {len(fit)} are used")
    if not found.trained[fit[0]]:
        raise Wrong(f"{head}: the {what} is not among parameters(), so no optimizer would train it")
    return found.leaves[fit[0]]


EXERCISE = Exercise(
    chapter=15,
    name="pieces_to_mend",
    title="A pre-activation block, a stage and a head that run and are wrong",
    text=TEXT,
    hints=HINTS,
    checks={"PreActBlock": check_block, "stage": check_stage, "Head": check_head},
    beside={"described": described},
)
