"""20,000 sequences of calls, with arrays changed between them, in child processes: no signal, no silent difference.

    python tests/faults/fuzz.py                              the report in benchmarks/results/faults/fuzz.json
    python tests/faults/fuzz.py --guard --count 5000         arrays end, or begin, at a page that no one may touch
    NUMBA_BOUNDSCHECK=1 python tests/faults/fuzz.py --count 5000 --name boundscheck
    python tests/faults/fuzz.py --one 4711                   one sequence, in this process: what it does and answers

A child goes through sequences one after the other and writes down which it is at; where a signal ends it, or nothing
comes for minutes, that sequence is a finding, and another child goes on behind it. So does a script that is begun
again: the report is written after each child.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE = 400  # seconds for one sequence: many kernels may have to be compiled
MEMORY = 6 << 30  # bytes of address space for a child


def child(seed, first, last, guard, place):
    """Examine sequences; write each one's number into `place` before it begins, findings as lines of JSON."""
    import faulthandler
    import resource

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import fuzzing

    counts = Counter()
    with open(place, "w", encoding="ascii") as file:
        for number in range(first, last):
            file.seek(0)
            file.write(f"{number:10d}\n")
            file.flush()
            finding, done, refused, changes = fuzzing.examine(seed, number, guard)
            counts.update(sequences=1, done=done, refused=refused, changes=changes)
            if finding is not None:
                print(json.dumps({"sequence": number, **finding}), flush=True)
    print(json.dumps({"counts": counts}), flush=True)


def environment(tree):
    environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", "MINIRES_NUM_THREADS": "2"}
    if environment.get("NUMBA_BOUNDSCHECK") == "1":  # compiled otherwise, so kept elsewhere
        environment["MINIRES_CACHE"] = str(Path(tempfile.gettempdir()) / "minires-boundscheck")
    return environment


def run_child(seed, first, last, guard, tree=ROOT):
    """Run a child over sequences; return its findings, its counts and the number behind the last one it came to."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "place"
        command = [sys.executable, __file__, "--child", str(first), str(last), str(place), "--seed", str(seed)]
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                command + ["--guard"] * guard, stdout=out, stderr=err, env=environment(tree), cwd=folder
            )
            at, since = "", time.monotonic()
            while process.poll() is None:
                time.sleep(0.05)
                now = place.read_text(encoding="ascii") if place.exists() else ""
                if now != at:
                    at, since = now, time.monotonic()
                if time.monotonic() - since > PATIENCE:
                    process.kill()
                    process.wait()
        lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        findings = [line for line in lines if "counts" not in line]
        counts = Counter(next((line["counts"] for line in lines if "counts" in line), {}))
        if process.returncode == 0:
            return findings, counts, last
        number = int(place.read_text(encoding="ascii")) if place.exists() else first
        said = errors.read_text(encoding="utf-8", errors="replace")
        kind = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        findings.append({"sequence": number, "kind": kind, "said": said[:1200] + said[-800:] * (len(said) > 2000)})
        counts.update(sequences=number + 1 - first)
        return findings, counts, number + 1


def fuzz(seed, count, guard, report_to=None, batch=100, tree=ROOT):
    """Examine so many sequences; return the report."""
    report = {"seed": seed, "guard": guard, "boundscheck": os.environ.get("NUMBA_BOUNDSCHECK") == "1",
              "next": 0, "counts": {}, "kinds": {}, "findings": []}  # fmt: skip
    if report_to is not None and report_to.exists():
        report = json.loads(report_to.read_text(encoding="utf-8"))
        assert (report["seed"], report["guard"]) == (seed, guard), "a report of another kind; choose another --name"
    while report["next"] < count:
        first = report["next"]
        findings, counts, report["next"] = run_child(seed, first, min(first + batch, count), guard, tree)
        report["counts"] = dict(Counter(report["counts"]) + counts)
        report["kinds"] = dict(Counter(report["kinds"]) + Counter([finding["kind"] for finding in findings]))
        report["findings"] = (report["findings"] + findings)[:200]
        if report_to is not None:
            temporary = report_to.with_suffix(".new")
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            temporary.replace(report_to)
    return report


def show(seed, number, guard):
    """Print what a sequence does and what the two kernel sets answer."""
    import fuzzing

    played = []
    for name in ("numpy", "numba"):
        with fuzzing.kernels.use(name):
            played.append(fuzzing.Sequence(seed, number, guard).play())
    for one, other in zip(*played, strict=False):
        print(f"{one[0]:40} {one[1]:8} {one[3]}")
        if one[1:2] + one[3:] != other[1:2] + other[3:]:
            print(f"{'':40} {other[1]:8} {other[3]}     (numba)")
    print(fuzzing.compare(*played))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guard", action="store_true", help="arrays at pages that no one may touch")
    parser.add_argument("--name", default="", help="of the report: fuzz-NAME.json")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the sources that are examined (these)")
    parser.add_argument("--out", type=Path, help="the report's file")
    parser.add_argument("--one", type=int, metavar="NUMBER", help="show one sequence")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.seed, int(args.child[0]), int(args.child[1]), args.guard, args.child[2])
        return 0
    if args.one is not None:
        sys.path.insert(0, str(args.tree))
        show(args.seed, args.one, args.guard)
        return 0
    name = "-".join(["fuzz", *([args.name] if args.name else ["guard"] * args.guard)])
    out = args.out or ROOT / "benchmarks" / "results" / "faults" / f"{name}.json"
    report = fuzz(args.seed, args.count, args.guard, out, tree=args.tree)
    print(f"{report['counts']}, seed {report['seed']}: {report['kinds'] or 'no finding'}")
    return int(bool(report["findings"]))


if __name__ == "__main__":
    sys.exit(main())
