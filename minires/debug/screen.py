"""What the terminal debugger shows, as lines of text: steps, lines of source, tables, histograms, the tree."""

import inspect
import linecache
import math
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.kernels.devices import to_device
from minires.observe.fork_meter import Fork
from minires.observe.step import Input, Source, Statistics, Step, source_of, statistics
from minires.observe.stepper import backward_steps, inside

BAR = 12  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉█"
CONTEXT = 3  # lines shown before and after a call
BINS = 16


def bar(part: float, width: int = BAR) -> str:
    """Draw a bar of `part`, from 0 to 1, of the width; what is above 0 is at least a hairline."""
    eighths = max(round(part * width * 8), 1 if part > 0 else 0)
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def log_bar(norm: float, norms: Sequence[float]) -> str:
    """Draw a norm among others, on a logarithmic scale of at least two decades; the largest is the longest."""
    logs = [math.log10(one) for one in norms if one > 0 and math.isfinite(one)]
    if norm == 0 or not math.isfinite(norm):
        return "0" if norm == 0 else "not finite"
    low = min(min(logs), max(logs) - 2)
    return bar(0.08 + 0.92 * (math.log10(norm) - low) / (max(logs) - low))


def path_from_here(path: str) -> str:
    """Return a path as seen from the working directory, where it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def site_text(site: tuple[str, int, str]) -> str:
    """Return a site as in `Op.__repr__`: "blocks.py:62 in forward"."""
    path, line, function = site
    return f"{os.path.basename(path)}:{line} in {function}"


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Make a table of cells: columns as wide as their widest cell, text at the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [indent + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def step_lines(step: Step) -> list[str]:
    """Say what a step did: what arrived, what left and where it went."""
    where = step.module_path or "-"
    lines = [f"step {step.index + 1} of {step.count}  {step.op_name}  {where}  {site_text(step.site)}"]
    rows = [["arrived", "grad_y", str(step.tensor.shape), size_of(step.statistics), ""]]
    for one in step.inputs:
        if one.grad is not None:
            assert one.statistics is not None
            heading = "left" if len(rows) == 1 else ""
            rows.append([heading, f"grad_{one.name}", str(one.grad.shape), size_of(one.statistics), destination(one)])
    return lines + aligned(rows)


def size_of(found: Statistics) -> str:
    if found.finite:
        return f"norm {found.norm:.3g}"
    return " ".join([f"{found.nans} NaN" if found.nans else "", f"{found.infs} inf" if found.infs else ""]).strip()


def destination(one: Input) -> str:
    """Say where the gradient of an input goes."""
    if one.parameter:
        return f"→ {one.parameter}"
    if one.tensor.op is None:
        return "→ a leaf"
    added = " (added to what came before)" if one.total is not one.grad else ""
    return f"→ {type(one.tensor.op).__name__} {one.tensor.op.module_path}".rstrip() + added


def ahead_lines(steps: backward_steps, count: int) -> list[str]:
    """List the ops that come next, the current one first."""
    rows = []
    if steps.current is not None:
        rows.append(["->", *op_cells(steps.current.index, steps.current.op)])
    for index, tensor in enumerate(steps.ahead[:count], start=steps.position):
        assert tensor.op is not None
        rows.append(["  ", *op_cells(index, tensor.op)])
    left = len(steps.ahead) - count
    return aligned(rows, indent="") + ([f"   … and {left} more"] if left > 0 else []) if rows else ["nothing: a leaf"]


def op_cells(index: int, op: Op) -> list[str]:
    return [f"{index + 1}", type(op).__name__, op.module_path, site_text(op.site)]


def where_lines(step: Step) -> list[str]:
    """Show the line that called the op, and the source of the op's backward with the kernels that it calls."""
    path, line, function = step.site
    lines = [f"called at {path_from_here(path)}:{line} in {function}"]
    lines += excerpt(path, line)
    lines += [
        "",
        f"backward at {path_from_here(step.source.path)}:{step.source.line}",
        *numbered(step.source.line, step.source.text),
    ]
    for name, kernel in kernels_called(step):
        lines.append(f"  {name}: {path_from_here(kernel.path)}:{kernel.line}")
    return lines


