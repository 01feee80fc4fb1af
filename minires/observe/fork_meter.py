"""The fork meter: how much of the gradient comes back through the skip, and how much through the branch.

At a residual add both paths get the whole gradient. They meet again at the fork, the tensor x that the block began
with: dL/dx is what the skip delivers plus what the branch delivers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minires.engine import Tensor
from minires.kernels import Array
from minires.observe.step import Input, Step
from minires.observe.stepper import backward_steps

SKIP, BRANCH = 1, 2  # the sides of a residual add, as bits: what lies on both is the fork


@dataclass(frozen=True, eq=False)
class Fork:
    """A residual add and the tensor x where its two paths began.

    grad_skip + grad_branch (+ grad_other, where x has uses outside of the block) = grad_x, up to rounding.
    """

    add: int  # the index of the residual add's step
    module_path: str  # the block
    x: Tensor
    made_by: int | None  # the index of the step whose op made x; None for a leaf
    grad_skip: Array
    grad_branch: Array
    grad_other: Array | None
    grad_x: Array
    skip_norm: float
    branch_norm: float
    x_norm: float
    skip_share: float  # ⟨grad_skip, grad_x⟩ / ⟨grad_x, grad_x⟩; the shares of all paths add up to 1
    branch_share: float
    cosine: float  # between grad_skip and grad_branch; NaN where one of them is 0

    def __repr__(self) -> str:
        name = self.module_path or "the add"
        if self.x_norm == 0:
            return f"Fork of {name}: no gradient arrives"
        shares = f"skip {self.skip_share:.1%}, branch {self.branch_share:.1%}"
        return f"Fork of {name}: {shares}, cosine {self.cosine:.3f}"


def forks(steps: backward_steps | Sequence[Step]) -> list[Fork]:
    """Return the forks that a walk has come to, from the loss back, one per residual add.

    steps: a walk, or a list of its steps from the first on.
    """
    records = steps.records if isinstance(steps, backward_steps) else list(steps)
    uses: dict[Tensor, list[tuple[int, Input]]] = {}  # of each tensor: the step, and its input there
    for step in records:
        for one in step.inputs:
            if one.grad is not None:
                uses.setdefault(one.tensor, []).append((step.index, one))
    found = []
    for step in records:
        if step.op_name == "ResidualAdd":
            sides = sides_of(step, records)
            x = fork_of(sides, step, records)
            if x is not None:
                found.append(measure(step, x, sides, uses[x], records))
    return found


def sides_of(add: Step, records: Sequence[Step]) -> dict[Tensor, int]:
    """Follow both inputs of an add back to where they meet: each tensor on the way, and the side or sides it is on.

    Steps come after all that use their tensor, so the first tensor that both sides reach is the nearest.
    """
    sides: dict[Tensor, int] = {}
    for one, side in zip(add.inputs, (SKIP, BRANCH), strict=True):
        sides[one.tensor] = sides.get(one.tensor, 0) | side
    for step in records[add.index + 1 :]:
        side = sides.get(step.tensor, 0)
        if side == SKIP | BRANCH:
            break
        for one in step.inputs:
            if side and one.grad is not None:
                sides[one.tensor] = sides.get(one.tensor, 0) | side
    return sides


def fork_of(sides: dict[Tensor, int], add: Step, records: Sequence[Step]) -> Tensor | None:
    """Return the tensor that both sides reach, None as long as the walk has not completed its gradient."""
    both = [tensor for tensor, side in sides.items() if side == SKIP | BRANCH]
    for step in records[add.index + 1 :]:
        if step.tensor in both:
            return step.tensor
    leaves = [tensor for tensor in both if tensor.op is None]
    complete = len(records) == add.count
    return leaves[0] if leaves and complete else None


def measure(
    add: Step, x: Tensor, sides: dict[Tensor, int], uses: Sequence[tuple[int, Input]], records: Sequence[Step]
) -> Fork:
    """Sort the gradients that arrive at x by the side they come from."""
    arrived: dict[int, Array] = {}
    made_by = None
    for index, one in uses:
        made_by = one.made_by
        side = sides.get(records[index].tensor, 0)
        if index == add.index:
            side = SKIP if one is add.inputs[0] else BRANCH
        assert one.grad is not None
        arrived[side] = arrived[side] + one.grad if side in arrived else one.grad
    grad_skip, grad_branch, grad_other = arrived[SKIP], arrived[BRANCH], arrived.get(0)
    grad_x = records[made_by].grad_y if made_by is not None else grad_skip + grad_branch
    if made_by is None and grad_other is not None:
        grad_x = grad_x + grad_other

    unit = max(float(abs(grad_skip).max()), float(abs(grad_branch).max())) or 1.0  # squares of small ones stay above 0
    skip, branch, whole = [grad.astype("float64").ravel() / unit for grad in (grad_skip, grad_branch, grad_x)]
    skip_square, branch_square, square = float(skip @ skip), float(branch @ branch), float(whole @ whole)
    return Fork(
        add=add.index,
        module_path=add.module_path,
        x=x,
        made_by=made_by,
        grad_skip=grad_skip,
        grad_branch=grad_branch,
        grad_other=grad_other,
        grad_x=grad_x,
        skip_norm=unit * math.sqrt(skip_square),
        branch_norm=unit * math.sqrt(branch_square),
        x_norm=unit * math.sqrt(square),
        skip_share=float(skip @ whole) / square if square else math.nan,
        branch_share=float(branch @ whole) / square if square else math.nan,
        cosine=float(skip @ branch) / math.sqrt(skip_square * branch_square)
        if skip_square * branch_square
        else math.nan,
    )
