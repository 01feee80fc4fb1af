"""The Chinese: how much of it is current, whether its markup is the English one's, and how catalogues are refreshed.

The number of paragraphs without a current translation is stated as a warning. In a release, where DEMAND_ALL in
docs/translations.py is True, it has to be zero.
"""

import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

pytestmark = pytest.mark.docs
pytest.importorskip("sphinx_gallery")
pytest.importorskip("myst_parser")

import messages  # noqa: E402
import translations  # noqa: E402

MARKUP = re.compile(
    r"``[^`]+``|:\w+(?::\w+)?:`[^`]+`|\{[a-z]+\}`[^`<]*(?:<[^`>]+>)?`|(?<![`}:])`[^`]+`(?!`)|\]\([^)]+\)|https?://[^\s)>]+"
)


@pytest.fixture(scope="module")
def english():
    return translations.english()


@pytest.fixture(scope="module")
def catalogues(english):
    return {page: translations.read(translations.path_of(page)) for page in english}


def test_all_is_translated_or_counted(english, catalogues):
    counts = {page: translations.counted(catalogues[page], texts) for page, texts in english.items()}
    whole = sum(counts.values(), translations.Count(0, 0, 0))
    assert whole.paragraphs == sum(map(len, english.values())) > 1000
    left = {page: count for page, count in counts.items() if count.untranslated + count.stale}
    if left:
        told = "".join([f"\n{page:40} {count}" for page, count in {**left, "all": whole}.items()])
        warnings.warn(f"not in Chinese yet:{told}", stacklevel=1)
    assert not (translations.DEMAND_ALL and left), left


def test_catalogues_hold_text_alone(english):
    chapter = " ".join(english["chapters/07_convolution_backward"])
    assert "``conv2d_grad_input``" in chapter or "conv2d" in chapter
    for text in [text for page, texts in english.items() if page != translations.MESSAGES for text in texts]:
        assert "(Pdb)" not in text and "import numpy" not in text and ">>>" not in text, text


def test_there_is_a_catalogue_for_every_page_and_no_other(english):
    there = {path.relative_to(translations.CATALOGUES).with_suffix("").as_posix() for path in
             translations.CATALOGUES.rglob("*.po")}  # fmt: skip
    assert there <= {*english}


def marks(text):
    """What both languages must have: code, formulas, the targets of links and references."""
    found = MARKUP.findall(text)
    return Counter([re.sub(r"`.*<([^`>]+)>`", r"`\1`", mark) for mark in found if not mark.startswith("{term}")])


def test_markup_is_the_english_ones(catalogues):
    wrong = []
    for page, catalogue in catalogues.items():
        for english, chinese in translations.translations(catalogue).items():
            is_linked_title = re.fullmatch(r"\[[^\]]+\]\([^)]+\)", chinese)  # whose link the English message leaves out
            if marks(english) != marks(chinese) and not is_linked_title:
                wrong.append((page, english, marks(english) - marks(chinese), marks(chinese) - marks(english)))
    assert wrong == []


def test_a_paragraph_is_a_paragraph_in_chinese_too(catalogues):
    """Sphinx leaves out, and says nothing, a translation that is not: "K. He, …" alone in its line begins a list."""
    from docutils import nodes
    from docutils.core import publish_doctree

    quiet = {"report_level": 5, "doctitle_xform": False, "docinfo_xform": False, "character_level_inline_markup": True}
    wrong = []
    for page, catalogue in catalogues.items():
        for english, chinese in translations.translations(catalogue).items() if page.startswith("chapters/") else ():
            kinds = {type(node) for node in publish_doctree(chinese, settings_overrides=quiet).children}
            is_title = english[0].isdigit()  # "8. Batch norm": Sphinx reads titles in another way
            if nodes.paragraph not in kinds and not is_title:
                wrong.append((page, chinese))
    assert wrong == []


def test_the_glossary_decides_the_words(catalogues):
    """The words in italics in the glossary are those that the Chinese glossary explains."""
    entries = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("```{glossary}\n")[1].split("\n\n")
    chinese = translations.translations(catalogues["glossary"])
    for entry in entries:
        term, _, text = entry.partition("\n")
        word = re.findall(r"\*([^*]+)\*", text)[-1]
        assert re.split("[，、（]", word)[0] in chinese[term.strip()], term


def catalogue_of(pairs):
    catalogue = translations.Catalog(locale="zh_CN")
    for english, chinese in pairs.items():
        catalogue.add(english, chinese)
    return catalogue


def test_refreshing_keeps_what_is_current_and_marks_what_is_not(tmp_path):
    long = " ".join(["A derivative says how fast one number moves when another one does."] * 9)
    old = {long: "导数说明有多快。", "Gone tomorrow, with its words.": "明天就没有了。"}
    texts = [long.replace("moves", "goes", 1), "Quite another thing", "Moved here from elsewhere"]
    fresh = translations.refreshed(catalogue_of(old), texts, {"Moved here from elsewhere": "从别处移来"})
    path = tmp_path / "page.po"
    translations.write(path, fresh)
    again = translations.read(path)
    assert translations.counted(again, texts) == translations.Count(paragraphs=3, untranslated=1, stale=1)
    assert translations.translations(again) == {"Moved here from elsewhere": "从别处移来"}
    text = path.read_text(encoding="utf-8")
    assert "Gone tomorrow" not in text and f'#| msgid "{long}"' in text
    translations.write(path, translations.refreshed(again, texts, {}))
    assert path.read_text(encoding="utf-8") == text, "refreshing twice changes nothing"


def test_what_changed_is_counted_without_refreshing():
    catalogue = catalogue_of({"As it was": "原来那样"})
    assert translations.counted(catalogue, ["As it is"]) == translations.Count(1, 1, 0)


def test_catalogues_carry_no_dates_lines_or_flags():
    for path in [*translations.CATALOGUES.rglob("*.po"), messages.CATALOGUE]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^#: |POT-Creation-Date|Revision-Date|-format", text, re.MULTILINE), path


def test_messages_are_found_in_the_sources():
    import ast

    source = '''
def f(x):
    """A docstring is no message."""
    raise ValueError(f"f: {x!r} is not what {'it' if x else 'they'} said, {len(x)} times")

TEXT = "the file that is written stays as it is"
KEY, HINT = "one_word", "Look at the shapes first.\\nThen at the sums."

def do_step(self, arg):
    """step [N]: one more op.

    It goes
    back.
    """
'''
    lines = [line for text in messages.texts_of(ast.parse(source)) for line in messages.lines_of(text)]
    assert [line for line in lines if messages.is_message(line)] == [
        "f: {x} is not what it said, {1} times",
        "f: {x} is not what they said, {1} times",
        "Look at the shapes first.",
        "Then at the sums.",
        "one more op",
        "It goes back.",
    ]
