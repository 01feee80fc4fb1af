"""A chapter as a notebook: its text as Markdown, its code in cells.

Chapters are scripts in the percent format, with text in reStructuredText. What they use of it, and no more, is turned
into Markdown here: headings, formulas, literals, roles, links, boxes that are stepped through in a debugger, boxes that
ask, boxes that fold away. The site uses the same conversion for the notebooks that it offers.
"""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from minires.learn import chapters

FIRST = "# Where MiniRes is not installed: in a checkout of it, once, `pip install -e .`\n%matplotlib inline"
DIRECTIVE = re.compile(r"^( *)\.\. ([a-z-]+):: *(.*)$")
OPTION = re.compile(r"^:([a-z]+): *(.*)$")


def export(chapter: int, folder: Path) -> Path:
    """Write a chapter as a notebook into a folder; return its path. A file that is there already is replaced."""
    source = chapters.path_of(chapter)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / source.with_suffix(".ipynb").name
    text = json.dumps(notebook(source.read_text(encoding="utf-8")), indent=1, ensure_ascii=False)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def notebook(script: str) -> dict[str, Any]:
    """Return a script in the percent format as a notebook, version 4 of the format."""
    made = [cell("code", FIRST, 0)]
    for number, (kind, text) in enumerate(parts(script), 1):
        made.append(cell(kind, markdown(text) if kind == "markdown" else text, number))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def cell(kind: str, text: str, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text}
    return made | {"execution_count": None, "outputs": []} if kind == "code" else made


def parts(script: str) -> list[tuple[str, str]]:
    """Cut a script into its texts and its code: its docstring, then at every `# %%`."""
    opening = re.match(r'r?"""', script)
    assert opening is not None, "a chapter begins with its docstring"
    docstring, _, rest = script[opening.end() :].partition('"""')
    found = [("markdown", docstring.strip("\n"))]
    for block in re.split(r"^# %%.*\n", rest, flags=re.MULTILINE):
        lines = block.split("\n")
        count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        text = "\n".join([line.removeprefix("#").removeprefix(" ") for line in lines[:count]])
        code = "\n".join(lines[count:]).strip("\n")
        found += [(kind, part) for kind, part in (("markdown", text), ("code", code)) if part.strip()]
    return found


def markdown(text: str) -> str:
    """Turn a chapter's reStructuredText into Markdown."""
    lines, made = text.split("\n"), []
    i = 0
    while i < len(lines):
        line, below = lines[i], lines[i + 1] if i + 1 < len(lines) else ""
        directive = DIRECTIVE.match(line)
        if directive:
            i, block = indented(lines, i + 1, len(directive[1]))
            made.append(textwrap.indent(of_directive(directive[2], directive[3], block), directive[1]))
        elif line.strip() and re.fullmatch(r"(=+|-+)", below) and len(below) >= len(line):
            made.append(f"{'#' if below[0] == '=' else '##'} {inline(line)}")
            i += 2
        else:
            i, paragraph = following(lines, i)
            made.append(inline(paragraph))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made)).strip("\n")


def indented(lines: list[str], start: int, indent: int) -> tuple[int, list[str]]:
    """Return where the block that is indented deeper ends, and the block itself."""
    end = start
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    return end, textwrap.dedent("\n".join(lines[start:end])).strip("\n").split("\n")


def following(lines: list[str], start: int) -> tuple[int, str]:
    """Return where a paragraph ends, and its text: a role may go over the end of a line."""
    end = start + 1
    while end < len(lines) and lines[end - 1].strip() and lines[end].strip() and not DIRECTIVE.match(lines[end]):
        if re.fullmatch(r"(=+|-+)", lines[end + 1] if end + 1 < len(lines) else ""):
            break
        end += 1
    return end, "\n".join(lines[start:end])


def of_directive(name: str, argument: str, block: list[str]) -> str:
    """Turn a directive into Markdown. ValueError for one that chapters do not use."""
    options = {}
    while block and (option := OPTION.match(block[0])):
        more = next((i for i, line in enumerate(block[1:], 1) if not line.startswith(" ")), len(block))
        options[option[1]] = " ".join([option[2], *[line.strip() for line in block[1:more]]])
        block = block[more:]
    body = "\n".join(block).strip("\n")
    if name == "math":
        return f"\n$$\n{' '.join([argument, body]).strip()}\n$$\n"
    if name == "image":  # lies with the site; what is to be seen on it stands in its place
        return f"\n*In the picture: {options['alt']}*\n" if "only-dark" not in options.get("class", "") else ""
    if name == "code-block":
        caption = f"**{options['caption']}**\n\n" if "caption" in options else ""
        return f"\n{caption}```{argument}\n{body}\n```\n"
    if name == "admonition" and "collapsible" not in options:
        return "\n" + textwrap.indent(f"**{argument}**\n\n{markdown(body)}", "> ", lambda line: True) + "\n"
    if name == "admonition":
        return f"\n<details><summary>{argument}</summary>\n\n{markdown(body)}\n\n</details>\n"
    raise ValueError(f"notebook: no way to say the directive {name!r} in Markdown; teach it to of_directive")


def inline(text: str) -> str:
    """Turn roles, literals, links and fields of a paragraph into Markdown."""
    text = re.sub(r":math:`([^`]+)`", lambda match: f"${' '.join(match[1].split())}$", text)
    text = re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"`([^`<]+) <([^>]+)>`__?", r"[\1](\2)", text)
    return re.sub(r"^:([A-Z][a-z ]+): ", r"- **\1:** ", text, flags=re.MULTILINE)
