"""What the lab found, for docs/lab.md: its numbers come from here and from nowhere else.

    python benchmarks/lab.py RUN …      keep the reports of these experiments' run folders, without their long tables
    python benchmarks/lab.py --page     write the sections of docs/lab.md anew from what is kept

An interrupted `aftermath` is kept too: the seeds that are whole, judged anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "lab"
PAGE = ROOT / "docs" / "lab.md"
KEPT = ("summary", "moments", "rounding", "interventions", "outputs")  # tables

Report = dict[str, Any]


def main(arguments: list[str]) -> None:
    for folder in [Path(argument) for argument in arguments if argument != "--page"]:
        keep(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), reports()), encoding="utf-8")


def keep(report: Report) -> None:
    """Write an experiment's report into the results."""
    from minires.lab import experiments
    from minires.runs import records

    tables = {name: rows for name, rows in report["tables"].items() if name in KEPT}
    if report["interrupted"] and report["experiment"] == "aftermath":
        experiment = experiments.find("aftermath")
        whole = len(report["settings"]["interventions"])
        rows = tables["interventions"]
        seeds = [seed for seed in dict.fromkeys([row["seed"] for row in rows])
                 if len([row for row in rows if row["seed"] == seed]) == whole]  # fmt: skip
        tables = {name: [row for row in rows if row["seed"] in seeds] for name, rows in tables.items()}
        settings = {**report["settings"], "seeds": len(seeds)}
        verdict = experiment.judge(tables, settings)
        report = experiment.report_of(settings, tables, verdict, report["seconds"])
    settings = report["settings"]
    name = report["experiment"] + "-rounding" * bool(settings.get("rounding"))
    if report["experiment"] == "aftermath":
        name += "-depths" * (list(settings["depths"]) != [56]) + "-rates" * (list(settings["lr"]) != [0.05])
        name += f"-{settings['data']}" * (settings["data"] != "digits")
    RESULTS.mkdir(parents=True, exist_ok=True)
    records.write_json(RESULTS / f"{name}.json", {**report, "tables": tables, "folder": None})


def reports() -> dict[str, Report]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def page(text: str, kept: dict[str, Report]) -> str:
    """Return the page with its sections, between marks, made of the reports."""
    for name, section in SECTIONS.items():
        key = "gradient-flow-rounding" if name == "rounding" else name
        if key in kept:
            mark = f"<!-- {name} -->"
            before, _, after = text.split(mark)
            text = f"{before}{mark}\n{section(kept[key])}\n{mark}{after}"
    return text


def flow(report: Report) -> str:
    """The gradient's ratio at the moments, and the loss at the end."""
    rows, summary = report["tables"]["moments"], report["tables"]["summary"]
    steps = list(dict.fromkeys([row["step"] for row in rows]))
    lines = ["| network | " + " | ".join([f"step {step}" for step in steps]) + " | loss |",
             "|---" * (len(steps) + 2) + "|"]  # fmt: skip
    for network in summary:
        like = {key: network[key] for key in ("depth", "skip", "init", "norm", "activation", "lr")}
        own = {row["step"]: row["log10_ratio"] for row in rows if like.items() <= row.items()}
        cells = [f"{own[step]:.1f}" for step in steps]
        lines.append(f"| {network['label']} | " + " | ".join(cells) + f" | {network['train_loss']:.2f} |")
    seeds = report["settings"]["seeds"]
    words = "one seed" if seeds == 1 else f"seed {report['settings']['seed']} of {seeds}"
    return "\n".join([*lines, "", f"*log10 of ‖dL/dh‖ at the stem over that at the last block; {words}.*"])


def rounding(report: Report) -> str:
    """For how many steps two kernel sets stay together."""
    found = [finding for finding in report["findings"] if "another rounding" in finding["what"]]
    first = report["tables"]["rounding"]
    steps = max([row["step"] for row in first])
    lines = ["| network | losses differ at step 1 by | and by less than 1 % for |", "|---|---|---|"]
    for finding in found:
        label = finding["what"].partition(": ")[0]
        start = next(row["difference"] for row in first if row["label"] == label and row["step"] == 1)
        value = finding["value"]
        length = f"all {steps} steps" if value >= steps else f"{value:.0f} step{'s' * (value != 1)}"
        lines.append(f"| {label} | {start:.0e} | {length} |")
    return "\n".join(lines)


def aftermath(report: Report) -> str:
    """The interventions and the early layers over seeds, the verdict and what stays open."""
    parts = [f"**{report['answer'].capitalize()}.** {report['verdict']}", f"**Open.** {report['open']}"]
    return "\n\n".join([interventions(report), early_layers(report), *parts])


def interventions(report: Report) -> str:
    """A row for each intervention, smallest to largest over seeds."""
    from minires.lab.aftermath_verdict import WORDS, learned, powers, span

    seeds, data = report["settings"]["seeds"], report["settings"]["data"]
    over = f"smallest to largest of {seeds} seeds" if seeds > 1 else "one seed"
    tables = []
    for depth, lr in dict.fromkeys([(row["depth"], row["lr"]) for row in report["tables"]["interventions"]]):
        rows = [row for row in report["tables"]["interventions"] if (row["depth"], row["lr"]) == (depth, lr)]
        head = f"| plain-{depth}, lr {lr} | the gradient, stem over last block | loss, trained on | |"
        start = powers([row["log10_ratio_start"] for row in rows])
        lines = [head, "|---|---|---|---|", f"| *before training* | {start} | | |"]
        for name in dict.fromkeys([row["intervention"] for row in rows]):
            own = [row for row in rows if row["intervention"] == name]
            ends = [row["loss_end"] for row in own]
            lines.append(f"| {WORDS[name]} | {powers([row['log10_ratio_at'] for row in own])} | {span(ends, '.2f')} | "
                         f"{learned(ends, own[0]['guessing'])} |")  # fmt: skip
        tables.append("\n".join(lines))
    return "\n\n".join([*tables, f"*{data}; {over}.*"])


def early_layers(report: Report) -> str:
    """What the early layers' outputs are like, over seeds."""
    from minires.lab.aftermath_verdict import span

    rows = report["tables"]["outputs"]
    head = f"outputs of {rows[0]['output']}"
    lines = [f"| network | {head} | directions | cosine of two images | units changed |", "|---|---|---|---|---|"]
    for name, step in dict.fromkeys([(row["network"], row["step"]) for row in rows]):
        own = [row for row in rows if (row["network"], row["step"]) == (name, step)]
        when = "before training" if step == 0 else f"after {step} step{'s' * (step > 1)}"
        rank, likeness = span([row["rank"] for row in own], ".1f"), span([row["likeness"] for row in own], ".2f")
        changed = span([row["flipped"] for row in own], ".0%") if step else ""
        lines.append(f"| {name} | {when} | {rank} | {likeness} | {changed} |")
    return "\n".join(lines)


def elsewhere(report: Report) -> str:
    """Both tables without an answer: too few seeds for one."""
    return f"{interventions(report)}\n\n{early_layers(report)}"


SECTIONS = {
    "gradient-flow": flow, "rounding": rounding, "aftermath": aftermath, "aftermath-depths": interventions,
    "aftermath-rates": interventions, "aftermath-cifar10": elsewhere,
}  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
