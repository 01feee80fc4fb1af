"""An hour of everything in one process, and its memory looked at: trainings, kills, resumes, evaluations, comparisons.

    python tests/soak.py                        60 minutes, the report in benchmarks/results/faults/soak.json
    python tests/soak.py --minutes 1 --out soak.json
    python tests/soak.py --flat                 10,000 steps, 1,000 models, comparisons and stepper sessions, …: each in
                                                a process of its own, the report in benchmarks/results/faults/flat.json

Everything is done in this process, so that what it does not give back is seen, except a training that is to be killed:
that one begins in a process of its own, and this one goes on with it. Whatever has a result must have the same one
every time. Memory is flat when the last tenth of the curve holds at most 2 % more than the second, files and threads
when there are no more of them.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "faults")]
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the processes have it that are compared with this one

import run_processes as runs  # noqa: E402
import workloads  # noqa: E402
from resources import growth, not_flat, resources, tenth  # noqa: E402

from minires import kernels  # noqa: E402
from minires.runs import records  # noqa: E402

RESULTS = HERE.parent / "benchmarks" / "results" / "faults"


class Soak:
    """What is done, how often, and what it must come to."""

    def __init__(self, folder, seed):
        self.folder, self.draw = Path(folder), random.Random(seed)
        self.configurations = runs.configurations()
        self.references = runs.References(folder)
        self.expected = {}  # what came out the first time
        self.done, self.failures = Counter(), []
        self.sessions, self.models = workloads.sessions(), workloads.whole_models()
        self.comparisons, self.inference = workloads.comparisons(), workloads.inference()
        self.kinds = (self.training, self.killed_training, self.comparison, self.session, self.many_models)

    def round(self):
        """Do one thing."""
        kind = self.draw.choice(self.kinds)
        try:
            kind()
            self.done[kind.__name__] += 1
        except Exception as error:
            self.failures.append(f"{kind.__name__} number {self.done[kind.__name__]}: {type(error).__name__}: {error}")
        shutil.rmtree(self.folder / "out", ignore_errors=True)

    def same(self, name, result):
        """The first result is kept, every other must be it."""
        assert self.expected.setdefault(name, result) == result, f"{name} came to another result than the first time"

    def training(self):
        """A whole run, evaluated."""
        configuration = self.draw.choice(self.configurations)
        code, text = workloads.command(configuration.arguments(self.folder / "out"))
        assert code == 0, text
        self.compare_and_evaluate(configuration)

    def killed_training(self):
        """A run that is killed, in a process of its own, and gone on with in this one."""
        configuration, out = self.draw.choice(self.configurations), self.folder / "out"
        process, target = runs.start(configuration.arguments(out)), self.draw.randint(0, 8)
        runs.wait_until(lambda: runs.last_step(out) >= target, process)
        process.kill()
        process.communicate()
        resume = ["train", "--resume", runs.folder_in(out), "--kernels", configuration.kernels]
        code, text = workloads.command(resume)
        assert code == 0, text
        self.compare_and_evaluate(configuration)

    def compare_and_evaluate(self, configuration):
        folder = runs.folder_in(self.folder / "out")
        different = runs.differences(self.references.of(configuration), runs.outcome(folder))
        assert not different, f"{configuration}: other {', '.join(different)}"
        code, text = workloads.command(["evaluate", folder, "--kernels", configuration.kernels])
        assert code == 0, text
        self.same(str(configuration), (folder / "evaluation.json").read_bytes())
        self.done["evaluations"] += 1

    def comparison(self):
        with kernels.use("numpy"):
            for number in range(2):
                self.same(f"comparison {number}", self.comparisons(number))

    def session(self):
        with kernels.use("numpy"):
            for number in range(20):
                self.same("session", self.sessions(number))

    def many_models(self):
        for number in range(20):
            self.models(number)
        for number in range(50):
            self.same(f"inference {number % 2}", self.inference(number))

    def run(self, minutes, report_to, seed):
        """Go on for so many minutes; write the report every minute."""
        begun, curve, written = time.monotonic(), [], 0.0
        while time.monotonic() - begun < 60 * minutes and len(self.failures) < 20:
            self.round()
            seconds = time.monotonic() - begun
            curve.append({"seconds": round(seconds, 1), **resources()})
            if seconds - written > 60:
                written = seconds
                records.write_json(report_to, self.report(curve, seed))
        report = self.report(curve, seed)
        records.write_json(report_to, report)
        return report

    def report(self, curve, seed):
        return {
            "seed": seed,
            "minutes": round(curve[-1]["seconds"] / 60, 1),
            "done": dict(self.done),
            "failures": self.failures,
            **judged(curve),
        }


def judged(curve):
    """Return a curve of at most 200 samples, and what has grown."""
    thinned = [{**one, "rss": round(one["rss"], 1)} for one in curve[:: max(1, len(curve) // 200)]]
    return {
        "growth": round(growth(curve), 4) if tenth(curve, 1) else None,
        "not flat": not_flat(curve) if tenth(curve, 1) else [],
        "curve": thinned,
    }


def flat(name, count):
    """Do one kind of work so often in this process; return its curve, judged."""
    make, _ = workloads.WORKLOADS[name]
    work, curve, first = make(), [], {}
    begun = time.monotonic()
    for number in range(count):
        result = work(number)
        assert first.setdefault(number % 2, result) == result, f"{name} {number}: another result than the first time"
        if number % max(1, count // 200) == 0:
            curve.append({"number": number, **resources()})
    return {"count": count, "seconds": round(time.monotonic() - begun), **judged(curve)}


def all_flat(share, report_to):
    """Do every kind of work in a process of its own; return the report."""
    report = json.loads(report_to.read_text(encoding="utf-8")) if report_to.exists() else {}
    for name, (_, count) in workloads.WORKLOADS.items():
        if name in report:
            continue  # done by an earlier call
        command = [sys.executable, __file__, "--one", name, str(max(20, int(count * share)))]
        done = subprocess.run(command, capture_output=True, text=True, env=runs.environment())
        report[name] = json.loads(done.stdout) if done.returncode == 0 else {"not flat": [done.stderr[-2000:]]}
        records.write_json(report_to, report)
        print(f"{name}: {report[name].get('count')} in {report[name].get('seconds')} s, growth of resident memory "
              f"{report[name].get('growth')}, {'; '.join(report[name]['not flat']) or 'flat'}", flush=True)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flat", action="store_true", help="each kind of work by itself, in a process of its own")
    parser.add_argument("--share", type=float, default=1.0, help="with --flat: this share of the counts (1)")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="the report (in benchmarks/results/faults)")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(flat(args.one[0], int(args.one[1]))))
        return 0
    if args.flat:
        report = all_flat(args.share, args.out or RESULTS / "flat.json")
        return int(any([entry["not flat"] for entry in report.values()]))
    with tempfile.TemporaryDirectory() as folder:
        report = Soak(folder, args.seed).run(args.minutes, args.out or RESULTS / "soak.json", args.seed)
    print(f"{report['minutes']} minutes: {', '.join([f'{n} × {name}' for name, n in report['done'].items()])}")
    print(f"growth of resident memory {report['growth']}; {'; '.join(report['not flat']) or 'flat'}")
    print("\n".join(report["failures"]) or "no failure")
    return int(bool(report["failures"] or report["not flat"]))


if __name__ == "__main__":
    sys.exit(main())
