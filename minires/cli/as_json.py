"""`--json`: what a command found, as one JSON value on the standard output, for other programs.

All commands keep to one style. Keys are words, those of the files in a run's folder; times are in seconds (`seconds`,
or with `_s` at the end), accuracies and probabilities are shares of 1, `bytes` are sizes of files; NaN and infinity are
null. Whatever else a command says, its bar and its warnings, goes to the standard error, and its exit code is the same
as without --json. Where it fails before it found anything, the output is empty.
"""

import argparse
import json
from typing import Any


def add_json(
    parser: argparse._ActionsContainer, words: str = "print the result as JSON", default: Any = False
) -> None:
    """Give a parser the option. words: its help. default: SUPPRESS in a parser below one that has it already."""
    parser.add_argument("--json", action="store_true", default=default, help=words)


def print_json(content: Any) -> None:
    """Print it, in ASCII: there are terminals and pipes that know no more."""
    from minires.runs.records import finite

    print(json.dumps(finite(content), indent=2, allow_nan=False))