def excerpt(path: str, line: int) -> list[str]:
    """Return the lines around one, with an arrow at it."""
    first = max(1, line - CONTEXT)
    text = "".join([linecache.getline(path, number) for number in range(first, line + CONTEXT + 1)])
    return numbered(first, text, line)


def numbered(first: int, text: str, here: int = 0) -> list[str]:
    """Number lines, as far to the left as they go, with an arrow at one."""
    lines = textwrap.dedent(text).splitlines()
    return [f"{'->' if number == here else '  '} {number:4}  {one}".rstrip() for number, one in enumerate(lines, first)]


def kernels_called(step: Step) -> list[tuple[str, Source]]:
    """Find the kernels that an op's backward names, and where they are written."""
    found = []
    for name in dict.fromkeys(re.findall(r"self\.kernels\.(\w+)\(", step.source.text)):
        kernel = inspect.unwrap(getattr(step.op.kernels, name))  # a compiled kernel wraps the function
        if inspect.isfunction(kernel):
            found.append((name, source_of(kernel)))
    return found


def stats_lines(step: Step) -> list[str]:
    """Make the table of the step's arrays: the activation, what arrived and what left."""
    rows = [["", "shape", "norm", "mean", "max |.|", "zeros", "NaN", "inf"]]
    rows.append(stats_row("y", step.tensor.data, statistics(step.tensor.data)))
    rows.append(stats_row("grad_y", step.grad_y, step.statistics))
    for one in step.inputs:
        if one.grad is not None and one.statistics is not None:
            rows.append(stats_row(f"grad_{one.name}", one.grad, one.statistics))
    so_far = step.progress
    lines = aligned(rows)
    if so_far.parameters:
        lines.append(
            f"  so far: {so_far.ops} of {step.count} ops; {so_far.parameters} parameters ({so_far.numbers} numbers) "
            f"have gradients, of norm {so_far.grad_norm:.4g} together"
        )
    return lines


def stats_row(name: str, array: Array, found: Statistics) -> list[str]:
    numbers = [f"{found.norm:.4g}", f"{found.mean:.3g}", f"{found.abs_max:.3g}", f"{found.zeros:.1%}"]
    return [name, str(array.shape), *numbers, str(found.nans), str(found.infs)]


def histogram_lines(name: str, array: Array, logarithmic: bool = False) -> list[str]:
    """Draw how the numbers of an array are distributed, exact zeros apart: the numbers, or log10 of their sizes."""
    numbers = to_device(array, "cpu").ravel().astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    chosen = finite[finite != 0]
    zeros, wrong = len(finite) - len(chosen), len(numbers) - len(finite)
    lines = [f"{'log10 |' + name + '|' if logarithmic else name} {array.shape}: {len(numbers)} numbers, {zeros} zeros"]
    if wrong:
        lines[0] += f", {wrong} not finite"
    if len(chosen) == 0:
        return lines
    counts, edges = np.histogram(np.log10(np.abs(chosen)) if logarithmic else chosen, bins=BINS)
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        lines.append(f"  {low:10.3g} … {high:<10.3g} {bar(count / counts.max(), 3 * BAR):<{3 * BAR}} {count}")
    return lines


def fork_lines(forks: Sequence[Fork]) -> list[str]:
    """Make the fork meter's table: one line per residual add, a bar for the skip's share."""
    rows = [["block", "|grad_x|", "skip", "branch", "cosine", "skip's share"]]
    for fork in forks:
        shares = ["-" if math.isnan(share) else f"{share:.1%}" for share in (fork.skip_share, fork.branch_share)]
        clipped = 0.0 if math.isnan(fork.skip_share) else min(max(fork.skip_share, 0.0), 1.0)
        drawn = bar(clipped).ljust(BAR, "·")
        rows.append([fork.module_path or "-", f"{fork.x_norm:.3g}", *shares, cosine_of(fork), drawn])
    return aligned(rows)


