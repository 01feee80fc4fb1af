"""The playground in a real Chromium: switches, sentence, ghosts, address, replay. Screenshots stay in tests/output."""

import itertools
import json
import math
import re
from pathlib import Path

import pytest

from minires import playground
from minires.data import Loader, load_digits
from minires.lab.gradient_norms import measure
from minires.lab.networks import Network
from minires.learn.chapters import CHAPTERS, script

pytestmark = pytest.mark.browser

OUTPUT = Path(__file__).parent.parent / "output"
RUNS = json.loads(playground.page_file("runs.json"))
SMALL = "#width=32&depth=10"  # quick to compute


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return playground.write(tmp_path_factory.mktemp("pages") / "playground.html")


@pytest.fixture
def at(opened, file):
    """`at(after, …)` is the page at an address, when it has computed all that it shows."""

    def open_at(after="", **options):
        page = opened(file, after=after, **options)
        settle(page)
        return page

    return open_at


def settle(page):
    page.locator("#result[aria-busy=false]").wait_for()


def ratio(page):
    """What the gradient is multiplied by, as the sentence has it before rounding."""
    settle(page)
    return float(page.locator("#verdict").get_attribute("data-ratio"))


def address(page):
    return dict(pair.split("=") for pair in page.evaluate("location.hash").removeprefix("#").split("&"))


def press(page, name):
    page.locator("#presets").get_by_role("button", name=name, exact=True).click()
    settle(page)


def switch(page, group, choice):
    page.get_by_role("group", name=group, exact=True).get_by_role("radio", name=choice, exact=True).check()
    settle(page)


def test_it_is_one_small_file_that_allows_nothing_else(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.encode()) < 600_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_the_opening_shows_three_settings_and_a_sentence(at):
    page = at()
    assert page.locator("#ghosts li").count() == 2
    assert "50 layers" in page.locator(".sentence").inner_text()
    assert page.locator("#presets [aria-pressed=true]").inner_text() == "He 2015"


def test_presets_come_out_as_the_lab_says_and_name_a_chapter_that_is_there(opened, tmp_path):
    """Powers of ten of the lab's table at 50 layers, within what one seed may be off."""
    page = opened(playground.write(tmp_path / "site" / "playground.html", chapters="../chapters/"), after=SMALL)
    expected = {
        "Everybody’s claim": (-19.3, "vanishes"), "He’s initialization": (0.1, None),
        "Plain, with batch norm": (3.9, "explodes"), "He 2015": (1.4, "grows"), "Skips alone": (4.2, "explodes"),
        "SkipInit": (0.2, "stays"), "Five articles: norm misplaced": (1.6, "grows"),
        "Five articles: always projected": (3.0, "explodes"),
    }  # fmt: skip
    settle(page)
    assert page.locator("#presets button").all_inner_texts() == list(expected)
    for name, (power, kind) in expected.items():
        press(page, name)
        assert abs(math.log10(ratio(page)) - power) < 1
        assert kind is None or page.locator("#verdict").get_attribute("data-kind") == kind
        link = page.locator("#note a")
        number = int(re.search(r"Chapter (\d+)", link.inner_text())[1])
        assert link.get_attribute("href") == f"../chapters/{Path(script(number)).stem}.html"
        assert link.inner_text().endswith(CHAPTERS[number][1])


def test_without_a_site_a_chapter_is_named_and_not_linked(at):
    page = at()
    assert page.locator("#note a").count() == 0
    assert page.locator("#note .chapter").get_attribute("title") == script(11)


def test_the_last_five_settings_stay_as_ghosts_and_can_be_gone_back_to(at):
    page = at(SMALL)
    first = ratio(page)
    for width in ("64", "32"):
        switch(page, "width", width)
    assert page.locator("#ghosts li").count() == 1, "a setting is there once"
    for choice in ("none", "projected", "scaled"):
        switch(page, "skip", choice)
    for choice in ("ELU", "SELU", "tanh"):
        switch(page, "activation", choice)
    assert page.locator("#ghosts li").count() == 5
    assert page.locator("#backward .line.ghost").count() == 5
    assert ratio(page) != first
    press_back = page.locator("#ghosts button").last
    said = press_back.inner_text()
    assert "skip none" in said
    press_back.click()
    settle(page)
    assert address(page)["skip"] == "none"


def test_the_same_seed_gives_the_same_number_and_another_seed_another(at):
    page = at(f"{SMALL}&seed=3")
    first = ratio(page)
    page.get_by_role("button", name="another").click()
    second = ratio(page)
    assert address(page)["seed"] == "4" and second != first
    page.get_by_label("seed").fill("3")
    page.keyboard.press("Enter")
    assert ratio(page) == first


def test_the_address_holds_everything(at):
    settings = "depth=14&skip=projected&norm=batch&order=pre&init=lecun&activation=selu&width=64&seed=12"
    page = at(f"#{settings}&step=20&lang=zh")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    first = ratio(page)
    moved = address(page)
    again = at("#" + "&".join(f"{key}={value}" for key, value in moved.items()))
    assert ratio(again) == first and address(again) == moved
    assert moved["step"] == "20" and again.locator("#moment").input_value() == str(RUNS["moments"].index(20))
    again.evaluate("location.hash = '#width=32&depth=8&skip=none'")
    again.locator("#verdict .sentence", has_text="8").wait_for()
    assert address(again)["skip"] == "none"


