"""Chapter 2: the order of the backward pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires import engine
from minires.engine import Tensor
from minires.learn.answer import ReadersError
from minires.learn.examiner import Wrong, generator, refuse_nothing, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 2: the order of the backward pass.

Backward may pass a node on only when all that was computed from it has been passed on, for until then its gradient is
not complete. So: a list with every node once, each after all the nodes that were computed from it.

Fill in the function, then run `minires check 2`. `minires check 2 --hint` helps.
"""


def backward_order(loss, inputs):
    """Return all nodes that `loss` was computed from, and loss itself, as a list in the order of the backward pass.

    inputs(node) is a tuple of the nodes that a node was computed from, () for a leaf; a node that is used twice by
    another (x * x) is in it twice. Nodes can be keys of a dict and members of a set. The graph may be a chain of
    thousands of nodes, and may have more paths than there are atoms: no recursion, and no walking along paths.
    """
    ...
'''

HINTS = (
    "A node is ready when all its uses are listed. So first find out, in a pass of its own, how often each is used.",
    "First pass: a list of nodes to look at, beginning with loss. Take one out, count one more use of it, and add its "
    "inputs to the list, but only the first time that you meet it (else you walk along all paths).",
    "Second pass: a list of nodes that are ready, beginning with loss. Take one out, append it to the order, take one "
    "use off each of its inputs. Which of them are ready then?",
)

Graph = Mapping[str, Sequence[str]]  # a node and what it was computed from

GRAPHS: dict[str, Graph] = {
    "a chain": {"loss": ("b",), "b": ("a",), "a": ()},
    "a value that one op uses twice, x · x": {"loss": ("x", "x"), "x": ()},
    "a skip, x + f(x)": {"loss": ("x", "f"), "f": ("x",), "x": ()},
    "a skip, f(x) + x": {"loss": ("f", "x"), "f": ("x",), "x": ()},
    "two blocks with skips": {"loss": ("y", "g"), "g": ("y",), "y": ("x", "f"), "f": ("x",), "x": ()},
    "b + a, where a = x · x and b = 3 · x": {"loss": ("b", "a"), "a": ("x", "x"), "b": ("x",), "x": ()},
    "a + b, where a = x · x and b = 3 · x": {"loss": ("a", "b"), "a": ("x", "x"), "b": ("x",), "x": ()},
    "x · x · x, and x added to it": {"loss": ("c", "x"), "c": ("a", "x"), "a": ("x", "x"), "x": ()},
    "a value used by three": {"loss": ("c", "b"), "c": ("a", "x"), "b": ("x", "a"), "a": ("x",), "x": ()},
    "two inputs that meet late": {"loss": ("b", "w"), "b": ("a", "v"), "a": ("v", "w"), "v": (), "w": ()},
    "a long skip around two short ones": {
        "loss": ("x", "d"), "d": ("b", "c"), "c": ("b",), "b": ("x", "a"), "a": ("x",), "x": (),
    },
}  # fmt: skip


DRAWN = 40  # graphs that are drawn, with values that one op uses twice


def random_graph(rng: np.random.Generator) -> Graph:
    """Draw a graph of 3 to 9 nodes, all of which the loss was computed from."""
    count = int(rng.integers(3, 10))
    graph: dict[str, tuple[str, ...]] = {"n0": ()}
    unused = ["n0"]
    for i in range(1, count):
        sources = [f"n{k}" for k in rng.integers(0, i, rng.integers(1, 4))]
        graph[f"n{i}"] = tuple(sources)
        unused = [node for node in unused if node not in sources] + [f"n{i}"]
    graph["loss"] = tuple([unused[k] for k in rng.permutation(len(unused))])
    return graph


def check(mine: Any, seed: int) -> Iterator[str]:
    for head, graph in GRAPHS.items():
        check_order(head, graph, order_of(head, mine, graph))
        yield head
    rng = generator(seed, "graphs")
    for _ in range(DRAWN):
        graph = random_graph(rng)
        head = "a graph drawn at random, " + "; ".join(
            [f"{node} of {', '.join(of)}" for node, of in graph.items() if of]
        )
        check_order(head, graph, order_of(head, mine, graph))
    yield f"{DRAWN} graphs drawn at random"
    blocks: dict[str, Sequence[str]] = {"x0": ()}
    for i in range(60):
        blocks |= {f"f{i}": (f"x{i}",), f"x{i + 1}": (f"x{i}", f"f{i}")}
    head = "60 blocks with skips, 2^60 paths"
    check_order(head, blocks, order_of(head, mine, blocks, "x60"))
    yield head
    chain: dict[str, Sequence[str]] = {"0": ()} | {str(i + 1): (str(i),) for i in range(2000)}
    head = "a chain of 2000"
    check_order(head, chain, order_of(head, mine, chain, "2000"))
    yield head


def order_of(head: str, mine: Any, graph: Graph, loss: str = "loss") -> list[str]:
    """Call the reader's function; `Wrong` if it looks at nodes more often than the graph has edges, several times."""
    looks = 0
    edges = sum(len(sources) for sources in graph.values())

    def inputs(node: str) -> tuple[str, ...]:
        nonlocal looks
        looks += 1
        if looks > 10 * (edges + len(graph)):
            raise Wrong(f"{head}: stopped after {looks - 1} calls of inputs(node): it goes along every path")
        return tuple(graph[node])

    try:
        order = mine.backward_order(loss, inputs)
    except (RecursionError, ReadersError) as error:
        if not isinstance(error, RecursionError) and error.kind != "RecursionError":
            raise
        raise Wrong(f"{head}: the recursion is too deep for Python: keep a list of your own of what is to do") from None
    refuse_nothing(head, order)
    if not isinstance(order, list):
        raise Wrong(f"{head}: this is a {type(order).__name__}, and should be a list")
    return order


def check_order(head: str, graph: Graph, order: list[str]) -> None:
    """`Wrong` unless each node is there once, after all that were computed from it."""
    place = {node: i for i, node in enumerate(order)}
    if len(place) < len(order):
        twice = next(node for node in order if order.count(node) > 1)
        raise Wrong(f"{head}: {twice} is in the list {order.count(twice)} times: its gradient would be passed on twice")
    missing = [node for node in graph if node not in place]
    if missing:
        raise Wrong(f"{head}: {missing[0]} is not in the list")
    unknown = [node for node in order if node not in graph]
    if unknown:
        raise Wrong(f"{head}: {unknown[0]!r} is in the list, and is no node")
    early = [(node, source) for node in graph for source in graph[node] if place[source] < place[node]]
    if early and len(graph) > 2 and len(early) == sum(len(sources) for sources in graph.values()):
        raise Wrong(f"{head}: {order[0]} comes first: this is the order of the forward pass, turn it round")
    for node, source in early:
        raise Wrong(
            f"{head}: {source} comes before {node}, which was computed from it: {source} would pass its gradient on "
            f"before {node} has added its share{reason(graph, source, node)}"
        )


def reason(graph: Graph, source: str, late: str) -> str:
    """Say what may have brought a node too early, where its uses are not one for each of its users."""
    twice = [node for node in graph if graph[node].count(source) > 1]
    if not twice:
        return ""
    return (
        f"\n  {twice[0]} uses {source} twice: two uses, to be counted as two, or as one, both where uses are counted "
        "and where they are taken off"
    )


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def inputs(tensor: Tensor) -> tuple[Tensor, ...]:
        return () if tensor.op is None else tensor.op.inputs

    def backward_order(loss: Tensor) -> list[Tensor]:
        order: Callable[..., Any] = mine.backward_order
        return [tensor for tensor in order(loss, inputs) if tensor.op is not None]

    return replaced(engine, backward_order=backward_order)


EXERCISE = Exercise(
    chapter=2,
    name="backward_order",
    title="The order of the backward pass",
    text=TEXT,
    hints=HINTS,
    checks={"backward_order": check},
    plug=plug,
)
