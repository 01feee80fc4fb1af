"""The catalogues of the Chinese site: refreshed from the English text, and counted.

    python docs/translations.py update     after a change of the English: new paragraphs in, stale ones marked fuzzy
    python docs/translations.py count      page by page: paragraphs, untranslated, stale

There is one source, the English. A catalogue, `locale/zh_CN/LC_MESSAGES/PAGE.po`, holds a page's paragraphs and what
they are in Chinese; a chapter's are those of its text in `tutorials/`: nothing is run, neither code nor output gets in.
What has no current translation stays English on the Chinese site, marked (languages.py). How to translate, and with
which words: locale/TRANSLATING.md. The messages of `minires check`, `learn` and `debug` have such a catalogue, too:
minires/locale/zh_CN.po.
"""

import ast
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from docutils import nodes

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import messages  # noqa: E402

TUTORIALS = DOCS.parent / "tutorials"
CATALOGUES = DOCS / "locale" / "zh_CN" / "LC_MESSAGES"
PAGES = ("index", "glossary")  # besides the chapters; what is not here has a note in Chinese at its head

MESSAGES = "messages"  # of the commands, whose catalogue is in the package

DEMAND_ALL = False  # a release sets True: then one paragraph without a current translation fails the gate

UNWRAPPED = 1_000_000  # letters in a line; with 0 Babel wraps comments all the same, so the English of before

HEADER = """msgid ""
msgstr ""
"Language: zh_CN\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


@dataclass(frozen=True)
class Count:
    """How much of a page is in Chinese."""

    paragraphs: int
    untranslated: int
    stale: int

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.paragraphs + other.paragraphs, self.untranslated + other.untranslated, self.stale + other.stale
        )

    def __str__(self) -> str:
        return f"{self.paragraphs:5} paragraphs, {self.untranslated:4} untranslated, {self.stale:4} stale"


def is_text(node: nodes.Node) -> bool:
    """Whether a node that Sphinx would translate is for translators: formulas and the command line's output are not."""
    return not isinstance(node, nodes.math_block | nodes.literal_block | nodes.raw)


def english() -> dict[str, list[str]]:
    """Return the paragraphs of every page that is translated, in their order, and under MESSAGES the messages."""
    return {**pages(), MESSAGES: messages.english()}


def pages() -> dict[str, list[str]]:
    from sphinx.util.nodes import extract_messages

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        write_source(source)
        env = parsed(source, Path(folder, "out")).env
        found = {}
        for page in sorted(env.found_docs):
            texts = [text for node, text in extract_messages(env.get_doctree(page)) if is_text(node)]
            found[page] = list(dict.fromkeys(texts))
        return found


def write_source(folder: Path) -> None:
    """Write the pages to translate as Sphinx will read them; of the chapters the text alone."""
    from sphinx_gallery.py_source_parser import split_code_and_text_blocks

    (folder / "chapters").mkdir(parents=True)
    for page in PAGES:
        (folder / f"{page}.md").write_bytes((DOCS / f"{page}.md").read_bytes())
    (folder / "chapters" / "index.rst").write_bytes((TUTORIALS / "GALLERY_HEADER.rst").read_bytes())
    for path in TUTORIALS.glob("[0-9]*.py"):
        _, blocks = split_code_and_text_blocks(path)
        text = "\n\n".join([block.content for block in blocks if block.type == "text"])
        (folder / "chapters" / f"{path.stem}.rst").write_text(text, encoding="utf-8")


def parsed(source: Path, out: Path):
    """Have Sphinx read a folder, without the site's configuration, which would draw and write."""
    from sphinx.application import Sphinx

    said = io.StringIO()
    settings = {
        "extensions": ["myst_parser", "sphinx.ext.mathjax"],
        "myst_enable_extensions": myst_extensions(),
        "suppress_warnings": ["toc", "ref", "image", "myst"],  # to pages and pictures that are not in the folder
    }
    app = Sphinx(source, None, out, out / "doctrees", "dummy", settings, status=None, warning=said)
    app.build()
    errors = [line for line in said.getvalue().splitlines() if "Unknown" in line]  # directives and roles
    if errors:
        raise ValueError("the pages cannot be read as the site's are: " + "; ".join(errors))
    return app


