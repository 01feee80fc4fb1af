"""What a package index shows: the README with addresses in the place of paths, and the project's own address.

An index has none of the files beside the README, so its pictures and links work there only as whole addresses. Those
come from one setting, `home` in pyproject.toml. Without it a picture leaves its description and a link its words.
"""

import re
from pathlib import Path

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
