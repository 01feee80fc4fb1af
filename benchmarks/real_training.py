"""Keep what trainings on CIFAR-10 were like: thinned records, a table, the curves.

    python benchmarks/real_training.py RUNS --side-by-side FILES    folders of runs below RUNS/NAME/ → results/training
    python benchmarks/real_training.py --page                       docs/real_training.md and its figure, from there

A run's seconds are those of the machine as it was; where that was shared with other work they say little. So the table
also has the fastest STRETCH steps in a row, with all that belongs to a step, augmentation and average included: what
the machine gives when it is left alone. FILES are records of `benchmarks/cpu.py` for a step of ResNet-20, in which
MiniRes and PyTorch take turns on images that lie ready: the one with the median ratio is kept.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training"
PAGE = HERE.parent / "docs" / "real_training.md"
FIGURE = HERE.parent / "docs" / "images" / "real_training.png"
BEGIN, END = "<!-- made by benchmarks/real_training.py -->\n", "<!-- end of what is made -->\n"
BATCHES = 100  # training steps in a record that is kept
STRETCH = 200  # steps in a row


# From the folders of runs to results/training.


def run_folders(out):
    """Return {name: folder} of the runs RUNS/NAME/RUN that have begun."""
    found = {}
    for metrics in sorted(out.glob("*/*/metrics.jsonl")):
        found[metrics.parent.parent.name] = metrics.parent
    return found


def recipe_of(arguments):
    """Return the name of the recipe that a run's arguments are nearest to, and what was set by hand."""
    from minires import runs
    from minires.runs.folder import flattened
    from minires.runs.settings import recipe_names

    silent = ("seed", "dataset.", "data.", "model.fused", "model.name", "keep_checkpoints", "checkpoint_every")
    own = {key: value for key, value in flattened(arguments).items() if not key.startswith(silent)}
    best = None
    for name in recipe_names():
        recipe = runs.resolve(name, model=arguments["model"]["name"], data="cifar10").to_dict()
        theirs = {key: value for key, value in flattened(recipe).items() if not key.startswith(silent)}
        changed = {key: value for key, value in own.items() if theirs.get(key) != value}
        changed |= {key: None for key in theirs if key not in own}
        if best is None or len(changed) < len(best[1]):
            best = name, changed
    return best[0], {key: value for key, value in best[1].items() if key != "evaluate_every"}


def thinned(rows):
    """Return the evaluations, and one record for each BATCHES training steps, with their means."""
    kept, some = [], []
    for row in rows:
        if "loss" not in row:
            kept.append(row)
            continue
        some.append(row)
        if row["step"] % BATCHES == 0:
            means = {key: round(statistics.fmean([one[key] for one in some]), 5) for key in ("loss", "accuracy")}
            seconds = sum([1 / one["images_per_second"] for one in some])
            speed = {"images_per_second": round(len(some) / seconds, 1), "batches": len(some)}
            kept.append({"step": row["step"], "epoch": row["epoch"], **means, "lr": round(row["lr"], 8), **speed})
            some = []
    return kept


def summary(rows, arguments):
    """Return the table's row of a run."""
    recipe, changed = recipe_of(arguments)
    size = arguments["batch_size"]
    seconds = np.array([size / row["images_per_second"] for row in rows if "loss" in row])
    evaluations = [row for row in rows if "test_accuracy" in row]
    sums = np.convolve(seconds, np.ones(STRETCH), "valid") if len(seconds) >= STRETCH else np.array([np.nan])
    return {
        "model": arguments["model"]["name"],
        "skip": arguments["model"].get("skip", True),
        "recipe": recipe,
        "changed": changed,
        "seed": arguments["seed"],
        "batch_size": size,
        "planned_steps": arguments["steps"],
        "steps": len(seconds),
        "finished": bool(evaluations) and evaluations[-1]["step"] == arguments["steps"],
        "evaluated_at": evaluations[-1]["step"] if evaluations else None,
        "accuracy": evaluations[-1]["test_accuracy"] if evaluations else None,
        "loss": evaluations[-1]["test_loss"] if evaluations else None,
        "train_accuracy": statistics.fmean([row["accuracy"] for row in rows if "loss" in row][-500:]),
        "seconds": float(seconds.sum()),
        "fastest_step_s": float(sums.min() / STRETCH),
    }


