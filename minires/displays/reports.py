"""Reports: what was compared or claimed, a picture, and the verdict in words.

The picture of an experiment is the one that was drawn into its folder. Matplotlib takes a second for one, so where
there is no folder, and for a comparison, which is drawn by its command alone, lines are drawn here.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minires.displays import elements

PLAIN, RESIDUAL = "#d95f02", "#3b82c4"  # which both a bright and a dark page let be seen
COLOURS = (RESIDUAL, PLAIN, "#1b9e77", "#a569bd", "#c79a00", "#d64f8a")
DASHES = ("none", "7 3", "2 3", "9 3 2 3")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 460, 210, 52, 34, 8
MOST_LINES, MOST_BYTES = 12, 1_000_000
STRIP, DOT = 240, 4

Report = Mapping[str, Any]


def report_html(report: Report) -> str:
    """Return the display of a report of the lab: of `lab.compare`, `lab.compare_models` or an experiment."""
    if "experiment" in report:
        return experiment_html(report)
    return comparison_html(report)


def check_html(subject: str, verdict: str, lines: Sequence[str]) -> str:
    """Return the display of a gradient check: what was checked, and a line for each argument."""
    head = elements.head(subject, f"the gradient: {verdict}")
    return elements.box(head, *[f"<div>{elements.text(line.strip())}</div>" for line in lines])


def comparison_html(report: Report) -> str:
    networks = report["networks"]
    facts = [f"{len(networks)} networks", report["data"], f"batches of {report['batch_size']}"]
    facts.append(f"{report['steps']} steps of training" if report["steps"] else "before training")
    parts = [elements.head("Comparison", *facts), gradient_lines(networks)]
    if report["verdict"]:
        parts.append(elements.folded("verdict", report["verdict"]))
    return elements.box(*parts, *ending(report))


def experiment_html(report: Report) -> str:
    parts = [elements.head(report["experiment"], report["answer"]), elements.prose(report["claim"])]
    picture = picture_of(report)
    findings = report["findings"]
    parts += [picture] if picture else [strip(finding) for finding in findings]
    parts.append(elements.prose(report["verdict"]))
    return elements.box(*parts, *ending(report))


def ending(report: Report) -> list[str]:
    """Say whether it was interrupted, and where its files are."""
    parts = [elements.faint("interrupted: what was finished is here")] if report["interrupted"] else []
    return parts + ([elements.faint(report["folder"])] if report["folder"] else [])


def picture_of(report: Report) -> str:
    """Return the figure that lies in the report's folder; "" where there is none, or a very large one."""
    if not report["folder"]:
        return ""
    path = Path(report["folder"]) / f"{report['experiment']}.png"
    try:
        if path.stat().st_size > MOST_BYTES:
            return ""
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:  # the folder was moved or thrown away since
        return ""
    style = "display:block;max-width:100%;width:640px;background:#fff"
    words = elements.text(f"the figure of {report['experiment']}")
    return f'<img alt="{words}" style="{style}" src="data:image/png;base64,{content}">'


def gradient_lines(networks: Sequence[Report]) -> str:
    """Draw the gradient at each block of each network before the training, a line each, on a logarithmic axis."""
    measured = [network for network in networks if network["runs"]]
    lines = [logs_of(network["runs"][0]["initial"]) for network in measured[:MOST_LINES]]
    values = [value for line in lines for value in line if value is not None]
    if not values:
        return ""
    low, high = math.floor(min(values)), math.ceil(max(values))
    high = max(high, low + 1)
    longest = max([len(line) for line in lines])
    right, foot = WIDTH - 8, HEIGHT - BOTTOM
    parts = axis(low, high, right, foot)
    for number, (network, line) in enumerate(zip(measured, lines, strict=False)):
        points = []
        for place, value in enumerate(line):
            if value is None:
                continue
            x = LEFT + (right - LEFT) * place / max(1, longest - 1)
            points.append(f"{x:.1f},{foot - (foot - TOP) * (value - low) / (high - low):.1f}")
        colour, dash = line_of(network, number)
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2" '
                     f'stroke-dasharray="{dash}"/>')  # fmt: skip
    parts.append(elements.words_at((LEFT + right) / 2, HEIGHT - 4, "block (the loss is on the right)", "middle"))
    names = [network["label"] for network in measured[:MOST_LINES]]
    legend = "".join([legend_line(name, *line_of(network, number))
                      for number, (name, network) in enumerate(zip(names, measured, strict=False))])  # fmt: skip
    more = elements.faint(f"and {len(measured) - MOST_LINES} more") if len(measured) > MOST_LINES else ""
    label = f"‖dL/dh‖ at every block before training, from 1e{low} to 1e{high}, of {', '.join(map(str, names))}"
    title = elements.faint("‖dL/dh‖ at every block, before training, the first seed")
    return f"{title}{elements.svg(WIDTH, HEIGHT, label, parts)}<div>{legend}</div>{more}"


def logs_of(norms: Report) -> list[float | None]:
    return list(norms["log10_grad_h"])


def line_of(network: Report, number: int) -> tuple[str, str]:
    """Return colour and dashes: as in the figures, plain networks are orange, residual ones blue."""
    if network["skip"] is None:
        return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    return (RESIDUAL if network["skip"] else PLAIN), DASHES[number // 2 % len(DASHES)]


def legend_line(name: str, colour: str, dash: str) -> str:
    line = (f'<svg width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="28" y2="5" stroke="{colour}" '
            f'stroke-width="2" stroke-dasharray="{dash}"/></svg>')  # fmt: skip
    return f'<span style="margin-right:1.2em;white-space:nowrap">{line} {elements.text(name)}</span> '


def axis(low: int, high: int, right: float, foot: float) -> list[str]:
    """Draw powers of ten on the left, with a faint line each."""
    parts = []
    every = max(1, math.ceil((high - low) / 6))
    for power in range(low, high + 1, every):
        y = foot - (foot - TOP) * (power - low) / (high - low)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="currentColor" opacity=".2"/>')
        parts.append(elements.words_at(LEFT - 6, y + 4, f"1e{power}", "end"))
    return parts


def strip(finding: Report) -> str:
    """Draw a number as a dot, and the band that it was expected in as a bar; then both in words."""
    value, low, high = finding["value"], finding["low"], finding["high"]
    words = f"{finding['what']}: {'none' if value is None else format(value, finding['spec'])}"
    inside = "" if low is None and high is None else " · as expected" if finding["inside"] else " · NOT as expected"
    return f"<div>{dot_in_band(value, low, high, words)} {elements.text(words + inside)}</div>"


def dot_in_band(value: float | None, low: float | None, high: float | None, words: str) -> str:
    known = [number for number in (value, low, high) if number is not None]
    if not known:
        return ""
    margin = 0.3 * (max(known) - min(known)) or max(1.0, abs(known[0]))
    least, most = min(known) - margin, max(known) + margin

    def place(number: float) -> float:
        return STRIP * (number - least) / (most - least)

    parts = ['<line x1="0" y1="8" x2="240" y2="8" stroke="currentColor" opacity=".4"/>']
    if low is not None or high is not None:
        left = 0.0 if low is None else place(low)
        right = STRIP if high is None else place(high)
        parts.append(f'<rect x="{left:.1f}" y="3" width="{right - left:.1f}" height="10" opacity=".3"/>')
    if value is not None:
        parts.append(f'<circle cx="{place(value):.1f}" cy="8" r="{DOT}"/>')
    return elements.svg(STRIP, 16, words, parts)
