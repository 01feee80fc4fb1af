"""Keep what trainings on CIFAR-10 were like: thinned records, a table, the curves.

    python benchmarks/real_training.py --time DATA --side-by-side FILES     what a step takes → time.json
    python benchmarks/real_training.py RUNS      folders of runs below RUNS/NAME/ → results/training, then the page
    python benchmarks/real_training.py --page    docs/real_training.md and its figure, from there

A run's own minutes are those of the machine as it was; where that was shared with other work they say little. Time is
measured apart. FILES are records of `benchmarks/cpu.py` on a machine that did nothing else: a step of ResNet-20 in
MiniRes and in PyTorch, in turns, on images that lie ready; the one with the median ratio is kept. A step of a training
also loads, augments and averages, and now and then the network is evaluated: how many bare steps that is, is measured
in turns with bare steps, of one thread, in time of the processor, which other work does not add to. DATA is the folder
that has CIFAR-10.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training"
PAGE = HERE.parent / "docs" / "real_training.md"
FIGURE = HERE.parent / "docs" / "images" / "real_training.png"
BEGIN, END = "<!-- made by benchmarks/real_training.py -->\n", "<!-- end of what is made -->\n"
BATCHES = 100  # training steps in a record that is kept
TURNS, STEPS = 9, 12  # of measuring: so many turns of so many steps


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
    steps = [row for row in rows if "loss" in row]
    evaluations = [row for row in rows if "test_accuracy" in row]
    return {
        "model": arguments["model"]["name"],
        "skip": arguments["model"].get("skip", True),
        "recipe": recipe,
        "changed": changed,
        "seed": arguments["seed"],
        "batch_size": arguments["batch_size"],
        "planned_steps": arguments["steps"],
        "evaluate_every": arguments["evaluate_every"],
        "steps": len(steps),
        "finished": bool(evaluations) and evaluations[-1]["step"] == arguments["steps"],
        "evaluated_at": evaluations[-1]["step"] if evaluations else None,
        "accuracy": evaluations[-1]["test_accuracy"] if evaluations else None,
        "loss": evaluations[-1]["test_loss"] if evaluations else None,
        "train_accuracy": statistics.fmean([row["accuracy"] for row in steps[-500:]]),
        "seconds_as_it_was": sum([arguments["batch_size"] / row["images_per_second"] for row in steps]),
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


def gather(out):
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
    order = sorted(rows, key=lambda name: (bool(rows[name]["changed"]), -rows[name]["planned_steps"], name))
    records.write_json(RESULTS / "runs.json", {name: rows[name] for name in order})


# What a step takes.


def measured_time(data_dir, files):
    """Write results/training/time.json: a bare step of each engine, and a whole step and an evaluation in bare ones."""
    os.environ |= {name: "1" for name in ("MINIRES_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    import contenders

    from minires import runs
    from minires.runs import records

    recipe = runs.resolve("cifar10-lunch", data="cifar10")
    recipe.data.dir = str(data_dir)
    trainer = runs.build(recipe)
    bare = contenders.make("minires numba", json.loads(files[0].read_text(encoding="utf-8"))["work"])
    whole, evaluations = [], []
    trainer.evaluation, evaluation = None, trainer.evaluation
    for _ in range(TURNS):
        trainer.train(trainer.step + 2, log=lambda record: None)  # fills the loader, and warms the caches
        seconds = seconds_of(lambda: trainer.train(trainer.step + STEPS, log=lambda record: None)) / STEPS
        bare()
        bare_seconds = seconds_of(lambda: [bare() for _ in range(STEPS)]) / STEPS
        whole.append(seconds / bare_seconds)
        evaluations.append(seconds_of(lambda: trainer.evaluation_step(*evaluation)) / bare_seconds)
    content = {"turns": TURNS, "whole_step": statistics.median(whole), "evaluation": statistics.median(evaluations)}
    records.write_json(RESULTS / "time.json", {**content, "spread": [min(whole), max(whole)], **side_by_side(files)})
    print((RESULTS / "time.json").read_text(encoding="utf-8"))


def seconds_of(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def whole_seconds(timed, steps, evaluate_every):
    """Return what so many steps of a training take, with its evaluations, where nothing else runs."""
    bare = timed["step_s"]["minires numba"]
    return bare * (steps * timed["whole_step"] + -(-steps // evaluate_every) * timed["evaluation"])


# From results/training to the page.


def title(run):
    return run["model"].replace("resnet", "ResNet-" if run["skip"] else "plain-")


def recipe_text(run):
    """Say the recipe, and what was set by hand."""
    changed = {key: value for key, value in run["changed"].items() if key != "model.skip"}
    return ", ".join([f"`{run['recipe']}`", *[f"`{key}={value}`" for key, value in changed.items()]])


def run_table(rows):
    """One line a run. What was not finished says how far it came."""
    lines = [
        "| network | recipe | seed | steps | test accuracy | error | training accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in rows.values():
        done = f"{run['steps']:,}" if run["finished"] else f"{run['evaluated_at']:,} of {run['planned_steps']:,}"
        lines.append(
            f"| {title(run)} | {recipe_text(run)} | {run['seed']} | {done} | {run['accuracy']:.2%} | "
            f"{1 - run['accuracy']:.2%} | {run['train_accuracy']:.1%} |"
        )
    return "\n".join(lines)


def time_table(rows, timed):
    """One line a recipe of ResNet-20 that was run as it is."""
    theirs = timed["step_s"][timed["best_peer"]]
    ours = timed["step_s"]["minires numba"]
    lines = [
        "| recipe | steps | MiniRes, the whole training | images/s | MiniRes, bare steps | PyTorch, bare steps |",
        "|---|---|---|---|---|---|",
    ]
    for recipe in dict.fromkeys([run["recipe"] for run in rows.values() if not run["changed"]]):
        run = next(run for run in rows.values() if run["recipe"] == recipe and not run["changed"])
        steps = run["planned_steps"]
        seconds = whole_seconds(timed, steps, run["evaluate_every"])
        lines.append(
            f"| `{recipe}` | {steps:,} | {seconds / 60:.1f} minutes | {steps * run['batch_size'] / seconds:,.0f} | "
            f"{ours * steps / 60:.1f} minutes | {theirs * steps / 60:.1f} minutes |"
        )
    return "\n".join(lines)


def machine_text(timed):
    """Say what was measured, and on what."""
    machine, step, peer = timed["machine"], timed["step_s"], timed["best_peer"]
    name = f"{machine['processor']}, {machine['family_and_model']}, {', '.join(machine['vectors'])}"
    torch = f"PyTorch {machine['torch'].partition('+')[0]}, {peer.removeprefix('torch ')}"
    low, high = timed["spread"]
    return (
        f"The processor: {name}, {machine['cores']} cores. A bare step, on 128 images that lie ready, takes "
        f"{step['minires numba'] * 1e3:.1f} ms in MiniRes and {step[peer] * 1e3:.1f} ms in {torch}: in turns, where "
        f"nothing else ran, the middle one of {timed['processes']} processes. A whole step takes "
        f"{timed['whole_step']:.2f} bare ones ({low:.2f} to {high:.2f} in {timed['turns']} turns, of processor time), "
        f"with loading, augmentation and the average, and an evaluation {timed['evaluation']:.0f}: from these the "
        "minutes of the whole training are derived."
    )


def section(rows, timed):
    """Return what of the page is made."""
    parts = [BEGIN, run_table(rows) + "\n", "### How long it takes\n", time_table(rows, timed) + "\n"]
    return "\n".join([*parts, machine_text(timed) + "\n", END])


def page():
    """Return the page with what is made put into it anew."""
    rows, timed = (json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("runs", "time"))
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + section(rows, timed) + rest.partition(END)[2]


def write_page():
    from minires import plots

    PAGE.write_text(page(), encoding="utf-8")
    rows = json.loads((RESULTS / "runs.json").read_text(encoding="utf-8"))
    folders = [RESULTS / name for name, run in rows.items() if run["finished"] and not run["changed"]]
    print(PAGE, plots.training_curves(folders, FIGURE), sep="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--time", type=Path, metavar="DATA")
    parser.add_argument("--side-by-side", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.time:
        if not args.side_by_side:
            parser.error("--time needs --side-by-side, records of benchmarks/cpu.py on this processor")
        measured_time(args.time, args.side_by_side)
    if args.runs:
        gather(args.runs)
    if args.page or args.runs:
        write_page()


if __name__ == "__main__":
    main()
