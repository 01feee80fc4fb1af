"""A comparison as one HTML file that people send each other: no other file, no network, nothing but its own script.

What the page shows is computed here from report.json: of every network, at every moment, the mean over seeds, the
smallest and the largest value. The files in `page/` draw it.
"""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from minires.data.disk import naming
from minires.plots.gradients import LAYERS, SETTING, TITLES, first_over_last
from minires.plots.style import line_of
from minires.runs import read, records

SCRIPTS = ("charts.js", "page.js")
QUANTITIES = {"grad_h": "block", "grad_w": "layer", "relative_grad_w": "layer"}
LARGEST = 2_700_000  # bytes of numbers: more moments are thinned
DASHES = ("", "8 3", "2 3", "8 3 2 3", "10 2 2 2 2 2", "4 4")

Numbers = list[float | None]


def check_place(path: str | Path) -> Path:
    """Return where a page is to be written. ValueError for a name that does not end in .html, OSError for a folder
    that cannot be made: before the work, rather than after it."""
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"--html: the page is HTML, so its name must end in .html, got {str(path)!r}")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def html_report(folder: str | Path, path: str | Path, command: str = "") -> Path:
    """Write the page of a comparison's folder; return its path. ValueError where the folder holds no such report."""
    path = check_place(path)
    report = read(folder, "report.json")
    if "networks" not in report:
        raise ValueError(f"{folder} is not the run of a comparison: its report.json holds no networks")
    with naming(path):
        records.write_bytes(path, page_of(report, command).encode(errors="replace"))
    return path


def page_of(report: dict[str, Any], command: str) -> str:
    content = thinned(content_of(report, command))
    parts = {
        "title": "Gradients with and without skips",
        "style": page_file("page.css"),
        "script": "\n".join([page_file(script) for script in SCRIPTS]),
        # Inside a script element "<" could end it, and JSON knows it by its number as well.
        "data": json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    template = page_file("template.html")
    for name in ("style", "script"):  # the browser runs no other, wherever a name may have put one
        (one,) = re.findall(f"<{name}>(.*?)</{name}>", template, re.DOTALL)
        digest = hashlib.sha256(one.replace(f"@{name}@", parts[name]).encode()).digest()
        parts[f"{name}hash"] = f"'sha256-{base64.b64encode(digest).decode()}'"
    parts["title"] = html.escape(parts["title"])
    return re.sub("@([a-z]+)@", lambda match: parts[match[1]], template)


def page_file(name: str) -> str:
    return (files("minires.plots") / "page" / name).read_text(encoding="utf-8")


def content_of(report: dict[str, Any], command: str) -> dict[str, Any]:
    """Put together what the page shows."""
    networks = [network for network in report["networks"] if network["runs"]]
    groups = [list(group) for _, group in groupby(networks, key=lambda network: [network[key] for key in SETTING])]
    settings = [", ".join([f"{key} {value}" for key in SETTING if (value := group[0][key]) is not None]) or "networks"
                for group in groups]  # fmt: skip
    summary = {row["label"]: row for row in report["summary"]}
    entries: list[dict[str, Any]] = []
    for setting, group in enumerate(groups):
        for network in group:
            depths = sorted({other["depth"] for other in networks}, reverse=True)
            place = depths.index(network["depth"]) if network["skip"] is not None else len(entries) // 7
            entries.append({
                "label": network["label"], "setting": setting, "color": line_of(network, networks)["color"],
                "dash": DASHES[place % len(DASHES)], **measured(network),
                "summary": {key: summary[network["label"]][key] for key in ("train_loss", "test_accuracy")},
            })  # fmt: skip
    facts = [f"data {report['data']}", f"batches of {report['batch_size']} images", f"{report['steps']} steps",
             f"seeds {', '.join(map(str, report['seeds']))} before training",
             f"{', '.join(map(str, report['trained_seeds'])) or 'none'} in training"]  # fmt: skip
    return {
        "facts": "; ".join(facts) + ". Lines are means over seeds, bands reach from the smallest to the largest.",
        "command": command, "moments": report["moments"], "trained": bool(report["trained_seeds"]),
        "quantities": {name: {"title": TITLES[name], "xlabel": LAYERS[name], "place": place}
                       for name, place in QUANTITIES.items()},
        "settings": settings, "networks": entries, "verdict": report["verdict"],
        "guessing": math.log(networks[0]["classes"]) if networks else 1.0,
    }  # fmt: skip


def measured(network: dict[str, Any]) -> dict[str, Any]:
    """Return a network's figures over seeds: at every moment, and the loss of every step, as log10."""
    runs = network["runs"]
    trained = [run["trained"] for run in runs if run["trained"]]
    by_step: dict[int, list[dict[str, Any]]] = {0: [run["initial"] for run in runs]}
    for record in trained:
        for norms in record["moments"]:
            by_step.setdefault(norms["step"], []).append(norms)
    moments = []
    for step, all_norms in by_step.items():
        moment: dict[str, Any] = {"step": step, "seeds": len(all_norms)}
        moment["ratio"] = [row[0] for row in over_seeds([[first_over_last(norms)] for norms in all_norms])]
        moment["loss"] = over_seeds([[log10(norms["loss"])] for norms in all_norms])[0][0]
        for name in QUANTITIES:
            moment[name] = over_seeds([norms[f"log10_{name}"] for norms in all_norms])
        moments.append(moment)
    steps = min([len(record["losses"]) for record in trained], default=0)
    losses = [record["losses"][:steps] for record in trained]
    return {
        "moments": moments,
        "losses": [[log10(loss) for loss in row] for row in over_seeds(losses)],
        "outputs": runs[0]["initial"]["outputs"], "weights": runs[0]["initial"]["weights"],
        "trained": len(trained), "diverged": len([record for record in trained if record["diverged_at"] is not None]),
    }  # fmt: skip


def log10(value: float | None) -> float | None:
    return math.log10(value) if value is not None and value > 0 else None


def over_seeds(rows: Sequence[Numbers]) -> list[Numbers]:
    """Return the mean over rows, the smallest and the largest, place by place; None where one of them is none."""
    result: list[Numbers] = [[], [], []]
    for column in zip(*rows, strict=True):
        known = [value for value in column if value is not None]
        if len(known) < len(column):
            values: list[float | None] = [None, None, None]
        else:
            values = [sum(known) / len(known), min(known), max(known)]
        for row, value in zip(result, values, strict=True):
            row.append(None if value is None else round(value, 6))
    return result


def thinned(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out every other moment, never the first and the last, until the page is small enough to be sent."""
    while len(json.dumps(content)) > LARGEST and len(content["moments"]) > 2:
        *inner, last = content["moments"][1:]
        kept = [content["moments"][0], *inner[1::2], last]
        for network in content["networks"]:
            network["moments"] = [moment for moment in network["moments"] if moment["step"] in kept]
        content["moments"] = kept
    return content
