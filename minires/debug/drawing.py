"""`draw(loss, "graph.svg")`: the graph of a pass as a picture, from the input at the top to the loss at the bottom.

Blocks that follow one another and are built alike are drawn once. SVG is text, so nothing needs to be installed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from minires.data.disk import naming
from minires.engine import Tensor, backward_order
from minires.nn import Parameter
from minires.runs import records

BOX = (196, 30)  # width and height of an op's box, in pixels
STEP = (232, 54)  # from box to box, across and down
MARGIN = 28
BULGE = 34  # how far a skip's arc stands out beside the boxes that it passes
CORNER = 12  # the radius of its corners

# Fill by the kind of op: light tints of Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = {
    "Conv2d": "#cfe6f5",
    "GroupedConv2d": "#cfe6f5",
    "Linear": "#cfe6f5",
    "BatchNorm": "#fbe8c6",
    "BatchNormInference": "#fbe8c6",
    "GroupNorm": "#fbe8c6",
    "LayerNorm": "#fbe8c6",
    "ReLU": "#f6d8c9",
    "ResidualAdd": "#c9ebdd",
    "CrossEntropy": "#efd7e5",
    "MSELoss": "#efd7e5",
}
OTHERS = "#ececec"
SKIP = "#009e73"


@dataclass(eq=False)
class Node:
    """A box: an op, or a leaf that is no parameter."""

    tensor: Tensor
    sources: "list[Node]" = field(default_factory=list)
    block: str = ""  # the innermost module with parts that it is in, "" outside of all
    layer: int = 0  # counted from the top
    lane: int = 0  # counted from the left

    @property
    def name(self) -> str:
        op = self.tensor.op
        if op is None:
            return "input"
        return op.module_path.removeprefix(self.block).lstrip(".")

    @property
    def kind(self) -> str:
        return type(self.tensor.op).__name__ if self.tensor.op is not None else "Tensor"


@dataclass(eq=False)
class Group:
    """A block with its nodes, and how many alike follow one another; an op outside of blocks is a group of its own."""

    nodes: list[Node]
    names: list[str]


def draw(loss: Tensor, path: str | Path) -> Path:
    """Draw the graph of `loss` into an .svg file; return its path. Draw before backward, which lets go of the graph.

    ValueError for another kind of file and for a loss without a graph, RuntimeError for a released one.
    """
    path = Path(path)
    if path.suffix != ".svg":
        raise ValueError(f"draw: {path.name} must end in .svg")
    if loss.op is None:
        raise ValueError(f"draw: {loss!r} has no graph, so there is nothing to draw")
    nodes = graph(loss)
    groups = fold(nodes)
    shown = [node for group in groups for node in group.nodes]
    lay_out(shown)
    picture = svg(shown, groups)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, picture.encode())
    return path


def graph(loss: Tensor) -> list[Node]:
    """Make the nodes, each after its sources."""
    order = backward_order(loss)
    parts = [tensor.op.module_path for tensor in order if tensor.op is not None]
    containers = {path.rpartition(".")[0] for path in parts}
    nodes: dict[Tensor, Node] = {}
    for tensor in reversed(order):
        assert tensor.op is not None
        module = tensor.op.module_path
        node = Node(tensor, block=module if module in containers else module.rpartition(".")[0])
        for source in tensor.op.inputs:
            if source not in nodes and not isinstance(source, Parameter):
                nodes[source] = Node(source)
            if source in nodes and nodes[source] not in node.sources:
                node.sources.append(nodes[source])
        nodes[tensor] = node
    return list(nodes.values())


def fold(nodes: Sequence[Node]) -> list[Group]:
    """Gather the nodes of each block, nested ones with the outer's, and let one block stand for a row of equal ones."""
    blocks = {node.block for node in nodes} - {""}
    groups: dict[object, Group] = {}
    for node in nodes:
        outer = [block for block in blocks if node.block.startswith(f"{block}.")]
        node.block = min(outer, key=len) if outer else node.block
        group = groups.setdefault(node.block or node, Group([], [node.block] if node.block else []))
        group.nodes.append(node)

    folded: list[Group] = []
    stands_for: dict[Node, Node] = {}
    for group in groups.values():
        if folded and group.names and signature(group) == signature(folded[-1]):
            folded[-1].names += group.names
            stands_for |= dict(zip(group.nodes, folded[-1].nodes, strict=True))
        else:
            folded.append(group)
            for node in group.nodes:
                node.sources = [stands_for.get(source, source) for source in node.sources]
    return folded


def signature(group: Group) -> list[tuple[object, ...]]:
    """What makes two blocks equal: their ops, the shapes in and out, and the edges inside."""
    inside = {node: i for i, node in enumerate(group.nodes)}
    rows: list[tuple[object, ...]] = []
    for node in group.nodes:
        op = node.tensor.op
        shapes = [tensor.shape for tensor in op.inputs] if op is not None else []
        edges = [inside.get(source) for source in node.sources]
        rows.append((node.name, node.kind, node.tensor.shape, shapes, edges))
    return rows


