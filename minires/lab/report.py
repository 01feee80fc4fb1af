"""What the lab gives back: plain data, ready for JSON, that a notebook shows with its picture."""

from typing import Any


class Report(dict[str, Any]):
    """The dict that `lab.compare` or an experiment describes."""

    def _repr_html_(self) -> str:
        from minires.displays import report_html  # where there is a notebook

        return report_html(self)
