"""The browser view: a backward pass as one HTML file that needs no server, no network and no other file.

    browser.write(loss, "pass.html")                       the file
    browser.write(loss, "pass.html", twin=plain_loss)      the plain twin's pass beside it, stepped together
    browser.view(loss)                                     in a notebook

The record (`browser_record`) goes as JSON into a page made of the files in `page/`, which draw it.
"""

import html
import json
from collections import Counter
from pathlib import Path

from minires.data.disk import naming
from minires.debug.browser_record import PassRecord, record
from minires.engine import Tensor
from minires.nn import Module
from minires.pages import assemble, text_of
from minires.runs import records

SCRIPTS = ("numbers.js", "tree.js", "graph.js", "chart.js", "pictures.js", "details.js", "search.js",
           "page.js")  # in this order

Occurrence = tuple[str, str, int]


class Page:
    """An HTML page, `html`; a notebook shows it in a frame."""

    def __init__(self, text: str) -> None:
        self.html = text

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="900" style="border: 0"></iframe>'


def write(
    loss: Tensor,
    path: str | Path,
    name: str = "",
    model: Module | None = None,
    twin: Tensor | None = None,
    twin_name: str = "plain twin",
) -> Path:
    """Run the backward pass of `loss` (and of `twin`), and write the page about it; return the path. See `view`.

    ValueError, before anything is run or written, for a path that does not end in .html; RuntimeError as from
    `Tensor.backward`.
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"browser.write: the page is HTML, so its name must end in .html, got {str(path)!r}")
    page = view(loss, name, model, twin, twin_name)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, page.html.encode(errors="replace"))
    return path


def view(
    loss: Tensor,
    name: str = "",
    model: Module | None = None,
    twin: Tensor | None = None,
    twin_name: str = "plain twin",
) -> Page:
    """Run the backward pass of `loss`, which fills the `.grad` of its leaves as ever, and return the page about it.

    name: the network's, for the title. model: gives parameters their names. twin: the loss of a second network, such as
    the plain twin's, whose pass is shown beside the first; ops of one module path and class are shown together.
    The page holds loss, gradients and activations as statistics and small pictures, and the sources of the backward
    functions that ran. RuntimeError as from `Tensor.backward`.
    """
    passes = [record(loss, name, model)]
    if twin is not None:
        other = record(twin, twin_name)
        passes.append(other | locked(passes[0], other))
    parts = {
        "title": html.escape(f"Backward through {name}" if name else "A backward pass"),
        "style": page_file("page.css"),
        "script": "\n".join([text_of("minires.pages", "elements.js"), *[page_file(script) for script in SCRIPTS]]),
        # Inside a script element "<" could end it, and JSON knows it by its number as well.
        "record": json.dumps({"passes": passes}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    return Page(assemble(page_file("template.html"), parts))


def page_file(name: str) -> str:
    return text_of("minires.debug", f"page/{name}")


def locked(main: PassRecord, twin: PassRecord) -> dict[str, list[int]]:
    """Return which op of the main pass stands beside each op of the twin's, "to_main", and the reverse, "from_main".

    The same module path and class is the same op, the first time it comes as the second. What the other pass lacks
    stands beside the last op before it that both have.
    """
    main_keys, twin_keys = occurrences(main), occurrences(twin)
    return {"to_main": beside(twin_keys, main_keys), "from_main": beside(main_keys, twin_keys)}


def occurrences(one: PassRecord) -> list[Occurrence]:
    """Return an op's key in both passes, one per op: module path, class, and how many with both came before."""
    seen: Counter[tuple[str, str]] = Counter()
    keys = []
    for op in one["ops"]:
        key = (op["path"], op["op"])
        keys.append((*key, seen[key]))
        seen[key] += 1
    return keys


def beside(keys: list[Occurrence], others: list[Occurrence]) -> list[int]:
    """Return the index of each key among the others; where it is not there, the index that the key before has."""
    index_of = {key: i for i, key in enumerate(others)}
    found = [0]
    for key in keys:
        found.append(index_of.get(key, found[-1]))
    return found[1:]
