"""NumPy's indexing in ONNX's words: Slice for slices, Unsqueeze for None, GatherND for integers and arrays.

NumPy's rule for x[parts] with arrays: those, and the integers beside them, are broadcast against each other and take
the place of the first of them where they stand side by side; where a slice, None or ... parts them, they go to the
front.
"""

from typing import Any

import numpy as np

from minires.interop.onnx_graph import Graph
from minires.interop.onnx_record import Shape, Step
from minires.kernels import Array
from minires.kernels.devices import to_device

LAST = np.iinfo(np.int64)


def getitem(graph: Graph, step: Step, x: str) -> str:
    parts, apart = spread_out(step)
    slices = [(axis, part) for axis, part in axes_of(parts) if isinstance(part, slice) and part != slice(None)]
    if slices:
        x = sliced(graph, x, slices, step.input_shapes[0])
    new = [place for place, part in enumerate(parts) if part is None]
    if new:
        x = graph.node("Unsqueeze", x, graph.integers(new))
    chosen = [place for place, part in enumerate(parts) if isinstance(part, int | np.ndarray)]
    if not chosen:
        return x if slices or new else graph.node("Identity", x)
    return gathered(graph, x, chosen, [np.asarray(parts[place]) for place in chosen], len(parts), apart)


def spread_out(step: Step) -> tuple[list[Any], bool]:
    """Return an index with one part per axis of the result of its slices and Nones, each a slice, None, int or array.

    And whether something stands between its integers and arrays, as ... does even where it stands for no axis.
    """
    index = step.options["index"]
    given = [plain(part) for part in (index if isinstance(index, tuple) else (index,))]
    if any(isinstance(part, bool) or (isinstance(part, np.ndarray) and part.dtype == bool) for part in given):
        parts: list[Any] = []
        for part in given:
            if isinstance(part, bool) or getattr(part, "shape", None) == ():
                raise ValueError(f"save_onnx: {step}: an index that is a single True or False has no form in ONNX")
            parts += part.nonzero() if isinstance(part, np.ndarray) and part.dtype == bool else [part]
        given = parts
    taken = len([part for part in given if part is not None and part is not Ellipsis])
    rest = [slice(None)] * (len(step.input_shapes[0]) - taken)
    places = [place for place, part in enumerate(given) if isinstance(part, int | np.ndarray)]
    apart = bool(places) and places[-1] - places[0] >= len(places)
    if Ellipsis in [part for part in given if not isinstance(part, np.ndarray)]:
        place = next(place for place, part in enumerate(given) if part is Ellipsis)
        return given[:place] + rest + given[place + 1 :], apart
    return given + rest, apart


def plain(part: Any) -> Any:
    """Return an index's part as a bool, an int, a slice, None, ... or a NumPy array of one axis or more."""
    if isinstance(part, bool | np.bool_):
        return bool(part)
    if isinstance(part, int | np.integer):
        return int(part)
    if isinstance(part, slice) or part is None or part is Ellipsis:
        return part
    array = np.asarray(to_device(part, "cpu") if hasattr(part, "dtype") else part)
    if array.ndim == 0 and array.dtype != bool:
        return int(array)
    return array.astype(np.int64) if array.dtype != bool else array


def axes_of(parts: list[Any]) -> list[tuple[int, Any]]:
    """List the parts that are for an axis of x, with its number."""
    return list(enumerate([part for part in parts if part is not None]))


def sliced(graph: Graph, x: str, slices: list[tuple[int, slice]], shape: Shape) -> str:
    bounds = [slice_bounds(part, shape[axis]) for axis, part in slices]
    starts, ends, steps = (graph.integers(numbers) for numbers in zip(*bounds, strict=True))
    return graph.node("Slice", x, starts, ends, graph.integers([axis for axis, _ in slices]), steps)


def slice_bounds(part: slice, size: int | None) -> tuple[int, int, int]:
    """Return start, end and step; counted out where the axis has a known size, since ONNX cuts off too low starts."""
    step = 1 if part.step is None else int(part.step)
    if size is not None:
        places = range(*part.indices(size))
        if len(places) == 0:
            return 0, 0, 1
        return places.start, places.stop if places.stop >= 0 else LAST.min, step
    first, last = (0, LAST.max) if step > 0 else (LAST.max, LAST.min)
    return first if part.start is None else int(part.start), last if part.stop is None else int(part.stop), step


def gathered(graph: Graph, x: str, chosen: list[int], arrays: list[Array], ndim: int, apart: bool) -> str:
    """Take the chosen axes' entries: those axes to the front, GatherND, and the result's axes to their place."""
    if len(chosen) == 1:  # Gather leaves the axes where they are
        return graph.node("Gather", x, graph.constant(arrays[0].astype(np.int64)), axis=chosen[0])
    rest = [axis for axis in range(ndim) if axis not in chosen]
    order = chosen + rest
    if order != list(range(ndim)):
        x = graph.node("Transpose", x, perm=order)
    indices = np.stack(np.broadcast_arrays(*arrays), axis=-1).astype(np.int64)
    y = graph.node("GatherND", x, graph.constant(indices))
    front, before = indices.ndim - 1, 0 if apart else chosen[0]
    if not any(array.ndim for array in arrays):  # integers alone leave no axis behind, wherever they stand
        return y
    axes = list(range(front + len(rest)))  # of y: those of the indices, then the rest
    back = axes[front : front + before] + axes[:front] + axes[front + before :]
    return y if back == sorted(back) else graph.node("Transpose", y, perm=back)
