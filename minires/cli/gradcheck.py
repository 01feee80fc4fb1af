"""`minires gradcheck`: every op's hand-written backward against finite differences, as a table."""

import argparse
import contextlib
import textwrap

HEADS = ("verdict", "relative error", "checked", "kinks", "op and its arguments")
WIDTH = 105
TOGETHER = "\u00a0"  # a space at which no line is broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--op", metavar="NAME", help="check this op alone, such as conv2d")
    parser.add_argument(
        "--kernels", choices=("numpy", "numba"), help="the CPU kernels to check (default: those in use)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws inputs and output gradients (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Print one line per case, then what is wrong in detail. Return 0 if every gradient is right, else 1."""
    from minires import kernels
    from minires.gradient_check import GradientError, gradcheck
    from minires.gradient_check.cases import all_cases

    cases = all_cases(args.seed)
    if args.op is not None:
        known = sorted({case.op for case in cases})
        cases = [case for case in cases if case.op == args.op]
        if not cases:
            raise ValueError(f"unknown op {args.op!r}; known: {', '.join(known)}")

    rows: list[tuple[str, ...]] = []
    failures = []
    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        print(
            f"Backward against central differences in float64, {kernels.in_use()} kernels, random output gradients.\n"
        )
        for case in cases:
            shapes = [f"{name}{TOGETHER}{'×'.join(map(str, array.shape))}" for name, array in case.arguments.items()]
            try:
                report = gradcheck(case.fn, *case.arguments.values(), names=list(case.arguments), seed=args.seed)
            except GradientError as error:
                report = error.report
                failures.append(f"{case.name}\n{error}")
            found = report.arguments and f"{report.relative_error:.1e}"
            verdict = "ok" if report.ok and found else "WRONG"
            what = f"{case.name}: {', '.join(shapes)}"
            rows.append((verdict, found or "-", str(report.checked), str(report.kinks or ""), what))
    print_table(rows)
    for failure in failures:
        print(f"\n{failure}")
    ops = len({case.op for case in cases})
    print(
        f"\n{counted(len(cases), 'case')} of {counted(ops, 'op')}: "
        f"{f'{len(failures)} WRONG' if failures else 'all gradients are right'}."
    )
    return 1 if failures else 0


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows below HEADS; the last column is wrapped, and goes on in lines of its own."""
    widths = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS) - 1)]
    indent = sum(widths) + 2 * len(widths)
    for row in [HEADS, tuple("-" * len(head) for head in HEADS), *rows]:
        line = "  ".join([*(text.ljust(width) for text, width in zip(row[:-1], widths, strict=True)), row[-1]])
        print(textwrap.fill(line, WIDTH, subsequent_indent=" " * (indent + 2)).replace(TOGETHER, " "))
