"""A moving picture: steps that are drawn one by one and shown one after the other, by a stylesheet, without a script.

It is one piece of HTML, which a notebook and the site show as they show a figure. Where nothing shall move (paper, or a
reader who has asked their system for less motion) the last step stands still; so let that one hold all.
"""

import base64
import hashlib
import html
import io
from collections.abc import Callable

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110

# The last step lies at the bottom, the others upon it, each to be seen for its own share of the round and no longer.
PAGE = """<div class="@name@">
<style>
.@name@ div { position: relative; max-width: @width@px; }
.@name@ img { display: block; width: 100%; margin: 0; }
.@name@ img + img { position: absolute; top: 0; left: 0; opacity: 0; animation: @name@ @round@s step-end infinite; }
.@name@ input:checked ~ div img { animation-play-state: paused; }
@keyframes @name@ { 0% { opacity: 1; } @share@% { opacity: 0; } 100% { opacity: 0; } }
@media print, (prefers-reduced-motion: reduce) {
  .@name@ img + img { animation: none; }
  .@name@ input, .@name@ label { display: none; }
}
</style>
<input type="checkbox" id="@name@"> <label for="@name@">hold still</label>
<div>
@images@
</div>
</div>"""


class Animation:
    """The steps 0 … steps − 1 of a picture, each drawn by draw(figure, step) on an empty figure.

    Let it be the last expression of a cell. A script shows the last step, in a window if it has one for figures.
    size: of a figure, in inches; says: in words, what is to be seen; seconds: for which a step stays; hold: how many
    times as long the last one does. ValueError for fewer than two steps.
    """

    def __init__(
        self,
        draw: Callable[[Figure, int], None],
        steps: int,
        size: tuple[float, float],
        says: str,
        seconds: float = 0.8,
        hold: int = 4,
    ) -> None:
        if steps < 2:
            raise ValueError(f"Animation: {steps} steps are no motion; at least 2")
        self.draw, self.steps, self.size, self.says = draw, steps, size, says
        self.seconds, self.hold = seconds, hold
        import matplotlib.pyplot as plt  # which the figures of files do without

        still = plt.figure(figsize=size, layout="constrained")
        draw(still, steps - 1)
        if still.canvas.required_interactive_framework is None:  # there is no window: it is shown by _repr_html_
            plt.close(still)

    def png(self, step: int) -> bytes:
        """Return a step as the bytes of a PNG file."""
        figure, file = Figure(figsize=self.size, layout="constrained", dpi=DPI), io.BytesIO()
        self.draw(figure, step)
        FigureCanvasAgg(figure).print_png(file)
        return file.getvalue()

    def _repr_html_(self) -> str:
        pictures = [base64.b64encode(self.png(step)).decode() for step in range(self.steps)]
        images = [image(pictures[-1], html.escape(self.says, quote=True))]
        for step, picture in enumerate(pictures[:-1]):
            images.append(image(picture, "", f' aria-hidden="true" style="animation-delay: {step * self.seconds:g}s"'))
        shares = self.steps - 1 + self.hold
        parts = {
            "name": f"moving-{hashlib.sha256(''.join(pictures).encode()).hexdigest()[:8]}",
            "width": f"{100 * self.size[0]:.0f}",
            "round": f"{shares * self.seconds:g}",
            "share": f"{100 / shares:.4f}",
            "images": "\n".join(images),
        }
        page = PAGE
        for name, value in parts.items():
            page = page.replace(f"@{name}@", value)
        return page


def image(picture: str, says: str, more: str = "") -> str:
    return f'<img src="data:image/png;base64,{picture}" alt="{says}"{more}>'
