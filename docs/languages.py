"""The site in two languages: a switch on every page, and marks on what is not in Chinese yet.

    python -m sphinx -W docs build/site                             English
    python -m sphinx -W -D language=zh_CN docs build/site/zh        Chinese, beside it; chapters are not run again

The Chinese comes from the catalogues (translations.py).
"""

import re

import translations
from docutils import nodes
from sphinx import addnodes
from sphinx.search.zh import SearchChinese
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import extract_messages

CHINESE = re.compile("[\u4e00-\u9fff]")
NOTE = '<p class="only-english">本页只有英文。</p>'

# What the gallery adds to a chapter.
FROM_THE_GALLERY = {
    "**Total running time of the script:**": "**运行全章用时：**",
    "Download Jupyter notebook:": "下载 Jupyter notebook：",
    "Download Python source code:": "下载 Python 源码：",
    "Download zipped:": "下载压缩包：",
}
THUMBNAIL = re.compile(r'(<div class="sphx-glr-thumbnail-title">)([^<]+)(</div>)')
TIME = re.compile(r"\((\d+) minutes ([\d.]+) seconds\)")


class Search(SearchChinese):
    """The search of the Chinese site: without a dictionary, by pairs of characters and by whole runs of them.

    The page looks for a word of two letters as it is, for a longer one also inside of what is indexed.
    """

    language_name = "English"  # whose stemmer it is in JavaScript; Sphinx looks for one of this name

    def split(self, input):
        runs = re.findall(f"{CHINESE.pattern}+", input)
        pairs = [run[i : i + 2] for run in runs for i in range(len(run) - 1)]
        return [*runs, *pairs, *super().split(input)]


def is_translated_page(page: str) -> bool:
    return page in translations.PAGES or page.startswith("chapters/")


class MarkupBesideChinese(SphinxTransform):
    """Lets inline markup begin and end beside any character, in translations: Chinese has no spaces between words."""

    default_priority = 15  # the page has been parsed, its translations will be

    def apply(self, **kwargs):
        page = self.env.current_document.docname
        self.document.settings.character_level_inline_markup = is_translated_page(page)


class MarkEnglish(SphinxTransform):
    """Gives paragraphs that stayed English the class `in-english`, on pages that are translated."""

    default_priority = 960  # when translations are in their places

    def apply(self, **kwargs):
        if not is_translated_page(self.env.current_document.docname):
            return
        for node, _ in extract_messages(self.document):
            if translations.is_text(node) and isinstance(node, nodes.TextElement) and not is_chinese(node):
                node["classes"].append("in-english")


def is_chinese(node):
    """Whether a paragraph is in Chinese, or has no words that could be: a title that it links to has its own page."""
    shown = "".join([child.astext() for child in node.children if not isinstance(child, addnodes.pending_xref)])
    return bool(node.get("translated") or CHINESE.search(shown) or not re.search("[A-Za-z]{2}", shown))


def translate_gallery(app, page, source):
    """Say in Chinese what the gallery says in English of every chapter, and under the chapters' pictures."""
    if page.startswith("chapters/"):
        for english, chinese in FROM_THE_GALLERY.items():
            source[0] = source[0].replace(english, chinese)
        source[0] = TIME.sub(r"（\1 分 \2 秒）", source[0])
    if page == "chapters/index":
        titles = translations.all_translations()
        source[0] = THUMBNAIL.sub(lambda found: found[1] + titles.get(found[2], found[2]) + found[3], source[0])


def add_switch(app, page, template, context, doctree):
    """Put links to both languages above a page."""
    if "body" not in context:
        return
    chinese = is_chinese_site(app.config)
    up = "../" * page.count("/")
    here = page.rpartition("/")[2] + ".html"
    there = f"{up}../{page}.html" if chinese else f"{up}zh/{page}.html"
    links = [("en", "EN", there if chinese else here), ("zh", "中文", here if chinese else there)]
    shown = [
        f'<a lang="{code}" hreflang="{code}" href="{link}"{current}>{name}</a>'
        for (code, name, link), current in zip(links, marks(chinese), strict=True)
    ]
    switch = f'<nav class="languages" aria-label="Language">{"".join(shown)}</nav>'
    note = NOTE if chinese and not is_translated_page(page) else ""
    context["body"] = switch + note + context["body"]


def marks(chinese):
    current = ' aria-current="true"'
    return ("", current) if chinese else (current, "")


def is_chinese_site(config):
    return (config.language or "").startswith("zh")


def prepare(app, config):
    if is_chinese_site(config):
        app.add_search_language(Search)
        app.add_transform(MarkupBesideChinese)
        app.add_transform(MarkEnglish)
        app.connect("source-read", translate_gallery)


def setup(app):
    app.add_css_file("languages.css")
    app.connect("config-inited", prepare)
    app.connect("html-page-context", add_switch)
    return {"parallel_read_safe": True}
