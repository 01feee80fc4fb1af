"""Sets formulas while the site is built, as MathML, which browsers show by themselves: no page loads a renderer.

A formula keeps its TeX as `alttext`. One that cannot be set as it should is an error of the build: TeX that the
converter passes through, an element without all its parts, or what browsers do not show (MathML Core).
"""

import html
import re
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError

PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3}

TALL = re.compile(r"(<m(?:sub|sup|subsup)>)(<mo [^>]*minsize[^>]*>[^<]*</mo>)")  # \Big with an exponent


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))


def visit_inline(translator, node):
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate"))
    translator.body += [mathml(part, "block") for part in re.split(r"\n\s*\n", node.astext()) if part.strip()]
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def mathml(tex: str, display: str = "inline") -> str:
    """Return a formula as MathML. ExtensionError, with its TeX, for one that browsers would not show as it is meant."""
    tex = " ".join(tex.split())
    known = re.sub(r"\\mathrm\{(\w)\}", r"\\text{\1}", tex)  # else it would be an italic letter
    try:
        text = convert(known.replace("{aligned}", "{align*}"), display=display)
        fault = fault_of(ElementTree.fromstring(text))
    except Exception as error:  # the converter has a class for each mistake, and now and then an IndexError
        raise ExtensionError(f"this formula cannot be set: {tex} ({type(error).__name__})") from error
    if fault:
        raise ExtensionError(f"this formula cannot be set: {tex} ({fault})")
    text = text.replace("<mo minsize", '<mo stretchy="true" symmetric="true" minsize')
    text = TALL.sub(r"\1<mrow>\2</mrow>", text)
    return text.replace("<math ", f'<math alttext="{html.escape(tex)}" ', 1)


def fault_of(formula: ElementTree.Element) -> str:
    """Say what is wrong with the first wrong element of a formula; "" where nothing is."""
    for element in formula.iter():
        name = element.tag.rpartition("}")[2]
        if "\\" in (element.text or ""):
            return f"{element.text} is not known"
        if len(element) != PARTS.get(name, len(element)):
            return f"{name} has {len(element)} of {PARTS[name]} parts"
        if element.get("mathvariant", "normal") != "normal" or name == "merror" or element.get("linebreak"):
            return f"browsers have no {name} with {element.attrib}"
    return ""
