"""What a notebook shows of a tensor, a module or a report, in place of the text that `repr` gives: pieces of HTML.

Notebooks ask an object for `_repr_html_()` and put what it returns into a page of theirs, bright or dark. So every
piece takes its colours for text and lines from the page, runs no script, asks for nothing, and holds no name that was
not escaped. It is shown again and again, so it is cheap: nothing is copied from a GPU, and of what is large only a part
is looked at, which is said.
"""

from minires.displays.reports import check_html, report_html
from minires.displays.tensors import tensor_html
from minires.displays.trees import tree_html

__all__ = ["check_html", "report_html", "tensor_html", "tree_html"]