def lay_out(nodes: Sequence[Node]) -> None:
    """Put each node below its sources; the longest way to the loss goes straight down, the rest stands beside it."""
    for node in nodes:
        node.layer = max([source.layer + 1 for source in node.sources], default=0)
    main = {nodes[-1]}
    deepest = nodes[-1]
    while deepest.sources:
        deepest = max(deepest.sources, key=lambda source: source.layer)
        main.add(deepest)
    taken: dict[int, int] = {}
    for node in nodes:
        if node not in main:
            node.lane = taken[node.layer] = taken.get(node.layer, 0) + 1


def svg(nodes: Sequence[Node], groups: Sequence[Group]) -> str:
    """Write the picture."""
    lanes = max(node.lane for node in nodes) + 1
    width = 2 * MARGIN + lanes * STEP[0] + 2 * BULGE
    height = 2 * MARGIN + (max(node.layer for node in nodes) + 1) * STEP[1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{text(repr(nodes[-1].tensor))}</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for group in groups:
        if group.names:
            parts.append(frame(group, nodes))
    for node in nodes:
        for source in node.sources:
            parts.append(edge(source, node, nodes))
    parts += [box(node) for node in nodes]
    return "\n".join([*parts, "</svg>\n"])


def text(words: str) -> str:
    """Return words as they stand in SVG, whatever they are: XML knows neither control characters nor half ones."""
    return escape("".join([letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words]))


def corner(node: Node) -> tuple[int, int]:
    """The upper left corner of a node's box."""
    return MARGIN + 12 + node.lane * STEP[0], MARGIN + node.layer * STEP[1]


def frame(group: Group, nodes: Sequence[Node]) -> str:
    """The frame of a block, with its name, or the first and last name of those that it stands for."""
    top, bottom = min(node.layer for node in group.nodes), max(node.layer for node in group.nodes)
    lanes = max(node.lane for node in group.nodes) + 1
    y, height = MARGIN + top * STEP[1] - 7, (bottom - top) * STEP[1] + BOX[1] + 14
    width = (lanes - 1) * STEP[0] + BOX[0] + 2 * BULGE + 4
    first, last = group.names[0], group.names[-1]
    name = first if first == last else f"{first} … {last} (×{len(group.names)})"
    return (
        f'<rect x="{MARGIN}" y="{y}" width="{width}" height="{height}" rx="8" fill="#fafafa" stroke="#b0b0b0"/>'
        f'<text transform="translate({MARGIN - 8} {y + height / 2}) rotate(-90)" text-anchor="middle" fill="#444" '
        f'font-weight="600">{text(name)}</text>'
    )


def box(node: Node) -> str:
    x, y = corner(node)
    shape = "×".join(map(str, node.tensor.shape)) or "number"
    label = text(node.kind) + (f" <tspan fill='#555'>{text(node.name)}</tspan>" if node.name else "")
    return (
        f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="5" fill="{COLOURS.get(node.kind, OTHERS)}" '
        f'stroke="#777"/><text x="{x + 8}" y="{y + 13}" font-weight="600">{label}</text>'
        f'<text x="{x + 8}" y="{y + 25}" font-size="10" fill="#444">{shape}</text>'
    )


def edge(source: Node, node: Node, nodes: Sequence[Node]) -> str:
    """A straight line to the next layer, an arc beside the boxes to one further down: a skip."""
    x1, y1 = corner(source)
    x2, y2 = corner(node)
    start, end = (x1 + BOX[0] / 2, y1 + BOX[1]), (x2 + BOX[0] / 2, y2)
    if node.layer == source.layer + 1:
        middle = (start[1] + end[1]) / 2
        way, colour = f"M{start[0]} {start[1]} C{start[0]} {middle} {end[0]} {middle} {end[0]} {end[1]}", "#555"
    else:
        passed = [other.lane for other in nodes if source.layer < other.layer < node.layer and other.lane]
        right = MARGIN + 12 + max([0, source.lane, *passed]) * STEP[0] + BOX[0] + BULGE
        leave, arrive = y1 + BOX[1] * 0.7, y2 + BOX[1] * 0.4  # a skip may begin at the box where one ends
        bend = right - CORNER
        way = (
            f"M{x1 + BOX[0]} {leave} H{bend} Q{right} {leave} {right} {leave + CORNER} "
            f"V{arrive - CORNER} Q{right} {arrive} {bend} {arrive} H{x2 + BOX[0]}"
        )
        colour = SKIP
    return f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.6" marker-end="url(#arrow)"/>'
