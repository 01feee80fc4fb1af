"""Keep what trainings on CIFAR-10 were like: thinned records, a table, the curves.

    python benchmarks/real_training.py --time DATA --side-by-side FILES     what a step takes → time.json
    python benchmarks/real_training.py RUNS --data-dir DATA      folders below RUNS/NAME/ → results/training, the page
    python benchmarks/real_training.py --page    docs/real_training.md and its figure, from there

A run's own minutes are those of the machine as it was; where that was shared with other work they say little. Of a run
that had the machine for itself, `--took NAME=SECONDS` keeps what the whole command took. Time is measured apart, too.
FILES are records of `benchmarks/cpu.py` on a machine that did nothing else: a step of ResNet-20 in MiniRes and in
PyTorch, in turns, on images that lie ready; the one with the median ratio is kept. A step of a training also loads and
augments, and now and then the network is evaluated: how many bare steps that is, is measured in turns with bare steps,
of one thread, in time of the processor, which other work does not add to. DATA is the folder that has CIFAR-10.

Most trainings kept an average of their weights, which the recipes no longer do: see recipe_options.py. A step does not
read the average, so they are trainings of the recipes as they are. The table has the accuracy of the last weights.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import recipe_options
import report

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training"
PAGE = HERE.parent / "docs" / "real_training.md"
FIGURE = HERE.parent / "docs" / "images" / "real_training.png"
DEPTH_FIGURE = FIGURE.with_name("real_degradation.png")
BEGIN, END = "<!-- made by benchmarks/real_training.py -->", "<!-- end of what is made -->\n"
BATCHES = 100  # training steps in a record that is kept
OPTIONS = """An option stays in `cifar10-coffee` where it is worth 0.2 points, the mean of two seeds. These are not. The
average of the weights still shows earlier what a training will come to: the curves above are of the average, where a
run kept one."""
LAST_STEPS = 500  # of a training, whose mean accuracy is given
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

    silent = ("seed", "dataset.", "data.", "model.fused", "model.name", "keep_checkpoints", "checkpoint_every", "ema_")
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


def accuracies(folder, data_dir):
    """Return the test accuracy of a run's last weights as they are, and of their average where it kept one."""
    from minires import runs, training
    from minires.runs import checkpoint
    from minires.runs.building import evaluation_loader, load_data

    model, recipe, _ = runs.load_model(folder, "last")
    recipe.data.dir = str(data_dir)
    loader = evaluation_loader(load_data(recipe), recipe)
    state, _ = checkpoint.load(checkpoint.newest(folder / "checkpoints"))
    found = {}
    for name, weights in (("last", state["model"]), ("average", (state["ema"] or {}).get("averages"))):
        if weights is not None:
            model.load_state_dict(weights)
            found[name] = training.evaluate(model.eval(), loader)[1]
    return found


def summary(rows, arguments, measured):
    """Return the table's row of a run. measured: the accuracies of its last step's weights."""
    recipe, changed = recipe_of(arguments)
    steps = [row for row in rows if "loss" in row]
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
        "accuracy": measured["last"],
        "average_accuracy": measured.get("average"),
        "train_accuracy": statistics.fmean([row["accuracy"] for row in steps[-LAST_STEPS:]]),
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


