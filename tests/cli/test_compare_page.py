"""`minires compare --html`: the page in a real Chromium. It asks for nothing, and its numbers are the report's."""

import json

import numpy as np
import pytest

from minires import plots
from minires.cli.main import main
from minires.lab import comparison

pytestmark = pytest.mark.browser

COMMAND = ["compare", "--depths", "8", "14", "--lr", "0.05", "0.005", "--seeds", "2", "--steps", "3",
           "--batch-size", "8"]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    path = out / "report.html"
    assert main([*COMMAND, "--kernels", "numpy", "--out", str(out), "--html", str(path)]) == 0
    (folder,) = out.glob("*-compare-*")
    return path, json.loads((folder / "report.json").read_text())


def number(text):
    return float(text.split("^")[1].split()[0]) if "^" in text else float(text.removesuffix(" %"))


def table(page):
    rows = page.locator("#table tr").all()[1:]
    return {cells[0]: cells[1:] for cells in ([cell.inner_text() for cell in row.locator("td").all()] for row in rows)}


def test_numbers_are_those_of_the_report(made, opened):
    path, report = made
    page = opened(path)
    for moment, step in enumerate(report["moments"]):
        page.locator("#moment").fill(str(moment))
        rows = table(page)
        assert len(rows) == 8
        for entry, summary in zip(report["networks"], report["summary"], strict=True):
            initial, then, _, loss, accuracy, _ = rows[entry["label"]]
            assert number(initial) == pytest.approx(summary["log10_ratio_initial"], abs=0.006)
            logs = [norms["log10_grad_h"][0] - norms["log10_grad_h"][-1] for run in entry["runs"]
                    for norms in comparison.measured_in(run) if norms["step"] == step]  # fmt: skip
            assert number(then) == pytest.approx(np.mean(logs), abs=0.006)
            assert number(loss) == pytest.approx(summary["train_loss"], abs=0.0006)
            assert number(accuracy) == pytest.approx(100 * summary["test_accuracy"], abs=0.06)


def test_values_under_the_pointer_and_by_keys(made, opened):
    path, report = made
    page = opened(path)
    panel = page.locator("figure").first
    panel.focus()
    page.keyboard.press("End")
    said = panel.locator(".values").inner_text().replace("\n", " ")
    logs = [run["initial"]["log10_grad_h"][-1] for run in report["networks"][2]["runs"]]
    assert "block 6" in said and f"plain-14, lr 0.05: {10 ** np.mean(logs):.3g}" in said
    page.keyboard.press("Home")
    assert "block 0, stem" in panel.locator(".values").inner_text()
    box = panel.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 14, box["y"] + 60)
    assert "block 6" in panel.locator(".values").inner_text()


def test_slider_by_keys_and_shared_axes(made, opened):
    path, report = made
    page = opened(path)
    axes = page.locator("figure[data-kind=layers] svg")
    ticks = [axes.nth(i).locator("text").all_inner_texts() for i in range(axes.count())]
    assert len(ticks) == 2 and ticks[0] == ticks[1]
    page.locator("#moment").focus()
    for words in ("after 1 step", "after 2 steps", "after 3 steps"):
        page.keyboard.press("ArrowRight")
        assert page.locator("#when").inner_text() == words
    page.keyboard.press("Home")
    assert page.locator("#when").inner_text() == "before training"
    assert axes.nth(0).locator("text").all_inner_texts() == ticks[0]


def test_networks_are_switched_on_and_off(made, opened):
    page = opened(made[0])
    lines = page.locator("figure").first.locator("polyline")
    assert lines.count() == 4
    page.locator("#networks input").first.uncheck()
    assert lines.count() == 3
    assert page.locator("#table tr.off").count() == 1
    page.locator("[data-quantity=grad_w]").click()
    assert "Gradient of the weights" in page.locator("figcaption").first.inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(made, opened, width):
    page = opened(made[0], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for figure in page.locator("figure svg").all():
        box = figure.bounding_box()
        assert box["width"] > 250 and box["x"] + box["width"] <= width


def test_the_command_that_made_it_and_the_verdict(made, opened):
    path, report = made
    page = opened(path)
    command = page.locator("#command").inner_text()
    assert command == " ".join(["minires", *COMMAND, "--kernels", "numpy"])
    assert page.locator("#verdict p").all_inner_texts() == [sentence.strip() for sentence in report["verdict"]]


def test_a_page_is_one_small_file(made):
    text = made[0].read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    assert "default-src 'none'" in text and "sha256-" in text
    assert "src=" not in text.replace("default-src", "").replace("img-src", "") and "http://www.w3.org" in text


def hostile(report):
    """The report of networks of another's own, whose names are none."""
    names = ("</script><script>document.title='x'</script>", "<img src=x onerror=y>")
    for entry, name in zip(report["networks"], names, strict=False):
        entry["name"] = entry["label"] = name
    for row, entry in zip(report["summary"], report["networks"], strict=True):
        row["label"] = entry["label"]
    report["verdict"] = ["<b>bold</b> & <script>alert(1)</script>", *report["verdict"]]
    return report


def test_names_are_text(made, opened, tmp_path):
    report = hostile(json.loads(json.dumps(made[1])))
    (tmp_path / "report.json").write_text(json.dumps(report))
    path = plots.html_report(tmp_path, tmp_path / "page.html", command="<i>x</i>")
    page = opened(path)
    assert page.title() == "Gradients with and without skips"
    assert page.locator("#verdict p").first.inner_text() == report["verdict"][0]
    assert page.locator("#networks label").nth(1).inner_text().strip() == "<img src=x onerror=y>"
    assert page.locator("#command").inner_text() == "<i>x</i>" and page.locator("img").count() == 0


def test_a_large_comparison_stays_under_three_megabytes(made, tmp_path):
    report = json.loads(json.dumps(made[1]))
    report["moments"] = list(range(60))
    for entry in report["networks"]:
        for run in entry["runs"]:
            one = run["trained"]["moments"][0]
            long = {key: value * 12 if isinstance(value, list) else value for key, value in one.items()}
            run["trained"]["moments"] = [{**long, "step": step} for step in range(1, 60)]
            run["initial"] = {**long, "step": 0}
            run["trained"]["gradients"] = long
    (tmp_path / "report.json").write_text(json.dumps(report))
    path = plots.html_report(tmp_path, tmp_path / "page.html")
    assert path.stat().st_size < 3_000_000
    assert '"moments":[0,' in path.read_text(encoding="utf-8")


def test_an_untrained_comparison(opened, tmp_path):
    path = tmp_path / "page.html"
    assert main(["compare", "--depths", "8", "--seeds", "1", "--steps", "0", "--batch-size", "4", "--kernels", "numpy",
                 "--out", str(tmp_path), "--html", str(path)]) == 0  # fmt: skip
    page = opened(path)
    assert page.locator("figure").count() == 1 and page.locator("#moment").get_attribute("max") == "0"
