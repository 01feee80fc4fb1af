"""Chapters as notebooks: real Markdown, nothing of the other markup left, and code that is the chapter's."""

import json
import re

import pytest

from minires.cli.main import main
from minires.learn import chapters, notebooks

LEFT_OVER = r"::\s*$|:[a-z]+:`|``[^`]|^\.\. |^[=-]{4,}$"


@pytest.mark.parametrize("chapter", chapters.CHAPTERS)
def test_nothing_is_left_of_the_other_markup(chapter):
    made = notebooks.notebook(chapters.path_of(chapter).read_text(encoding="utf-8"))
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            outside = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]+\$", "", cell["source"], flags=re.DOTALL)
            assert not re.search(LEFT_OVER, outside, re.MULTILINE), cell["source"]
            text, fences = re.subn(r"^ *```.*?^ *```$", "", cell["source"], flags=re.DOTALL | re.MULTILINE)
            assert text.count("$") % 2 == 0 and 2 * fences == cell["source"].count("```")


@pytest.mark.parametrize("chapter", chapters.CHAPTERS)
def test_the_code_is_the_chapters(chapter):
    script = chapters.path_of(chapter).read_text(encoding="utf-8")
    made = notebooks.notebook(script)
    code = [cell["source"] for cell in made["cells"] if cell["cell_type"] == "code"][1:]
    whole = re.sub(r"^# .*\n?|^#\n", "", script.partition('"""')[2].partition('"""')[2], flags=re.MULTILINE)
    lines = [line for line in whole.split("\n") if line.strip()]
    assert [line for text in code for line in text.split("\n") if line.strip() and not line.startswith("#")] == lines


def test_markdown_of_everything_that_chapters_use():
    text = """Title
=====

Text with :math:`a
b`, ``code``, :func:`minires.gradcheck`, **bold** and `a link <https://x.org>`_.

:Time: 5 minutes

Part
----
.. math::

   x = y

.. code-block:: text
   :caption: Step in here

   $ python

1. One

   .. math:: z

.. admonition:: Answers
   :collapsible: closed

   - :math:`1`

.. admonition:: Predict first

   How many?

   Two?

.. image:: /_static/window.svg
   :class: only-light window
   :alt: A window,
      with a line.

.. image:: /_static/window-dark.svg
   :class: only-dark window
   :alt: A window, with a line.
"""
    made = notebooks.markdown(text)
    assert made.startswith("# Title\n\nText with $a b$, `code`, `minires.gradcheck`, **bold** and [a link](https://x.org).")
    assert "- **Time:** 5 minutes" in made and "## Part\n" in made and "$$\nx = y\n$$" in made
    assert "**Step in here**\n\n```text\n$ python\n```" in made and "   $$\n   z\n   $$" in made
    assert "<details><summary>Answers</summary>\n\n- $1$\n\n</details>" in made
    assert "> **Predict first**\n> \n> How many?\n> \n> Two?" in made
    assert made.count("*In the picture: A window, with a line.*") == 1 and "svg" not in made
    with pytest.raises(ValueError, match="no way to say the directive 'raw' in Markdown"):
        notebooks.markdown(".. raw:: html\n\n   <br>")


def test_all_chapters_are_exported(tmp_path, capsys):
    folder = tmp_path / "notebooks"
    assert main(["learn", "--export", str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(chapters.CHAPTERS)
    files = sorted(folder.iterdir())
    assert [path.stem for path in files] == [chapters.path_of(number).stem for number in chapters.CHAPTERS]
    assert json.loads(files[0].read_text(encoding="utf-8"))["nbformat"] == 4
    assert main(["learn", "7", "--export", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "07_convolution_backward.ipynb")
