"""The process, where it is one of this house: the `minires` command, or a chapter of the tutorials.

It is imported before all else, so that Ctrl-C while libraries are loaded, for a second or so, ends the command without
a traceback; and so that a terminal or a file in an old encoding gets a `?` for a character that it does not have, and
not an error in the middle of the work. In any other program, importing MiniRes changes nothing. The imports here are
few: what is loaded before the interrupt is looked after is still open to it.
"""

import os
import signal
import sys


def is_own() -> str:
    """Return "command" or "chapter" where the program that runs is one, else ""."""
    script = sys.argv[0] if sys.argv else ""
    if script == "-m":  # so it is while Python looks for the module
        module = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv[:-1] else ""
        return "command" if module.partition(".")[0] == "minires" else ""
    folder, name = os.path.split(os.path.abspath(script))
    if name in ("minires", "minires.exe", "minires-script.py"):
        return "command"
    is_chapter = name[:2].isdigit() and name[2:3] == "_" and name.endswith(".py")
    return "chapter" if is_chapter and os.path.basename(folder) == "tutorials" else ""


def prepare_streams() -> None:
    """Have the standard streams take any text, and put the null device in the place of those that are closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: `minires … >&-`
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
        elif mode == "w" and getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def end_at_interrupts() -> None:
    """Let Ctrl-C end the process at once and silently, if nothing else is made of it."""
    exchange_handlers(signal.default_int_handler, signal.SIG_DFL)


def raise_at_interrupts() -> None:
    """Undo `end_at_interrupts`: Ctrl-C is a KeyboardInterrupt again, as ever in Python."""
    exchange_handlers(signal.SIG_DFL, signal.default_int_handler)


def exchange_handlers(before: object, after: object) -> None:
    if signal.getsignal(signal.SIGINT) is before:
        try:
            signal.signal(signal.SIGINT, after)  # type: ignore[arg-type]
        except ValueError:  # in another thread than the main one, where nothing can be done
            return


if is_own() == "command":
    end_at_interrupts()
if is_own():
    prepare_streams()