def test_the_button_copies_the_address(at):
    page = at(SMALL)
    page.evaluate("""Object.defineProperty(navigator, "clipboard", { value: {
        writeText: async text => { document.body.dataset.copied = text; } } })""")
    page.get_by_role("button", name="Copy the link").click()
    page.locator("body[data-copied]").wait_for()
    assert page.locator("body").get_attribute("data-copied") == page.evaluate("location.href")


@pytest.mark.parametrize(
    ("wrong", "key", "value"),
    [
        ("depth=7", "depth", "6"), ("depth=1000", "depth", "100"), ("depth=-3", "depth", "50"),
        ("depth=1e9", "depth", "50"), ("seed=x", "seed", "0"),
        ("skip=<img src=x onerror=alert(1)>", "skip", "identity"), ("width=33", "width", "128"),
        ("skip=none&order=misplaced", "order", "post"), ("constructor=1&step=3", "width", "128"),
        ("depth=8&lang=constructor", "depth", "8"),
    ],
)  # fmt: skip
def test_a_wrong_address_becomes_the_nearest_right_one(wrong, key, value, at):
    page = at(f"#{wrong}" if "width" in wrong or key == "width" else f"#width=32&{wrong}")
    assert address(page)[key] == value
    assert ratio(page) > 0


def test_a_browser_without_workers_says_so(chromium, file):
    context = chromium.new_context()
    context.add_init_script("window.Worker = class { constructor() { throw new Error('no'); } };")
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_text("lets no page compute in the background").wait_for()
    context.close()


def test_a_norm_can_be_misplaced_only_where_there_are_two(at):
    page = at(f"{SMALL}&skip=identity&norm=batch&order=misplaced")
    misplaced = page.get_by_role("radio", name="norm misplaced")
    assert misplaced.is_checked()
    switch(page, "norm", "none")
    assert misplaced.is_disabled() and page.get_by_role("radio", name="ReLU last").is_checked()


def test_it_works_with_the_keyboard(at):
    page = at(SMALL)
    page.get_by_role("slider", name="depth").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("12 layers", exact=False).first.wait_for()
    settle(page)
    assert address(page)["depth"] == "12"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "skip"
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert address(page)["skip"] == "none"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(node => node.id || node.name || node.tagName)(document.activeElement)"))
    assert {"order", "norm", "init", "activation", "width", "seed", "svg", "moment", "play", "copy", "SUMMARY"} <= seen
    page.locator("#backward svg").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("input")
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("layer 1:")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#readout").inner_text().startswith("input")


def test_the_table_is_what_the_chart_draws(at):
    page = at(f"{SMALL}&skip=identity")
    page.get_by_text("The numbers as a table").click()
    rows = [row.split("\t") for row in page.locator("#numbers tbody").inner_text().splitlines()]
    assert [row[0] for row in rows] == ["input", "2", "4", "6", "8", "10"]
    assert float(rows[0][2]) == pytest.approx(ratio(page), rel=1e-4) and float(rows[-1][2]) == 1


def test_a_slider_on_its_way_leaves_no_ghosts(at):
    page = at(f"{SMALL}&depth=4")
    page.get_by_role("slider", name="depth").evaluate(
        """slider => { for (const depth of [6, 8, 10, 12, 14]) {
            slider.value = depth;
            slider.dispatchEvent(new Event("input"));
        } }"""
    )
    page.get_by_text("14 layers").first.wait_for()
    settle(page)
    page.locator("#ghosts li").wait_for()
    assert page.locator("#ghosts li").count() == 1


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_both_languages_say_the_same_things(language, at):
    page = at(SMALL, language=language)
    assert page.evaluate("document.documentElement.lang") == language
    shape = """which => { const shape = (value, path) => value && typeof value === "object" && !Array.isArray(value)
        ? Object.keys(value).flatMap(key => shape(value[key], `${path}.${key}`))
        : [`${path} ${Array.isArray(value) ? value.length : typeof value}`]; return shape(WORDS[which], ""); }"""
    assert page.evaluate(shape, "en") == page.evaluate(shape, "zh")
    assert page.locator("[data-text]").evaluate_all("nodes => nodes.filter(node => !node.textContent).length") == 0
    chinese = re.compile("[\u4e00-\u9fff]")
    other = page.locator("#other").inner_text()
    text = page.locator("body").inner_text().replace(other, "")
    assert bool(chinese.search(text)) == (language == "zh-CN")
    page.get_by_role("button", name="English version" if language == "zh-CN" else "中文版").click()
    assert page.evaluate("document.documentElement.lang") != language
    assert "undefined" not in page.locator("body").inner_text()


