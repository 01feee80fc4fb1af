"""Random argument lists for every command: `python tests/faults/command_line_fuzzer.py 3000` tries so many, by a seed.

No traceback; exit code 2 for a wrong call and 1 for a failure, each with a message of one to three lines; a call that
is right is let work for two seconds, and then interrupted. `… 3000 14 2` is the same with seed and seconds said.
"""

import argparse
import contextlib
import io
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from minires import engine
from minires.cli.main import COMMANDS, build_parser, main

VALUES = [
    "0", "1", "2", "-1", "3", "8", "20", "1e9", "1e-9", "nan", "inf", "-inf", "0x10", "1_0", "٣", "", " ", "é", "x",
    "-", "--", "=", "a=b", "=b", "a=", "a.b.c=1", "steps=1", "steps=0", "steps=-1", "steps=x", "steps=1e3",
    "epochs=0", "batch_size=4", "batch_size=99999999999", "optimizer.lr=x", "optimizer.lr=nan", "optimizer=3",
    "optimizer.name=adam", "schedule.name=x", "model.width=2", "model.depth=10", "model.depth=7", "model.width=-1",
    "model.width=1e99", "model.skip=maybe", "model.norm=none", "model.name=3", "augmentation=[]", "augmentation=x",
    "augmentation=[[[]]]", "seed=-1", "dataset=1", "data.split=x", "warmup.steps=-3", "ema_decay=2", "max_norm=-1",
    "validation=99999", "label_smoothing=7", "[", "{}", ".", "..", "/", "/dev/null", "/dev/zero", "/dev/full",
    "nowhere", "\n", "a\nb", "\t", "\udcff", "9" * 40, "9" * 5000, "a" * 300, "digits", "cifar10", "mnist",
    "resnet20", "resnet18", "wide_resnet", "preact_resnet56", "numpy", "numba", "cuda", "cpu", "cuda:9", "best",
    "last", "off", "on", "he", "fixup", "batch", "none", "relu", "A", "B", "conv2d", "list", "fetch", "info",
    "x.svg", "x.html", "x.toml", "empty.toml", "damaged.toml", "picture.png", "damaged.png", "RUN", "RUN",
    "layer1.*", "*", "[", "%s", "{0}", "$HOME", "~", "-h", "-x", "--help", "--version", "--traceback-", "--set",
    "--out",
]  # fmt: skip
SECONDS = 2.0
MEMORY = 6 * 2**30


def options_of(command):
    """List the options of a command, those of its own subcommands too."""
    with contextlib.redirect_stderr(io.StringIO()):
        parser = build_parser(command)
    found = []
    waiting = [action.choices[command] for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    while waiting:
        for action in waiting.pop()._actions:
            found += [word for word in action.option_strings if word not in ("-h", "--help", "--traceback")]
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
    return found


def argument_list(draw, options):
    """Draw a command, sometimes none, and up to eight words after it."""
    command = draw.choice([*COMMANDS, *COMMANDS, "x", "", "--help", "-"])
    known = options.get(command, ["--help"])
    words = []
    for _ in range(draw.randrange(9)):
        words.append(draw.choice(known) if known and draw.random() < 0.45 else draw.choice(VALUES))
    return [command, *words]


def enter(folder):
    """Make a folder with a few files to name, go there, and let nothing out of it."""
    from PIL import Image

    import minires.learn  # noqa: F401  and all libraries: one whose import is interrupted is broken for this process

    os.chdir(folder)
    for name in ("HOME", "MINIRES_DATA", "XDG_CACHE_HOME"):
        os.environ[name] = str(folder)
    os.environ.update(HTTP_PROXY="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9", COLUMNS="80")
    Image.new("L", (9, 9), 90).save("picture.png")
    Path("damaged.png").write_bytes(Path("picture.png").read_bytes()[:40])
    Path("empty.toml").touch()
    Path("damaged.toml").write_text("a = [", encoding="utf-8")
    settings = ["steps=2", "model.width=2", "batch_size=16"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["train", "--kernels", "numpy", "--out", "made", "--set", *settings]) == 0
    next(Path("made").iterdir()).rename("RUN")


def interrupt(*_):
    raise KeyboardInterrupt


def outcome(arguments):
    """Run a command; return what became of it in words, and all that it said."""
    out, err, typed = io.StringIO(), io.StringIO(), io.StringIO("n\nq\n")
    before, sys.stdin = sys.stdin, typed
    engine.per_thread.recording = True  # the call before may have been interrupted in the middle of `no_grad`
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 10)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    except KeyboardInterrupt:
        return "interrupted outside", err.getvalue()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {error} in {where.filename}:{where.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdin = before
    said = err.getvalue().strip()
    if code in (0, 130):
        return "worked", said
    if code not in (1, 2):
        return f"exit code {code}", said
    lines = [line for line in said.split("\n") if line.strip()]
    if code == 2 and not (1 <= len(lines) <= 3 and lines[0].startswith("minires")):
        return "message of another form", said
    return "refused" if code == 2 else "failed", said


def try_all(number, seed, show=print):
    """Try so many argument lists; count what became of them, and show those that went wrong."""
    draw, counts = random.Random(seed), Counter()
    options = {command: options_of(command) for command in COMMANDS}
    for index in range(number):
        arguments = argument_list(draw, options)
        found, said = outcome(arguments)
        counts[found] += 1
        if found not in ("worked", "refused", "failed"):
            show(f"{index} {ascii(arguments)[:300]}: {found}: {said[-400:]}")
    return counts


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.argv[0] = "fuzzer"
    with tempfile.TemporaryDirectory() as folder:
        enter(Path(folder))
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else 14
        SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 2.0
        print(dict(try_all(int(sys.argv[1]), seed, lambda line: print(line, flush=True))), "seed", seed)
        os.chdir("/")
