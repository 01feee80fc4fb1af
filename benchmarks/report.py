"""Make docs/benchmarks.md and its figure from the JSON files that `cpu.py` wrote to benchmarks/results/cpu.

    python benchmarks/report.py
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "cpu"
BEFORE_AFTER = HERE / "results" / "before_after"
PAGE = HERE.parent / "docs" / "benchmarks.md"
FIGURE = HERE.parent / "docs" / "images" / "benchmarks_cpu.png"

CONTENDERS = ["minires numba", "minires numpy", "torch contiguous", "torch channels_last", "torch compile", "dezero"]
COLOURS = {"minires numba": "#c0392b", "torch contiguous": "#9fb4c7", "torch channels_last": "#3d6b99"}

METHOD = """## How it was measured

Made by `python benchmarks/report.py` from the files in `benchmarks/results`, which `python benchmarks/cpu.py` writes: a
few processes per comparison, in each of which the contenders take turns. Shown is the process with the median ratio:
medians of its turns, quartiles in brackets. "Ratio" is the time over that of the faster PyTorch layout, eager, in the
same process; less is better, and the worst of all processes stands behind the median. "MiniRes numba" is fused, with
folded norms in inference. torch.compile and DeZero ran in processes of their own, so their ratios carry the machine's
drift.

The ratio depends on the processor, so each has its section. It also has two states: in some processes, or some seconds
of them, MiniRes takes longer and PyTorch does not, and the worst ratio of a row says by how much. Then whatever goes to
the third cache or to memory is slower, up to twofold, and what stays in a core's second cache is not: a neighbour on
the same machine uses the third cache, which all cores share. Placement in memory, huge pages, page faults and the core
that a thread runs on were looked at, and change nothing. What helps is to go to the third cache less.
"""


def processors():
    """Return the folders of results, those of processors that are named in full first."""
    folders = [folder for folder in sorted(RESULTS.iterdir()) if any(folder.glob("*.json"))]
    return sorted(folders, key=lambda folder: "model" not in folder.name.split("-"))


def records(folder):
    """Return a processor's records by file name, in the order that a reader looks for them."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    order = {"resnet20": 0, "resnet56": 1, "resnet110": 2, "resnet18": 3, "resnet50": 4}

    def rank(item):
        record = item[1]
        work = record["work"]
        return record["threads"] != 2, not work["training"], order.get(work["model"], 9), work["size"]

    return dict(sorted(found.items(), key=rank))


def title(record):
    work = record["work"]
    stem = ", CIFAR stem" if work["options"].get("stem") == "cifar" else ""
    name = work["model"].replace("resnet", "ResNet-")
    return f"{name}{stem}, {work['batch_size']} images of {work['size']}×{work['size']}"


def milliseconds(row):
    low, high = row["quartiles_s"]
    return f"{row['median_s'] * 1e3:.1f} ({low * 1e3:.1f}–{high * 1e3:.1f})"


def time_table(found):
    """One line per work: MiniRes's time, PyTorch's better layout, the ratio."""
    lines = ["| work | MiniRes numba, ms | better PyTorch layout, ms | ratio |", "|---|---|---|---|"]
    for record in found:
        rows = record["results"]
        best = record["best_peer"]
        if best and "minires numba" in rows:
            ours = rows["minires numba"]
            ratio = ours["median_s"] / rows[best]["median_s"]
            layout = best.removeprefix("torch ")
            every = record.get("ratios", [ratio])
            lines.append(
                f"| {title(record)} | {milliseconds(ours)} | {milliseconds(rows[best])}, {layout} | "
                f"**{ratio:.2f}**, worst {every[-1]:.2f} |"
            )
    return "\n".join(lines)


def contender_table(record):
    """One line per contender of one work, with its memory."""
    rows = record["results"]
    best = rows[record["best_peer"]] if record["best_peer"] else None
    lines = ["| engine | ms | ratio | peak memory, MB | ratio |", "|---|---|---|---|---|"]
    for name in [name for name in CONTENDERS if name in rows]:
        row = rows[name]
        ratio = f"{row['median_s'] / best['median_s']:.2f}" if best else ""
        memory = row.get("peak_memory_mb")
        memory_ratio = f"{memory / best['peak_memory_mb']:.2f}" if memory and best else ""
        megabytes = f"{memory:.0f}" if memory else ""
        lines.append(f"| {name} | {milliseconds(row)} | {ratio} | {megabytes} | {memory_ratio} |")
    for name, why in record.get("missing", {}).items():
        lines.append(f"| {name} | not measured: {why} | | | |")
    return "\n".join(lines)


