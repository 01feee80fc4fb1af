"""What the package holds besides `minires`, and what a package index shows of it.

A checkout has the chapters at its top, and the trainings that chapter 16 draws among the benchmarks; in the wheel both
are in `minires/tutorials`.

An index has none of the files beside the README, so its pictures and links work there only as whole addresses. Those
come from one setting, `home` in pyproject.toml. Without it a picture leaves its description and a link its words.
"""

import re
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def on_the_index(text: str, home: str) -> str:
    """Return the README's text for an index. home: the address of the repository, "" where it has none."""

    def absolute(match: re.Match[str]) -> str:
        is_picture, words, path = match.groups()
        if not home:
            return f"*({words})*" if is_picture else words
        return f"{is_picture}[{words}]({home}/{'raw' if is_picture else 'blob'}/HEAD/{path})"

    return LINK.sub(absolute, text)


class Home(MetadataHookInterface):
    """Adds what pyproject.toml calls dynamic: `readme` and `urls`."""

    def update(self, metadata: dict) -> None:
        home = self.config["home"].rstrip("/")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": on_the_index(text, home)}
        metadata["urls"] = {}
        if home:
            metadata["urls"] = {
                "Source": home,
                "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
                "Issues": f"{home}/issues",
            }


class Chapters(BuildHookInterface):
    """Puts the chapters into the wheel, and of each recorded training what is drawn."""

    def initialize(self, version: str, build_data: dict) -> None:
        root = Path(self.root)
        trainings = root / "benchmarks" / "results" / "training"
        build_data["force_include"][str(root / "tutorials")] = "minires/tutorials"
        for path in [trainings / "runs.json", *trainings.glob("*/metrics.jsonl")]:
            place = path.relative_to(trainings).as_posix()
            build_data["force_include"][str(path)] = f"minires/tutorials/trainings/{place}"
