"""How the site is made: `python -m sphinx -W docs build/site` runs the chapters and builds every page.

With MINIRES_QUICK=1 the chapters do a few steps only. Nothing is fetched while building, and no page asks for anything
outside the site: MathJax is in _static/mathjax.
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]  # minires as it is here, and the modules beside this file
os.environ["MINIRES_KERNELS"] = "numpy"  # the kernels that the chapters speak about

import docstrings  # noqa: E402
import rooms  # noqa: E402
import wrong_answers  # noqa: E402

import minires  # noqa: E402
from minires import playground  # noqa: E402
from minires.learn import notebooks  # noqa: E402

rooms.draw()  # docs/architecture.md shows it
wrong_answers.write()  # docs/teaching.md includes it
playground.write(DOCS / "_static" / "playground.html", chapters="../chapters/")  # docs/playground.md opens it

project = "MiniRes"
author = "the MiniRes authors"
copyright = "the MiniRes authors"
version = release = minires.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_gallery.gen_gallery", "languages"]
exclude_patterns = ["_build", "locale", "README.zh.md"]
nitpicky = True  # a name that no page documents is an error, in text; signatures name what is not ours to document
nitpick_ignore_regex = [("py:(class|obj|data)", r".*")]
locale_dirs = ["locale"]
gettext_compact = False

html_theme = "furo"
html_title = "MiniRes"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

mathjax_path = "mathjax/tex-svg.js"
# Speech and menu would load more files, from elsewhere.
mathjax3_config = {
    "options": {
        "enableSpeech": False,
        "enableBraille": False,
        "enableExplorer": False,
        "enableMenu": False,
        "menuOptions": {"settings": {"enrich": False, "speech": False, "braille": False}},
    },
    "output": {"displayOverflow": "scroll"},
}

sphinx_gallery_conf = {
    "examples_dirs": "../tutorials",
    "gallery_dirs": "chapters",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
}


def own_notebooks(app, env, docnames):
    """Put notebooks in real Markdown in the place of those that the gallery has made."""
    for path in Path(app.srcdir, "chapters").glob("[0-9]*.ipynb"):
        notebooks.export(int(path.name[:2]), path.parent)


def setup(app):
    docstrings.setup(app)
    app.connect("env-before-read-docs", own_notebooks)
