"""Kill trainings, at 1,000 moments and in every way there is, and see that each still ends as one that was left alone.

    python tests/kills.py                                  1,000 × kill -9, and 30 of each other kind
    python tests/kills.py --kills 20 --others 1 --kernels numpy --out kills.json

A run is begun, something happens to it, it is gone on with, something happens again, until it has done its last step:
then its checkpoints, byte by byte, its metrics and its report must be those of the run that nothing happened to. Each
run has a configuration and random moments by its number and the seed; the report is written after each, and a script
that is begun again goes on behind the last one in it.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent / "faults")]
import run_processes as runs  # noqa: E402

from minires.runs import records  # noqa: E402

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGHUP": signal.SIGHUP}
INSIDE = {"memory": (0, 120), "clock": (0, 200), "fsync": (1, 40), "size": (1, 900)}
KINDS = ("kill", *SIGNALS, "stop and continue", "two trainers", "full disk", *INSIDE)
CODES = {  # what a process may end with after it; 0: it was done before
    "kill": {-9, 0},
    "SIGTERM": {143, -15, 0},
    "SIGINT": {130, -2, 0},
    "SIGHUP": {129, -1, 0},
    "stop and continue": {-9, 0},
    "two trainers": {-9, 0},
    "full disk": {1, 0},
    "memory": {2, 1, 0},  # 1: OpenBLAS itself gives up
    "clock": {-9, 0},
    "fsync": {1, 0},
    "size": {1, 0},
}
NOTHING_TO_GO_ON_FROM = "holds none, so there is nothing to go on from"


class Disk:
    """A disk of 16 MiB to hold runs, where this process may make one (root, on Linux); else there is none."""

    def __init__(self, folder):
        self.folder = Path(folder) / "disk"
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(self.folder)]
        self.there = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None
        self.there = self.there and subprocess.run(command, capture_output=True).returncode == 0

    def fill(self, left):
        """Leave so many bytes of it free."""
        with (self.folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            free = os.statvfs(self.folder)
            file.write(bytes(max(0, free.f_bavail * free.f_bsize - left)))

    def empty(self):
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self):
        if self.there:
            subprocess.run(["umount", str(self.folder)], check=True)


class Kills:
    """What has been done so far, and what came of it."""

    def __init__(self, folder, seed, wanted, kernels):
        self.folder, self.seed, self.wanted = Path(folder), seed, wanted
        self.configurations = runs.configurations(kernels)
        self.references = runs.References(folder)
        self.done, self.phases, self.codes = Counter(), Counter(), Counter()
        self.failures, self.runs, self.anew, self.left_behind = [], 0, 0, 0
        self.startup = 0.5  # seconds, from the last life that came to a checkpoint
        self.disk = Disk(folder)

    def report(self):
        return {
            "seed": self.seed,
            "runs": self.runs,
            "a disk of its own": self.disk.there,
            "done": dict(self.done),
            "phases of kills": dict(self.phases),
            "exit codes": dict(self.codes),
            "begun anew": self.anew,
            "hidden files left in finished runs": self.left_behind,
            "failures": self.failures,
        }

    def take_over(self, report):
        """Go on behind an earlier report."""
        self.runs, self.anew, self.failures = report["runs"], report["begun anew"], report["failures"]
        self.left_behind = report["hidden files left in finished runs"]
        self.done.update(report["done"])
        self.phases.update(report["phases of kills"])
        self.codes.update(report["exit codes"])

    def missing(self):
        """List the kinds of which there are not enough yet."""
        return [kind for kind in KINDS if self.done[kind] < self.wanted[kind]]

    def one_run(self):
        """Carry a run through all that happens to it, and compare it with the one left alone."""
        number, self.runs = self.runs, self.runs + 1
        draw = runs.draws(self.seed, number)
        configuration = self.configurations[number % len(self.configurations)]
        reference = self.references.of(configuration)
        on_disk = self.disk.there and "full disk" in self.missing() and draw.random() < 0.5
        out = (self.disk.folder if on_disk else self.folder) / f"run-{number}"
        history, harmless = [], 0
        try:
            while True:
                kinds = [kind for kind in self.missing() if on_disk or kind != "full disk"]
                if not kinds or harmless > 40:
                    kind = "none"
                elif "kill" in kinds and draw.random() < 0.6:
                    kind = "kill"
                else:
                    kind = draw.choice(kinds)
                before = runs.last_step(out)
                code, message = self.life(kind, configuration, out, draw)
                history.append((kind, code, before))
                harmless += code == 0 or kind in ("fsync", "size", "memory")
                self.codes[f"{kind}: {code}"] += 1
                if code not in CODES.get(kind, {0}) and NOTHING_TO_GO_ON_FROM not in message:
                    raise AssertionError(f"{kind} ended with {code}: {message[-1500:]}")
                if "Traceback" in message:
                    raise AssertionError(f"{kind}, a traceback: {message[-1500:]}")
                folder = runs.folder_in(out)
                if code == 0 and folder is not None and (folder / "report.json").exists():
                    break
                if NOTHING_TO_GO_ON_FROM in message or folder is None or not (folder / "config.json").exists():
                    shutil.rmtree(out, ignore_errors=True)
                    self.anew += 1
            different = runs.differences(reference, runs.outcome(folder))
            if different:
                raise AssertionError(f"not as the run that was left alone: {', '.join(different)}")
            if hidden := runs.leftovers(folder):
                self.left_behind += len(hidden)
        except Exception as error:
            entry = {"run": number, "configuration": str(configuration), "error": f"{type(error).__name__}: {error}"}
            self.failures.append({**entry, "history": [list(one) for one in history[-12:]]})
        finally:
            self.disk.empty()
            shutil.rmtree(out, ignore_errors=True)

    def life(self, kind, configuration, out, draw):
        """Begin the run or go on with it, let something happen, and return the exit code and what it said."""
        began_at = runs.last_step(out)
        folder = runs.folder_in(out)
        arguments = configuration.arguments(out)
        if folder is not None:
            arguments = ["train", "--resume", str(folder), "--kernels", configuration.kernels]
        inside = (kind, draw.randint(*INSIDE[kind])) if kind in INSIDE else ()
        begun = time.monotonic()
        process = runs.start(arguments, inside)
        try:
            if kind in ("kill", "clock", "stop and continue", "two trainers", *SIGNALS):
                early = kind in ("kill", *SIGNALS) and draw.random() < 0.4
                if early:  # while it imports, builds, or resumes
                    time.sleep(draw.random() * 1.1 * self.startup)
                else:
                    target = began_at + draw.randint(1, 5)
                    runs.wait_until(lambda: runs.last_step(out) > max(began_at, 0), process)
                    if runs.last_step(out) > began_at >= 0:
                        self.startup = time.monotonic() - begun
                    runs.wait_until(lambda: runs.last_step(out) >= target, process)
                    time.sleep(draw.random() * 0.03)
                getattr(self, kind.replace(" ", "_"), self.send)(kind, process, out, draw)
            elif kind == "full disk":
                runs.wait_until(lambda: runs.last_step(out) > began_at, process)
                self.disk.fill(draw.choice((0, 4096, 50_000, 150_000)))
            _, message = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            _, message = process.communicate()
            raise AssertionError(f"{kind}: it did not end in two minutes: {message[-1500:]}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
            self.disk.empty()
        if process.returncode == 0 and kind in ("kill", *SIGNALS):
            kind = "none"  # it was done before the signal came
        self.done[kind] += 1
        if kind == "kill":
            self.phases[runs.phase(out, began_at)] += 1
        return process.returncode, message

    def send(self, kind, process, out, draw):
        if process.poll() is None:
            process.send_signal(SIGNALS.get(kind, signal.SIGKILL))

    def stop_and_continue(self, kind, process, out, draw):
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            time.sleep(draw.random() * 0.1)
            process.send_signal(signal.SIGCONT)
            time.sleep(draw.random() * 0.05)
        if draw.random() < 0.5:
            process.kill()

    def two_trainers(self, kind, process, out, draw):
        """A second process that goes on with the run is refused, unless the first is done."""
        folder = runs.folder_in(out)
        if folder is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)  # so that it holds the lock as long as the other tries
        second = runs.start(["train", "--resume", str(folder)])
        _, message = second.communicate(timeout=120)
        process.send_signal(signal.SIGCONT)
        done = (folder / "report.json").exists()
        if not done and (second.returncode != 2 or "is writing to" not in message):
            raise AssertionError(f"the second trainer ended with {second.returncode}: {message[-500:]}")
        if draw.random() < 0.5:
            process.kill()


def carry_out(folder, seed, wanted, kernels=("numpy", "numba"), report_to=None):
    """Kill until there are as many of each kind as wanted; return the report."""
    kills = Kills(folder, seed, wanted, kernels)
    if report_to is not None and report_to.exists():
        earlier = json.loads(report_to.read_text(encoding="utf-8"))
        assert earlier["seed"] == seed, "the report is of another seed; choose another file with --out"
        kills.take_over(earlier)
    if not kills.disk.there:
        kills.wanted = {**wanted, "full disk": 0}
    try:
        while kills.missing() and len(kills.failures) < 50:
            kills.one_run()
            if report_to is not None:
                records.write_json(report_to, kills.report())
    finally:
        kills.disk.close()
    return kills.report()


def summary(report):
    """Return one line that says what was done and what came of it."""
    others = ", ".join([f"{number} × {kind}" for kind, number in report["done"].items() if kind in KINDS[1:]])
    phases = ", ".join([f"{number} {phase}" for phase, number in sorted(report["phases of kills"].items())])
    return (
        f"{report['done'].get('kill', 0)} × kill -9 ({phases}); {others}; {report['runs']} runs, "
        f"{report['begun anew']} begun anew, {report['hidden files left in finished runs']} hidden files left, "
        f"{len(report['failures'])} not as the run that was left alone"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="how often kill -9 (1000)")
    parser.add_argument("--others", type=int, default=30, help="how often each other kind (30)")
    parser.add_argument("--kernels", nargs="+", default=["numpy", "numba"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/faults/kills.json"))
    args = parser.parse_args()
    for number in SIGNALS.values():
        if signal.getsignal(number) is signal.SIG_IGN:  # by nohup or a shell's &: the trainings would ignore it too
            signal.signal(number, signal.SIG_DFL)
    wanted = {kind: args.kills if kind == "kill" else args.others for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        report = carry_out(folder, args.seed, wanted, tuple(args.kernels), args.out.resolve())
    print(summary(report))
    for failure in report["failures"]:
        print(json.dumps(failure, indent=1))
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
