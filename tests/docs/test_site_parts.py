"""What the site is made of, without building it: formulas, pictures, addresses, the landing page's figures."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

pytest.importorskip("sphinx_gallery")
pytest.importorskip("latex2mathml")
plt = pytest.importorskip("matplotlib.pyplot")

import formulas  # noqa: E402
import landing  # noqa: E402
import on_the_web  # noqa: E402
import pictures  # noqa: E402
from sphinx.errors import ExtensionError  # noqa: E402


@pytest.mark.parametrize(
    "tex",
    [r"\frac{dL}{dx} = \Big(\frac{\partial F}{\partial x}\Big)^\top", r"\lVert \hat x \rVert", r"\mathrm{d}x",
     r"\begin{cases} z & z > 0 \\ e^z & z \le 0 \end{cases}",
     r"\begin{aligned} a &= b \\ c &= d \end{aligned}", r"\underbrace{x + y}_{\text{a sum}}"],
)  # fmt: skip
def test_a_formula_is_set(tex):
    text = formulas.mathml(tex)
    assert 'alttext="' in text and "\\" not in text.partition(">")[2]


@pytest.mark.browser
def test_a_tall_bracket_with_an_exponent_is_as_tall_as_the_other(chromium):
    page = chromium.new_page()
    page.set_content(formulas.mathml(r"\Big(\frac{a}{b}\Big)^2 \Big[c\Big]_3^4", "block"))
    heights = page.evaluate("[...document.querySelectorAll('mo')].map(mo => mo.getBoundingClientRect().height)")
    page.close()
    assert len(heights) == 4 and max(heights) < 1.1 * min(heights)


@pytest.mark.parametrize("tex", [r"\foo x", r"\frac{1}", "x_", r"\bm x", r"a & b", ""])
def test_a_formula_that_cannot_be_set_is_an_error(tex):
    with pytest.raises(ExtensionError, match="this formula cannot be set"):
        formulas.mathml(tex)


@pytest.fixture
def figure():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1, 2], [4.0, 2.0, 1.0], color="black", label="loss")
    left.set(xlabel="step", ylabel="$\\mathrm{loss}$", title="training")
    right.imshow([[0, 1], [1, 0]])
    right.text(0, 0, "0", color="black")
    yield figure
    plt.close(figure)


def test_a_figure_is_told(figure):
    told = pictures.told(figure)
    assert told == "2 panels. training; loss over step; loss, from 4 to 1. a picture of 2 by 2 values."
    figure.set_label("two panels")
    assert pictures.told(figure) == "two panels"


def test_a_dark_figure_has_light_lines_and_leaves_words_on_pictures(figure):
    left, right = figure.axes
    pictures.darken(figure)
    assert min(left.lines[0].get_color()[:3]) > 0.8 and min(left.title.get_color()[:3]) > 0.8
    assert right.texts[0].get_color() == "black"
    assert figure.patch.get_alpha() == 0 and left.patch.get_alpha() == 0


def test_without_a_home_there_is_no_address():
    assert "http" not in on_the_web.buttons("07_convolution_backward", home="")
    assert on_the_web.notebook("x", home="") == on_the_web.site(home="") == ""


def test_with_a_home_a_chapter_is_opened_there():
    home = "https://github.com/Someone/minires"
    text = on_the_web.buttons("07_convolution_backward", home)
    assert "mybinder.org/v2/gh/Someone/minires/HEAD?labpath=notebooks/07_convolution_backward.ipynb" in text
    assert on_the_web.site(home) == "https://someone.github.io/minires/"


def test_the_figures_are_those_of_the_results():
    figures = landing.figures()
    files = json.loads((ROOT / "benchmarks/results/mutation.json").read_text(encoding="utf-8"))["files"].values()
    assert figures["caught"] == f"{sum([file['killed'] for file in files]):,}"
    assert int(figures["caught"].replace(",", "")) <= int(figures["mutants"].replace(",", ""))
    kept = json.loads((ROOT / "benchmarks/results/published_weights.json").read_text(encoding="utf-8"))["printed"]
    shown = figures["published_accuracy"].replace(" %", "%").split(", ")
    assert all([accuracy in line for accuracy, line in zip(shown, kept.values(), strict=True)])
    assert float(figures["best_ratio"]) <= float(figures["ratio"]) <= float(figures["worst_ratio"])
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for name in ("chapters", "cases", "caught", "mutants", "published_accuracy", "ratio", "worst_ratio"):
        assert "{{ " + name + " }}" in page
