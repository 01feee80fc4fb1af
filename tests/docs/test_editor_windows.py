"""Chapter 13's walk through VS Code: a client of the debug adapter does each step, and the windows show what comes."""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))


@pytest.fixture(scope="module")
def windows():
    pytest.importorskip("pygments")
    import editor_windows

    return editor_windows


@pytest.fixture(scope="module")
def stops(windows):
    return json.loads(windows.RECORD.read_text(encoding="utf-8"))


def test_a_client_that_does_what_the_chapter_says_sees_what_is_drawn(require, windows, stops):
    require("debugpy")
    walked = windows.walk()
    assert len(walked) == len(stops) == len(windows.STEPS)
    for number, (now, recorded) in enumerate(zip(walked, stops, strict=True), 1):
        assert windows.loosely(now) == windows.loosely(recorded), (
            f"stop {number} is another than the one drawn: run `python docs/editor_windows.py`, and read chapter 13"
        )


def test_the_stops_are_those_that_the_chapter_tells(stops):
    functions = [[frame[0] for frame in stop["stack"]] for stop in stops]
    backward = ["backward", "backward", "<module>"]
    assert functions == [backward, ["conv2d_grad_input", *backward], backward, backward, backward]
    values = [{name: value for depth, name, value in stop["variables"]} for stop in stops]
    assert [values[i]["module_path"] for i in (0, 4)] == ["'layer3.2.conv2'", "'layer3.2.conv1'"]
    assert set(values[1]) == {"grad_y", "padding", "stride", "weight", "x_shape"}
    assert values[2]["grad_weight"] == "None" and values[2]["shape"] == values[1]["x_shape"]
    assert stops[3]["stack"][stops[3]["frame"]][1:3] == [
        "minires/engine.py", "                grads = op.backward(grad_y)  # step in here",
    ]  # fmt: skip
    assert {"order", "tensor", "op", "self"} <= set(values[3])


@pytest.mark.parametrize("ending", ["", "-dark"])
def test_each_window_shows_variables_frames_and_the_line_of_its_stop(windows, stops, ending, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "FOLDER", tmp_path)
    windows.draw()
    for number, stop in enumerate(stops[: windows.DRAWN], 1):
        drawing = ElementTree.fromstring((tmp_path / f"editor-{number}{ending}.svg").read_text(encoding="utf-8"))
        words = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
        for _, name, value in stop["variables"]:
            assert f"{name}: " in words and value in words
        for function, file, line, hint in stop["stack"]:
            place = windows.found_again(file, line, hint)
            assert function in words and f"{Path(file).name}  {place}" in words
        _, file, line, hint = stop["stack"][stop["frame"]]
        assert str(windows.found_again(file, line, hint)) in words
        assert line.split()[0] in "".join(words)


def test_the_chapter_shows_every_window_in_light_and_dark_and_says_what_is_on_it(windows):
    source = windows.CHAPTER.read_text(encoding="utf-8")
    shown = re.findall(r"\.\. image:: /_static/(editor-\d(?:-dark)?)\.svg\n#    :class: only-(\w+) window\n", source)
    wanted = [(f"editor-{i}{end}", look) for i in range(1, windows.DRAWN + 1) for end, look in
              (("", "light"), ("-dark", "dark"))]  # fmt: skip
    assert shown == wanted
    said = re.findall(r"#    :alt: ((?:.+\n)(?:#       .+\n)*)", source)
    assert len(said) == len(wanted) and said[0::2] == said[1::2] and len(set(said)) == windows.DRAWN
    for key in windows.BUTTONS:
        assert f"**{key}**" in source


def test_a_line_is_found_again_where_it_has_moved_and_missed_where_it_is_gone(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("one\ntwo\none\n", encoding="utf-8")
    assert [windows.found_again("a.py", "one", hint) for hint in (1, 4)] == [1, 3]
    with pytest.raises(ValueError, match=r"a\.py has no line 'three' any more"):
        windows.found_again("a.py", "three", 1)
