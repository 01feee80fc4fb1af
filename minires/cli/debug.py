"""`minires debug`: walk backwards through a network of the family, op by op, at a prompt; or make pictures of it."""

import argparse
import io
import sys
from typing import IO, Any

from minires.cli.as_json import add_json, print_json

MOST_LETTERS = 1_000_000  # of a script


EXAMPLES = [
    ("minires debug", "walk back through ResNet-20, at a prompt"),
    ("minires debug --html pass.html", "the same as a page"),
    ("minires debug --layer layer2 --skip off", "from there, without skips"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="resnet20", metavar="NAME", help="resnet20, preact_resnet56, … (resnet20)")
    parser.add_argument("--data", metavar="NAME", help="see minires data list (digits, or what --pretrained knows)")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (the usual place)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="images in the batch (8)")
    parser.add_argument("--layer", metavar="MODULE", help="begin there, such as layer2.0.conv1 (at the loss)")
    parser.add_argument("--script", metavar="FILE", help="read the commands from a file (a pipe does as well)")
    parser.add_argument("--kernels", default="numpy", metavar="NAME", help="numba cannot be stepped into (numpy)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"], help="of the numbers (float32)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and batch (0)")
    model = parser.add_argument_group("the model, where it should differ from the paper's")
    model.add_argument("--skip", choices=["off", "on"], default="on", help="off: the plain twin (on)")
    model.add_argument("--norm", metavar="NAME", help="batch, group, layer or none")
    model.add_argument("--init", metavar="NAME", help="initialization: he, pytorch, zero_gamma, fixup, …")
    model.add_argument("--activation", metavar="NAME", help="relu, elu, selu, …")
    model.add_argument("--shortcut", metavar="NAME", help="A, B, C or always")
    model.add_argument("--block", metavar="NAME", help="basic, bottleneck, misplaced_norm, …")
    model.add_argument("--stem", metavar="NAME", help="cifar or imagenet, for resnet18 and its family")
    model.add_argument("--depth", type=int, metavar="N", help="of wide_resnet: layers")
    model.add_argument("--width", type=int, metavar="N", help="factor on the channels")
    model.add_argument("--pretrained", nargs="?", const="", metavar="NAME",
                       help="a trained network in place of first weights: see minires pretrained list (MODEL-DATA)")
    pictures = parser.add_argument_group("instead of the prompt")
    pictures.add_argument("--html", metavar="FILE", help="write the whole pass as one page for a browser")
    pictures.add_argument("--twin", action="store_true", help="with --html: show the plain twin beside it")
    pictures.add_argument("--draw", metavar="FILE", help="draw the graph as an .svg picture")
    add_json(pictures, "print the gradients of the whole pass as JSON, op by op")


def run(args: argparse.Namespace) -> int:
    """Build the network, run it on a batch, and hand its loss to the prompt or to the pictures."""
    from minires import debug, kernels
    from minires.debug.terminal import Debugger

    if args.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {args.batch_size}")
    if args.json and (args.script or args.layer):
        raise ValueError("--json goes through the whole pass by itself: leave out --script and --layer")
    if args.twin and not args.html:
        raise ValueError("--twin is for --html")
    if args.twin and args.skip == "off":
        raise ValueError("--twin shows the plain twin beside the network with skips: leave out --twin or --skip off")
    if args.pretrained is not None:
        check_alone(args)
    with kernels.use(args.kernels):
        if args.json:
            return print_numbers(args)
        commands = None if sys.stdin.isatty() else sys.stdin
        if args.script:
            commands = read_script(args.script)
        with debug.watch(action="report"):
            model, loss = forward(args, skip=args.skip == "on")
        if args.draw or args.html:
            print(*make_pictures(args, model, loss), sep="\n")
            return 0
        debugger = Debugger(loss, model, commands)
        debugger.preloop()
        if args.layer:
            debugger.do_until(args.layer)
        debugger.cmdloop()
        return 1 if debugger.failed and commands is not None else 0


