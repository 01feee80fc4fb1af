"""The figures of chapters, on the site: twice as fine, once for light pages and once for dark ones, and told in words.

The gallery's scraper is replaced by `scrape`. A figure's alternative text is its label, where the chapter gave it one
(`figure.set_label("…")`), else what `told` reads from it: panels, axes, and where each line begins and ends.
"""

import html
import re
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image
from sphinx_gallery.directives import imgsgnode, visit_imgsg_html

FINER = 2  # how many pixels there are to one of a plain screen, in the second file of each figure
MOST_LINES, MOST_PANELS, MOST_WORDS = 6, 6, 12
PICTURE = """
.. image-sg:: /{folder}/{name}.png
   :alt: {alt}
   :srcset: /{folder}/{name}.png, /{folder}/{name}_{finer}x.png {finer}.0x
   :class: {shown}
"""


def setup(app):
    app.add_node(imgsgnode, override=True, html=(visit_picture, lambda translator, node: None))


def visit_picture(translator, node):
    """As the gallery does, with the picture's size, so that text does not jump, and loaded when it comes into sight."""
    path = Path(translator.builder.srcdir, node["uri"].lstrip("/"))
    with Image.open(path) as image:
        width, height = image.size
    node["alt"] = html.escape(node["alt"])
    visit_imgsg_html(translator, node)
    size = f'<img loading="lazy" width="{width}" height="{height}" '
    translator.body[-1] = translator.body[-1].replace("<img ", size, 1)


def scrape(block, block_vars, gallery_conf):
    """Save the figures that a block of a chapter has drawn; return the reST that shows them."""
    import matplotlib.pyplot as plt

    shown = ""
    for number, path in zip(plt.get_fignums(), block_vars["image_path_iterator"], strict=False):
        figure, path = plt.figure(number), Path(path)
        alt, folder = told(figure), path.parent.relative_to(gallery_conf["src_dir"]).as_posix()
        save(figure, path)
        darken(figure)
        dark = path.with_stem(f"{path.stem}_dark")
        save(figure, dark)
        for name, kind in ((path.stem, "only-light"), (dark.stem, "only-dark")):
            shown += PICTURE.format(folder=folder, name=name, alt=alt, finer=FINER, shown=kind)
    plt.close("all")
    return shown


def save(figure, path):
    """Write a figure, and one with more pixels beside it."""
    figure.savefig(path)
    figure.savefig(path.with_stem(f"{path.stem}_{FINER}x"), dpi=FINER * figure.dpi)


# In dark


def darken(figure):
    """Make a figure one for dark pages: no ground, and light where it was dark. Colours stay, pictures too."""
    figure.canvas.draw()
    kept = set().union(*[on_colour(axes) for axes in figure.axes])
    for artist in figure.findobj(lambda artist: artist not in kept):
        if isinstance(artist, Text):
            artist.set_color(in_dark(artist.get_color()))
            boxes = [artist.get_bbox_patch(), getattr(artist, "arrow_patch", None)]
            for box in [box for box in boxes if box is not None]:
                darken_patch(box)
        elif isinstance(artist, Line2D):
            for part in ("color", "markerfacecolor", "markeredgecolor"):
                colour = getattr(artist, f"get_{part}")()
                if isinstance(colour, str) and colour in ("none", "auto"):
                    continue
                getattr(artist, f"set_{part}")(in_dark(colour))
        elif isinstance(artist, Patch):
            darken_patch(artist)
        elif isinstance(artist, Collection) and artist.get_array() is None:
            artist.set_facecolor([in_dark(colour, of_a_line=False) for colour in artist.get_facecolor()])
            artist.set_edgecolor([in_dark(colour) for colour in artist.get_edgecolor()])
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        if to_rgba(axes.get_facecolor())[:3] == to_rgba(in_dark("white"))[:3]:
            axes.patch.set_alpha(0)


def darken_patch(patch):
    patch.set_facecolor(in_dark(patch.get_facecolor(), of_a_line=False))
    patch.set_edgecolor(in_dark(patch.get_edgecolor()))


