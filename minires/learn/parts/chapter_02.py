"""Chapter 2, tensor.py: the order of the backward pass, what a broadcast array gets, and the pass itself."""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.answer import ReadersError
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing
from minires.learn.exercises.chapter_02 import GRAPHS, check_order, random_graph
from minires.learn.parts.tools import part

Edges = Sequence[Sequence[int]]  # for each tensor, from the leaves on, the numbers of those it is computed from


def graph_of(module: ModuleType, edges: Edges, slopes: Sequence[Sequence[float]], leaf: Any) -> list[Any]:
    """Build tensors of the reader's: each the sum of its inputs times their slopes, made by one op."""

    class Weighted(module.Op):  # type: ignore[name-defined]
        def __init__(self, slopes: Sequence[float]) -> None:
            self.slopes = slopes

        def forward(self, *arrays: Array) -> Array:
            return np.sum([slope * array for slope, array in zip(self.slopes, arrays, strict=True)], axis=0)

        def backward(self, grad_y: Array) -> tuple[Array, ...]:
            # A slope of 1 hands on the very array that arrived, as an addition does.
            return tuple([grad_y if slope == 1 else slope * grad_y for slope in self.slopes])

    tensors: list[Any] = []
    for sources, own in zip(edges, slopes, strict=True):
        made = Weighted(own)(*[tensors[i] for i in sources]) if sources else module.Tensor(np.array(leaf))
        tensors.append(made)
    return tensors


def order(module: ModuleType, edges: Edges) -> Any:
    """Where the reader's code runs: the order of a graph, as numbers of its tensors."""
    tensors = graph_of(module, edges, [[1.0] * len(sources) for sources in edges], 1.0)
    found = module.backward_order(tensors[-1])
    if not isinstance(found, list):
        return found
    number = {id(tensor): i for i, tensor in enumerate(tensors)}
    return [number.get(id(tensor), -1) for tensor in found]


def grads(module: ModuleType, edges: Edges, slopes: Sequence[Sequence[float]], leaf: Array, grad_y: Array) -> Any:
    """Where the reader's code runs: the grad of every tensor of a graph after a backward pass."""
    tensors = graph_of(module, edges, slopes, leaf)
    tensors[-1].backward(grad_y)
    return [tensor.grad for tensor in tensors]


def numbered(graph: Mapping[str, Sequence[str]]) -> tuple[Edges, list[str]]:
    """Return a graph's edges by number, each node behind what it is computed from, and its nodes in that order."""
    nodes: list[str] = []
    while len(nodes) < len(graph):
        nodes += [node for node in graph if node not in nodes and all(source in nodes for source in graph[node])]
    nodes.remove("loss")
    nodes.append("loss")
    return [[nodes.index(source) for source in graph[node]] for node in nodes], nodes


def check_backward_order(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "orders")
    graphs = {**GRAPHS, **{f"graph {i} drawn at random": random_graph(rng) for i in range(10)}}
    for head, graph in graphs.items():
        edges, nodes = numbered(graph)
        found = mine.order(edges)
        refuse_nothing(f"backward_order, {head}", found)
        if not isinstance(found, list):
            raise Wrong(f"backward_order, {head}: this is a {type(found).__name__}, and should be a list")
        if any(i < 0 or not edges[i] for i in found):
            raise Wrong(f"backward_order, {head}: there are tensors in the list that no op made: they have no backward")
        made = {node: [one for one in graph[node] if graph[one]] for node in graph if graph[node]}
        check_order(f"backward_order, {head}", made, [nodes[i] for i in found])
    yield f"backward_order of {len(graphs)} graphs"
    chain: Edges = [[]] + [[i] for i in range(3000)]
    try:
        found = mine.order(chain)
    except ReadersError as error:
        if error.kind == "RecursionError":
            raise Wrong(
                "backward_order of a chain of 3000: the recursion is too deep: keep a list of what is to do"
            ) from None
        raise
    if found != list(range(3000, 0, -1)):
        raise Wrong("backward_order of a chain of 3000: it should go through the chain from its end")
    yield "backward_order of a chain of 3000"


