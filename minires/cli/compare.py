"""`minires compare`: the gradient of every layer in plain and residual networks, before and during a short training."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from minires.cli.as_json import add_json, print_json

EXAMPLES = [
    ("minires compare", "plain and residual networks of 20 and 56 layers"),
    ("minires compare --depths 20 --norm none batch group layer", "do skips need batch norm?"),
    ("minires compare --html report.html", "one page to send"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56], metavar="N", help="layers, 6n+2 (20 56)")
    parser.add_argument("--init", nargs="+", default=["he"], metavar="NAME", help="initializations (he)")
    parser.add_argument("--norm", nargs="+", default=["batch"], metavar="NAME", help="batch, group, layer, none")
    parser.add_argument("--skip", nargs="+", default=["off", "on"], choices=["off", "on"],
                        help="without skips, with skips or both (off on)")
    parser.add_argument("--activation", nargs="+", default=["relu"], metavar="NAME", help="relu, elu, selu, … (relu)")
    parser.add_argument("--lr", type=float, nargs="+", default=[0.05], metavar="LR",
                        help="learning rates at the start (0.05)")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help="random seeds, all measured and trained (5 measured, 1 of them trained)")
    parser.add_argument("--steps", type=int, default=80, metavar="N", help="training steps, 0 for none (80)")
    parser.add_argument("--moments", type=int, nargs="+", metavar="N",
                        help="after how many steps to measure (0 1 2 5 10 20 40 80)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images in a batch (64)")
    parser.add_argument("--data", default="digits", metavar="NAME", help="digits, cifar10, … (digits)")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, …; see minires doctor (cpu)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba, on the CPU (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--html", metavar="FILE", help="write a page of it too, for a browser, to send")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first random seed (0)")
    add_json(parser, "print the report as JSON, with every norm")


def command_of(args: argparse.Namespace) -> str:
    """Return the command that does the same again: the options that are not as they are by themselves."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["minires", "compare"]
    for name, default in vars(parser.parse_args([])).items():
        value = getattr(args, name)
        if value != default and name not in ("out", "html", "json"):
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *[str(one) for one in values]]
    return shlex.join(words)


def check_html(path: str | None) -> None:
    """Refuse a place for the page before the work rather than after it."""
    if path is not None and Path(path).suffix not in (".html", ".htm"):
        raise ValueError(f"compare: the page is HTML, so the name of --html must end in .html, got {path!r}")
    if path is not None and not Path(path).parent.is_dir():
        raise ValueError(f"compare: --html {path}: there is no folder {Path(path).parent}")


def run(args: argparse.Namespace) -> int:
    from minires import lab
    from minires.lab import conclusions

    start = time.perf_counter()
    check_html(args.html)
    report = lab.compare(
        depths=args.depths, init=args.init, norm=args.norm, skip=[skip == "on" for skip in args.skip],
        activation=args.activation, lr=args.lr, seeds=args.seeds, steps=args.steps, moments=args.moments,
        batch_size=args.batch_size, data=args.data, data_dir=args.data_dir, device=args.device, kernels=args.kernels,
        out=args.out, seed=args.seed, progress=True,
    )  # fmt: skip
    if not args.json:  # before the figures: something to read
        print(conclusions.summary_table(report["summary"]))
        print()
        print("\n".join(report["verdict"]))
        print()
    from minires import plots  # Matplotlib is loaded after the work

    figures = list(plots.gradient_flow(report["folder"]))
    if args.html:
        figures.append(plots.html_report(report["folder"], args.html, command=command_of(args)))
    if args.json:
        print_json({**report, "figures": [str(path) for path in figures]})
    else:
        for path in figures:
            print(path)
        tables = sorted(path.name for path in Path(report["folder"]).glob("*.csv"))
        print(f"{report['folder']}: report.json, {', '.join(tables)} ({time.perf_counter() - start:.0f} s)")
    if report["interrupted"]:
        print("minires compare: interrupted; what was finished is above and in that folder", file=sys.stderr)
        return 130
    return 0
