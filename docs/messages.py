"""Finds the messages that learners meet, in the sources: what `minires check`, `learn` and `debug` say, and exercises.

A message is a text of words in one of the files below. An f-string becomes a template, `{…}` for each value in it: that
is how the catalogue has it, and how minires/language.py finds it again in what is printed. A text of several lines or
columns is several messages. The files that exercises write are code, and stay English; so do tables and their heads.
"""

import ast
import inspect
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "minires"
FILES = (
    "cli/check.py", "cli/learn.py", "cli/debug.py", "learn/chapters.py", "learn/digits.py", "learn/reader.py",
    "learn/isolation.py", "learn/examiner.py", "learn/parts/*.py", "gradient_check/fitting.py",
    "gradient_check/transformations.py",
    "gradient_check/known/*.py", "learn/exercises/*.py", "debug/prompt.py", "debug/terminal.py",
    "debug/arguments.py", "debug/writing.py",
)  # fmt: skip
CATALOGUE = PACKAGE / "locale" / "zh_CN.po"

NO_MESSAGES = {"TEXT"}  # names of what is code: the files that exercises write
LONGEST = 8  # lines; a longer text is no message
WORDS = {"ok", "WRONG", "passed", "seen", "begun", "leave", "or", "right", "wrong", "missing"}  # messages of one word


def english() -> list[str]:
    """Return all messages, in the order of the files, each once."""
    found: dict[str, None] = {}
    for pattern in FILES:
        for path in sorted(PACKAGE.glob(pattern)):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for text in texts_of(tree):
                found |= dict.fromkeys([line for line in lines_of(text) if is_message(line)])
    return list(found)


def texts_of(tree: ast.AST) -> list[str]:
    """Return the texts in a file, f-strings as templates: no docstrings, but those that are a prompt's help."""
    texts: list[str] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef) and node.name.startswith("do_"):
            texts += help_of(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in NO_MESSAGES:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        if isinstance(node, ast.JoinedStr):
            texts += templates(node)
            values = [part.value for part in reversed(node.values) if isinstance(part, ast.FormattedValue)]
            waiting += [value for value in values if not either_of(value)]
            continue
        waiting += reversed(list(ast.iter_child_nodes(node)))
    return texts


def help_of(command: ast.FunctionDef) -> list[str]:
    """Return what a command's docstring says: behind "usage: ", and paragraph by paragraph."""
    head, *rest = inspect.cleandoc(ast.get_docstring(command) or "").split("\n\n")
    return [head.partition(": ")[2].rstrip("."), *[" ".join(paragraph.split()) for paragraph in rest]]


def templates(node: ast.JoinedStr) -> list[str]:
    """Return an f-string with its values by their names, or numbered where they have none: "{head}: {1} is wrong".

    Where a value is one of two words, as in "{'is' if one else 'are'}", there are two templates.
    """
    found, numbered = [""], 0
    for part in node.values:
        if isinstance(part, ast.Constant):
            choices = [str(part.value).replace("{", "").replace("}", "")]
        elif isinstance(part, ast.FormattedValue) and (words := either_of(part.value)):
            choices = words
        else:
            name = ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""
            if not re.fullmatch(r"[\w.]+", name):
                numbered += 1
                name = str(numbered)
            choices = ["{" + name + "}"]
        found = [before + choice for before in found for choice in choices]
    return found


def either_of(value: ast.expr) -> list[str]:
    """Return the two texts of `one if condition else other`, if they are that."""
    if not isinstance(value, ast.IfExp):
        return []
    words = [one.value for one in (value.body, value.orelse) if isinstance(one, ast.Constant)]
    return [word for word in words if isinstance(word, str)] if len(words) == 2 else []


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, or the columns of a line, without the marks that join them to others."""
    lines = text.split("\n")
    columns = [column for line in lines for column in re.split(r"\s{2,}", line)]
    return [re.sub(r"^[,;:]? +|: +$", "", column).strip() for column in columns] if len(lines) <= LONGEST else []


def is_message(line: str) -> bool:
    """Whether a line has words for a reader: two in a row, or one beside a value."""
    if line in WORDS:
        return True
    plain = re.sub(r"\{[^}]*\}", " ", re.sub(r"`[^`]*`", " ", line))
    is_pattern, is_command = re.search(r"\\d|\(\?", line), re.match(r"minires [a-z]+( [\d-]|$)", line)
    if " " not in line or is_pattern or is_command:
        return False
    if "{" in line:
        return bool(re.search(r"(?:^|[ (])[A-Za-z]{3,}", plain)) and len(re.findall("[A-Za-z]", plain)) >= 4
    return bool(re.search(r"[A-Za-z]+[,:;]? \W?[A-Za-z]+", plain) and re.search(r"(?<![\w.])[a-z]{2,}(?![\w(])", plain))