def cosine_of(fork: Fork) -> str:
    """Write the cosine between skip and branch; in words where one of them brings nothing, and there is none."""
    if not math.isnan(fork.cosine):
        return f"{fork.cosine:+.3f}"
    if not (math.isfinite(fork.skip_norm) and math.isfinite(fork.branch_norm)):
        return "none: not finite"
    if fork.skip_norm and fork.branch_norm:
        return "none: too small"
    return "none: the branch gives 0" if fork.skip_norm else "none: the skip gives 0"


def tree_lines(steps: backward_steps, depth: int, healthy: Mapping[Tensor, Array] | None = None) -> list[str]:
    """Draw the network as the modules that ran, from the input on, with the gradient that arrived at each output.

    depth: how far modules are opened; the way to the current step is always open. healthy: what should have arrived,
    for a column beside it, in which X marks a norm that is off by more than a hundredth.
    """
    healthy = healthy or {}
    here = steps.current
    arrived = {step.tensor: step.statistics.norm for step in steps.records[: steps.position]}
    norms = list(arrived.values())
    rows = [["", "module", "op", "|grad_y|", "log scale", "by formula" if healthy else ""]]
    for row in tree_rows(steps):
        on_the_way = here is not None and inside(here.op.module_path, row.parent)
        if row.level < depth or on_the_way:
            arrow = "->" if row.op_name and here is not None and row.output is here.tensor else ""
            norm = arrived.get(row.output)
            numbers = ["·", "", ""]
            if norm is not None:
                numbers = [f"{norm:.3g}", log_bar(norm, norms), beside(norm, healthy.get(row.output))]
            rows.append([arrow, "  " * row.level + row.name, row.op_name, *numbers])
    return aligned(rows, indent="")


def beside(norm: float, healthy: Array | None) -> str:
    """Write the norm that should have arrived, with an X where it is another one."""
    if healthy is None:
        return ""
    wanted = float(np.linalg.norm(healthy))
    return f"{wanted:.3g}" + ("" if abs(norm - wanted) <= 0.01 * max(abs(norm), wanted) else "  X")


@dataclass
class TreeRow:
    """A module, or an op that a module with parts calls by itself."""

    level: int
    parent: str
    name: str  # the last part of the module's path, "-" for an op by itself
    op_name: str  # "" for a module with parts
    output: Tensor


def tree_rows(steps: backward_steps) -> list[TreeRow]:
    """List the modules from the input on, each above its parts, and the ops that are called by modules with parts."""
    outputs: dict[str, Tensor] = {}  # of each module
    with_parts: set[str] = set()
    for tensor in steps.order:
        modules = modules_of(tensor)
        with_parts.update(modules[:-1])
        for module in modules:
            outputs.setdefault(module, tensor)

    rows: dict[str, TreeRow] = {}  # by path
    for tensor in reversed(steps.order):
        op_name, modules = type(tensor.op).__name__, modules_of(tensor)
        for level, path in enumerate(modules):
            parent, _, name = path.rpartition(".")
            shown = "" if path in with_parts else op_name
            rows.setdefault(path, TreeRow(level, parent, name, shown, outputs[path]))
        module = modules[-1] if modules else ""
        if not module or module in with_parts:
            rows.setdefault(f"{module}.{op_name}", TreeRow(len(modules), module, "-", op_name, tensor))
    return list(rows.values())


def modules_of(tensor: Tensor) -> list[str]:
    """List the modules that a tensor was made in, the outermost first: layer1, layer1.0, layer1.0.conv1."""
    assert tensor.op is not None
    parts = tensor.op.module_path.split(".") if tensor.op.module_path else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
