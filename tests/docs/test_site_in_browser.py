"""Every page in a real Chromium: nothing from outside, no error, nothing wider than the window, nobody shut out."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.docs, pytest.mark.browser]

OUTPUT = Path(__file__).parent.parent / "output"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
EXAMINED = ("index", "chapters/index", "chapters/11_residual_add", "benchmarks", "api/ops")
PHOTOGRAPHED = ("index", "chapters/index", "chapters/01_derivatives", "chapters/07_convolution_backward")
NARROW = (*PHOTOGRAPHED, "stepping_through", "architecture", "api/ops", "glossary", "data_and_licences", "training")


def faults_of(chromium, site, names, width):
    """Open pages in one window; return everything that a page asked for elsewhere, complained of, or got wrong."""
    OUTPUT.mkdir(exist_ok=True)
    context = chromium.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(300_000)  # a picture of a long page takes its time where other work is under way
    page, faults = context.new_page(), []
    page.on("console", lambda message: faults.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"{page.url}: {request.url} failed"))
    page.on("request", lambda request: None if at_home(request.url, site) else faults.append(request.url))
    for name in names:
        page.goto((site / f"{name}.html").as_uri())
        if page.evaluate(WIDER) > 0:
            faults.append(f"{name}: {page.evaluate(WIDER)} pixels wider than {width}")
        if name in PHOTOGRAPHED:
            page.screenshot(path=OUTPUT / f"site-{name.replace('/', '-')}-{width}.png", full_page=True)
    context.close()
    return faults


def at_home(url, site):
    return url.startswith((site.as_uri(), "data:", "blob:"))  # a blob is what the page itself made


def test_every_page_at_1280(chromium, site):
    names = [path.relative_to(site).with_suffix("").as_posix() for path in sorted(site.rglob("*.html"))]
    assert len(names) > 25
    assert faults_of(chromium, site, names, 1280) == []


def test_main_pages_at_400(chromium, site):
    assert faults_of(chromium, site, [name for name in NARROW if (site / f"{name}.html").exists()], 400) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(chromium, site, require, dark):
    script = Path(require("axe_playwright_python").__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    context = chromium.new_context(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page, found = context.new_page(), []
    for name in EXAMINED:
        page.goto((site / f"{name}.html").as_uri())
        page.evaluate(script)
        for fault in page.evaluate("axe.run()")["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found += [f"{name}: {fault['id']}: {node['html'][:160]}" for node in fault["nodes"][:3]]
    context.close()
    assert found == []


def test_the_picture_moves_when_it_is_told_to(chromium, site):
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    before = page.locator(".hero .curve.plain").get_attribute("d")
    slider = page.get_by_role("slider")
    assert page.locator(".hero-step").inner_text() == "0"
    slider.press("End")
    assert page.locator(".hero-step").inner_text() == "80"
    assert page.locator(".hero .curve.plain").get_attribute("d") != before
    context.close()


def test_each_door_has_a_command_to_copy(chromium, site):
    page = chromium.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator(".door button.copybtn").count() == 3
    page.close()


@pytest.mark.parametrize(
    ("folder", "words"),
    [(".", "conv2d_grad_weight"), ("zh", "conv2d_grad_weight"), ("zh", "梯度"), ("zh", "中心差分"), ("zh", "求导")],
)
def test_search_finds(chromium, site, folder, words):
    page = chromium.new_page()
    page.goto((site / folder / "search.html").as_uri() + f"?q={words}")
    page.locator("#search-results ul.search li").first.wait_for()
    assert page.locator("#search-results ul.search li").count() >= 1
    page.close()


def test_a_bad_page_is_noticed(chromium, tmp_path):
    (tmp_path / "bad.html").write_text(
        '<img src="http://127.0.0.1:9/no.png"><script>console.log("hello"); nothing()</script>'
        '<p style="width: 3000px">wide</p>'
    )
    faults = "\n".join(faults_of(chromium, tmp_path, ["bad"], 400))
    for expected in ("127.0.0.1:9/no.png", "hello", "nothing is not defined", "pixels wider than 400"):
        assert expected in faults
