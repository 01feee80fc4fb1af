"""The `minires` command: finds the subcommand, runs it, and turns what it raises into a message and an exit code.

A subcommand is a module here with `EXAMPLES`, `add_arguments(parser)` and `run(args) -> int`. It is imported only when
it is the one asked for, so that `minires --help` answers at once; its line of help therefore stands in the table below.

Exit codes: 0 done; 1 the command failed: the answer is no (a check failed, a training diverged), or a disk is full;
2 bad usage or bad input; 130 interrupted; 141 the reader of the output has gone. A message is one to three lines with
what to do, and there is no traceback but for a mistake in the program itself.
"""

import argparse
import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeGuard

import minires
from minires import language, program
from minires.data.disk import FULL

COMMANDS = {
    "learn": "the chapters of the tutorials, and their exercises",
    "check": "examine your answer to a chapter's exercise",
    "playground": "turn switches, and see what they do to a gradient: a page for the browser",
    "compare": "gradients in plain and residual networks, layer by layer, on handwritten digits",
    "lab": "experiments on what skips do: each a claim, a measurement, a verdict",
    "train": "train a network of the ResNet family by a recipe, or go on with a run",
    "evaluate": "the accuracy of a trained run on its test images",
    "finetune": "train a trained network further, on other classes or on your own pictures",
    "predict": "what a trained network takes pictures for, and which pixels it goes by",
    "pretrained": "the networks that come trained",
    "export": "write a trained network as an ONNX file, or its weights",
    "plot": "the figures of runs again: curves together, confusion matrix, errors, filters; those of the lab",
    "debug": "walk backwards through a network, op by op, at a prompt or on a page",
    "data": "list, fetch and look at data sets",
    "gradcheck": "check every hand-written backward pass against finite differences",
    "bench": "how long a training step takes here, and which ops it goes to",
    "doctor": "what is installed, which kernels run, and what is missing for a GPU",
}

SPOKEN = ("learn", "check", "debug")  # the commands that learners meet, which also speak Chinese

DESCRIPTION = "Residual networks from scratch, to read, to step through and to measure."

BAD_INPUT = (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError)
FAILURES = (*FULL, errno.EIO, errno.EBADF)  # of the machine, and not of the call


def main(argv: Sequence[str] | None = None) -> int:
    """Run `minires ARGV...` (the process's own arguments if None) and return the exit code."""
    program.prepare_streams()
    program.raise_at_interrupts()
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in arguments if not word.startswith("-")), None)
    try:
        return run(command, arguments)
    except KeyboardInterrupt:
        say(message_of(command, KeyboardInterrupt("interrupted")))
        return 130
    except BrokenPipeError:  # `minires … | head`: nobody reads on
        discard_output()
        return 141
    except FloatingPointError as error:  # a loss that is no number any more
        say(message_of(command, error))
        return 1
    except BAD_INPUT as error:
        if "--traceback" in arguments:
            raise
        if is_of_output(error):
            discard_output()
            words = f"the output cannot be written ({error.strerror}); send it elsewhere, or make room"
            error = OSError(error.errno, words)
        say(message_of(command, error))
        return 1 if isinstance(error, OSError) and error.errno in FAILURES else 2


def is_of_output(error: Exception) -> TypeGuard[OSError]:
    """Whether the standard output could not be written: the error names no file, and the output fails again."""
    if not isinstance(error, OSError) or error.errno not in FAILURES or error.strerror != os.strerror(error.errno):
        return False
    try:
        print(flush=True)
    except OSError:
        return error.filename is None
    return False


