"""Draws docs/_static/rooms.svg: the rooms of minires, and an arrow where one imports another, read from the sources.

    python docs/rooms.py

An arrow is left out where others lead to the same room: cli imports ops, but is above it anyhow. PLACES is made by
hand; an arrow through a room that is not its own is refused. tests/docs/test_rooms.py compares the drawing with the
imports.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "minires"
DRAWING = Path(__file__).resolve().parent / "_static" / "rooms.svg"

# The package's own files, which every name passes through, and the one arrow that goes up: a tensor's operators.
NOT_DRAWN = {"minires", "__main__"}
UPWARD = ("engine", "ops")

# The middle of a room, in columns, and its row; of a wide one its ends.
PLACES = {
    "cli": (-1, 14.9, 0),
    "lab": (-0.4, 1),
    "learn": (6, 1),
    "runs": (8.5, 1),
    "debug": (10.3, 1),
    "checkpoint": (0.7, 2),
    "training": (3.9, 2),
    "models": (6, 2),
    "stopping": (7.7, 2),
    "gradient_check": (11.6, 2),
    "recipes": (14.1, 2),
    "interop": (1.85, 3),
    "divergence": (4.95, 3),
    "ema": (7, 3),
    "finetuning": (8.9, 3),
    "optim": (14.1, 3),
    "data": (3.85, 4),
    "nn": (4.7, 10.2, 4),
    "profiling": (12.95, 4),
    "plots": (2.88, 5),
    "ops": (10.6, 5),
    "records": (-0.2, 6),
    "engine": (13.75, 6),
    "kernels": (-1, 14.9, 7),
}
STEP_PATH = {"models", "nn", "ops", "engine", "kernels"}

COLUMN, ROW, GAP, HEIGHT, MARGIN = 58, 82, 10, 32, 8  # pixels
LETTER = 8
STYLE = """
.rooms rect { fill: var(--color-background-secondary, #f4f5f7); stroke: var(--color-foreground-border, #888); }
.rooms .path rect { fill: var(--color-brand-primary, #2a6db0); fill-opacity: 0.18; }
.rooms text { fill: var(--color-foreground-primary, #111); text-anchor: middle; }
.rooms path { stroke: var(--color-foreground-muted, #666); fill: none; }
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


def box(room):
    """Return left, top, right and bottom."""
    *columns, row = PLACES[room]
    first, last = (MARGIN + (column + 1) * COLUMN for column in (columns[0], columns[-1]))
    half = 0 if is_wide(room) else max(32, 8 + LETTER * len(room) / 2)
    top = MARGIN + row * ROW
    return first - half, top, last + half, top + HEIGHT


def middle(room):
    left, _, right, _ = box(room)
    return (left + right) / 2


def ends(drawn):
    """Return x and y where each arrow begins and ends: side by side; at a wide room, right across."""
    found = {}
    for room, other in drawn:
        x = along(room, [b for a, b in drawn if a == room], other)
        end_x = along(other, [a for a, b in drawn if b == other], room)
        x, end_x = (across(room, end_x) if is_wide(room) else x), (across(other, x) if is_wide(other) else end_x)
        found[room, other] = (x, box(room)[3], end_x, box(other)[1])
    return found


def is_wide(room):
    return len(PLACES[room]) == 3


def along(room, others, other):
    left, _, right, _ = box(room)
    return left + (sorted(others, key=middle).index(other) + 1) / (len(others) + 1) * (right - left)


def across(room, x):
    left, _, right, _ = box(room)
    return min(max(x, left + GAP), right - GAP)


def faults(lines):
    """Return the arrows that run through a room that is not theirs."""
    found = []
    for (room, other), (x, y, end_x, end_y) in lines.items():
        for third in set(PLACES) - {room, other}:
            left, top, right, bottom = box(third)
            for part in (top, (top + bottom) / 2, bottom):
                if y < part < end_y and left - 6 < x + (part - y) / (end_y - y) * (end_x - x) < right + 6:
                    found.append(f"{room} → {other} through {third}")
                    break
    return found


def svg():
    """Return the drawing; ValueError where PLACES has not the rooms there are, or an arrow runs through one."""
    found = imports()
    if set(found) != set(PLACES):
        missing, gone = sorted(set(found) - set(PLACES)), sorted(set(PLACES) - set(found))
        raise ValueError(f"docs/rooms.py: PLACES lacks {missing}, and has {gone}, which are no rooms")
    lines = ends(arrows(found))
    if faults(lines):
        raise ValueError(f"docs/rooms.py: move rooms in PLACES: {', '.join(faults(lines))}")
    _, _, right, bottom = box("kernels")
    width, height = right + MARGIN, bottom + MARGIN
    parts = [
        f'<svg class="rooms" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="14">',
        "<title>The rooms of minires and their imports, from cli at the top to kernels at the bottom</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 1L10 5L0 9z"/></marker></defs>',
    ]
    for (room, other), (x, y, end_x, end_y) in lines.items():
        parts.append(
            f'<path data-from="{room}" data-to="{other}" d="M{x:.0f} {y:.0f}L{end_x:.0f} {end_y:.0f}" '
            'marker-end="url(#tip)"/>'
        )
    for room in PLACES:
        left, top, right, bottom = box(room)
        kind = ' class="path"' if room in STEP_PATH else ""
        parts.append(
            f'<g{kind}><rect x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{middle(room):.0f}" y="{top + 21:.0f}">{room}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    DRAWING.write_text(svg(), encoding="utf-8")
    print(DRAWING)
