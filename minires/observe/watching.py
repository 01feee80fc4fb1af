"""The first op that computes a NaN, or a gradient that is too small, too large or too much amplified, or whose arrays
were changed before backward.

    with debug.watch(nan=True, norm_above=1e6):
        loss = ops.cross_entropy(model(images), labels)
        loss.backward()

The engine tells the watch of every op's forward and backward. Ops are pure, so the guilty one can be run once more,
under pdb, from its first line. `first_not_finite` is for a training that has diverged: it computes the step once more
under a watch, so that nothing of this runs while the numbers are finite.
"""

import copy
import math
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minires.engine import Op, Tensor, call_site, per_thread
from minires.kernels import Array
from minires.observe.changes import KeptArrays
from minires.observe.observer import observing
from minires.observe.step import Source, input_name, is_parameter, source_of, statistics
from minires.observe.stepper import inside

ACTIONS = ("pdb", "raise", "report", "keep")
HISTORY = 8  # how many ops before the guilty one are told of


class WatchError(FloatingPointError):
    """What `watch(action="raise")` raises; `finding` is the finding."""

    def __init__(self, finding: "Finding") -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(frozen=True, eq=False)
class Finding:
    """The first guilty op: which, where, why, and what came before it."""

    phase: str  # "forward" or "backward"
    op: str  # its class's name
    module_path: str
    site: tuple[str, int, str]  # the line that called it: path, line, function
    source: Source  # its forward or backward
    reason: str
    array: Array  # the op's output, or the gradient, that is not as it should be
    given: Tensor | None = None  # forward: the input that was not finite already, if one was
    arrived: Array | None = None  # backward: dL/dy, of which the op made that gradient
    history: list[str] = field(default_factory=list)  # the watched ops before it in this pass, the nearest last

    @property
    def caller(self) -> str:
        """The op, the line that called it, and the module: "Conv2d at blocks.py:41 in forward (layer2.0.conv1)"."""
        path, line, function = self.site
        module = f" ({self.module_path})" if self.module_path else ""
        return f"{self.op} at {os.path.basename(path)}:{line} in {function}{module}"

    def __str__(self) -> str:
        path, line, function = self.site
        where = f" in {self.module_path}" if self.module_path else ""
        lines = [
            f"watch: stopped at {self.op}{where}, {self.phase} pass",
            f"  because    {self.reason}",
            f"  called at  {path}:{line} in {function}",
            f"  written at {self.source.path}:{self.source.line}",
        ]
        if self.history:
            lines += ["  before it", *[f"    {entry}" for entry in self.history]]
        return "\n".join(lines)