def test_lines_differ_without_colour(at):
    page = at(SMALL)
    for choice in ("ELU", "SELU", "tanh", "none", "ReLU"):
        switch(page, "activation", choice)
    switch(page, "initialization", "LeCun")
    looks = """nodes => nodes.map(node => { const style = getComputedStyle(node);
        return `${style.strokeDasharray} ${style.strokeWidth}`; })"""
    for lines in ("#backward .line", "#replay .chart .line"):
        found = page.locator(lines).evaluate_all(looks)
        assert len(set(found)) == len(found) >= 4
    assert sorted(page.locator("#backward .tagged").all_text_contents()) == ["1", "2", "3", "4", "5"]
    signs = page.evaluate("[SIGNS.vanishes, SIGNS.shrinks, SIGNS.stays, SIGNS.grows, SIGNS.explodes]")
    assert len(set(signs)) == 5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_text_can_be_read(width, dark, at):
    page = at("", width=width, dark=dark)
    for language in ("en", "zh"):
        outside = page.evaluate(
            """width => [...document.querySelectorAll("body *")].filter(node => {
                if (node.closest("pre, .scroll, svg, .hidden")) return false; // those scroll by themselves
                const box = node.getBoundingClientRect();
                return box.width > 0 && (box.left < -1 || box.right > width + 1);
            }).map(node => node.outerHTML.slice(0, 80))""",
            width,
        )
        assert outside == [] and page.evaluate("document.documentElement.scrollWidth") <= width
        OUTPUT.mkdir(exist_ok=True)
        theme = "dark" if dark else "light"
        page.screenshot(path=OUTPUT / f"playground-{width}-{theme}-{language}.png", full_page=True)
        page.locator("#other").click()
    colours = page.evaluate(
        """() => { const style = getComputedStyle(document.documentElement);
        return Object.fromEntries("ground panel raised ink muted accent explodes vanishes stays".split(" ")
            .map(name => [name, style.getPropertyValue("--" + name)])); }"""
    )
    assert (luminance(colours["ground"]) < 0.2) == dark
    for ink, paper in [*itertools.product(("ink", "muted"), ("ground", "panel", "raised")), ("accent", "ground"),
                       *itertools.product(("explodes", "vanishes", "stays"), ("panel",))]:  # fmt: skip
        assert contrast(colours[ink], colours[paper]) >= 4.5, f"{ink} on {paper}"


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = [int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_everything_that_can_be_used_has_a_name(at):
    page = at(SMALL)
    nameless = page.eval_on_selector_all(
        "button, input, svg[role=img], [tabindex='0'], summary",
        """nodes => nodes.filter(node => !(node.getAttribute("aria-label") || node.textContent.trim()
            || (node.labels && [...node.labels].some(label => label.textContent.trim()))))
            .map(node => node.outerHTML)""",
    )
    assert nameless == []


def test_the_replay_moves_through_the_recorded_runs(at):
    page = at(SMALL)
    slider = page.get_by_role("slider", name="steps of training")
    for index, moment in enumerate(RUNS["moments"]):
        slider.fill(str(index))
        shown = page.locator("#runs tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.querySelectorAll('[data-value]')].map(cell => Number(cell.dataset.value)))"
        )
        for (multiple, loss), run in zip(shown, RUNS["runs"], strict=True):
            profile = run["log10_grad_h"][index]
            assert math.log10(multiple) == pytest.approx(profile[0] - profile[-1], abs=1e-9)
            assert loss == run["loss"][index]
        assert str(moment) in page.locator("#step").inner_text() or moment == 0
    assert address(page)["step"] == "80"
    drawn = page.locator("#replay .chart .line")
    assert drawn.count() == 4
    page.locator("#runs input").first.uncheck()
    assert drawn.count() == 3
    for box in page.locator("#runs input").all():
        box.uncheck()
    assert page.locator("#story").inner_text()
    slider.fill("0")
    page.get_by_role("button", name="Play").click()
    page.locator("#step", has_text="after 1 of").wait_for()
    page.get_by_role("button", name="Pause").click()


def test_the_recording_is_of_this_lab():
    """At step 0 it can be measured again; and the trained ones learn with skips, and not without, at the high rate."""
    images, labels, _, _ = load_digits()
    batch = next(Loader(images, labels, RUNS["batch_size"], drop_last=True, seed=RUNS["seed"]).epoch(0))
    for run in RUNS["runs"][::2]:
        kind, depth = run["name"].split("-")
        network = Network(int(depth), kind == "residual", "he", "batch", "relu")
        norms = measure(network.build(RUNS["seed"]), *batch)
        assert run["outputs"] == norms["outputs"]
        assert run["log10_grad_h"][0] == pytest.approx(norms["log10_grad_h"], abs=0.01)
    names = [(run["name"], run["lr"]) for run in RUNS["runs"]]
    assert names == [("plain-56", 0.05), ("plain-56", 0.005), ("residual-56", 0.05), ("residual-56", 0.005)]
    assert RUNS["moments"] == [0, 1, 2, 5, 10, 20, 40, 80]
    plain, residual = RUNS["runs"][0], RUNS["runs"][2]
    assert plain["loss"][-1] > RUNS["chance"] - 0.2 and residual["loss"][-1] < 0.5