def op_table(profile, limit=15):
    """The slowest ops of a step, then the others together and the optimizer: the shares add up to the whole."""
    head = "| op | inputs | calls | forward, ms | backward, ms | share | GFLOPS | of peak |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for row in profile["rows"][:limit]:
        seconds = row["forward_s"] + row["backward_s"]
        speed = f"{row['gflops']:.0f} | {row['of_peak']:.0%}" if row["flops"] else " | "
        lines.append(
            f"| {row['op']} | {row['shape']} | {row['calls']} | {row['forward_s'] * 1e3:.2f} | "
            f"{row['backward_s'] * 1e3:.2f} | {seconds / profile['observed_s']:.1%} | {speed} |"
        )
    left = profile["rows"][limit:]
    if left:
        calls = sum(row["calls"] for row in left)
        forward, backward = (sum(row[part] for row in left) for part in ("forward_s", "backward_s"))
        share = (forward + backward) / profile["observed_s"]
        lines.append(f"| {len(left)} more | | {calls} | {forward * 1e3:.2f} | {backward * 1e3:.2f} | {share:.1%} | | |")
    seconds = profile["optimizer_s"]
    lines.append(f"| optimizer, {seconds * 1e3:.2f} ms | | | | | {seconds / profile['observed_s']:.1%} | | |")
    return "\n".join(lines)


def watched(profile):
    """Say what the shares are of, and the GFLOPS."""
    return (
        f"Shares are of {profile['observed_s'] * 1e3:.1f} ms, all ops and the optimizer: each op is timed by an "
        f"observer of the engine. Without the observer a step takes {profile['step_s'] * 1e3:.1f} ms. GFLOPS count the "
        f"definition's products, so Winograd's kernels can pass the peak, {profile['peak_gflops']:.0f} GFLOPS: a "
        "float32 matrix product here. `minires bench --profile` prints this for any model."
    )


def overhead(profile):
    """Say what is left of a step without its compiled kernels."""
    if "overhead_s" not in profile:
        return ""
    share = profile["overhead_s"] / profile["step_s"]
    return (
        f"With compiled kernels that return at once a step takes {profile['overhead_s'] * 1e3:.1f} ms, {share:.1%}: "
        "Python, the graph, memory, and what NumPy computes.\n\n"
    )


def processor_name(folder, machine):
    """Name a processor: AMD EPYC of family 26, model 2."""
    words = folder.name.split("-")
    if "model" not in words:
        return f"{machine['processor']}, family not recorded"
    return f"{machine['processor']} of family {words[words.index('family') + 1]}, model {words[-1]}"


def result(folder, found):
    """Say in a sentence how the training step of the first network compares on a processor."""
    record = next(record for record in found.values() if record["best_peer"])
    rows, best = record["results"], record["best_peer"]
    ours, theirs = rows["minires numba"]["median_s"], rows[best]["median_s"]
    name, worst = title(record).split(",")[0], record["ratios"][-1]
    return (
        f"- {processor_name(folder, record['machine'])}: a training step of {name} takes {ours * 1e3:.0f} ms, "
        f"**{ours / theirs:.2f}** of PyTorch's {theirs * 1e3:.0f} ms; in the worst of {len(record['ratios'])} "
        f"processes {worst:.2f}"
    )


def page(found_by_folder):
    """The result first, then the figure, how it was measured, and all numbers, processor by processor."""
    folders = list(found_by_folder)
    parts = ["# Speed on the CPU\n"]
    parts.append("Shorter is better: the time of a step over that of PyTorch's faster layout, on the same two cores.\n")
    parts.append("\n".join([result(*item) for item in found_by_folder.items()]) + "\n")
    parts.append("![Times over the faster PyTorch layout's](images/benchmarks_cpu.png)\n")
    machine = next(iter(found_by_folder[folders[0]].values()))["machine"]
    parts += [f"The figure is of {processor_name(folders[0], machine)}.\n", METHOD]
    for folder, found in found_by_folder.items():
        machine = next(iter(found.values()))["machine"]
        vectors, caches = ", ".join(machine.get("vectors", [])), machine.get("caches", {})
        sizes = "".join([f", {level} {size}" for level, size in caches.items()])
        parts.append(f"## {processor_name(folder, machine)}\n\n{machine['cores']} cores, {vectors}{sizes}.\n")
        parts += before_and_after(folder)
        parts += section(found)
    return "\n".join(parts)