class watch:
    """Inside `with watch(...):` stop at the first guilty op of this thread, forward passes included.

    nan: NaN or an infinity in an op's output or in a gradient that its backward gives.
    norm_below, norm_above: a gradient's norm. ratio_above: the norm of a gradient for an input that is no parameter,
    divided by the norm of the gradient that arrived.
    changes: an array that forward kept for backward (x, a weight, the labels) and that was written into in between;
    costs a checksum of each such array in either pass, and finds what graphs made inside the block have kept.
    where: a module's name or a pattern, "layer3.*"; ops elsewhere are not looked at.
    action: "pdb" prints the finding and runs the op's forward or backward once more under pdb, from its first line (in
    an editor's debugger: breakpoint() just before); "raise" raises `WatchError`; "report" prints to stderr and goes on;
    "keep" says nothing. After the first finding, kept as `.finding`, nothing is looked at any more.
    ValueError for impossible conditions.
    """

    def __init__(
        self,
        *,
        nan: bool = True,
        norm_below: float | None = None,
        norm_above: float | None = None,
        ratio_above: float | None = None,
        changes: bool = False,
        where: str = "*",
        action: str = "pdb",
    ) -> None:
        if action not in ACTIONS:
            raise ValueError(f"watch: unknown action {action!r}; known: {', '.join(ACTIONS)}")
        limits = {"norm_below": norm_below, "norm_above": norm_above, "ratio_above": ratio_above}
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ValueError(f"watch: {name} must be above 0, got {limit}")
        if not nan and not changes and limits == dict.fromkeys(limits):
            known = ", ".join([*limits, "changes"])
            raise ValueError(f"watch: there is nothing to watch for; give nan=True or one of {known}")
        if norm_below is not None and norm_above is not None and norm_below >= norm_above:
            raise ValueError(f"watch: norm_below {norm_below} must be less than norm_above {norm_above}")
        self.nan, self.changes = nan, changes
        self.norm_below, self.norm_above, self.ratio_above = norm_below, norm_above, ratio_above
        self.where, self.action = where, action
        self.forget()

    def forget(self) -> None:
        """Begin anew: no finding, no history."""
        self.finding: Finding | None = None
        self.paths: set[str] = set()  # the modules whose ops were seen, until one of them is inside `where`
        self.entered = False
        self.kept = KeptArrays()
        self.forward_history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY)
        self.backward_history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY)

    def __enter__(self) -> "watch":
        self.forget()
        self.observing = observing(self)
        self.observing.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.observing.__exit__()
        if kind is None and self.paths and not self.entered:
            names = ", ".join(sorted(self.paths - {""})) or "none with a name"
            warnings.warn(f"watch: no op ran inside {self.where!r}; the modules were {names}", stacklevel=2)

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        """What `Op.__call__` tells: the op has made y of the inputs."""
        if self.finding is not None or not self._watched(per_thread.module_path):
            return
        if self.changes and y.op is op:
            self.kept.note(op)
        if not self.nan:
            return
        size = quick_norm(y.data)
        site = op.site if y.op is op else call_site()  # under no_grad an op has no site of its own
        if math.isfinite(size):
            self.forward_history.append((type(op).__name__, per_thread.module_path, site, "y", size))
            return
        reason = f"its output {y.shape} holds {not_finite(y.data)}"
        given = None
        for i, tensor in enumerate(inputs):
            if not math.isfinite(quick_norm(tensor.data)):
                given = tensor if given is None else given
                reason += f"; its input {input_name(op, i)} {tensor.shape} holds {not_finite(tensor.data)} already"
        finding = Finding(
            phase="forward",
            op=type(op).__name__,
            module_path=per_thread.module_path,
            site=site,
            source=source_of(type(op).forward),
            reason=reason,
            array=y.data,
            given=given,
            history=[history_line(*entry) for entry in self.forward_history],
        )
        again = copy.copy(op)  # so that what the op itself has saved stays as it is
        self._act(finding, again.forward, [tensor.data for tensor in inputs])

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        """What `Tensor.backward` tells: the op that made `tensor` turned grad_y into grads."""
        assert tensor.op is not None
        if self.finding is None:
            finding = self.examine(tensor.op, grad_y, grads)
            if finding is not None:
                self._act(finding, tensor.op.backward, [grad_y])

    def examine(self, op: Op, grad_y: Array, grads: tuple[Array | None, ...]) -> Finding | None:
        """Look at what an op's backward made of grad_y; None if there is nothing wrong."""
        if not self._watched(op.module_path):
            return None
        arrived = quick_norm(grad_y)
        changed = self.kept.changed(op) if self.changes else None
        if changed is not None:
            word, array = changed
            reason = (
                f"{word}, {array.shape} {array.dtype}, which forward kept for backward, was written into in between; "
                "give the op a copy, or write after backward"
            )
            return self._backward_finding(op, reason, array, grad_y)
        for i, (source, grad, needed) in enumerate(zip(op.inputs, grads, op.needs_grad, strict=False)):
            if not needed or grad is None:
                continue  # a gradient that is missing is accumulate's to refuse
            left = quick_norm(grad)
            reason = self._guilt(grad, left, arrived, is_parameter(source))
            if reason:
                reason = f"the gradient for {input_name(op, i)} {grad.shape} {reason}; what arrived "
                reason += f"has norm {arrived:.3g}" if math.isfinite(arrived) else f"holds {not_finite(grad_y)} already"
                return self._backward_finding(op, reason, grad, grad_y)
        self.backward_history.append((type(op).__name__, op.module_path, op.site, "grad_y", arrived))
        return None

    def _backward_finding(self, op: Op, reason: str, array: Array, arrived: Array) -> Finding:
        return Finding(
            phase="backward",
            op=type(op).__name__,
            module_path=op.module_path,
            site=op.site,
            source=source_of(type(op).backward),
            reason=reason,
            array=array,
            arrived=arrived,
            history=[history_line(*entry) for entry in self.backward_history],
        )

    def _guilt(self, grad: Array, left: float, arrived: float, is_parameter: bool) -> str:
        """Say what is wrong with a gradient, "" if nothing is."""
        if self.nan and not math.isfinite(left):
            return f"holds {not_finite(grad)}"
        if self.norm_below is not None and left < self.norm_below:
            return f"has norm {left:.3g}, below {self.norm_below:g}"
        if self.norm_above is not None and left > self.norm_above:
            return f"has norm {left:.3g}, above {self.norm_above:g}"
        if self.ratio_above is not None and not is_parameter and left > self.ratio_above * arrived > 0:
            return f"has norm {left:.3g}, {left / arrived:.3g} times what arrived and above {self.ratio_above:g} times"
        return ""

    def _watched(self, path: str) -> bool:
        if not inside(path, self.where):
            if not self.entered:
                self.paths.add(path)
            return False
        self.entered = True
        return True

    def _act(self, finding: Finding, function: Any, arrays: list[Array]) -> None:
        self.finding = finding
        if self.action == "raise":
            raise WatchError(finding)
        if self.action == "keep":
            return
        print(finding, file=sys.stderr if self.action == "report" else sys.stdout, flush=True)
        if self.action == "pdb":
            from minires.observe import pdb_prompt  # pdb takes long to import, and few need it

            pdb_prompt.step_into(function, *arrays)


