"""Pages that are one HTML file: no server, no second file, and nothing runs in them but what they were made with.

A page is a template with places, `@title@`, and parts that fill them. `@stylehash@` and `@scripthash@` stand in the
template's Content-Security-Policy: the hashes of its only <style> and its only plain <script>, which name them as the
only ones that the browser may run.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files


def assemble(template: str, parts: Mapping[str, str]) -> str:
    """Fill the places of a template. KeyError for a place that has no part."""
    filled = dict(parts)
    for name in ("style", "script"):
        (element,) = re.findall(f"<{name}>(.*?)</{name}>", template, re.DOTALL)
        filled[f"{name}hash"] = hash_of(element.replace(f"@{name}@", parts[name]))
    return re.sub("@([a-z]+)@", lambda match: filled[match[1]], template)


def hash_of(content: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an element of this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def text_of(room: str, name: str) -> str:
    """Return a file that a room's page is made of, such as text_of("minires.debug", "page/page.css")."""
    return (files(room) / name).read_text(encoding="utf-8")
