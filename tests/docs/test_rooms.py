"""The drawing and the table in docs/architecture.md show the rooms there are; the drawing also their imports."""

import re
import sys
from pathlib import Path

import pytest
import test_imports
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import rooms  # noqa: E402

NAMES = test_imports.ROOMS - rooms.NOT_DRAWN


def real_imports():
    """Return (room, imported) of the whole package, as `test_imports.py` reads it, without what is not drawn."""
    found = set()
    for module in test_imports.MODULES:
        for other in test_imports.rooms_imported(test_imports.parse(module)):
            if (module, other) not in test_imports.EXCEPTIONS:
                found.add((test_imports.room_of(module), other))
    return {(room, other) for room, other in found if room != other and {room, other} <= NAMES}


def reached(room, arrows):
    there = {other for one, other in arrows if one == room}
    return there.union(*[reached(other, arrows) for other in there])


def test_every_room_is_drawn_and_no_arrow_is_missing_or_superfluous():
    drawing, imports = rooms.svg(), real_imports()
    assert set(re.findall(r">(\w+)</text>", drawing)) == NAMES
    arrows = set(re.findall(r'data-from="(\w+)" data-to="(\w+)"', drawing))
    assert arrows <= imports
    for room, other in imports - arrows:
        assert other in reached(room, arrows), f"{room} imports {other}, and no arrows lead there"
    for room, other in arrows:
        assert other not in reached(room, arrows - {(room, other)})


def test_the_table_describes_every_room_once():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert sorted(described) == sorted(NAMES)


@given(st.lists(st.sets(st.integers(0, 11), max_size=4), min_size=1, max_size=12))
def test_boxes_stand_apart_and_arrows_run_down_between_them(imported):
    found = {f"room{i}": {f"room{j}" for j in others if j < i} for i, others in enumerate(imported)}
    boxes, ways = rooms.layout(found)
    for room, (left, top, right, _) in boxes.items():
        for other, (other_left, other_top, other_right, _) in boxes.items():
            assert room == other or top != other_top or right < other_left or other_right < left
        for way in ways.values():
            assert all(y != top or not left < x < right for x, y in way[1:-1]), "a bend inside of a room"
    for (room, other), way in ways.items():
        heights = [y for _, y in way]
        assert heights == sorted(heights) and heights[0] == boxes[room][3] and heights[-1] == boxes[other][1]


def test_rooms_in_a_circle_are_named():
    with pytest.raises(ValueError, match="in a circle: nn, observe"):
        rooms.rows_of({"cli": {"nn"}, "nn": {"observe"}, "observe": {"nn", "ops"}, "ops": set()})
