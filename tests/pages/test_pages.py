"""A page of one file: what fills it, and what its policy lets run."""

import base64
import hashlib

import pytest

from minires.pages import assemble, text_of

TEMPLATE = "<p>@words@ a@b.c</p><meta @stylehash@ @scripthash@><style>@style@</style><script>'x'\n@script@</script>"
PARTS = {"words": "@style@", "style": "p {}", "script": "let at = '@words@';"}


def test_parts_fill_the_places_and_nothing_in_them_is_filled_again():
    page = assemble(TEMPLATE, PARTS)
    assert "<p>@style@ a@b.c</p>" in page and "let at = '@words@';" in page


def test_the_hashes_are_those_of_the_elements_as_they_stand():
    page = assemble(TEMPLATE, PARTS)
    for content in ("p {}", "'x'\nlet at = '@words@';"):
        assert f">{content}</" in page
        assert f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in page


def test_a_place_without_a_part_is_an_error():
    with pytest.raises(KeyError, match="words"):
        assemble(TEMPLATE, {"style": "", "script": ""})


def test_the_parts_of_pages_are_in_the_package():
    assert "function element(" in text_of("minires.pages", "elements.js")
    assert "--ground" in text_of("minires.debug", "page/page.css")
