"""`minires compare`: the gradient of every layer in plain and residual networks, before and after a short training."""

import argparse
import sys
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56], metavar="N", help="layers, 6n+2 (20 56)")
    parser.add_argument("--init", nargs="+", default=["he"], metavar="NAME", help="initializations (he)")
    parser.add_argument("--norm", nargs="+", default=["batch"], metavar="NAME", help="batch, group, layer, none")
    parser.add_argument("--skip", nargs="+", default=["off", "on"], choices=["off", "on"],
                        help="without skips, with skips or both (off on)")
    parser.add_argument("--activation", default="relu", metavar="NAME", help="relu, elu, selu, … (relu)")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help="random seeds, all measured and trained (5 measured, 1 of them trained)")
    parser.add_argument("--steps", type=int, default=80, metavar="N", help="training steps, 0 for none (80)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images in a batch (64)")
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate at the start (0.05)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, …; see minires doctor (cpu)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba, on the CPU (numba where it can be had)")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="where to make the run's folder (runs)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first random seed (0)")


def run(args: argparse.Namespace) -> int:
    from minires import lab
    from minires.lab import conclusions

    start = time.perf_counter()
    report = lab.compare(
        depths=args.depths, init=args.init, norm=args.norm, skip=[skip == "on" for skip in args.skip],
        activation=args.activation, seeds=args.seeds, steps=args.steps, batch_size=args.batch_size, lr=args.lr,
        device=args.device, kernels=args.kernels, out=args.out, seed=args.seed, progress=True,
    )
    print(conclusions.summary_table(report["summary"]))
    print()
    print("\n".join(report["verdict"]))
    print()
    from minires import plots  # Matplotlib is loaded after the work

    for path in plots.gradient_flow(report["folder"]):
        print(path)
    print(f"{report['folder']}: report.json, summary.csv, layers.csv, losses.csv ({time.perf_counter() - start:.0f} s)")
    if report["interrupted"]:
        print("minires compare: interrupted; what was finished is above and in that folder", file=sys.stderr)
        return 130
    return 0
