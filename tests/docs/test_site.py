"""The site builds without a warning, its links lead somewhere, it can be translated and searched."""

import functools
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from building import sphinx

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import docstrings  # noqa: E402

pytestmark = pytest.mark.docs


PAGES = ("index", "chapters/index", "stepping_through", "architecture", "api/index", "glossary")


class Links(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in ("img", "script", "iframe") and attributes.get("src"):
            self.loaded.append(attributes["src"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(attributes["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def faults_of(pages):
    """Links that lead nowhere, and whatever would be loaded from another place."""
    faults = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    faults.append(f"{path.name} loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                faults.append(f"{path.name}: {link} is not there")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                faults.append(f"{path.name}: {link} has no such place")
    return faults


def test_links_lead_somewhere(pages):
    assert len(pages) > 25
    assert faults_of(pages) == []


def test_the_link_checker_sees_faults(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<a id="here" href="#there"></a><a href="no.html"></a><img src="https://example.org/a.png">')
    assert len(faults_of({page: Links(page.read_text())})) == 3


def test_pages_of_all_uses_are_there(site, pages):
    for name in (*PAGES, "search"):
        assert site / f"{name}.html" in pages
    chapters = sorted(path.stem for path in (ROOT / "tutorials").glob("[0-9]*.py"))
    for name in chapters:
        text = (site / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        assert "sphx-glr-script-out" in text, f"{name} shows no output: it was not run"
        assert (site / "_downloads").exists() and f"{name}.ipynb" in text


def test_search_index_knows_the_words(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for word in ("conv2d_grad_weight", "shortcut", "gradcheck"):
        assert word in index


def test_every_public_name_is_in_the_reference(pages):
    import importlib

    anchors = {anchor for page in pages.values() for anchor in page.anchors if anchor}
    for room in ("ops", "nn", "models", "optim", "data", "debug", "lab", "plots", "learn"):
        module = importlib.import_module(f"minires.{room}")
        public = [name for name, value in vars(module).items() if not name.startswith("_") and made_here(value)]
        assert public
        for name in getattr(module, "__all__", public):
            if callable(getattr(module, name)):
                assert f"minires.{room}.{name}" in anchors, f"minires.{room}.{name}"


def made_here(value):
    """A function or class of the package, or one of its functions with some arguments given."""
    function = value.func if isinstance(value, functools.partial) else value
    return callable(function) and function.__module__.startswith("minires.")


def test_formulas_are_set_and_say_their_tex(pages):
    formulas = [text for path in pages for text in re.findall(r"<math .*?</math>", path.read_text(encoding="utf-8"))]
    assert len(formulas) > 300
    for formula in formulas:
        opening, _, rest = formula.partition(">")
        assert re.search(r'alttext="[^"]+"', opening) and "\\" not in rest and "merror" not in rest


def test_pictures_of_chapters_are_told_and_come_in_both_modes(site):
    for path in sorted((site / "chapters").glob("[0-9]*.html")):
        pictures = re.findall(r"<img [^>]*only-(?:light|dark)[^>]*>", path.read_text(encoding="utf-8"))
        assert pictures and len(pictures) % 2 == 0
        for picture in pictures:
            assert len(re.search(r'alt="([^"]*)"', picture)[1]) > 20, picture
            sources = [source.split()[0] for source in re.search(r'srcset="([^"]*)"', picture)[1].split(",")]
            assert len(sources) == 2 and all([(path.parent / source).is_file() for source in sources])


def test_a_link_to_the_site_is_shown_with_a_picture(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(r'og:image" content="([^"]+)"', text)[1] == "_static/preview.png"
    assert (site / "_static" / "preview.png").is_file()


def test_nothing_pretends_to_an_address(pages):
    for path in pages:
        assert "<this repository>" not in path.read_text(encoding="utf-8").replace("&lt;", "<").replace("&gt;", ">")


def test_catalogues_for_translators_build(copied, site):
    sphinx(copied, "-b", "gettext", "-D", "plot_gallery=0", "docs", "catalogues")
    catalogue = (copied / "catalogues" / "index.pot").read_text(encoding="utf-8")
    words = re.sub(r'"\n"', "", catalogue)
    for sentence in ("every gradient is written by hand", "[Play]{.hero-play}", "After {{ steps }} steps it is"):
        assert sentence in words
    assert (copied / "catalogues" / "chapters" / "07_convolution_backward.pot").exists()


def test_every_page_leads_to_itself_in_the_other_language(site, pages):
    """That the links lead somewhere is tested with all others."""
    switched = [name for name in pages if 'class="languages"' in name.read_text(encoding="utf-8")]
    english = [path for path in switched if site / "zh" not in path.parents]
    assert len(english) == len(switched) / 2 and {site / f"{name}.html" for name in PAGES} <= {*english}
    for path in english:
        other = site / "zh" / path.relative_to(site)
        assert other.resolve() in {(path.parent / link).resolve() for link in pages[path].links}, path
        assert path.resolve() in {(other.parent / link).resolve() for link in pages[other].links}, other


def test_the_chinese_site_is_in_chinese_and_says_where_it_is_not(site):
    chapter = (site / "zh" / "chapters" / "01_derivatives.html").read_text(encoding="utf-8")
    assert "<h1>1. 导数" in chapter and 'lang="zh' in chapter
    assert "best central" not in chapter and "best step" in chapter  # text is translated, code and output are not
    assert "导数" in (site / "zh" / "chapters" / "index.html").read_text(encoding="utf-8")
    assert "only-english" in (site / "zh" / "training.html").read_text(encoding="utf-8")
    english = (site / "chapters" / "01_derivatives.html").read_text(encoding="utf-8")
    assert "in-english" not in english and "only-english" not in english


@pytest.mark.parametrize(
    ("docstring", "markup"),
    [
        ("Return `x` * 2_ and `a\nb`s.", "Return ``x`` \\* 2\\_ and ``a\nb``\\ s."),
        ("Sum.\n\n    y = a|b|\n\n    z", "Sum.\n\n::\n\n       y = a|b|\n\n       z"),
        (
            "Head: one.\n\nx, y: arrays,\n    of one shape\nz: a *number*\nValueError for none.",
            "Head: one.\n\n- ``x``, ``y``: arrays,\n  of one shape\n- ``z``: a \\*number\\*\n\nValueError for none.",
        ),
    ],
)
def test_docstrings_become_markup(docstring, markup):
    assert "\n".join(docstrings.to_markup(docstring.splitlines())).strip() == markup
