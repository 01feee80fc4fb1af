"""How many mutants `minires gradcheck` kills: the measure of the checker.

    python benchmarks/mutation/score.py                          # all; goes on where it was stopped
    python benchmarks/mutation/score.py --seconds 600            # as many as fit, in random order
    python benchmarks/mutation/score.py --mutants 100            # a sample
    python benchmarks/mutation/score.py --again survived         # those that survived, once more; also --again all
    python benchmarks/mutation/score.py --report                 # the table, from what is there

Each mutant (mutants.py) is planted in a fork of one warm process, by giving the function the mutant's code, and only
the cases and updates that call the function are run, under the NumPy kernels: what `gradcheck --kernels numpy` and
`gradcheck --updates` run. A mutant dies when one of them is not right, raises, or computes for longer than LONGEST. The
result, with every survivor, goes to benchmarks/results/mutation.json. A verdict holds while its function is what it
was; new cases let survivors die, and for them, or for cases that were taken away, one says `--again`.

equivalent.json lists, under the reason, the mutants that compute the same numbers, and those that change no number that
a gradient check is about. They are run too: one that dies is listed wrongly, and the report says so. The score is of
the others; argument checks are counted, and not run (mutants.py).
"""

import argparse
import ast
import hashlib
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

from mutants import FILES, PACKAGE, Mutant, functions_of, mutants_of  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results" / "mutation.json"
EQUIVALENT = Path(__file__).with_name("equivalent.json")
LONGEST = 60  # seconds of computing, not of waiting for a processor
SURVIVED, KILLED = 0, 1
SAME, OTHER = "the same numbers", "no number of a gradient or an update"

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
        if os.WIFEXITED(status):
            return "survived" if os.WEXITSTATUS(status) == SURVIVED else "killed"
        return "killed, out of time" if os.WTERMSIG(status) == signal.SIGPROF else "killed"
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
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


def score(args: argparse.Namespace, find_checks: Callable[[], list[Tried]]) -> None:
    """Run mutants in random order, the first so many of it, and write down now and then what is known."""
    known = remembered(args.results, args.again)
    mutants = [mutant for file in FILES for mutant in mutants_of(file)]
    drawn = random.Random(args.seed).sample(mutants, min(args.mutants, len(mutants)))
    open_ones = [mutant for mutant in drawn if mutant.name not in known and not mutant.argument_check]
    kinds = listed()
    open_ones.sort(key=lambda mutant: mutant.name in kinds)  # what is listed goes through all checks: it comes last
    tried = find_checks()
    for one in tried:
        trace(one)
        if not one.check():
            raise SystemExit(f"{one.name} is wrong before anything is planted")
    tried.sort(key=lambda one: one.seconds)
    end = time.monotonic() + args.seconds
    for place, mutant in enumerate(open_ones):
        if time.monotonic() > end:
            break
        key = str(PACKAGE / mutant.file), mutant.function
        run = [one.check for one in tried if key in one.called]
        known[mutant.name] = verdict(mutant, run)
        if place % 10 == 9:
            write(args.results, known, mutants)
    write(args.results, known, mutants)


def remembered(results: Path, again: str) -> dict[str, str]:
    """Return the verdicts that still hold: of functions that are as they were, and not asked for again."""
    if not results.exists() or again == "all":
        return {}
    record = json.loads(results.read_text(encoding="utf-8"))
    now = digests()
    same = {function for function, digest in record.get("functions", {}).items() if now.get(function) == digest}
    return {
        name: verdict
        for name, verdict in record["mutants"].items()
        if function_of_name(name) in same and verdict != again
    }


def function_of_name(name: str) -> str:
    """Return "ops/affine.py:MatMul.forward" of a mutant's name."""
    file, _, rest = name.partition(":")
    return f"{file}:{rest.partition(': ')[0]}"


def digests() -> dict[str, str]:
    """Return a digest of every function's source."""
    found = {}
    for file in FILES:
        text = (PACKAGE / file).read_text(encoding="utf-8")
        for name, function in functions_of(ast.parse(text)):
            source = ast.get_source_segment(text, function) or ""
            found[f"{file}:{name}"] = hashlib.sha256(source.encode()).hexdigest()[:12]
    return found


def listed() -> dict[str, str]:
    """Return of each mutant in equivalent.json under which of the two kinds it stands."""
    kinds = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return {name: kind for kind, reasons in kinds.items() for names in reasons.values() for name in names}


def write(results: Path, known: dict[str, str], mutants: list[Mutant]) -> None:
    """Write the table by file, the survivors and all verdicts, at once or not at all."""
    kinds = listed()
    names = {mutant.name for mutant in mutants if not mutant.argument_check}
    known = {name: verdict for name, verdict in sorted(known.items()) if name in names and verdict != "no program"}
    table = {}
    for file in FILES:
        mine = [name for name in known if name.startswith(file + ":")]
        to_kill = [name for name in mine if name not in kinds]
        killed = sum(known[name] != "survived" for name in to_kill)
        table[file] = {
            "mutants": sum(mutant.file == file for mutant in mutants),
            "argument checks": sum(mutant.file == file and mutant.argument_check for mutant in mutants),
            "run": len(mine),
            "the same": sum(kinds.get(name) == SAME for name in mine),
            "other": sum(kinds.get(name) == OTHER for name in mine),
            "killed": killed,
            "score": round(100 * killed / len(to_kill), 1) if to_kill else None,
        }
    record = {
        "columns": {
            "argument checks": "mutants of what only refuses bad input: not run (mutants.py)",
            "the same": f"listed in equivalent.json: {SAME}",
            "other": f"listed in equivalent.json: {OTHER}",
            "killed": "of those run that are not listed; the score is their share",
        },
        "files": table,
        "survivors": [name for name in known if known[name] == "survived" and name not in kinds],
        "out of time": [name for name in known if known[name] == "killed, out of time"],
        "listed and killed": [name for name in known if name in kinds and known[name] != "survived"],
        "functions": digests(),
        "mutants": known,
    }
    temporary = results.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, results)


COLUMNS = ("mutants", "argument checks", "run", "the same", "other", "killed")


def report(results: Path) -> None:
    record = json.loads(results.read_text(encoding="utf-8"))
    print(f"{'file':30}  {'  '.join(COLUMNS)}   score")
    total = dict.fromkeys(COLUMNS, 0)
    for file, row in record["files"].items():
        for name in total:
            total[name] += row[name]
        print(line(file, row))
    to_kill = total["run"] - total["the same"] - total["other"]
    print(line("all", {**total, "score": round(100 * total["killed"] / max(1, to_kill), 1)}))
    for kind in ("survivors", "listed and killed"):
        for name in record[kind]:
            print(f"{kind}: {name}")


def line(name: str, row: dict[str, Any]) -> str:
    counts = "  ".join([str(row[column]).rjust(len(column)) for column in COLUMNS])
    return f"{name:30}  {counts}  {'-' if row['score'] is None else row['score']:>6}"


def main(find_checks: Callable[[], list[Tried]] = checks) -> None:
    parser = argparse.ArgumentParser(description="The mutation score of minires gradcheck")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many (default: when all have run)")
    parser.add_argument("--mutants", type=int, default=10**9, help="the first so many of the order (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--again", default="", metavar="VERDICT", help="run those that survived once more, or all")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="print what is there, and run nothing")
    args = parser.parse_args()
    if not args.report:
        score(args, find_checks)
    report(args.results)


if __name__ == "__main__":
    main()