def in_dark(colour, of_a_line=True):
    """Return a colour for a dark ground: greys change places, dark colours of lines and words become lighter."""
    *rgb, alpha = to_rgba(colour)
    if max(rgb) - min(rgb) < 0.1:
        grey = 0.93 - 0.85 * sum(rgb) / 3
        return grey, grey, grey, alpha
    luminance = np.dot(rgb, (0.21, 0.72, 0.07))
    white = max(0.0, 0.45 - luminance) if of_a_line else 0
    return *[part + white * (1 - part) for part in rgb], alpha


def on_colour(axes):
    """Return the words that stand on a picture or a coloured patch: what they can be read on does not change."""
    grounds = [image.get_window_extent() for image in axes.images]
    grounds += [patch.get_window_extent() for patch in axes.patches if patch.get_visible() and is_coloured(patch)]
    grounds += [mesh.get_window_extent() for mesh in axes.collections if mesh.get_array() is not None]
    found = set()
    for text in axes.texts:
        box = text.get_window_extent()
        middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        if any(ground.contains(*middle) for ground in grounds):
            found.add(text)
    return found


def is_coloured(patch):
    *rgb, alpha = patch.get_facecolor()
    return alpha > 0.5 and max(rgb) - min(rgb) >= 0.1


# In words


def told(figure):
    """Return what a figure shows, in words, on one line."""
    if figure.get_label():
        return plain(figure.get_label())
    title = figure._suptitle.get_text() if figure._suptitle else ""
    axes = [one for one in figure.axes if one.get_visible() and one.get_label() != "<colorbar>"]
    counted = Counter([text for text in map(panel, axes) if text])
    panels = [text if count == 1 else f"{count} times {text}" for text, count in counted.items()]
    more = len(panels) - MOST_PANELS
    if more > 0:
        panels = [*panels[:MOST_PANELS], f"and {more} more like these"]
    if len(axes) > 1:
        panels = [f"{len(axes)} panels", *panels]
    return plain(". ".join([part for part in (title, *panels) if part])) + "."


def panel(axes):
    """Return what one panel shows: its title, its axes, and what is drawn."""
    x, y = axes.get_xlabel(), axes.get_ylabel()
    scales = f"{y} over {x}" if x and y else y or x
    drawn = [*pictures(axes), *bars(axes), *lines(axes)]
    points = sum([len(one.get_offsets()) for one in axes.collections if one.get_offset_transform() == axes.transData])
    if points > 1:
        drawn.append(f"{points} points")
    if not drawn and not scales:
        words = [text.get_text() for text in axes.texts if text.get_text().strip()]
        drawn = [f"a diagram: {', '.join(words[:MOST_WORDS])}"] if words else []
    return "; ".join([part for part in (axes.get_title() or axes.get_title("left"), scales, *drawn) if part])


def pictures(axes):
    return [f"a picture of {image.get_size()[0]} by {image.get_size()[1]} values" for image in axes.images[:1]]


def bars(axes):
    """Say how many bars there are, and how long the shortest and the longest."""
    found = []
    for group in axes.containers:
        lying = getattr(group, "orientation", "") == "horizontal"
        measured = [bar.get_width() if lying else bar.get_height() for bar in getattr(group, "patches", [])]
        if measured:
            label = "" if group.get_label().startswith("_") else f"{group.get_label()}, "
            found.append(f"{label}{len(measured)} bars from {number(min(measured))} to {number(max(measured))}")
    return found[:MOST_LINES]


def lines(axes):
    """Say where each named line begins and ends, and how many there are beside them."""
    found, others = [], 0
    for line in axes.get_lines():
        values = np.ma.compressed(np.ma.masked_invalid(np.asarray(line.get_ydata(), float)))
        if len(values) < 2 or line.get_transform() != axes.transData:
            continue
        if str(line.get_label()).startswith("_") or len(found) == MOST_LINES:
            others += 1
        else:
            found.append(f"{line.get_label()}, from {number(values[0])} to {number(values[-1])}")
    if others:
        found.append(f"{others} {'more ' if found else ''}line{'s' if others > 1 else ''}")
    return found


def number(value):
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def plain(text):
    """Return a label without the marks of Matplotlib's formulas and without a line's end."""
    text = re.sub(r"\\(?:mathrm|text|mathregular)\b", "", text)
    return " ".join(re.sub(r"[$\\{}]", "", text).split()).rstrip(".")


