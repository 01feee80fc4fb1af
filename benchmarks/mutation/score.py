"""How many mutants `minires gradcheck` kills: the measure of the checker.

    python benchmarks/mutation/score.py                 # all; goes on where it was stopped
    python benchmarks/mutation/score.py --seconds 600   # as many as fit, in random order
    python benchmarks/mutation/score.py --mutants 100   # a sample
    python benchmarks/mutation/score.py --report        # the table, from what is there

Each mutant (mutants.py) is planted in a fork of one warm process, by giving the function the mutant's code, and only
the cases and updates that call the function are run, under the NumPy kernels: what `gradcheck --kernels numpy` and
`gradcheck --updates` run. A mutant dies when one of them is not right, raises, or takes longer than a minute. The
result, with every survivor, goes to benchmarks/results/mutation.json; equivalent.json lists the mutants that compute
the same, or nothing that a gradient check is about, with the reason.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a fork has no threads
os.environ["MINIRES_KERNELS"] = "numpy"

from mutants import FILES, PACKAGE, Mutant, mutants_of  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results" / "mutation.json"
EQUIVALENT = Path(__file__).with_name("equivalent.json")
LONGEST = 60  # seconds
SURVIVED, KILLED = 0, 1

Check = Callable[[], bool]  # True where everything is right


@dataclass
class Tried:
    """One thing that gradcheck runs. once: a single pass of it, which shows what functions it calls."""

    name: str
    check: Check
    once: Callable[[], Any]
    called: set[tuple[str, str]] = field(default_factory=set)  # (file, qualified name)
    seconds: float = 0.0


def checks() -> list[Tried]:
    """List what gradcheck runs."""
    from minires.gradient_check.case_check import check_case
    from minires.gradient_check.cases import all_cases
    from minires.gradient_check.updates import all_updates

    def case_is_right(case: Any) -> bool:
        return all(row.verdict == "ok" for row in check_case(case, ["numpy"]))

    found = []
    for case in all_cases():
        points = list(case.arguments.values())
        once = partial(pass_once, case.fn, points)
        found.append(Tried(case.name, partial(case_is_right, case), once))
    for update in all_updates():
        found.append(Tried(update.name, lambda update=update: not update.check()[0], update.check))
    return found


def pass_once(fn: Callable[..., Any], points: list[Any]) -> None:
    """Pass forward and backward."""
    import numpy as np

    from minires.engine import Tensor

    y = fn(*[Tensor(point, requires_grad=True) for point in points])
    y = y[0] if isinstance(y, tuple) else y
    y.backward(np.ones(y.shape))


def trace(tried: Tried) -> None:
    """Find which of the package's functions it calls, and how long a pass takes."""
    prefix = str(PACKAGE)

    def look(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(prefix):
            tried.called.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(look)
    start = time.process_time()
    tried.once()
    sys.setprofile(before)
    tried.seconds = time.process_time() - start


def verdict(mutant: Mutant, run: list[Check]) -> str:
    """Plant a mutant in a fork, and run the checks there until one of them is not right."""
    code = mutant.code()
    if code is None:
        return "no program"
    sys.stdout.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return "survived" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == SURVIVED else "killed"
    signal.alarm(LONGEST)
    result = SURVIVED
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        function_of(mutant).__code__ = code
        for check in run:
            if not check():
                result = KILLED
                break
    except BaseException:
        result = KILLED
    os._exit(result)


def function_of(mutant: Mutant) -> Any:
    module = "minires." + mutant.file.removesuffix(".py").replace("/", ".")
    found: Any = sys.modules[module]
    for part in mutant.function.split("."):
        found = vars(found)[part]
    return found


def score(seconds: float, number: int, seed: int, results: Path, find_checks: Callable[[], list[Tried]]) -> None:
    """Run mutants in random order, the first so many of it, and write down now and then what is known."""
    known = json.loads(results.read_text(encoding="utf-8"))["mutants"] if results.exists() else {}
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    mutants = [mutant for file in FILES for mutant in mutants_of(file)]
    drawn = random.Random(seed).sample(mutants, min(number, len(mutants)))
    open_ones = [mutant for mutant in drawn if mutant.name not in known and mutant.name not in equivalent]
    tried = find_checks()
    for one in tried:
        trace(one)
    tried.sort(key=lambda one: one.seconds)
    end = time.monotonic() + seconds
    for place, mutant in enumerate(open_ones):
        if time.monotonic() > end:
            break
        key = str(PACKAGE / mutant.file), mutant.function
        run = [one.check for one in tried if key in one.called]
        known[mutant.name] = verdict(mutant, run)
        if place % 10 == 9:
            write(results, known, mutants, equivalent)
    write(results, known, mutants, equivalent)


def write(results: Path, known: dict[str, str], mutants: list[Mutant], equivalent: dict[str, str]) -> None:
    """Write the table by file, the survivors and all verdicts, at once or not at all."""
    names = {mutant.name for mutant in mutants}
    known = {name: verdict for name, verdict in sorted(known.items()) if name in names and name not in equivalent}
    known = {name: verdict for name, verdict in known.items() if verdict != "no program"}
    table = {}
    for file in FILES:
        mine = [name for name in known if name.startswith(file + ":")]
        killed = sum(known[name] == "killed" for name in mine)
        table[file] = {
            "mutants": sum(name.startswith(file + ":") for name in names),
            "equivalent": sum(name.startswith(file + ":") for name in equivalent if name in names),
            "run": len(mine),
            "killed": killed,
            "score": round(100 * killed / len(mine), 1) if mine else None,
        }
    survivors = [name for name in known if known[name] == "survived"]
    record = {"files": table, "survivors": survivors, "mutants": known}
    temporary = results.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, results)


def report(results: Path) -> None:
    record = json.loads(results.read_text(encoding="utf-8"))
    print(f"{'file':30} mutants  equivalent    run  killed   score")
    total = dict.fromkeys(("mutants", "equivalent", "run", "killed"), 0)
    for file, row in record["files"].items():
        for name in total:
            total[name] += row[name]
        print(line(file, row))
    print(line("all", {**total, "score": round(100 * total["killed"] / max(1, total["run"]), 1)}))
    for name in record["survivors"]:
        print("survived", name)


def line(name: str, row: dict[str, Any]) -> str:
    counts = f"{row['mutants']:7}  {row['equivalent']:10}  {row['run']:5}  {row['killed']:6}"
    return f"{name:30} {counts}  {row['score'] or '-':>6}"


def main(find_checks: Callable[[], list[Tried]] = checks) -> None:
    parser = argparse.ArgumentParser(description="The mutation score of minires gradcheck")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many (default: when all have run)")
    parser.add_argument("--mutants", type=int, default=10**9, help="the first so many of the order (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="print what is there, and run nothing")
    args = parser.parse_args()
    if not args.report:
        score(args.seconds, args.mutants, args.seed, args.results, find_checks)
    report(args.results)


if __name__ == "__main__":
    main()
