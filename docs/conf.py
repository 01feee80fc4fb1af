"""How the site is made: `python -m sphinx -W docs build/site` runs the chapters and builds every page.

With MINIRES_QUICK=1 the chapters do a few steps only. Nothing is fetched while building, and no page asks for anything
outside the site.
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]  # minires as it is here, and the modules beside this file
os.environ["MINIRES_KERNELS"] = "numpy"  # the kernels that the chapters speak about

import docstrings  # noqa: E402
import editor_windows  # noqa: E402
import formulas  # noqa: E402
import landing  # noqa: E402
import on_the_web  # noqa: E402
import pictures  # noqa: E402
import rooms  # noqa: E402
import wrong_answers  # noqa: E402

import minires  # noqa: E402
from minires import playground  # noqa: E402
from minires.learn import notebooks  # noqa: E402

rooms.draw()  # docs/architecture.md shows it
landing.draw()  # docs/index.md shows it
wrong_answers.write()  # docs/teaching.md includes it
editor_windows.draw()  # chapter 13 shows them
playground.write(DOCS / "_static" / "playground.html", chapters="../chapters/")  # docs/playground.md opens it

project = "MiniRes"
author = "the MiniRes authors"
copyright = "the MiniRes authors"
version = release = minires.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_gallery.gen_gallery", "languages"]
exclude_patterns = ["_build", "locale", "README.zh.md"]
nitpicky = True  # a name that no page documents is an error, in text; signatures name what is not ours to document
nitpick_ignore_regex = [("py:(class|obj|data)", r".*")]
locale_dirs = ["locale"]
gettext_compact = False

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "MiniRes"
html_static_path = ["_static"]
html_css_files = ["site.css", "landing.css"]
html_js_files = ["scrolling.js", "hero.js"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-light"  # comments can be read in both: 4.5 to 1 and more
pygments_dark_style = "github-dark"

myst_enable_extensions = [
    "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist", "substitution"
]  # fmt: skip
myst_substitutions = landing.figures()
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"

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
    "image_scrapers": ("pictures.scrape",),
    "thumbnail_size": (640, 400),
    "reset_modules": ("matplotlib",),
}


def own_notebooks(app, env, docnames):
    """Put notebooks in real Markdown in the place of those that the gallery has made."""
    for path in Path(app.srcdir, "chapters").glob("[0-9]*.ipynb"):
        notebooks.export(int(path.name[:2]), path.parent)


def setup(app):
    docstrings.setup(app)
    formulas.setup(app)
    on_the_web.setup(app)
    pictures.setup(app)
    app.connect("env-before-read-docs", own_notebooks)
