"""Results of experiments that not every machine can carry out: computed where they can be, else as they were recorded.

A chapter's record lies beside it, tutorials/19_on_the_gpu.json. MINIRES_RECORD=1 writes it anew, and a test compares it
with what comes out today.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from minires.learn import chapters


class Recorded:
    """`shown("relu", experiment)` is what `experiment()` gives, or gave where the record was made.

    chapter: whose record. problem: a sentence on what is missing here, None where experiments can be carried out.
    Results are plain data: numbers, texts, lists and dictionaries of them.
    """

    def __init__(self, chapter: int, problem: str | None) -> None:
        self.path, self.problem = chapters.path_of(chapter).with_suffix(".json"), problem
        self.found: dict[str, Any] = {}

    def __call__(self, name: str, experiment: Callable[[], Any]) -> Any:
        if self.problem is not None:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return known[name]
        self.found[name] = experiment()
        if os.environ.get("MINIRES_RECORD"):
            lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.found.items()]
            self.path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return self.found[name]
