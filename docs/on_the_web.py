"""Where the project lives on the web, in one place, and what depends on it; and the buttons of a chapter.

Without a home, chapters offer their notebooks to download, which needs no network, and nothing pretends to an address.
With one, each chapter is also opened there, in a notebook that runs (Binder makes it from the repository), and a link
to the site is shown with its picture.
"""

import re
from urllib.parse import urlsplit

HOME_ON_THE_WEB = ""  # the repository's address on GitHub, once it has one: https://github.com/OWNER/minires

BUTTONS = """
.. container:: chapter-buttons

   :download:`{run} <{name}.ipynb>` :download:`{script} <{name}.py>`{online}

"""
WORDS = {  # of the buttons, in the languages of the site
    "en": {"run": "Run it in a notebook", "script": "The script", "open": "Open it on the web"},
    "zh_CN": {"run": "在 notebook 里运行", "script": "脚本", "open": "在网上打开"},
}
SAID = "A network of 56 layers learns with skip connections and does not without: see why, gradient by gradient."


def setup(app):
    app.connect("source-read", add_buttons)
    app.connect("html-page-context", add_preview)
    app.connect("html-page-context", level_of_captions, priority=900)  # after the theme


def notebook(name, home=HOME_ON_THE_WEB):
    """Return where a chapter's notebook runs on the web; "" where the project has no home there."""
    repository = urlsplit(home).path.strip("/")
    return f"https://mybinder.org/v2/gh/{repository}/HEAD?labpath=notebooks/{name}.ipynb" if home else ""


def site(home=HOME_ON_THE_WEB):
    """Return the address of the site that .github/workflows/pages.yml publishes, or ""."""
    owner, _, name = urlsplit(home).path.strip("/").partition("/")
    return f"https://{owner.lower()}.github.io/{name}/" if home else ""


def buttons(name, home=HOME_ON_THE_WEB, language="en"):
    words = WORDS[language]
    online = f" `{words['open']} <{notebook(name, home)}>`__" if home else ""
    return BUTTONS.format(name=name, online=online, **words)


def add_buttons(app, docname, source):
    """Put the buttons under a chapter's title."""
    if re.match(r"chapters/\d\d_", docname):
        text = buttons(docname.partition("/")[2], language=app.config.language)
        source[0] = re.sub(r"\n=+\n", lambda line: line[0] + text, source[0], count=1)


def add_preview(app, page, template, context, doctree):
    """Name the picture and the sentence with which a link to the site is shown elsewhere."""
    picture = f"{site()}_static/preview.png" if site() else context["pathto"]("_static/preview.png", 1)
    facts = {"og:type": "website", "og:site_name": "MiniRes", "og:title": context.get("title", "MiniRes"),
             "og:description": SAID, "og:image": picture, "og:image:alt": SAID}  # fmt: skip
    tags = [f'<meta property="{name}" content="{plain(text)}" />' for name, text in facts.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(
        [*tags, '<meta name="twitter:card" content="summary_large_image" />', ""]
    )


def level_of_captions(app, page, template, context, doctree):
    """Say of which level the sidebar's captions are, which call themselves headings."""
    for name in ("furo_navigation_tree", "toctree_html"):
        if name in context:
            context[name] = context[name].replace('role="heading"', 'role="heading" aria-level="2"')


def plain(text):
    return re.sub("<[^>]*>", "", text).replace('"', "&quot;")
