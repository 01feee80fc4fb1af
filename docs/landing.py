"""What docs/index.md shows: its moving picture, its figures, and the picture that stands for the site elsewhere.

Every number is read from a file that the project's own scripts wrote. The moving picture is a training of two networks
of 56 layers, one without skips and one with, from the same weights, that `docs/playground_runs.py` recorded.
"""

import inspect
import json
import re
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "minires" / "playground" / "page" / "runs.json"
STATIC = Path(__file__).resolve().parent / "_static"

RATE = 0.05
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 380, 64, 20, 24, 16  # of the picture, and of its margins
HIGHEST, LOWEST = 4, -9  # powers of ten


def read(name):
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def runs():
    """Return the moments, and the two trainings: without skips and with."""
    recorded = json.loads(RUNS.read_text(encoding="utf-8"))
    found = {run["name"].partition("-")[0]: run for run in recorded["runs"] if run["lr"] == RATE}
    return recorded["moments"], found


# Figures


def figures():
    """Return the numbers of the page by the names under which it asks for them."""
    from minires.gradient_check.cases import named_cases
    from minires.learn.chapters import CHAPTERS

    moments, two = runs()
    files = read("mutation.json")["files"].values()
    listed, run, killed = (sum([file[part] for file in files]) for part in ("the same", "run", "killed"))
    other = sum([file["other"] for file in files])
    parity = read("parity.json")
    printed = read("published_weights.json")["printed"]
    return {
        "chapters": len(CHAPTERS),
        "steps": moments[-1],
        "plain_loss": f"{two['plain']['loss'][-1]:.2f}",
        "residual_loss": f"{two['residual']['loss'][-1]:.2f}",
        "plain_first_loss": f"{two['plain']['loss'][0]:.2f}",
        "residual_first_loss": f"{two['residual']['loss'][0]:.2f}",
        "guessing": f"{json.loads(RUNS.read_text(encoding='utf-8'))['chance']:.2f}",
        "cases": len({case.name for case in named_cases()}),
        "mutants": f"{run - listed - other:,}",
        "caught": f"{killed:,}",
        "draws": f"{parity['draws']:,}",
        "disagreements": parity["problems"],
        "published": len(printed),
        "published_accuracy": " %, ".join([line.split()[2].rstrip("%,") for line in printed.values()]) + " %",
        **speed(),
    }


def speed():
    """Return the times of a training step beside PyTorch's, on the processor measured last, and the range of all."""
    records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("cpu/*family-*-model-*/*-training-2.json"))]
    (small,) = [record for record in records if record["work"]["model"] == "resnet20"]

    def seconds(record):
        return record["results"]["minires numba"]["median_s"], record["results"][record["best_peer"]]["median_s"]

    ratios = sorted([ours / theirs for ours, theirs in map(seconds, records)])
    ours, theirs = seconds(small)
    return {
        "ours_ms": f"{ours * 1e3:.0f}", "theirs_ms": f"{theirs * 1e3:.0f}", "ratio": f"{ours / theirs:.2f}",
        "best_ratio": f"{ratios[0]:.2f}", "worst_ratio": f"{ratios[-1]:.2f}",
    }  # fmt: skip


# The moving picture


def place(layer, layers, power):
    """Return where a layer's gradient stands in the picture."""
    x = LEFT + layer / (layers - 1) * (WIDTH - LEFT - RIGHT)
    y = TOP + (HIGHEST - power) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM)
    return x, y


def path(powers):
    points = [place(layer, len(powers), power) for layer, power in enumerate(powers)]
    return "M" + "L".join([f"{x:.1f} {y:.1f}" for x, y in points])


