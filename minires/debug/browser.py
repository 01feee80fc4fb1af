"""The browser view: a backward pass as one HTML file that needs no server, no network and no other file.

    browser.write(loss, "pass.html")

The record (`browser_record`) goes as JSON into a page made of the files in `page/`, which draw it.
"""

import html
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from minires.debug.browser_record import record
from minires.engine import Tensor
from minires.nn import Module

SCRIPTS = ("numbers.js", "tree.js", "graph.js", "chart.js", "pictures.js", "details.js", "page.js")  # in this order


def write(loss: Tensor, path: str | Path, name: str = "", model: Module | None = None) -> Path:
    """Run the backward pass of `loss`, with its effects, and write the page about it; return the path.

    name: the network's, for the title. model: gives parameters their names. The page holds loss, gradients and
    activations as statistics and small pictures, and the sources of the backward functions that ran.
    ValueError, before anything is run or written, for a path that does not end in .html; RuntimeError as from
    `Tensor.backward`.
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"browser.write: the page is HTML, so its name must end in .html, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page([record(loss, name, model)]), encoding="utf-8")
    return path


def page(passes: list[dict[str, Any]]) -> str:
    """Return the HTML page about one recorded pass."""
    folder = files("minires.debug") / "page"
    name = passes[0]["name"]
    parts = {
        "title": html.escape(f"Backward through {name}" if name else "A backward pass"),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "script": "\n".join([(folder / script).read_text(encoding="utf-8") for script in SCRIPTS]),
        # Inside a script element "<" could end it, and JSON knows it by its number as well.
        "record": json.dumps({"passes": passes}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    text = (folder / "template.html").read_text(encoding="utf-8")
    for part, content in parts.items():
        text = text.replace(f"@{part}@", content)
    return text