def read_script(script: str) -> IO[str]:
    """Read a file of commands, or a pipe; not for ever, where it has no end."""
    try:
        with open(script, encoding="utf-8") as file:
            text = file.read(MOST_LETTERS + 1)
        if len(text) > MOST_LETTERS:
            raise ValueError(f"--script {script} is longer than {MOST_LETTERS:,} letters; give a text file of commands")
        return io.StringIO(text)
    except OSError as error:
        raise OSError(f"--script {script} cannot be read ({error.strerror}); give a text file of commands") from error


def print_numbers(args: argparse.Namespace) -> int:
    """Print the numbers of the pass as JSON, and make the pictures that are asked for as well."""
    from minires.debug.pass_numbers import numbers_of_pass

    model, loss = forward(args, skip=args.skip == "on")
    pictures = []
    if args.draw or args.html:
        pictures = [str(path) for path in make_pictures(args, model, loss)]
        model, loss = forward(args, skip=args.skip == "on")  # once more: a page takes the pass
    numbers = numbers_of_pass(loss, model)
    print_json({"model": args.model, "batch_size": args.batch_size, **numbers, "pictures": pictures})
    return 0


def make_pictures(args: argparse.Namespace, model: Any, loss: Any) -> list[Any]:
    """Write the files that --draw and --html ask for; return their paths."""
    from minires import debug
    from minires.debug import browser

    twin = forward(args, skip=False)[1] if args.twin else None
    paths = []
    try:
        if args.draw:
            paths.append(debug.draw(loss, args.draw))
        if args.html:
            paths.append(browser.write(loss, args.html, args.model, model, twin))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} for --draw or --html") from error
    return paths


# What a trained network has already.
MADE_WITH = ("norm", "init", "activation", "shortcut", "block", "stem", "depth", "width")


def check_alone(args: argparse.Namespace) -> None:
    """Refuse options of the model beside --pretrained, which has it as it was trained."""
    given = [f"--{name}" for name in MADE_WITH if getattr(args, name) is not None]
    given += ["--skip off"] if args.skip == "off" else []
    given += ["--twin"] if args.twin else []
    if given:
        raise ValueError(
            f"--pretrained has the network as it was trained: leave out {', '.join(given)}; the plain twin is "
            "--pretrained plain20-digits"
        )


def forward(args: argparse.Namespace, skip: bool) -> tuple[Any, Any]:
    """Return the network and its loss on a batch."""
    import numpy as np

    from minires import Tensor, data, ops

    model, dataset = trained(args) if args.pretrained is not None else made(args, skip)
    loader = data.Loader(
        dataset.train_images, dataset.train_labels, args.batch_size, seed=args.seed, mean=dataset.mean, std=dataset.std
    )
    images, labels = next(loader.epoch(0))
    model.to(args.dtype)
    logits = model(Tensor(images.astype(np.dtype(args.dtype))))
    return model, ops.cross_entropy(logits, labels)


def made(args: argparse.Namespace, skip: bool) -> tuple[Any, Any]:
    """Return a network with first weights, and the data set it is for."""
    from minires import data, models

    dataset = data.load(args.data or "digits", args.data_dir)
    options = {name: getattr(args, name) for name in MADE_WITH if getattr(args, name) is not None}
    model = models.make(
        args.model, in_channels=dataset.shape[0], num_classes=len(dataset.classes), skip=skip, seed=args.seed, **options
    )
    return model, dataset


def trained(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return a trained network, as in its training, and its data set or the one asked for."""
    from minires import data, interop
    from minires.cli.evaluate import options_of_folder

    name = args.pretrained or f"{args.model}-{args.data or 'digits'}"
    if name not in interop.PRETRAINED:
        raise ValueError(f"--pretrained: unknown network {name!r}; known: {', '.join(interop.PRETRAINED)}")
    about = interop.about_network(name)
    wanted = args.data or about.data
    dataset = data.load(wanted, args.data_dir, **options_of_folder(wanted, about.shape))
    if list(dataset.shape[:1]) != about.shape[:1] or len(dataset.classes) != len(about.classes):
        raise ValueError(
            f"--pretrained {name} takes images of {about.shape[0]} channels and {len(about.classes)} classes, those of "
            f"{dataset.name} have {dataset.shape[0]} and {len(dataset.classes)}"
        )
    return interop.pretrained(name).train(), dataset
