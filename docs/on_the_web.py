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

   :download:`Run it in a notebook <{name}.ipynb>` :download:`The script <{name}.py>`{online}

"""
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


def buttons(name, home=HOME_ON_THE_WEB):
    online = f" `Open it on the web <{notebook(name, home)}>`__" if home else ""
    return BUTTONS.format(name=name, online=online)


def add_buttons(app, docname, source):
    """Put the buttons under a chapter's title."""
    if re.match(r"chapters/\d\d_", docname):
        name = docname.partition("/")[2]
        source[0] = re.sub(r"\n=+\n", lambda line: line[0] + buttons(name), source[0], count=1)


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
