"""A module: the tree of what it holds, with the number of parameters of each; branches open and close."""

from collections.abc import Sequence
from dataclasses import dataclass

from minires.displays import elements

OPEN = 2  # levels that are open at first
MOST = 1000  # rows
INDENT = "margin-left:1.4em"


@dataclass(frozen=True)
class Row:
    """A module in a tree. depth: how far below the root; facts: shapes and options; count: its numbers, also below."""

    depth: int
    name: str
    kind: str
    facts: str
    count: int


def tree_html(rows: Sequence[Row]) -> str:
    """Return the display of a module. rows: parents before their children; of very many the first are shown."""
    parts: list[str] = []
    open_at: list[int] = []  # the depths of the branches that are open
    for number, row in enumerate(rows[:MOST]):
        while open_at and open_at[-1] >= row.depth:
            open_at.pop()
            parts.append("</details>")
        has_children = number + 1 < len(rows) and rows[number + 1].depth > row.depth
        style = f' style="{INDENT}"' if row.depth else ""
        if has_children:
            parts.append(f"<details{style}{' open' if row.depth < OPEN else ''}><summary>{line_of(row)}</summary>")
            open_at.append(row.depth)
        else:
            parts.append(f"<div{style}>{line_of(row)}</div>")
    parts += ["</details>"] * len(open_at)
    if len(rows) > MOST:
        parts.append(elements.faint(f"and {len(rows) - MOST:,} more modules"))
    return elements.box(*parts)


def line_of(row: Row) -> str:
    name = f"{elements.text(row.name)}: " if row.name else ""
    facts = f" {elements.text(row.facts)}" if row.facts else ""
    count = f' <span style="opacity:.75">{row.count:,} parameter{"" if row.count == 1 else "s"}</span>'
    return f"{name}<b>{elements.text(row.kind)}</b>{facts}{count if row.count else ''}"
