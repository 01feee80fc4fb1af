"""A moving picture: every step is in it, one is seen at a time, and the last stands still where nothing shall move."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minires.plots import Animation


def draw(figure, step):
    figure.subplots().plot([0, 1], [0, step])


def made(**options):
    return Animation(draw, 4, (2, 1), 'a line that "rises"', seconds=0.5, hold=2, **options)


def test_every_step_is_in_it_and_the_last_one_first():
    moving = made()
    found = [base64.b64decode(one) for one in re.findall("base64,([^\"]*)", moving._repr_html_())]
    assert found == [moving.png(3), moving.png(0), moving.png(1), moving.png(2)]
    pixels = [plt.imread(io.BytesIO(one)) for one in found]
    assert len({one.shape for one in pixels}) == 1 and len(set(found)) == 4
    assert not np.allclose(pixels[0], pixels[1])


def test_it_says_what_is_to_be_seen():
    assert 'alt="a line that &quot;rises&quot;"' in made()._repr_html_()


def test_two_on_a_page_keep_apart():
    pages = [Animation(draw, steps, (2, 1), "")._repr_html_() for steps in (2, 3)]
    names = [re.search('class="([^"]*)"', page)[1] for page in pages]
    assert len(set(names)) == 2


def test_a_script_is_left_no_figure_without_a_window():
    before = plt.get_fignums()
    made()
    assert plt.get_fignums() == before


def test_one_step_is_no_motion():
    with pytest.raises(ValueError, match="1 steps are no motion"):
        Animation(draw, 1, (2, 1), "")


@pytest.mark.browser
def test_one_step_is_seen_at_a_time(opened, tmp_path):
    path = tmp_path / "moving.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'><title>t</title>{made()._repr_html_()}", encoding="utf-8")
    page = opened(path, width=390)
    seen = "() => [...document.images].slice(1).map(one => getComputedStyle(one).opacity)"
    assert page.evaluate(seen) == ["0", "0", "0"], "who asks for less motion sees the last step"
    assert not page.is_visible("input")

    page.emulate_media(reduced_motion="no-preference")
    states = "() => document.getAnimations().map(one => one.playState)"
    assert page.evaluate(states) == ["running"] * 3
    page.check("input")
    assert page.evaluate(states) == ["paused"] * 3
    at = "time => document.getAnimations().forEach(one => { one.pause(); one.currentTime = time; })"
    for time, wanted in [(100, "100"), (600, "010"), (1400, "001"), (1600, "000"), (2400, "000"), (2600, "100")]:
        page.evaluate(at, time)
        assert "".join(page.evaluate(seen)) == wanted, time
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390