def side_by_side(paths):
    """Return a step's seconds of each contender, in the process with the median ratio."""
    records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    wanted = {"model": "resnet20", "options": {}, "batch_size": 128, "size": 32, "training": True}
    if any([record["work"] != wanted for record in records]):
        raise SystemExit("real_training: side-by-side records must be of a training step of ResNet-20, 128 images")

    def ratio(record):
        return record["results"]["minires numba"]["median_s"] / record["results"][record["best_peer"]]["median_s"]

    record = sorted(records, key=ratio)[len(records) // 2]
    times = {name: row["median_s"] for name, row in record["results"].items()}
    return {"processes": len(records), "best_peer": record["best_peer"], "step_s": times, "machine": record["machine"]}


def gather(out, files):
    """Write results/training: a folder for each run, and table.json."""
    from minires import runs
    from minires.runs import records

    rows = {}
    for name, folder in run_folders(out).items():
        config, metrics = runs.read(folder, "config.json"), runs.read(folder, "metrics.jsonl")
        if not [row for row in metrics if "test_accuracy" in row]:
            print(f"{name}: not evaluated yet, left out")
            continue
        config["arguments"]["data"].pop("dir", None)  # a path of this machine
        (RESULTS / name).mkdir(parents=True, exist_ok=True)
        records.write_json(RESULTS / name / "config.json", config)
        lines = [json.dumps(row) for row in thinned(metrics)]
        records.write_bytes(RESULTS / name / "metrics.jsonl", ("\n".join(lines) + "\n").encode())
        rows[name] = summary(metrics, config["arguments"])
        print(name, rows[name]["accuracy"], rows[name]["evaluated_at"])
    records.write_json(RESULTS / "table.json", {"runs": rows, "side_by_side": side_by_side(files)})


# From results/training to the page.


def title(run):
    return run["model"].replace("resnet", "ResNet-" if run["skip"] else "plain-")


def recipe_text(run):
    """Say the recipe, and what was set by hand."""
    changed = {key: value for key, value in run["changed"].items() if key != "model.skip"}
    return ", ".join([f"`{run['recipe']}`", *[f"`{key}={value}`" for key, value in changed.items()]])


def run_table(table):
    """One line a run."""
    step = table["side_by_side"]["step_s"]
    peer = step[table["side_by_side"]["best_peer"]]
    lines = [
        "| network | recipe | seed | steps | test accuracy | a step, ms | images/s | minutes | PyTorch's, minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in table["runs"].values():
        fastest = run["fastest_step_s"]
        done = f"{run['steps']:,}" if run["finished"] else f"{run['evaluated_at']:,} of {run['planned_steps']:,}"
        theirs = f"{peer * run['planned_steps'] / 60:.0f}" if run["model"] == "resnet20" else ""
        lines.append(
            f"| {title(run)} | {recipe_text(run)} | {run['seed']} | {done} | {run['accuracy']:.2%} | "
            f"{fastest * 1e3:.0f} | {run['batch_size'] / fastest:,.0f} | {fastest * run['planned_steps'] / 60:.0f} | "
            f"{theirs} |"
        )
    return "\n".join(lines)


def machine_text(table):
    """Say what a step takes where nothing else runs, side by side."""
    beside = table["side_by_side"]
    machine, step, peer = beside["machine"], beside["step_s"], beside["best_peer"]
    ours, theirs = step["minires numba"] * 1e3, step[peer] * 1e3
    name = f"{machine['processor']}, {machine['family_and_model']}, {', '.join(machine['vectors'])}"
    torch = f"PyTorch {machine['torch'].partition('+')[0]}, {peer.removeprefix('torch ')}"
    return (
        f"The processor: {name}, {machine['cores']} cores. On images that lie ready, in turns, a step of ResNet-20 "
        f"takes {ours:.0f} ms in MiniRes and {theirs:.0f} ms in {torch}: medians, of the middle one of "
        f"{beside['processes']} processes. The last column is that time for all steps. It is without loading, "
        "augmentation and the average, which the other columns have."
    )


def section(table):
    """Return what of the page is made."""
    return f"{BEGIN}\n{run_table(table)}\n\n{machine_text(table)}\n\n{END}"


def page(table):
    """Return the page with what is made put into it anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + section(table) + rest.partition(END)[2]


def write_page():
    from minires import plots

    table = json.loads((RESULTS / "table.json").read_text(encoding="utf-8"))
    PAGE.write_text(page(table), encoding="utf-8")
    folders = [RESULTS / name for name, run in table["runs"].items() if not run["changed"]]
    print(PAGE, plots.training_curves(folders, FIGURE), sep="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--side-by-side", nargs="+", type=Path)
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.runs:
        if not args.side_by_side:
            sys.exit("real_training: --side-by-side takes the records of benchmarks/cpu.py on this processor")
        gather(args.runs, args.side_by_side)
    if args.page or args.runs:
        write_page()


if __name__ == "__main__":
    main()
