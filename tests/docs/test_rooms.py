"""The drawing in docs/architecture.md shows the rooms there are, and their imports."""

import re
import sys
from pathlib import Path

import pytest
import test_imports

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import rooms  # noqa: E402

DRAWN = rooms.DRAWING.read_text(encoding="utf-8")
ARROWS = set(re.findall(r'data-from="(\w+)" data-to="(\w+)"', DRAWN))


def real_imports():
    """Return (room, imported) of the whole package, as `test_imports.py` reads it, without what is not drawn."""
    found = set()
    for module in test_imports.MODULES:
        for other in test_imports.rooms_imported(test_imports.parse(module)):
            if (module, other) not in test_imports.EXCEPTIONS:
                found.add((test_imports.room_of(module), other))
    return {(room, other) for room, other in found if room != other and not {room, other} & rooms.NOT_DRAWN}


def reached(room, arrows):
    there = {other for one, other in arrows if one == room}
    return there.union(*[reached(other, arrows) for other in there])


def test_it_is_the_drawing_of_these_sources():
    assert rooms.svg() == DRAWN, "run `python docs/rooms.py`, and look at the picture"


def test_every_room_is_drawn_and_described():
    names = test_imports.ROOMS - rooms.NOT_DRAWN
    assert set(re.findall(r">(\w+)</text>", DRAWN)) == names
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert sorted(described) == sorted(names)


def test_every_arrow_is_an_import():
    assert len(ARROWS) > 30
    assert real_imports() >= ARROWS


def test_every_import_is_an_arrow_or_follows_from_arrows():
    assert {(room, other) for room, other in real_imports() if other not in reached(room, ARROWS)} == set()


@pytest.mark.parametrize("arrow", sorted(ARROWS), ids="-".join)
def test_no_arrow_follows_from_others(arrow):
    assert arrow[1] not in reached(arrow[0], ARROWS - {arrow})


def test_an_arrow_through_a_room_is_noticed():
    lines = rooms.ends([("cli", "kernels")])
    x, y, end_x, end_y = lines["cli", "kernels"]
    nn = rooms.middle("nn")
    assert "cli → kernels through nn" in rooms.faults({("cli", "kernels"): (nn, y, nn, end_y)})


def test_a_room_without_a_place_is_named(monkeypatch):
    monkeypatch.delitem(rooms.PLACES, "ema")
    with pytest.raises(ValueError, match=r"PLACES lacks \['ema'\]"):
        rooms.svg()
