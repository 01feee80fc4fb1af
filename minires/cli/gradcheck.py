"""`minires gradcheck`: every op's hand-written backward against finite differences, under every kernel set: a table."""

import argparse
import textwrap
from typing import Any

from minires.cli.as_json import add_json, print_json

HEADS = ("verdict", "kernels", "precision", "worst", "cases", "checked", "kinks", "op, and what computed it")
CASE_HEADS = ("verdict", "kernels", "precision", "worst", "checked", "kinks", "op, arguments, and what computed it")
WIDTH = 115
TOGETHER = "\u00a0"  # a space at which no line is broken
THOROUGH = 60  # random choices of arguments, for each op's space, beside all pairs


EXAMPLES = [
    ("minires gradcheck", "every op, under every kernel set"),
    ("minires gradcheck --op conv2d", "one op, case by case"),
    ("minires gradcheck --updates", "optimizers, schedules, running statistics"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--op", metavar="NAME", help="check this op alone, such as conv2d, and list its cases")
    parser.add_argument(
        "--kernels", choices=("numpy", "numba"), help="the CPU kernels to check (default: all that can run here)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws inputs and output gradients (default: 0)")
    parser.add_argument("--thorough", action="store_true", help="thousands of cases with arguments drawn at random")
    parser.add_argument(
        "--updates",
        action="store_true",
        help="check what is no gradient: running statistics, optimizers, schedules, initial values",
    )
    add_json(parser, "print every check as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was found, then what is wrong in detail. Return 0 if everything is right, else 1."""
    from minires.gradient_check.case_check import kernel_sets

    sets = [args.kernels] if args.kernels else kernel_sets()
    if args.updates:
        return check_updates(sets, args.seed, args.json)
    return check_gradients(sets, args)


def check_gradients(sets: list[str], args: argparse.Namespace) -> int:
    from minires.gradient_check.case_check import check_case
    from minires.gradient_check.cases import all_cases

    cases = all_cases(args.seed, THOROUGH if args.thorough else 0)
    if args.op is not None:
        known = sorted({case.op for case in cases})
        cases = [case for case in cases if case.op == args.op]
        if not cases:
            raise ValueError(f"unknown op {args.op!r}; known: {', '.join(known)}")
    if args.json:
        return print_checks([row for case in cases for row in check_case(case, sets, args.seed)])
    print(
        f"Backward against central differences in float64, with random output gradients, under {' and '.join(sets)} "
        "kernels;\nfloat32 as it is used, in units of its own rounding. Outputs against each op's formula.\n"
    )
    rows = [row for case in cases for row in check_case(case, sets, args.seed)]
    if args.op is None:
        print_table(HEADS, summary(rows))
    else:
        print_table(CASE_HEADS, [case_line(row) for row in rows])
    return conclude(rows, cases)


def print_checks(rows: list[Any]) -> int:
    """Print each check as JSON. Return 0 if everything is right, else 1."""
    print_json([
        {
            "op": row.case.op,
            "case": row.case.name,
            "shapes": {name: array.shape for name, array in row.case.arguments.items()},
            "kernels": row.kernels,
            "dtype": row.dtype,
            "computed_by": row.computed_by,
            "verdict": row.verdict,
            "worst": row.error,
            "worst_in": "relative error" if row.by_differences else "roundings",
            "checked": row.checked,
            "kinks": row.kinks,
            "message": row.message,
        }
        for row in rows
    ])  # fmt: skip
    return int(any([row.verdict == "WRONG" for row in rows]))


def conclude(rows: list[Any], cases: list[Any]) -> int:
    """Print the details of what is not right, and the last line."""
    failures = [row for row in rows if row.verdict == "WRONG"]
    undecided = [row for row in rows if row.verdict == "undecided"]
    for row in failures + undecided:
        print(f"\n{row.case.name} ({row.kernels} kernels, {row.dtype})\n{row.message}")
    ops = len({case.op for case in cases})
    found = []
    if failures:
        wrong = len({row.case.name for row in failures})
        found.append(f"{wrong} WRONG")
    if undecided:
        found.append(f"{len(undecided)} undecided")
    print(
        f"\n{counted(len(cases), 'case')} of {counted(ops, 'op')}, {counted(len(rows), 'check')}: "
        f"{', '.join(found) or 'all gradients are right'}."
    )
    return 1 if failures else 0


def summary(rows: list[Any]) -> list[tuple[str, ...]]:
    """Make a line of all cases of an op that the same functions computed in the same precision."""
    together: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        key = row.case.op, row.kernels, row.dtype, ", ".join(row.computed_by), row.verdict, str(row.case.exactly)
        together.setdefault(key, []).append(row)
    lines = []
    for (op, kernels, dtype, computed_by, verdict, _), same in together.items():
        worst = max(same, key=lambda row: row.error or 0.0)
        numbers = len(same), sum(row.checked for row in same), sum(row.kinks for row in same) or ""
        what = f"{op}: {computed_by}" if computed_by else op
        lines.append((verdict, kernels, dtype, error_of(worst), *map(str, numbers), what))
    return lines


def case_line(row: Any) -> tuple[str, ...]:
    case = row.case
    shapes = [f"{name}{TOGETHER}{'×'.join(map(str, array.shape))}" for name, array in case.arguments.items()]
    by = f"; by {', '.join(row.computed_by)}" if row.computed_by else ""
    numbers = error_of(row), str(row.checked), str(row.kinks or "")
    return row.verdict, row.kernels, row.dtype, *numbers, f"{case.name}: {', '.join(shapes)}{by}"


def error_of(row: Any) -> str:
    """Write a relative error where differences were taken, roundings where passes were compared."""
    if row.error is None:
        return "-"
    return f"{row.error:.1e}" if row.by_differences else f"{row.error:.1f} roundings"


def check_updates(sets: list[str], seed: int, as_json: bool) -> int:
    """Print one line per update, under each kernel set, then what is wrong; or all of it as JSON."""
    from minires import kernels
    from minires.gradient_check.updates import all_updates

    if not as_json:
        print("Updates against formulas in float64, independent of the code that makes them.\n")
    found = []
    for name in sets:
        with kernels.use(name):
            for update in all_updates(seed):
                problem, worst = update.check()
                verdict = "WRONG" if problem else "ok"
                found.append(
                    {"update": update.name, "kernels": name, "verdict": verdict, "worst": worst, "message": problem}
                )
    failures = [f"{row['update']} ({row['kernels']} kernels)\n{row['message']}" for row in found if row["message"]]
    if as_json:
        print_json([{**row, **measured(row["worst"])} for row in found])
        return 1 if failures else 0
    rows: list[tuple[str, ...]] = [(row["verdict"], row["kernels"], row["worst"], row["update"]) for row in found]
    print_table(("verdict", "kernels", "worst", "what is updated"), rows)
    for failure in failures:
        print(f"\n{failure}")
    verdict = f"{len(failures)} WRONG" if failures else "all updates are right"
    print(f"\n{counted(len(rows), 'update')}: {verdict}.")
    return 1 if failures else 0


def measured(words: str) -> dict[str, Any]:
    """Take "0.4 roundings" apart; a number alone is a relative error, and "-" is none."""
    number, _, unit = words.partition(" ")
    return {"worst": None if number == "-" else float(number), "worst_in": unit or "relative error"}


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print rows below heads; the last column is wrapped, and goes on in lines of its own."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads) - 1)]
    indent = sum(widths) + 2 * len(widths)
    for row in [heads, tuple("-" * len(head) for head in heads), *rows]:
        line = "  ".join([*(text.ljust(width) for text, width in zip(row[:-1], widths, strict=True)), row[-1]])
        print(textwrap.fill(line, WIDTH, subsequent_indent=" " * (indent + 2)).replace(TOGETHER, " "))