def before_and_after(folder):
    """Return what the page says of two states of the code, where they were measured on this processor."""
    path = BEFORE_AFTER / f"{folder.name}.json"
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    before, after = record["commits"]
    lines = [
        f"### Before and after\n\nCommits {before} and {after}, a process of the one after a process of the other. "
        "Milliseconds, and ratios to the faster PyTorch layout in the same process: the median of the processes, and "
        "the worst.\n",
        "| work | before, ms | after, ms | ratio before | ratio after |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"].values():
        kind = "training step" if row["work"]["training"] else "inference"
        work = f"{title(row)}: {kind}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
        states = row["before"], row["after"]
        times = " | ".join([f"{state['ms']:.1f}, worst {state['times_ms'][-1]:.1f}" for state in states])
        ratios = " | ".join([f"{state['ratio']:.2f}, worst {state['ratios'][-1]:.2f}" for state in states])
        lines.append(f"| {work} | {times} | {ratios} |")
    return ["\n".join(lines) + "\n"]


def section(found):
    """Return what the page says of one processor."""
    parts = []
    for threads in (2, 1):
        for training in (True, False):
            some = [r for r in found.values() if r["threads"] == threads and r["work"]["training"] == training]
            if some:
                kind = "Training step" if training else "Inference"
                parts.append(f"### {kind}, {threads} thread{'s' if threads > 1 else ''}\n\n{time_table(some)}\n")
    for record in found.values():
        if any("peak_memory_mb" in row for row in record["results"].values()):
            parts.append(f"### {title(record)}: all engines\n\nTraining step, {record['threads']} threads.\n\n"
                         f"{contender_table(record)}\n")
    for record in found.values():
        if record.get("per_op"):
            parts.append(
                f"### {title(record)}: op by op\n\n{watched(record['per_op'])}\n\n{overhead(record['per_op'])}"
                f"{op_table(record['per_op'])}\n"
            )
    machines = {json.dumps(record["machine"], sort_keys=True) for record in found.values()}
    parts.append("### The machine\n")
    for text in sorted(machines):
        parts.append("".join(f"- {key}: {value}\n" for key, value in json.loads(text).items()))
    return parts


def figure(found):
    """Bars per work: each engine's time over that of the faster PyTorch layout, which is the line at 1."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    some = [record for record in found.values() if record["threads"] == 2 and record["best_peer"]]
    height, apart = 0.26, 1.2  # of a bar; from work to work, whose name stands above their bars
    fig, axes = plt.subplots(figsize=(5, 0.8 * len(some) + 1.2), layout="constrained")
    for k, (name, colour) in enumerate(COLOURS.items()):
        places, ratios = [], []
        for i, record in enumerate(some):
            if name in record["results"]:
                best = record["results"][record["best_peer"]]["median_s"]
                places.append(i * apart + k * height)
                ratios.append(record["results"][name]["median_s"] / best)
        label = name.replace("minires", "MiniRes").replace("torch", "PyTorch").replace("_", " ")
        axes.barh(places, ratios, height, color=colour, label=label)
        ink = "black" if name == "torch contiguous" else "white"
        for place, ratio in zip(places, ratios, strict=True):  # at the foot of the bar, away from the line at 1
            axes.text(0.015, place, f"{ratio:.2f}", fontsize=11, color=ink, va="center_baseline")
    kinds = {True: "training step", False: "inference"}
    for i, record in enumerate(some):
        text = f"{title(record)}: {kinds[record['work']['training']]}"
        axes.text(0, i * apart - 0.62 * height, text, fontsize=11, va="bottom")
        axes.vlines(1, i * apart - 0.5 * height, i * apart + 2.6 * height, color="#222222", linewidth=1.2)
    axes.set_yticks([])
    axes.set_ylim(apart * (len(some) - 1) + 2.8 * height, -2.2 * height)
    axes.tick_params(labelsize=11)
    axes.set_xlabel("time over that of the faster PyTorch layout,\n2 threads (less is better)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside upper center", ncols=1, fontsize=11, frameon=False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(FIGURE, dpi=150)


def main():
    found = {folder: records(folder) for folder in processors()}
    if not found:
        raise SystemExit(f"{RESULTS} holds no results; first: python benchmarks/cpu.py")
    figure(next(iter(found.values())))
    PAGE.write_text(page(found))
    print(f"{PAGE}\n{FIGURE}")


if __name__ == "__main__":
    main()