class NotFinite(NamedTuple):
    """Where the first value came from that is no finite number, in a word and as half a sentence."""

    origin: str  # "input", "parameter", "forward", "backward"; "sum" where no op gave it
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def first_not_finite(model: Any, compute: Callable[[], Any]) -> NotFinite:
    """Run `compute`, a step's forward and backward, and tell which op made the first value that is no finite number.

    model: gives parameters their names. An op that was given such a value is not to blame: its input is, or its
    parameter.
    """
    with watch(action="keep") as watcher:
        compute()
    finding = watcher.finding
    if finding is None:
        return NotFinite("sum", "the sum of several finite gradients")
    op, counts = finding.caller, values_not_finite(finding.array)
    if finding.given is not None:  # no op made it, or that op would have been found first
        counts = values_not_finite(finding.given.data)
        for name, parameter in model.named_parameters():
            if parameter is finding.given:
                return NotFinite("parameter", f"the parameter {name}, {counts}, is not finite before {op} uses it")
        return NotFinite("input", f"the input, {counts}, is not finite before {op} uses it")
    if finding.arrived is None:
        return NotFinite("forward", f"{op} makes {counts} from finite inputs")
    most = statistics(finding.arrived).abs_max
    return NotFinite("backward", f"in backward, {op} makes {counts} from a gradient of at most {most:.3g}")


def quick_norm(array: Array) -> float:
    """Return √Σg² from one pass over the memory, NaN or inf where a number is; careful with very small squares.

    In the array's own precision: enough for a limit. With `norm` in its place a watched step of `benchmarks/watch.py`
    takes 14 % longer than one that nobody watches; with this, 0.4 %.
    """
    if array.dtype.kind != "f":
        return 0.0
    numbers = array.ravel(order="K")  # a view of any dense array, whatever the order of its axes
    square = float(numbers @ numbers)
    if 1e-30 < square < math.inf:
        return math.sqrt(square)
    return statistics(array).norm


def not_finite(array: Array) -> str:
    """Count what is not finite: "3 NaN and 1 infinity of 128 numbers"."""
    found = statistics(array)
    counts = [f"{found.nans} NaN"] if found.nans else []
    if found.infs:
        counts.append(f"{found.infs} {'infinity' if found.infs == 1 else 'infinities'}")
    return f"{' and '.join(counts)} of {array.size} numbers"


def values_not_finite(array: Array) -> str:
    """Count what is not finite, with the shape: "3 NaN and 1 infinite values of (2, 5)"."""
    found = statistics(array)
    return f"{found.nans} NaN and {found.infs} infinite values of {array.shape}"


def history_line(op: str, module_path: str, site: tuple[str, int, str], word: str, size: float) -> str:
    """One line of a history."""
    path, line, function = site
    return f"{op:<16} {module_path:<22} |{word}| {size:<10.3g} {os.path.basename(path)}:{line} in {function}"
