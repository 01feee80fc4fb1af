"""`minires gradcheck`: every op's hand-written backward against finite differences, as a table."""

import argparse
import contextlib

HEADS = ("op", "arguments", "worst relative error", "checked", "kinks", "verdict")


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
            shapes = ", ".join(f"{name} {array.shape}" for name, array in case.arguments.items())
            try:
                report = gradcheck(case.fn, *case.arguments.values(), names=list(case.arguments), seed=args.seed)
            except GradientError as error:
                report = error.report
                failures.append(f"{case.name}\n{error}")
            found = report.arguments and f"{report.relative_error:.1e}"
            verdict = "ok" if report.ok and found else "WRONG"
            rows.append((case.name, shapes, found or "-", str(report.checked), str(report.kinks or ""), verdict))
    print_table(rows)
    for failure in failures:
        print(f"\n{failure}")
    ops = len({case.op for case in cases})
    print(f"\n{len(cases)} cases of {ops} ops: {f'{len(failures)} WRONG' if failures else 'all gradients are right'}.")
    return 1 if failures else 0


def print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS))]
    for row in [HEADS, tuple("-" * width for width in widths), *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