def run(command: str | None, arguments: Sequence[str]) -> int:
    """Run the command and return its exit code, when all that it has said is written."""
    try:
        language.choose(language_asked(arguments) if command in SPOKEN else "en")
        parser = build_parser(command)
        args, unknown = parser.parse_known_args(arguments)
        if "paths" in args and not any([word.startswith("-") for word in unknown]):
            args.paths += unknown  # those behind an option: argparse takes words from one place alone
        elif unknown:
            words = f"unrecognized arguments: {' '.join(unknown)}{advice(command, parser, unknown)}"
            Parser(prog=f"minires {command or ''}".strip()).error(words)
        if args.command is None:
            parser.print_help()
            code = 0
        else:
            code = int(args.run(args))
    except SystemExit as exit_:  # argparse has printed: help and version end in 0, bad usage in 2
        code = int(exit_.code or 0)
    sys.stdout.flush()
    return code


def language_asked(arguments: Sequence[str]) -> str | None:
    """Return what --lang says: the other arguments are understood behind it, with help in that language."""
    parser = Parser(prog="minires", add_help=False, allow_abbrev=False)
    parser.add_argument("--lang")
    asked: str | None = parser.parse_known_args(arguments)[0].lang
    return asked


def advice(command: str | None, parser: argparse.ArgumentParser, unknown: Sequence[str]) -> str:
    """Say what an unknown option may have been meant for: a value of the recipe, or an option of a like name."""
    option = unknown[0].partition("=")[0]
    value = unknown[0].partition("=")[2] or (unknown[1] if len(unknown) > 1 else "VALUE")
    if command in ("train", "finetune"):
        from minires.runs.recipe import place_of

        place = place_of(option.lstrip("-").replace("-", "_"))
        if place:
            return f"; it is a value of the recipe: --set {place}={value}"
    [subparsers] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    known = subparsers.choices[command]._option_string_actions if command in subparsers.choices else {}
    like = difflib.get_close_matches(option, known, 1)
    return f"; did you mean {like[0]}?" if like else ""


def say(message: str) -> None:
    """Print a message to the standard error; where that cannot be written, nobody is there to be told."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")


def discard_output() -> None:
    """Send what waits at the standard output nowhere, lest the interpreter tries once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    """A parser that complains in two lines: the whole usage, of many, is what --help is for."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\nusage: {self.prog} --help\n")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Build the parser: every subcommand's name and line of help, the arguments of `command` alone."""
    parser = Parser(prog="minires", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"minires {minires.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, line in COMMANDS.items():
        description = f"{line[0].upper()}{line[1:]}."
        layout = argparse.RawDescriptionHelpFormatter  # which leaves the examples in their lines
        subparser = subparsers.add_parser(name, help=line, description=description, formatter_class=layout)
        subparser.add_argument("--traceback", action="store_true", help="on an error, show where it was raised")
        if name == command:
            module = importlib.import_module(f"minires.cli.{name}")
            module.add_arguments(subparser)
            if name in SPOKEN:
                subparser.add_argument("--lang", metavar="LANG", help="en or zh (what the locale asks for)")
                for action in subparser._actions:
                    action.help = language.told(action.help or "")
            subparser.epilog = examples(getattr(module, "EXAMPLES", []))
            subparser.set_defaults(run=module.run)
    return parser


def examples(commands: Sequence[tuple[str, str]]) -> str:
    """Lay out commands, each with what it does, below it where the two would not fit into one line."""
    if not commands:
        return ""
    width = max([len(command) for command, _ in commands])
    lines = [f"  {command:{width}}  {language.told(what)}" for command, what in commands]
    if max(map(len, lines)) > 78:
        lines = [f"  {command}\n      {language.told(what)}" for command, what in commands]
    return "\n".join(["examples:", *lines])


def message_of(command: str | None, error: BaseException) -> str:
    """Return "minires COMMAND: message", the message as it was raised, with the notes added to it on its way.

    "compare: steps must be …" comes from a function of the command's name, which is not said twice.
    """
    words = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # without its number
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        words = f"the memory is too small ({words}); use a smaller batch or smaller images"
    message = f"minires {command or ''}".strip() + f": {language.told(words.removeprefix(f'{command}: '))}"
    return "\n".join([message, *getattr(error, "__notes__", [])])