def gather(out, data_dir, took):
    """Write results/training: a folder for each run that reached its last step, and runs.json.

    took: {name: seconds} of commands that had the machine for themselves; what was known of others is kept.
    """
    from minires import runs
    from minires.runs import records

    before = {name: run["command_seconds"] for name, run in result("runs").items() if "command_seconds" in run}
    took, rows = before | took, {}
    for name, folder in run_folders(out).items():
        config, metrics = runs.read(folder, "config.json"), runs.read(folder, "metrics.jsonl")
        if len([row for row in metrics if "loss" in row]) < config["arguments"]["steps"]:
            print(f"{name}: not at its last step, left out")
            continue
        rows[name] = summary(metrics, config["arguments"], accuracies(folder, data_dir))
        if name in took:
            rows[name]["command_seconds"] = took[name]
        config["arguments"]["data"].pop("dir", None)  # a path of this machine
        (RESULTS / name).mkdir(parents=True, exist_ok=True)
        records.write_json(RESULTS / name / "config.json", config)
        lines = [json.dumps(row) for row in thinned(metrics)]
        records.write_bytes(RESULTS / name / "metrics.jsonl", ("\n".join(lines) + "\n").encode())
        print(name, rows[name]["accuracy"], rows[name]["average_accuracy"], flush=True)
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
    """One line a run."""
    lines = [
        "| network | recipe | seed | steps | test accuracy | error | training accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in rows.values():
        lines.append(
            f"| {title(run)} | {recipe_text(run)} | {run['seed']} | {run['steps']:,} | {run['accuracy']:.2%} | "
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
    name = report.processor_name(Path(machine["family_and_model"]), machine)
    torch = f"PyTorch {machine['torch'].partition('+')[0]}, {peer.removeprefix('torch ')}"
    low, high = timed["spread"]
    return (
        f"The processor: {name}, {machine['cores']} cores. A bare step, on 128 images that lie ready, takes "
        f"{step['minires numba'] * 1e3:.1f} ms in MiniRes and {step[peer] * 1e3:.1f} ms in {torch}: in turns, where "
        f"nothing else ran, the middle one of {timed['processes']} processes. A whole step takes "
        f"{timed['whole_step']:.2f} bare ones ({low:.2f} to {high:.2f} in {timed['turns']} turns, of processor time), "
        f"with loading and augmentation, and an evaluation {timed['evaluation']:.0f}: from these the "
        "minutes of the whole training are derived."
    )


def took_text(rows):
    """Say what whole commands took that had the machine for themselves."""
    return " ".join(
        [
            f"Measured whole, from the command to its end, with compiling, loading and evaluations, where nothing else "
            f"ran: `{run['recipe']}`, seed {run['seed']}, {run['command_seconds'] / 60:.1f} minutes."
            for run in rows.values()
            if "command_seconds" in run
        ]
    )


def depth_text(rows):
    """Say how deep and shallow networks, with skips and without, learned in the same few steps."""
    runs = of_depths(rows).values()
    parts = [f"{title(run)} {run['train_accuracy']:.1%} and {run['accuracy']:.1%}" for run in runs]
    steps = next(iter(runs))["steps"]
    return (
        f"`cifar10-lunch` in {steps:,} steps, one seed. Accuracy on the training images, the mean of the last "
        f"{LAST_STEPS} steps, and on the test images: {', '.join(parts)}."
    )


def of_depths(rows):
    """Return the runs that differ in depth and skips alone."""
    return {name: run for name, run in rows.items() if "steps" in run["changed"] and run["recipe"] == "cifar10-lunch"}


def section(rows, timed):
    """Return what of the page is made."""
    parts = [BEGIN, run_table(rows), "### Deep and shallow, with skips and without", depth_text(rows)]
    parts += [f"![Loss and accuracy of the four](images/{DEPTH_FIGURE.name})"]
    parts += ["### What the options are worth", OPTIONS, recipe_options.table(rows)]
    parts += ["### How long it takes", time_table(rows, timed), took_text(rows), machine_text(timed), END]
    return "\n\n".join(parts)


def page():
    """Return the page with what is made put into it anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + section(*[result(name) for name in ("runs", "time")]) + rest.partition(END)[2]


def result(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def write_page():
    from minires import plots

    PAGE.write_text(page(), encoding="utf-8")
    rows = result("runs")
    whole = [RESULTS / name for name, run in rows.items() if not run["changed"]]
    print(PAGE, plots.training_curves(whole, FIGURE), sep="\n")
    print(plots.training_curves([RESULTS / name for name in of_depths(rows)], DEPTH_FIGURE))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--data-dir", type=Path, metavar="DATA")
    parser.add_argument("--took", nargs="+", default=[], metavar="NAME=SECONDS")
    parser.add_argument("--time", type=Path, metavar="DATA")
    parser.add_argument("--side-by-side", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.time:
        if not args.side_by_side:
            parser.error("--time needs --side-by-side, records of benchmarks/cpu.py on this processor")
        measured_time(args.time, args.side_by_side)
    if args.runs:
        if not args.data_dir:
            parser.error("RUNS needs --data-dir, where CIFAR-10 is: the last weights are evaluated")
        took = dict([text.split("=") for text in args.took])
        gather(args.runs, args.data_dir, {name: float(seconds) for name, seconds in took.items()})
    if args.page or args.runs:
        write_page()


if __name__ == "__main__":
    main()
