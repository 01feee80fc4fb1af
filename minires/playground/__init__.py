"""The playground: one HTML file that computes forward and backward of a deep network itself, and draws its gradients.

    write("playground.html")                                  open it in any browser; nothing else is needed
    write("site/playground.html", chapters="../chapters/")    with links to the chapters that stand there

The files in `page/` are plain JavaScript that runs as it is written: `twin.js` is the arithmetic, forward and backward
by hand, which a worker runs; `runs.json` are trainings recorded by `docs/playground_runs.py`.
"""

from pathlib import Path

from minires.data.disk import naming
from minires.pages import assemble, text_of
from minires.runs import records

ARITHMETIC = ("block.js", "twin.js", "random.js", "worker.js")  # of the worker
SCRIPTS = ("numbers.js", "block.js", "words.js", "state.js", "chart.js", "diagram.js", "controls.js", "replay.js",
           "asking.js", "page.js")  # in this order, after the elements that all pages share  # fmt: skip


def page(chapters: str = "") -> str:
    """Return the page as text. chapters: the folder of the site's chapters, as seen from the page; "" names them."""
    return assemble(
        page_file("template.html"),
        {
            "chapters": chapters,
            "style": page_file("style.css"),
            "arithmetic": "\n".join([page_file(name) for name in ARITHMETIC]),
            "recording": page_file("runs.json"),
            "script": "\n".join([text_of("minires.pages", "elements.js"), *[page_file(name) for name in SCRIPTS]]),
        },
    )


def page_file(name: str) -> str:
    return text_of("minires.playground", f"page/{name}")


def write(path: str | Path, chapters: str = "") -> Path:
    """Write the page into a file, and return its path; see `page`.

    ValueError for a path that does not end in .html, OSError where it cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"playground.write: the page is HTML, so its name must end in .html, got {str(path)!r}")
    text = page(chapters)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, text.encode())
    return path
