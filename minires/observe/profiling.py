"""Where the time of a training step goes, op by op: what `minires bench --profile` prints.

An observer of the engine is told when an op's forward or backward has ended; the time since the last such moment is
that op's, with the Python around it. Floating-point operations are two for each multiply-add, as `counting.py` counts
them, by the definition: a kernel that needs fewer, as Winograd's does, can pass the machine's peak.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for
from minires.observe.counting import multiply_adds_of
from minires.observe.observer import observing
from minires.ops.chain import ConvChain


@dataclass
class OpTime:
    """One kind of op on one shape of inputs: seconds and floating-point operations, summed over calls."""

    op: str
    shape: str
    calls: int = 0
    forward_s: float = 0.0
    backward_s: float = 0.0
    flops: int = 0

    @property
    def seconds(self) -> float:
        return self.forward_s + self.backward_s


@dataclass
class StepProfile:
    """The rows of one training step, and the seconds of the step's parts."""

    rows: list[OpTime] = field(default_factory=list)
    optimizer_s: float = 0.0
    step_s: float = 0.0  # without anyone looking on


class Clock:
    """The observer: gives the time since the last event to the op whose event this is."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], OpTime] = {}
        self.last = time.perf_counter()

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        row = self.row(op, [tensor.shape for tensor in inputs])
        row.calls += 1
        row.forward_s += self.since()
        row.flops += 2 * multiply_adds_of(op, [tensor.shape for tensor in inputs], y.shape)
        self.last = time.perf_counter()

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        op = tensor.op
        assert op is not None
        row = self.row(op, list(op.input_shapes))
        row.backward_s += self.since()
        forward = 2 * multiply_adds_of(op, list(op.input_shapes), tensor.shape)
        row.flops += forward * sum(op.needs_grad[:2])  # dL/dx and dL/dweight, as many products each
        self.last = time.perf_counter()

    def since(self) -> float:
        return time.perf_counter() - self.last

    def row(self, op: Op, shapes: list[tuple[int, ...]]) -> OpTime:
        name = type(op).__name__
        shape = " · ".join("×".join(map(str, shape)) for shape in shapes if len(shape) > 1)
        stride = getattr(op, "stride", 1)
        if isinstance(op, ConvChain):
            stride = [max(by) for by, _, _ in op.settings]
        strides = (stride,) if isinstance(stride, int) else stride
        shape += f", stride {max(strides)}" if max(strides) > 1 else ""
        return self.rows.setdefault((name, shape), OpTime(name, shape))


def profile_step(model: Any, sgd: Any, images: Array, labels: Array, rounds: int = 5) -> StepProfile:
    """Time training steps of a model on one batch, op by op; the first, which may compile kernels, is not counted."""

    def forward_and_backward() -> None:
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        sgd.zero_grad()
        loss.backward()

    forward_and_backward()
    sgd.step()
    steps, optimizer = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        forward_and_backward()
        before = time.perf_counter()
        sgd.step()
        steps.append(time.perf_counter() - start)
        optimizer.append(time.perf_counter() - before)
    clocks = [observed(forward_and_backward) for _ in range(rounds)]
    profile = StepProfile(optimizer_s=float(np.median(optimizer)), step_s=float(np.median(steps)))
    for key, first in clocks[0].rows.items():
        row = OpTime(first.op, first.shape, first.calls, flops=first.flops)
        row.forward_s = float(np.median([clock.rows[key].forward_s for clock in clocks]))
        row.backward_s = float(np.median([clock.rows[key].backward_s for clock in clocks]))
        profile.rows.append(row)
    profile.rows.sort(key=lambda row: -row.seconds)
    return profile


def observed(work: Any) -> Clock:
    """Run `work` with a clock looking on."""
    clock = Clock()
    with observing(clock):
        work()
    return clock


def measured_peak(rounds: int = 8) -> float:
    """Return the most floating-point operations a second that a matrix product in float32 reaches here: that of the
    kernels in use, as a 1×1 convolution, or the BLAS library's, the larger. BLAS alone will not do: an environment
    variable may have set it to another processor."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1536, 1536), dtype=np.float32)
    x, filters = rng.standard_normal((16, 256, 32, 32), dtype=np.float32), a[:256, :256].reshape(256, 256, 1, 1).copy()
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    conv2d_forward = kernels_for(x).conv2d_forward
    best = 0.0
    for round_ in range(rounds + 1):
        start = time.perf_counter()
        a @ a
        between = time.perf_counter()
        conv2d_forward(x, filters, None, (1, 1), (0, 0))
        after = max(time.perf_counter(), between + 1e-9)  # a clock may stand still
        rates = 2 * a.size * 1536 / max(between - start, 1e-9), 2 * x.size * 256 / (after - between)
        best = max(best, *rates) if round_ > 0 else best  # the first may compile
    return best


def profile_text(profile: StepProfile, peak: float, limit: int = 25) -> str:
    """Write a profile as text, the slowest first. peak: floating-point operations a second."""
    rows = profile.rows[:limit]
    width = max([len(row.shape) for row in rows] + [10])
    head = f"{'forward':>10}{'backward':>10}{'share':>8}{'GFLOPS':>9}{'of peak':>9}"
    lines = [f"{'op':<18}{'inputs':<{width}}{'calls':>6}{head}"]
    total = sum(row.seconds for row in profile.rows) + profile.optimizer_s
    for row in rows:
        rate = row.flops / row.seconds if row.seconds > 0 else 0.0
        speed = f"{rate / 1e9:9.0f}{rate / peak:9.0%}" if row.flops else ""
        lines.append(
            f"{row.op:<18}{row.shape:<{width}}{row.calls:6}{row.forward_s * 1e3:7.2f} ms{row.backward_s * 1e3:7.2f} ms"
            f"{row.seconds / total if total else 0:8.1%}{speed}"
        )
    left = profile.rows[limit:]
    if left:
        lines.append(f"{len(left)} more: {sum(row.seconds for row in left) * 1e3:.2f} ms")
    lines.append(f"optimizer {profile.optimizer_s * 1e3:.2f} ms; whole step, unobserved, {profile.step_s * 1e3:.1f} ms")
    lines.append(
        f"peak: a float32 matrix product, {peak / 1e9:.0f} GFLOPS; convolutions are counted by their definition"
    )
    return "\n".join(lines)
