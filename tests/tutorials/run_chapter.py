"""`python run_chapter.py CHAPTER`: run a chapter as a script, then look at its figures: are their axes labelled?"""

import runpy
import sys

namespace = runpy.run_path(sys.argv[1], run_name="__main__")
plt = sys.modules.get("matplotlib.pyplot")
figures = [plt.figure(number) for number in plt.get_fignums()] if plt else []
for figure in figures:
    curves = [axes for axes in figure.axes if axes.get_visible() and (axes.lines or axes.containers)]
    for axes in curves:
        shared = [*axes.get_shared_x_axes().get_siblings(axes), *axes.get_shared_y_axes().get_siblings(axes)]
        for direction in ("x", "y"):
            labels = [getattr(other, f"get_{direction}label")() for other in [axes, *shared]]
            labels.append(getattr(figure, f"get_sup{direction}label")())
            if not any(labels):
                sys.exit(
                    f"{sys.argv[1]}: figure {figure.number}, {axes.get_title()!r}: the {direction} axis has no label"
                )
print(f"\n{len(figures)} figures")
