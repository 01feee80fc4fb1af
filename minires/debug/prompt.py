"""What a prompt needs besides its commands: aliases, errors, help, completion, input from a file or a pipe."""

import cmd
import inspect
import sys
from collections.abc import Callable
from typing import IO, Any

from minires.debug import writing
from minires.language import told


class Prompt(cmd.Cmd):
    """A prompt whose commands are the methods `do_…`; the first line of each one's docstring is "usage: what it does".

    groups: the commands by kind, in the order of `help`. aliases: other words for them. commands: where they come
    from; None is the keyboard, or a pipe. After `cmdloop`, `failed` says whether a command could not be done.
    """

    groups: dict[str, tuple[str, ...]]
    aliases: dict[str, str]
    failed = False

    def __init__(self, commands: IO[str] | None = None) -> None:
        super().__init__(stdin=commands)
        self.is_typed = commands is None and sys.stdin.isatty()
        self.use_rawinput = self.is_typed

    def precmd(self, line: str) -> str:
        if line == "EOF" or not self.is_typed:
            print("" if line == "EOF" else line)  # a transcript shows what was asked
        word, _, rest = line.strip().partition(" ")
        return f"{self.aliases.get(word, word)} {rest}".strip()

    def onecmd(self, line: str) -> bool:
        if line.startswith("#"):
            return False
        try:
            return bool(super().onecmd(line))
        except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
            self.complain(str(error))
        return False

    def emptyline(self) -> bool:
        """An empty line repeats the last command; in a script it means nothing."""
        return super().emptyline() if self.is_typed else False

    def default(self, line: str) -> None:
        word = line.split()[0]
        self.complain(f"unknown command {word!r}{self.meant(word)} `help` lists the commands")

    def meant(self, word: str) -> str:
        """Suggest a command for a mistyped one."""
        return writing.suggestion(word, [name for names in self.groups.values() for name in names]) or ";"

    def complain(self, message: str) -> None:
        self.failed = True
        self.say(f"*** {told(message)}", paint=writing.wrong)

    def say(self, *texts: str, paint: Callable[[str], str] | None = None) -> None:
        """Print texts, as wide as the terminal; see `writing.show`."""
        writing.show([told(text) for text in texts], paint)

    def cmdloop(self, intro: Any = None) -> None:
        """Read and do commands until `quit` or their end; Ctrl-C gives up the line that is being typed."""
        while True:
            try:
                return super().cmdloop(intro)
            except KeyboardInterrupt:
                if not self.is_typed:
                    raise
                print()
                intro = ""

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        return [name for names in self.groups.values() for name in names if name.startswith(text)]

    def do_help(self, arg: str) -> None:
        """help [COMMAND]: this list, or all there is to say about a command."""
        if arg:
            command = getattr(self, f"do_{self.aliases.get(arg, arg)}", None)
            if command is None:
                raise ValueError(f"no command {arg!r}{self.meant(arg)} `help` lists the commands")
            self.say(*writing.reflowed(inspect.getdoc(command) or ""))
            return
        for group, names in self.groups.items():
            for i, name in enumerate(names):
                line = getattr(self, f"do_{name}").__doc__.splitlines()[0]
                usage, _, what = line.partition(": ")
                writing.show([f"{group if i == 0 else '':6} {usage:26}  {told(what.rstrip('.'))}"])
        letters = [f"{word} {name}" for word, name in self.aliases.items() if len(word) == 1]
        self.say(f"\nIn short: {', '.join(letters)}.\nAn empty line repeats the last command.")

    def do_quit(self, arg: str) -> bool:
        """quit: leave."""
        return True