SHAPES = [
    ((2, 3), (3,)),
    ((4, 2, 3), (3,)),
    ((2, 3), (2, 1)),
    ((5, 3, 2), (5, 1, 2)),
    ((2, 3), ()),
    ((4, 3, 2), (3, 1)),
]


def check_summed_to(mine: Any, seed: int) -> Iterator[str]:
    for stretched, shape in SHAPES:
        front = len(stretched) - len(shape)
        axes = tuple(range(front)) + tuple([front + i for i, size in enumerate(shape) if size == 1])

        def right(grad: Array, shape: tuple[int, ...], axes: tuple[int, ...] = axes) -> Array:
            return grad.sum(axis=axes).reshape(shape)

        def mean(grad: Array, shape: tuple[int, ...], axes: tuple[int, ...] = axes) -> Array:
            return grad.mean(axis=axes).reshape(shape)

        def draw(
            rng: np.random.Generator, stretched: tuple[int, ...] = stretched, shape: tuple[int, ...] = shape
        ) -> tuple[Any, ...]:
            return rng.standard_normal(stretched), shape

        known = Right(right, {"it is a mean over the uses, and should be their sum": mean}, arrives=False)
        yield from check_values(f"summed_to, {stretched} to {shape}", mine.summed_to, known, draw, seed)


def check_tensor(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "passes")
    graphs = {**GRAPHS, **{f"graph {i} drawn at random": random_graph(rng) for i in range(20)}}
    for head, graph in graphs.items():
        edges, nodes = numbered(graph)
        slopes = [[float(rng.choice([1.0, 0.5, -2.0])) for _ in sources] for sources in edges]
        leaf, grad_y = rng.standard_normal(3), rng.standard_normal(3)
        given = mine.grads(edges, slopes, leaf, grad_y)
        for node, got, wanted in zip(nodes, given, right_grads(edges, slopes, grad_y), strict=True):
            refuse_nothing(f"backward, {head}: the gradient of {node}", got)
            if np.shape(got) != wanted.shape or not np.allclose(got, wanted, rtol=1e-9, atol=1e-12):
                raise Wrong(f"backward, {head}: {what_happened(edges, slopes, grad_y, given)}{node} has the wrong grad")
    yield f"backward through {len(graphs)} graphs, every tensor's grad"


def right_grads(edges: Edges, slopes: Sequence[Sequence[float]], grad_y: Array) -> list[Array]:
    """Return every tensor's gradient, from the last on."""
    found = [np.zeros_like(grad_y) for _ in edges]
    found[-1] = grad_y
    for i in range(len(edges) - 1, -1, -1):
        for source, slope in zip(edges[i], slopes[i], strict=True):
            found[source] = found[source] + slope * found[i]
    return found


def what_happened(edges: Edges, slopes: Sequence[Sequence[float]], grad_y: Array, given: Sequence[Any]) -> str:
    """Say what became of several shares where that explains all that was given; else ""."""
    if not np.array_equal(given[-1], grad_y):
        return "the gradient that came in was written into: x.grad + grad_x makes a new array, += does not: "
    shares: list[list[Array]] = [[] for _ in edges]
    for i, sources in enumerate(edges):
        for source, slope in zip(sources, slopes[i], strict=True):
            shares[source].append(slope * np.asarray(given[i]))
    if all(any(np.allclose(grad, share) for share in own) for grad, own in zip(given[:-1], shares, strict=False)):
        return "of several shares one is kept, and all should be added: "
    return "does += write into an array that another tensor holds, too? "


PARTS = [
    part(
        2,
        "tensor.py",
        {"backward_order": check_backward_order, "summed_to": check_summed_to, "Tensor": check_tensor},
        {"order": order, "grads": grads},
    )
]
