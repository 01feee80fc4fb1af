"""The messages that learners meet, in Chinese where Chinese is asked for: `--lang zh`, or a locale such as zh_CN.UTF-8.

In the code a message is an English f-string, with its numbers in it. Where it is printed, and only there, `told` looks
for it in the catalogue, locale/zh_CN.po. An entry is a template, "{what} has shape {grad.shape}"; what stands in the
place of its values is looked up by itself, since messages are made of messages. What is not in the catalogue stays
English. So nothing has to be known of languages where a message is made, and English is printed as it was.
"""

import ast
import functools
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "zh")
CATALOGUE = Path(__file__).parent / "locale" / "zh_CN.po"

VALUE = re.compile(r"\{([^{}]*)\}")
MARKS = {":": "：", ";": "；", ",": "，", ".": "。"}
CODE = re.compile(r"[\w.,:;/*()\[\]{}<>=+−²³√·%\"'`|…-]*")  # no words: what needs no translation

_messages: "Messages | None" = None  # None: English


def choose(asked: str | None = None) -> None:
    """Choose the language: "en" or "zh", or, with None, the one that the locale asks for. ValueError for another."""
    global _messages
    if asked not in (None, *LANGUAGES):
        raise ValueError(f"--lang: {asked!r} is none of the languages: {', '.join(LANGUAGES)}")
    chinese = asked == "zh" or asked is None and locale_asks() and can_be_shown()
    _messages = catalogue() if chinese else None


def locale_asks() -> bool:
    """Whether the locale is Chinese, by the variables that gettext goes by, in its order."""
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return value.partition(":")[0].lower().startswith("zh")
    return False


def can_be_shown() -> bool:
    """Whether the terminal's encoding has Chinese characters."""
    try:
        "中".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def is_chosen() -> bool:
    """Whether messages are said in another language than English."""
    return _messages is not None


def told(text: str) -> str:
    """Return a message in the language that was chosen: line by line, and what stands in columns each by itself."""
    if _messages is None:
        return text
    return "\n".join([told_line(line, _messages) for line in text.split("\n")])


def told_line(line: str, messages: "Messages") -> str:
    """Translate a line's columns, which are two spaces apart or more, and keep them where they stand."""
    pieces = re.split(r"(^\s+|\s{2,})", line)
    for i, piece in enumerate(pieces):
        found = messages.find(piece) if piece.strip() else ""
        if found:
            pieces[i] = found
            if i + 1 < len(pieces) and pieces[i + 1]:
                pieces[i + 1] = " " * max(2, len(pieces[i + 1]) + width(piece) - width(found))
    return "".join(pieces)


def width(text: str) -> int:
    """Return how many columns a terminal needs for a text: two for a Chinese character."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def say(*texts: str) -> None:
    """Print messages, a line or more each, in the language that was chosen."""
    print(*[told(text) for text in texts], sep="\n", flush=True)


@dataclass(frozen=True)
class Template:
    """An entry of the catalogue that has values in it."""

    pattern: re.Pattern[str]
    names: list[str]
    chinese: str
    weight: int  # the letters that are its own: of two that fit, the one with more means the message

    def filled(self, values: list[str]) -> str:
        known = dict(zip(self.names, values, strict=True))
        return VALUE.sub(lambda match: known[match[1]], self.chinese)


class Messages:
    """The catalogue, to be searched by what is printed."""

    def __init__(self, entries: dict[str, str]) -> None:
        self.plain = {english: chinese for english, chinese in entries.items() if not VALUE.search(english)}
        templates = [template(english, chinese) for english, chinese in entries.items() if VALUE.search(english)]
        self.templates = sorted(templates, key=lambda one: -one.weight)
        self.found: dict[str, str] = {}

    def find(self, text: str) -> str:
        """Return a text in Chinese, "" where nothing of it is known."""
        if text not in self.found:
            self.found[text] = self.search(text)
        return self.found[text]

    def search(self, text: str) -> str:
        if text in self.plain:
            return self.plain[text]
        if text[:1] in MARKS:  # what is joined to something before it
            rest = self.find(text[1:].lstrip())
            return MARKS[text[0]] + rest if rest else ""
        for one in self.templates:
            match = one.pattern.fullmatch(text)
            if match:
                return one.filled([self.find(value.strip()) or value for value in match.groups()])
        return self.of_parts(text)

    def of_parts(self, text: str) -> str:
        """Translate what stands on both sides of a mark, if one of the two is known and the other known or code."""
        for mark, chinese in MARKS.items():
            for match in re.finditer(re.escape(mark) + "(?: +|$)", text):
                left, right = text[: match.start()], text[match.end() :]
                known = self.find(left), self.find(right)
                whole = all(one or is_code(part) for one, part in zip(known, (left, right), strict=True))
                if any(known) and (whole or right in self.plain):
                    return (known[0] or left) + chinese + (known[1] or right)
        return ""


def is_code(text: str) -> bool:
    """Whether a text is a name or numbers: what stays as it is in every language."""
    return all(CODE.fullmatch(word) and not re.fullmatch("[a-z]{4,}", word) for word in text.split())


def template(english: str, chinese: str) -> Template:
    """Make an entry's pattern: its own words as they are, anything for a value."""
    parts = VALUE.split(english)  # own words and names, in turn
    pattern = "".join([re.escape(part) if i % 2 == 0 else "(.*?)" for i, part in enumerate(parts)])
    return Template(re.compile(pattern, re.DOTALL), parts[1::2], chinese, sum(map(len, parts[::2])))


@functools.cache
def catalogue() -> Messages:
    return Messages(read(CATALOGUE.read_text(encoding="utf-8")))


def read(text: str) -> dict[str, str]:
    """Read a catalogue in gettext's .po form: English to Chinese, without what is empty, or fuzzy, so not current."""
    entries = {}
    for block in re.split(r"\n\s*\n", text):
        texts = {"msgid": "", "msgstr": ""}
        now = ""
        for line in block.splitlines():
            key, _, quoted = line.partition(' "') if line.startswith("msg") else (now, "", line[1:])
            if line.startswith(("msgid", "msgstr", '"')):
                now = key.strip()
                texts[now] += ast.literal_eval(f'"{quoted}')
        if texts["msgid"] and texts["msgstr"] and "#, fuzzy" not in block:
            entries[texts["msgid"]] = texts["msgstr"]
    return entries