def myst_extensions() -> list[str]:
    """Return what the site's configuration lets Markdown hold."""
    for node in ast.parse((DOCS / "conf.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "myst_enable_extensions":
            return list(ast.literal_eval(node.value))
    raise ValueError("docs/conf.py has no myst_enable_extensions")


def path_of(page: str) -> Path:
    return messages.CATALOGUE if page == MESSAGES else CATALOGUES / f"{page}.po"


def read(path: Path) -> Catalog:
    """Return a catalogue; an empty one where there is no file yet."""
    if not path.exists():
        return Catalog(locale="zh_CN")
    with path.open("rb") as file:
        catalogue = read_po(file, locale="zh_CN", charset="utf-8")
    for message in catalogue:  # the English of before, which Babel writes and does not read
        before = [text.removeprefix("| msgid ") for text in message.user_comments if text.startswith("| msgid ")]
        message.previous_id = [ast.literal_eval(text) for text in before]
        message.user_comments = [comment for comment in message.user_comments if not comment.startswith("|")]
    return catalogue


def write(path: Path, catalogue: Catalog) -> None:
    """Write a catalogue: no dates, no line numbers, one line a message, so that a change of it is a change of text."""
    for message in catalogue:
        message.flags -= {"python-format", "python-brace-format"}  # which "95 % of" and formulas are taken for
    file = io.BytesIO()
    form = {"no_location": True, "omit_header": True, "ignore_obsolete": True, "include_previous": True}
    write_po(file, catalogue, width=UNWRAPPED, **form)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER.encode() + file.getvalue().strip() + b"\n")


def translations(catalogue: Catalog) -> dict[str, str]:
    """Return what has a current translation."""
    return {message.id: message.string for message in catalogue if message.id and message.string and not message.fuzzy}


def all_translations() -> dict[str, str]:
    """Return what has a current translation on any page."""
    found: dict[str, str] = {}
    for path in sorted(CATALOGUES.rglob("*.po")):
        found |= translations(read(path))
    return found


def refreshed(old: Catalog, texts: list[str], memory: dict[str, str]) -> Catalog:
    """Return a catalogue of these texts; translations of what changed a little are kept, as fuzzy.

    memory: translations of any page, for paragraphs that moved from one to another.
    """
    template = Catalog()
    for text in texts:
        template.add(text)
    before = {message.id: message.previous_id for message in old}
    old.update(template, update_header_comment=False)
    for message in old:
        if message.fuzzy and not message.previous_id:  # stale since an earlier time
            message.previous_id = before.get(message.id, [])
        if message.id in memory and (message.fuzzy or not message.string):
            message.string = memory[message.id]
            message.flags.discard("fuzzy")
            message.previous_id = []
    return old


def counted(catalogue: Catalog, texts: list[str]) -> Count:
    """Count the texts that have no current translation. Stale: there is one, of an English that has changed since."""
    current = translations(catalogue)
    missing = [text for text in texts if text not in current]
    fuzzy = {message.id for message in catalogue if message.fuzzy and message.string}
    stale = sum(text in fuzzy for text in missing)
    return Count(len(texts), len(missing) - stale, stale)


def count() -> dict[str, Count]:
    """Count page by page."""
    return {page: counted(read(path_of(page)), texts) for page, texts in english().items()}


def update() -> None:
    """Refresh all catalogues, and remove those of pages that are no more."""
    texts_of = english()
    memory = all_translations()
    for page, texts in texts_of.items():
        write(path_of(page), refreshed(read(path_of(page)), texts, memory))
    for path in CATALOGUES.rglob("*.po"):
        if path.relative_to(CATALOGUES).with_suffix("").as_posix() not in texts_of:
            path.unlink()


def main(arguments: list[str]) -> None:
    if arguments not in (["update"], ["count"]):
        sys.exit(__doc__)
    if arguments == ["update"]:
        update()
    counts = count()
    for page, one in counts.items():
        print(f"{page:40} {one}")
    print(f"{'all':40} {sum(counts.values(), Count(0, 0, 0))}")


if __name__ == "__main__":
    main(sys.argv[1:])
