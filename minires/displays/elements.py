"""The elements that all displays are made of: escaped text, a box, and lines of facts."""

import html
from collections.abc import Sequence

BOX = "display:inline-block;max-width:100%;overflow-x:auto;font:13px/1.5 ui-monospace,Consolas,monospace"
LONGEST = 300  # characters of a text that comes from outside


def text(content: object) -> str:
    """Return anything as text that a page shows as it is; what is very long is cut."""
    words = str(content)
    if len(words) > LONGEST:
        words = f"{words[: LONGEST - 1]}…"
    return html.escape(words).encode(errors="replace").decode()


def box(*parts: str) -> str:
    return f'<div style="{BOX}">{"".join(parts)}</div>'


def head(name: object, *facts: object) -> str:
    """The first line: what it is, in bold, and facts about it."""
    return f"<div><b>{text(name)}</b> {' · '.join([text(fact) for fact in facts])}</div>"


def faint(content: object) -> str:
    """A line that is read second."""
    return f'<div style="opacity:.75">{text(content)}</div>'


def prose(content: object) -> str:
    """A paragraph, in the page's own letters."""
    return f'<div style="font-family:system-ui,sans-serif;max-width:46em;margin-top:.4em">{text(content)}</div>'


def svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """A drawing. label: what is seen, for those who do not see it."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    style = "display:block;max-width:100%;height:auto;font:11px system-ui,sans-serif"
    said = f'role="img" aria-label="{text(label)}"'
    return f'<svg {size} {said} style="{style}" fill="currentColor">{"".join(parts)}</svg>'


def words_at(x: float, y: float, words: object, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def folded(title: str, lines: Sequence[str]) -> str:
    """Lines behind a title that opens them."""
    inside = "\n".join([text(line) for line in lines])
    return f'<details><summary>{text(title)}</summary><div style="white-space:pre-wrap">{inside}</div></details>'
