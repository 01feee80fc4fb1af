"""Draws the rooms of minires, and an arrow where one imports another, read from the sources.

    python docs/rooms.py        writes docs/_static/rooms.svg, as building the site does

An arrow is left out where others lead to the same room: cli imports ops, but is above it anyhow. Every place is
computed, in the three steps of Sugiyama, Tagawa and Toda (1981): a room stands one row below the lowest that imports
it; rooms in a row are put in the order in which few arrows cross; then each row moves to where its arrows are short.
An arrow that is longer than a row has a bend in each row between, which takes part in all this as a room without width.
"""

import ast
import itertools
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "minires"
DRAWING = Path(__file__).resolve().parent / "_static" / "rooms.svg"

# The package's own files, which every name passes through, and the one arrow that goes up: a tensor's operators.
NOT_DRAWN = {"minires", "program", "__main__"}
UPWARD = ("engine", "ops")
STEP_PATH = {"models", "nn", "ops", "engine", "kernels"}

ROW, HEIGHT, GAP, BEND_GAP, MARGIN, LETTER = 70, 34, 26, 20, 8, 8.2  # pixels
STYLE = """
.rooms rect { fill: var(--color-background-secondary, #f4f5f7); stroke: var(--color-foreground-border, #888); }
.rooms .path rect { fill: var(--color-brand-primary, #2a6db0); fill-opacity: 0.18; }
.rooms text { fill: var(--color-foreground-primary, #111); text-anchor: middle; }
.rooms path { stroke: var(--color-foreground-muted, #666); stroke-width: 1.2; fill: none; }
.rooms marker path { fill: var(--color-foreground-muted, #666); stroke: none; }
"""


def imports():
    """Return the rooms by name, and of each the rooms that its files import, anywhere in them."""
    files = {path: path.relative_to(PACKAGE).with_suffix("").parts[0] for path in sorted(PACKAGE.rglob("*.py"))}
    files = {path: room for path, room in files.items() if room != "__init__" and room not in NOT_DRAWN}
    found = {room: set() for room in files.values()}
    for path, room in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            others = {name.split(".")[1] for name in names if name.startswith("minires.")}
            found[room] |= {other for other in others & set(found) if other != room and (room, other) != UPWARD}
    return found


def rows_of(found):
    """Return each room's row, from 0 at the top; ValueError where rooms import each other in a circle."""
    row = {}
    while len(row) < len(found):
        importers = {room: [one for one in found if room in found[one]] for room in found if room not in row}
        ready = [room for room in importers if all(one in row for one in importers[room])]
        if not ready:
            circle = set(importers)
            while lowest := {room for room in circle if not found[room] & circle}:
                circle -= lowest
            raise ValueError(f"docs/rooms.py: these rooms import each other in a circle: {', '.join(sorted(circle))}")
        row |= {room: 1 + max([row[one] for one in importers[room]], default=-1) for room in ready}
    return row


def below(room, found):
    """Return all rooms that a room imports, and those that they import, and so on."""
    return found[room].union(*[below(other, found) for other in found[room]])


def arrows(found):
    """Return (room, imported) without those that follow from others."""
    return [
        (room, other)
        for room in sorted(found)
        for other in sorted(found[room])
        if not any(other in below(between, found) for between in found[room] - {other})
    ]


def chains(drawn, row):
    """Return what each arrow goes through, from row to row: its room, its bends (room, other, row), the other room."""
    return {
        (room, other): [room, *[(room, other, between) for between in range(row[room] + 1, row[other])], other]
        for room, other in drawn
    }


def ordered(rows, links):
    """Return the rows, each in the order in which the fewest links cross that were found.

    Each row in turn is sorted by where its neighbours stand, in the row above on the way down and below on the way up.
    """
    best = rows
    for sweep in range(24):
        down = sweep % 2 == 0
        rows = list(rows)
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            beside = rows[i - 1 if down else i + 1]
            place = {node: index for index, node in enumerate(beside)}
            near = {node: [place[one] for one in neighbours(node, links) if one in place] for node in rows[i]}
            rows[i] = sorted(rows[i], key=lambda node, near=near: sum(near[node]) / max(len(near[node]), 1))
        best = min(best, rows, key=lambda rows: crossings(rows, links))
    return best


def neighbours(node, links):
    return [b for a, b in links if a == node] + [a for a, b in links if b == node]


def crossings(rows, links):
    place = {node: index for row in rows for index, node in enumerate(row)}
    row_of = {node: index for index, row in enumerate(rows) for node in row}
    pairs = itertools.combinations(links, 2)
    return sum((place[a] - place[c]) * (place[b] - place[d]) < 0 for (a, b), (c, d) in pairs if row_of[a] == row_of[c])


