"""Turns MiniRes's docstrings, which are plain text with formulas, into the markup that Sphinx reads.

A paragraph stays one, with `names` as code. Indented lines, formulas and examples, are shown as they stand. A
paragraph that begins "name: …" describes arguments and becomes a list of them.
"""

import re

ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (.+)$")
ERROR = re.compile(r"^[A-Z][A-Za-z]*Error\b")
ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[~?(?:typing\.)?Any\]\]"
)


def setup(app):
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)


def process_docstring(app, what, name, obj, options, lines):
    if not getattr(obj, "__module__", None) and what == "data":
        lines[:] = []  # a constant shows its type's docstring otherwise
        return
    lines[:] = to_markup(as_indented(lines, obj))


def process_signature(app, what, name, obj, options, signature, annotation):
    shorter = [ARRAY.sub("Array", text) if text else text for text in (signature, annotation)]
    return tuple(shorter)


def as_indented(lines, obj):
    """The lines as the source indents them: Sphinx drops the indentation that all below the first line share."""
    raw = (getattr(obj, "__doc__", None) or "").splitlines()
    if len(raw) < 2 or raw[-1].strip() or words(raw) != words(lines):
        return lines
    base = len(raw[-1])  # where the closing quotes stand
    return [raw[0].strip(), *[line[base:] for line in raw[1:-1]], ""]


def words(lines):
    return " ".join(lines).split()


def to_markup(lines):
    """Return a docstring's lines as reST."""
    result = []
    for number, block in enumerate(blocks(lines)):
        if block[0].startswith(" "):
            result += ["::", "", *[f"   {line}".rstrip() for line in block], ""]
        elif number and ARGUMENT.match(block[0]):
            result += [*argument_list(block), ""]
        else:
            result += [*marked("\n".join(block)).splitlines(), ""]
    return result


def blocks(lines):
    """Cut into runs of lines that belong together: paragraphs, and indented text with its empty lines."""
    found = []
    for line in lines:
        line = line.rstrip()
        if not line:
            if found and found[-1][-1]:
                found[-1].append("")
            continue
        last = next((other for other in reversed(found[-1]) if other), "") if found else ""
        after_gap = bool(found) and found[-1][-1] == ""
        indented, was_indented = line.startswith(" "), bool(found) and found[-1][0].startswith(" ")
        continues_argument = indented and not was_indented and not after_gap and bool(last)
        if found and not after_gap and indented and continues_argument and is_list(found[-1]):
            found[-1].append(line)
        elif not found or (after_gap and not (indented and was_indented)) or indented != was_indented:
            found.append([line])
        else:
            found[-1].append(line)
    for block in found:
        while not block[-1]:
            block.pop()
    return found


def is_list(block):
    return bool(ARGUMENT.match(block[0])) or block[0].startswith("- ")


def argument_list(block):
    """`name: text`, on and on, as a list with the names in code."""
    items, errors = [], []
    for line in block:
        match = ARGUMENT.match(line)
        if errors or ERROR.match(line):
            errors.append(line)
        elif match:
            items.append([match[1], match[2]])
        else:
            items[-1][1] += f"\n  {line.strip()}"
    lines = []
    for names, text in items:
        named = ", ".join(f"``{name}``" for name in names.split(", "))
        lines += f"- {named}: {marked(text)}".splitlines()
    return [*lines, "", *marked("\n".join(errors)).splitlines()]


def marked(text):
    """Text with `code` as code, and nothing else that reST would take for markup."""
    result = ""
    for part in re.split(r"(`[^`]+`)", text):
        if result.endswith("``") and re.match(r"\w", part):
            result += "\\ "  # reST wants a mark between code and a letter: `op`s
        result += f"`{part}`" if re.fullmatch(r"`[^`]+`", part) else escaped(part)
    return result


def escaped(text):
    return re.sub(r"[*\\|`]|(?<=\w)_(?=\W|$)", r"\\\g<0>", text)
