"""Keep what two states of the code took, measured in turns on one machine in one sitting.

    python benchmarks/before_after.py BEFORE AFTER --commits 36bc152 4b77ac4

BEFORE and AFTER are folders with the records of `cpu.py --out`, one for each process: resnet20-training-2.0.json,
resnet20-training-2.1.json, … Each was run by the `cpu.py` of its own state, a process of the one after a process of the
other, so that both saw the same hours of the machine. AFTER's become this processor's results in results/cpu, one file
a comparison, as if `cpu.py` had run them; the times and ratios of both go to results/before_after. Then
`report.py` makes the page. A comparison of which one of the folders holds nothing is left out of the table.
"""

import argparse
import json
import statistics
from pathlib import Path

import cpu

OUT = cpu.HERE / "results" / "before_after"


def processes(folder):
    """Return the records of a folder by comparison, those of its processes in their order."""
    found = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: (path.stem, path.name)):
        name, _, number = path.stem.rpartition(".")
        if number.isdigit():
            found.setdefault(name, []).append(json.loads(path.read_text()))
    return found


def summary(records):
    """Return the ratios and milliseconds of all processes of a comparison, sorted, their medians first."""
    rows = [record["results"]["minires numba"] for record in records]
    ratios, times = sorted(row["time_ratio"] for row in rows), sorted(row["median_s"] * 1e3 for row in rows)
    memory = [row["peak_memory_mb"] for row in rows if row.get("peak_memory_mb")]
    return {"ratio": statistics.median(ratios), "ratios": ratios, "ms": statistics.median(times), "times_ms": times,
            "peak_memory_mb": memory[0] if memory else None,
            "load_averages": [round(record["load_average"], 2) for record in records]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--commits", nargs=2, required=True, metavar=("BEFORE", "AFTER"), help="of the two states")
    args = parser.parse_args()
    before, after = processes(args.before), processes(args.after)
    if not after:
        raise SystemExit(f"{args.after} holds no NAME.NUMBER.json")
    processor = next(iter(after.values()))[0]["machine"]["family_and_model"]
    for name, records in after.items():
        out = cpu.RESULTS / processor / f"{name}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(cpu.together(records), indent=2) + "\n")
        print(out)
    rows = {name: {"work": records[0]["work"], "threads": records[0]["threads"], "before": summary(before[name]),
                   "after": summary(records)} for name, records in after.items() if name in before}
    out = OUT / f"{processor}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {"commits": args.commits, "machine": next(iter(after.values()))[0]["machine"], "rows": rows}
    out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"{out}\nnow: python benchmarks/report.py")


if __name__ == "__main__":
    main()