def columns(rows, links):
    """Return the middle of every node: as near to its neighbours' as the order and the gaps in its row allow."""
    x = {node: 0.0 for row in rows for node in row}
    pulls = {node: [(one, pull(node, one)) for one in neighbours(node, links)] for node in x}
    weight = {node: sum([strength for _, strength in pulls[node]]) or 1 for node in x}
    for sweep in range(1000):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = {node: sum([x[one] * strength for one, strength in pulls[node]]) / weight[node] for node in row}
            x |= spaced(row, wanted, weight)
    return x


def pull(node, other):
    """Return how strongly a link asks to be upright: an arrow between its bends, then the step path, then others."""
    if not isinstance(node, str) and not isinstance(other, str):
        return 50
    return 4 if {node, other} <= STEP_PATH else 1


def spaced(row, wanted, weight):
    """Return places for a row of nodes, in order and apart, with the least sum of squared distances from those wanted.

    Nodes that want to overlap become a block, which stands where its nodes want to be on average (isotonic regression).
    """
    offset, offsets = 0.0, {}
    for before, node in zip([None, *row], row, strict=False):
        offset += 0 if before is None else (width(before) + width(node)) / 2 + gap(before, node)
        offsets[node] = offset
    blocks = []  # of nodes, where their first would stand, and their weight
    for node in row:
        blocks.append(([node], wanted[node] - offsets[node], weight[node]))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (nodes, start, heavy), (more, other, light) = blocks[-2:]
            blocks[-2:] = [(nodes + more, (start * heavy + other * light) / (heavy + light), heavy + light)]
    return {node: start + offsets[node] for nodes, start, _ in blocks for node in nodes}


def width(node):
    return 20 + LETTER * len(node) if isinstance(node, str) else 0


def gap(node, other):
    return GAP if isinstance(node, str) and isinstance(other, str) else BEND_GAP


def layout(found):
    """Return the boxes (left, top, right, bottom) of all rooms, and of each arrow the points that it goes through."""
    row = rows_of(found)
    ways = chains(arrows(found), row)
    links = sorted({link for way in ways.values() for link in itertools.pairwise(way)}, key=str)
    row |= {bend: bend[2] for way in ways.values() for bend in way[1:-1]}
    rows = ordered([[node for node in row if row[node] == level] for level in sorted(set(row.values()))], links)
    x = columns(rows, links)
    shift = MARGIN - min([x[node] - width(node) / 2 for node in row])
    middle = {node: x[node] + shift for node in row}
    top = {node: MARGIN + row[node] * ROW for node in row}
    boxes = {
        room: (middle[room] - width(room) / 2, top[room], middle[room] + width(room) / 2, top[room] + HEIGHT)
        for room in sorted(found)
    }
    points = {}
    for (room, other), way in ways.items():
        starts = sorted([one[1] for one in ways.values() if one[0] == room], key=middle.get)
        ends = sorted([one[-2] for one in ways.values() if one[-1] == other], key=middle.get)
        bends = [(middle[bend], y) for bend in way[1:-1] for y in (top[bend], top[bend] + HEIGHT)]
        points[room, other] = [
            (port(boxes[room], starts, way[1]), boxes[room][3]),
            *bends,
            (port(boxes[other], ends, way[-2]), boxes[other][1]),
        ]
    return boxes, points


def port(box, nodes, node):
    """Return where along a room's side the arrow to or from a node stands, one of several."""
    return box[0] + (nodes.index(node) + 1) / (len(nodes) + 1) * (box[2] - box[0])


def curve(points):
    """Return an SVG path that leaves and arrives upright, and is straight beside the rooms of a row."""
    text = "M{:.1f} {:.1f}".format(*points[0])
    for (x, y), (end_x, end_y) in itertools.pairwise(points):
        half = (y + end_y) / 2
        text += f"C{x:.1f} {half:.1f} {end_x:.1f} {half:.1f} {end_x:.1f} {end_y:.1f}"
    return text


def svg():
    """Return the drawing."""
    boxes, points = layout(imports())
    right, bottom = (max([box[side] for box in boxes.values()]) + MARGIN for side in (2, 3))
    parts = [
        f'<svg class="rooms" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="14">',
        "<title>The rooms of minires and their imports, from cli at the top to kernels at the bottom</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 1L10 5L0 9z"/></marker></defs>',
    ]
    for (room, other), through in points.items():
        parts.append(f'<path data-from="{room}" data-to="{other}" d="{curve(through)}" marker-end="url(#tip)"/>')
    for room, (left, top, right, _) in boxes.items():
        kind = ' class="path"' if room in STEP_PATH else ""
        parts.append(
            f'<g{kind}><rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{(left + right) / 2:.1f}" y="{top + 22}">{room}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def draw():
    DRAWING.write_text(svg(), encoding="utf-8")


if __name__ == "__main__":
    draw()
    print(DRAWING)