def hero():
    """Return the picture as it stands before training, and the numbers with which hero.js moves it."""
    moments, two = runs()
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="hero-caption">']
    for power in range(HIGHEST - 1, LOWEST, -3):
        _, y = place(0, 2, power)
        raised = str(power).replace("-", "−")
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/><text x="{LEFT - 10}" y="{y + 5:.1f}">10'
            f'<tspan dy="-7" class="power">{raised}</tspan></text>'
        )
    for name in ("plain", "residual"):
        x, y = place(0, 2, two[name]["log10_grad_h"][0][0])
        parts.append(f'<path class="curve {name}" d="{path(two[name]["log10_grad_h"][0])}"/>')
        parts.append(f'<circle class="dot {name}" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
    parts.append("</svg>")
    frame = {"left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}
    frame |= {"high": HIGHEST, "low": LOWEST}
    runs_of = {name: {"powers": run["log10_grad_h"], "loss": run["loss"]} for name, run in two.items()}
    numbers = json.dumps({"moments": moments, "runs": runs_of, "frame": frame}, separators=(",", ":"))
    return f"<div class='hero-picture' data-numbers='{numbers}'>\n" + "\n".join(parts) + "\n</div>\n"


# The doors' pictures: small, and drawn with the page's own colours


def door(shapes, name):
    return f'<svg class="door-picture" viewBox="0 0 320 150" aria-hidden="true" data-door="{name}">{shapes}</svg>\n'


def block_door():
    """A residual block: x goes around the branch and is added to what comes out."""
    return door(
        '<path class="skip" d="M62 86C62 14 234 14 234 70"/><path class="way" d="M20 86H104M196 86H220M250 86H300"/>'
        '<rect x="104" y="62" width="92" height="48" rx="10"/><circle class="add" cx="235" cy="86" r="15"/>'
        '<path class="way" d="M228 86H242M235 79V93"/><text x="150" y="92">f(x)</text><text x="34" y="76">x</text>'
        '<text x="150" y="24" class="skip-word">x</text><text x="284" y="76">x + f(x)</text>',
        "chapters",
    )


def step_door():
    """The backward of the residual add as a debugger shows it, from its source."""
    from minires.ops.shortcut import ResidualAdd

    lines = [line[4:].rstrip() for line in inspect.getsource(ResidualAdd.backward).splitlines() if line.strip()]
    code = [line for line in lines if not line.strip().startswith(("#", '"'))]
    shown = [re.sub(r"  #.*|: \w+(?=[,)])| -> [^:]*", "", line) for line in code][:4]
    shapes = '<rect class="screen" x="10" y="12" width="300" height="126" rx="10"/>'
    for number, line in enumerate(shown):
        y = 40 + 26 * number
        here = number == len(shown) - 1
        shapes += f'<rect class="here" x="10" y="{y - 17}" width="300" height="25"/>' if here else ""
        shapes += f'<circle class="stop" cx="26" cy="{y - 5}" r="6"/>' if here else ""
        text = escape(line).replace(" ", "&#160;")
        shapes += f'<text class="code" x="42" y="{y}">{text}</text>'
    shapes += f'<text class="code prompt" x="42" y="{40 + 26 * len(shown)}">(Pdb) p grad_y.shape</text>'
    return door(shapes, "stepping")


def compare_door():
    """The two curves after the training, small."""
    _, two = runs()
    shapes = '<path class="grid" d="M10 40H310M10 75H310M10 110H310"/>'
    for name in ("plain", "residual"):
        powers = two[name]["log10_grad_h"][-1]
        points = [(14 + 292 * i / (len(powers) - 1), 30 - 12.5 * power) for i, power in enumerate(powers)]
        shapes += f'<path class="curve {name}" d="M{"L".join([f"{x:.1f} {y:.1f}" for x, y in points])}"/>'
    return door(shapes, "compare")


# The picture that stands for the site where a link to it is shown


def preview(file):
    """Draw 1200 × 630 pixels: the two networks' gradients after their training, and the name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from minires.plots import COLOURS

    moments, two = runs()
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    figure.text(0.07, 0.86, "MiniRes", fontsize=54, fontweight="bold", color="#16202c")
    figure.text(0.07, 0.775, "Residual networks from scratch, to be read", fontsize=25, color="#4a5666")
    axes = figure.add_axes((0.1, 0.14, 0.63, 0.54))
    for name, words in (("plain", "without skips"), ("residual", "with skips")):
        powers, loss = two[name]["log10_grad_h"][-1], two[name]["loss"][-1]
        axes.plot(powers, color=COLOURS[name], linewidth=5, solid_capstyle="round")
        y = powers[-1] + (0.9 if name == "plain" else -0.9)
        axes.text(len(powers), y, f"{words}\nloss {loss:.2f}", color=COLOURS[name], fontsize=22, va="center")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([-8, -4, 0], ["$10^{-8}$", "$10^{-4}$", "1"], fontsize=18)
    axes.set_xlabel(f"the gradient in every layer, after {moments[-1]} steps of training", fontsize=20, color="#4a5666")
    FigureCanvasAgg(figure).print_png(file)


def draw():
    """Write all pictures into docs/_static, where git does not look."""
    folder = STATIC / "landing"
    folder.mkdir(exist_ok=True)
    for name, maker in (("hero", hero), ("block", block_door), ("step", step_door), ("compare", compare_door)):
        (folder / f"{name}.html").write_text(maker(), encoding="utf-8")
    preview(STATIC / "preview.png")


if __name__ == "__main__":
    draw()
    print(json.dumps(figures(), indent=1))
