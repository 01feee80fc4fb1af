"""The browser view in a real Chromium: keys, numbers, folding, widths, themes. Screenshots stay in tests/output."""

import math
from pathlib import Path

import numpy as np
import pytest
from hostile import CLASS, MODULE, hostile_loss

from minires import kernels, models, nn, ops
from minires.data import load_digits
from minires.debug import browser
from minires.engine import Tensor, backward_order

pytestmark = pytest.mark.browser

OUTPUT = Path(__file__).parent.parent / "output"


@pytest.fixture(autouse=True, scope="module")
def numpy_kernels():
    """So that the numbers of two runs agree, and nothing waits for a compiler."""
    with kernels.use("numpy"):
        yield


def resnet_loss(depth, skip=True, N=8, norm="batch"):
    model = models.cifar_resnet(depth, in_channels=1, seed=0, skip=skip, norm=norm)
    images, labels, _, _ = load_digits()
    return model, ops.cross_entropy(model(Tensor(images[:N])), labels[:N])


@pytest.fixture(scope="module")
def resnet20_file(tmp_path_factory):
    model, loss = resnet_loss(20)
    return browser.write(loss, tmp_path_factory.mktemp("pages") / "resnet20.html", "resnet20", model)


def test_hostile_names_are_shown_and_nothing_of_them_runs(opened, tmp_path):
    """`opened` sees to it that the page asks for nothing, and that its policy had nothing to forbid."""
    model, loss = hostile_loss()
    page = opened(browser.write(loss, tmp_path / "hostile.html", CLASS, model))
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.locator("#expand").click()
    assert page.locator("h1").inner_text() == f"Backward through {CLASS}"
    assert MODULE in page.locator("#graphs").inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        for element in ("img", "b[onclick]", "main script", "main style"):
            assert page.locator(element).count() == 0
    screenshot(page, "hostile names")
    assert CLASS in page.locator("body").inner_text() and dialogs == []


def place(page):
    return page.locator("#place").inner_text()


def norm(array):
    return math.sqrt(float((array.astype(np.float64) ** 2).sum()))


def screenshot(page, name):
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"{name}.png", full_page=True)


NUMBERS = """() => Object.fromEntries([...document.querySelectorAll("#details tbody tr")].map(row =>
    [row.dataset.key, Number(row.querySelector("[data-name=norm]").dataset.value)]))"""


def test_keys_step_to_the_end_and_back_and_every_number_is_the_runs(opened, resnet20_file):
    model, loss = resnet_loss(20)
    order = backward_order(loss)
    needed = [(op.inputs, op.needs_grad) for op in (tensor.op for tensor in order)]
    uses = {}
    for inputs, _ in needed:
        for tensor in inputs:
            uses[tensor] = uses.get(tensor, 0) + 1
    loss.backward(keep_grads=True)

    page = opened(resnet20_file)
    assert place(page).startswith(f"step 1 of {len(order)}: CrossEntropy")
    compared = 0
    for step, (tensor, (inputs, needs_grad)) in enumerate(zip(order, needed, strict=True)):
        assert place(page).startswith(f"step {step + 1} of ")
        shown = page.evaluate(NUMBERS)
        assert shown["grad_y"] == pytest.approx(norm(tensor.grad), rel=1e-6)
        assert shown["y"] == pytest.approx(norm(tensor.data), rel=1e-6)
        gradients = [value for key, value in shown.items() if key not in ("grad_y", "y")]
        wanted = [source for source, flag in zip(inputs, needs_grad, strict=True) if flag]
        assert len(gradients) == len(wanted)
        for value, source in zip(gradients, wanted, strict=True):
            if uses[source] == 1:  # else a part of it
                assert value == pytest.approx(norm(source.grad), rel=1e-6)
                compared += 1
        page.keyboard.press("ArrowRight")
    assert compared > 100
    assert place(page).startswith(f"step {len(order)} of {len(order)}: conv1 Conv2d"), "there is no step after the last"
    for _ in order:
        page.keyboard.press("ArrowLeft")
    assert place(page).startswith("step 1 of ")
    page.keyboard.press("End")
    assert place(page).startswith(f"step {len(order)} of ")
    page.keyboard.press("Home")
    assert place(page).startswith("step 1 of ")


def test_the_slider_the_buttons_and_the_chart_walk_too(opened, resnet20_file):
    page = opened(resnet20_file)
    page.get_by_role("slider", name="Step of the backward pass").fill("30")
    assert place(page).startswith("step 31 of ")
    page.get_by_role("button", name="One step back").click()
    assert place(page).startswith("step 30 of ")
    page.locator("#chart > svg").click(position={"x": 42, "y": 40})
    assert place(page).startswith("step 1 of ")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert place(page).startswith("step 2 of "), "one step, not one of the slider and one of the page"
    page.get_by_role("button", name="Play").click()
    page.get_by_text("step 4 of ").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider").fill("0")
    for key, block in (("n", "layer3.2.relu2"), ("n", "layer3.1.relu2"), ("p", "layer3.2.relu2")):
        page.keyboard.press(key)
        assert place(page).split(": ")[1].startswith(block)


def test_blocks_fold_and_unfold_and_the_walk_opens_its_own(opened, resnet20_file):
    page = opened(resnet20_file)
    rows = page.locator(".rows button")
    start = rows.count()
    page.keyboard.press("c")
    assert rows.count() == 9  # loss, fc, pool, three stages, relu, bn1, conv1
    page.keyboard.press("e")
    assert rows.count() == 71 + 3 + 9  # every op, stage and block
    page.keyboard.press("c")
    page.get_by_role("button", name="layer2, 22 ops").click()
    assert rows.count() == 9 + 3
    block = page.get_by_role("button", name="layer2.1, 7 ops")
    assert block.get_attribute("aria-expanded") == "false"
    block.press("Enter")
    assert block.get_attribute("aria-expanded") == "true" and rows.count() == 9 + 3 + 7
    page.keyboard.press("ArrowDown")  # along the rows now, and so to an op
    assert "layer2.1.relu2" in place(page)
    block.press("ArrowLeft")
    assert block.get_attribute("aria-expanded") == "false"

    page = opened(resnet20_file)
    rows = page.locator(".rows button")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert page.locator(".rows [aria-current] .name").inner_text() == "bn1"
    assert rows.count() == start + 7, "the block of the step is open"
    page.keyboard.press("Home")
    assert rows.count() == start, "and closed again behind it"


def test_edges_are_gray_until_the_gradient_has_come_by(opened, resnet20_file):
    page = opened(resnet20_file)
    page.keyboard.press("e")
    ahead = page.locator(".edge.ahead")
    edges = page.locator(".edge").count()
    assert edges == 70 + 9 and ahead.count() == edges - 1  # a chain of 71 ops, 9 skips; the loss has handed on its own
    page.keyboard.press("End")
    assert ahead.count() == 0
    widths = page.eval_on_selector_all(".edge", "edges => edges.map(edge => parseFloat(edge.style.strokeWidth))")
    assert max(widths) > 1.5 * min(widths) and min(widths) >= 1.5


def test_lines_of_a_backward_are_stepped_through(opened, resnet20_file):
    page = opened(resnet20_file)
    page.get_by_role("slider").fill("6")
    assert "Conv2d" in place(page)
    now = page.locator(".source .now")
    assert "return grad_x, grad_weight" in now.inner_text()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    assert "grad_weight = self.kernels.conv2d_grad_weight" in now.inner_text()
    assert "norm" in page.locator(".source .now + em").inner_text()
    for _ in range(20):
        page.keyboard.press("Shift+ArrowLeft")
    assert "grad_x = grad_weight = grad_bias = None" in now.inner_text()
    assert place(page).startswith("step 7 of ")
    assert "dL/dweight = Σ" in page.locator(".formula").inner_text()


def test_the_fork_meter_and_the_choice_of_a_gradient(opened, resnet20_file):
    page = opened(resnet20_file)
    page.get_by_role("slider").fill("4")
    assert page.locator("h2").first.inner_text() == "ResidualAdd"
    meter = page.get_by_role("img", name="through the skip")
    assert meter.is_visible() and "cosine" in page.locator(".fork").inner_text()
    page.get_by_role("slider").fill("6")
    assert page.locator(".fork").count() == 0
    page.get_by_role("button", name="dL/dweight").click()
    assert page.get_by_role("img", name="Heat map of dL/dweight").is_visible()
    assert page.get_by_role("img", name="Histogram of dL/dweight").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("img", name="Heat map of dL/dy").is_visible(), "a relu has no weight"


def test_a_fork_without_a_cosine_says_why(opened, tmp_path):
    """A branch whose last norm is 0 gives nothing back."""
    model = models.cifar_resnet(8, in_channels=1, seed=0, init="zero_gamma")
    images, labels, _, _ = load_digits()
    loss = ops.cross_entropy(model(Tensor(images[:4])), labels[:4])
    page = opened(browser.write(loss, tmp_path / "zero.html", "resnet8", model), after="#step=5")
    assert "no cosine between them, since the branch gives 0" in page.locator(".fork").inner_text()
    assert "NaN" not in page.locator(".fork").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_overflows_and_both_themes_are_painted(opened, resnet20_file, width, dark):
    page = opened(resnet20_file, width, dark)
    theme = "dark" if dark else "light"
    for step in (0, 1, 4, 6, 70):
        page.get_by_role("slider").fill(str(step))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            """width => [...document.querySelectorAll("body *")].filter(node => {
                if (node.closest("pre, .scroll, svg, dialog")) return false; // those scroll by themselves
                const box = node.getBoundingClientRect();
                return box.width > 0 && (box.left < -1 || box.right > width + 1);
            }).map(node => node.outerHTML.slice(0, 80))""",
            width,
        )
        assert outside == []
        screenshot(page, f"resnet20-{width}-{theme}-step-{step + 1}")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("d")
    other = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground != other and (sum(map(int, ground[4:-1].split(","))) < 200) == dark


def test_everything_that_can_be_pressed_has_a_name(opened, resnet20_file):
    page = opened(resnet20_file)
    page.get_by_role("slider").fill("4")
    nameless = page.eval_on_selector_all(
        "button, input, [role=img], [tabindex='0']",
        "nodes => nodes.filter(node => !(node.getAttribute('aria-label') || node.textContent.trim())).length",
    )
    assert nameless == 0
    assert page.locator("[role=img]:not([aria-label])").count() == 0
    snapshot = page.locator("body").aria_snapshot()
    for name in ("Walk through the backward pass", "The network, from the loss down to the input", "Fork meter"):
        assert name in snapshot
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    for _ in range(12):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.rows, #details, .bar') !== null"), "Tab leaves the controls"


def test_the_same_key_opens_and_closes_the_list_of_keys(opened, resnet20_file):
    page = opened(resnet20_file)
    dialog = page.get_by_role("dialog", name="Keys")
    for shown in (True, False, True, False):
        page.keyboard.press("?")
        assert dialog.is_visible() == shown
    page.keyboard.press("?")
    page.keyboard.press("ArrowRight")
    assert place(page).startswith("step 1 of "), "under the list nothing moves"


def test_search_finds_operations_and_modules(opened, resnet20_file):
    page = opened(resnet20_file)
    page.keyboard.press("/")
    page.keyboard.type("layer2.1 norm")
    found = page.locator("#search li")
    assert [text.split(" ")[0] for text in found.all_inner_texts()] == ["layer2.1.bn2", "layer2.1.bn1"]
    assert place(page).startswith("step 1 of "), "letters of a search are no keys of the page"
    for name in ("layer2.1.bn2", "layer2.1.bn1", "layer2.1.bn2"):
        page.keyboard.press("Enter")
        assert f": {name} BatchNorm" in place(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert ": layer2.1.bn1 BatchNorm" in place(page)
    page.keyboard.press("Escape")
    assert found.count() == 0
    page.get_by_role("searchbox").fill("LAYER3")
    assert found.first.inner_text().startswith("layer3 22 ops") and found.last.inner_text().startswith("and ")
    page.get_by_role("searchbox").fill("<b>nothing</b>")
    assert found.all_inner_texts() == ["nothing of that name"]


def test_the_address_holds_the_step_the_line_and_the_gradient(opened, resnet20_file):
    page = opened(resnet20_file, after="#step=7")
    assert place(page).startswith("step 7 of ")
    page.get_by_role("button", name="dL/dweight").click()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    line = page.locator(".code .now").inner_text()
    there = page.evaluate("location.hash")
    again = opened(resnet20_file, after=there)
    assert again.locator(".code .now").inner_text() == line
    assert again.get_by_role("button", name="dL/dweight").get_attribute("aria-pressed") == "true"
    assert again.evaluate("location.hash") == there
    again.keyboard.press("ArrowRight")
    assert again.evaluate("location.hash").startswith("#step=8")
    again.evaluate("location.hash = '#step=3'")
    again.locator("#place", has_text="step 3 of").wait_for()


@pytest.mark.parametrize(
    ("after", "step"), [("", 1), ("#step=0", 1), ("#step=999", 71), ("#step=x", 1), ("#step=7&line=1&grad=nothing", 7)]
)
def test_a_wrong_address_leads_to_a_step_that_there_is(after, step, opened, resnet20_file):
    assert place(opened(resnet20_file, after=after)).startswith(f"step {step} of ")


def test_the_kernels_stand_under_the_backward(opened, resnet20_file):
    page = opened(resnet20_file, after="#step=7")
    kernels_card = page.get_by_role("region", name="Kernels")
    assert "grad_w += (dy[n] @ cols.transpose(0, 2, 1)).sum(axis=0)" in kernels_card.inner_text()
    assert kernels_card.locator("details[open]").count() == 2
    helper = kernels_card.locator("details", has_text="im2col").last
    assert not helper.locator("pre").is_visible()
    page.get_by_text("im2col", exact=True).click()
    assert "numpy_kernels.py" in helper.inner_text() and helper.locator("pre").is_visible()
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.locator("h2").first.inner_text() == "ResidualAdd" and kernels_card.count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_the_line_that_is_stepped_to_is_in_view(width, opened, resnet20_file):
    page = opened(resnet20_file, width, after="#step=7")
    in_view = """() => { const line = document.querySelector(".code .now").getBoundingClientRect(),
        walk = document.getElementById("walk").getBoundingClientRect();
        return line.top >= walk.bottom && line.bottom <= innerHeight; }"""
    for _ in range(6):
        page.evaluate("scrollTo(0, 0)")
        page.keyboard.press("Shift+ArrowLeft")
        assert page.evaluate(in_view)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.keyboard.press("Shift+ArrowRight")
        assert page.evaluate(in_view)
        page.keyboard.press("Shift+ArrowLeft")


@pytest.mark.parametrize("width", [1280, 1024, 390])
def test_no_column_of_the_numbers_is_cut_off(width, opened, tmp_path):
    model, loss = resnet_loss(8)
    _, plain = resnet_loss(8, skip=False)
    page = opened(browser.write(loss, tmp_path / "twins.html", "resnet8", model, plain), width, after="#step=6")
    cells = page.locator(".numbers td[data-label]")
    labels = cells.evaluate_all("cells => cells.map(cell => cell.dataset.label)")
    assert set(labels) == {"norm", "in the twin", "mean", "max |·|", "zeros", "NaN, ∞", "shape"}
    cut = """cells => { const card = document.querySelector(".numbers").getBoundingClientRect();
        return cells.filter(cell => { const box = cell.getBoundingClientRect();
            return box.width === 0 || box.right > card.right || cell.scrollWidth > cell.clientWidth + 1; }).length; }"""
    assert cells.evaluate_all(cut) == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read(dark, opened, resnet20_file):
    """Every text of the page has a contrast of 4.5 with the ground that is under it."""
    page = opened(resnet20_file, dark=dark, after="#step=71")
    page.keyboard.press("e")
    pale = page.evaluate(
        """() => {
        const parse = color => (color.match(/[\\d.]+/g) || []).map(Number);
        const light = color => parse(color).slice(0, 3).map(v => v / 255)
            .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const ground = node => { for (let at = node; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (parse(color)[3] !== 0) return color; } return "rgb(255, 255, 255)"; };
        const found = new Set();
        for (const node of document.querySelectorAll("body *")) {
            if (node.closest("script, style, dialog, canvas, :disabled, svg") || node.offsetParent === null) continue;
            const texts = [...node.childNodes].filter(child => child.nodeType === 3 && child.textContent.trim());
            if (!texts.length) continue;
            const style = getComputedStyle(node), a = light(style.color), b = light(ground(node));
            let opacity = 1;
            for (let at = node; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5 || opacity < 1) found.add(`${node.className} ${ratio.toFixed(1)} ${opacity}`);
        }
        return [...found];
        }"""
    )
    assert pale == []


def test_resnet110_is_small_and_every_step_can_be_reached(opened, tmp_path):
    model, loss = resnet_loss(110)
    path = browser.write(loss, tmp_path / "resnet110.html", "resnet110", model)
    assert path.stat().st_size < 10e6
    page = opened(path)
    assert place(page).startswith("step 1 of 386")
    page.keyboard.press("e")
    assert page.locator(".rows button").count() == 386 + 3 + 54
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert place(page).startswith("step 41 of 386")
    page.keyboard.press("End")
    assert "conv1 Conv2d" in place(page)
    assert page.evaluate(
        """() => { const row = document.querySelector(".rows [aria-current]").getBoundingClientRect(),
        view = document.getElementById("graphs").getBoundingClientRect();
        return row.top >= view.top && row.bottom <= view.bottom; }"""
    ), "the walk stays in view"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_plain_twin_walks_beside(opened, tmp_path, width):
    model, loss = resnet_loss(20, norm="none")
    _, plain = resnet_loss(20, skip=False, norm="none")
    path = browser.write(loss, tmp_path / "twins.html", "resnet20", model, plain)
    page = opened(path, width)
    names = page.locator(".rows [aria-current] .name")
    page.get_by_role("slider").fill("20")
    assert names.all_inner_texts() == ["ResidualAdd", "relu2"], "what the twin lacks stands beside the op before"
    page.get_by_role("slider").fill("21")
    assert names.all_inner_texts() == ["conv2", "conv2"]
    assert page.locator("th").nth(2).inner_text() == "in the twin"
    ours, twins = [
        abs(float(page.locator("tr[data-key=grad_y] td").nth(i).inner_text().replace("−", "-"))) for i in (1, 2)
    ]
    assert twins < ours, "without skips and norms the gradient vanishes"
    shown = page.locator(".rows .norm").evaluate_all(
        "norms => norms.filter(norm => norm.offsetWidth > 0 && norm.clientWidth >= norm.scrollWidth).length"
    )
    assert shown == page.locator(".rows .norm").count() > 20, "every row has its norm, on a phone too"
    page.locator(".graph").nth(1).get_by_role("button", name="avgpool").click()
    assert "avgpool" in place(page), "a step chosen in the twin is taken in both"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("slider").fill("30")
    screenshot(page, f"twins-{width}")


def test_a_gradient_that_is_not_finite_is_seen(opened, tmp_path):
    x = Tensor(np.array([[1.0, -1.0], [2.0, 0.0]], np.float32), requires_grad=True)
    with np.errstate(all="ignore"):
        path = browser.write(ops.log(x).sum(), tmp_path / "nan.html")
    page = opened(path)
    page.keyboard.press("End")
    assert page.locator("tr[data-key=x] .bad").first.inner_text() in ("NaN", "∞")


def test_the_first_gradient_that_is_not_finite_is_one_press_away(opened, tmp_path):
    x = Tensor(np.array([[1.0, 0.0], [2.0, 3.0]], np.float32), requires_grad=True)
    with np.errstate(all="ignore"):
        y = ops.log(x * 1.0 + 0.0)  # the gradient of the logarithm at 0 is infinite
        path = browser.write(y.sum(), tmp_path / "inf.html")
    page = opened(path)
    page.get_by_role("button", name="the first gradient with NaN").click()
    assert place(page).startswith("step 3 of 4: Add, gradient norm ∞")


def test_a_notebook_frame_walks_as_well(opened, tmp_path):
    x = Tensor(np.array([[1.0, 2.0]], np.float32), requires_grad=True)
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<!doctype html><meta charset='utf-8'>{browser.view((x * x).sum())._repr_html_()}", encoding="utf-8"
    )
    page = opened(path)
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="One step on").click()
    assert frame.locator("#place").inner_text().startswith("step 2 of 2: Multiply")


def test_a_network_of_one_op_and_no_modules(opened, tmp_path):
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    page = opened(browser.write(x.sum(), tmp_path / "sum.html"))
    assert place(page).startswith("step 1 of 1: Sum")
    assert page.get_by_role("button", name="One step on").is_disabled()
    page.keyboard.press("ArrowRight")
    assert place(page).startswith("step 1 of 1: Sum")


def test_a_module_that_is_used_twice_is_shown_twice(opened, tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            self.layer = nn.Sequential(nn.Linear(3, 3, seed=0), nn.ReLU())

        def forward(self, x):
            return self.layer(self.layer(x) * 2.0)

    model = Twice()
    page = opened(browser.write(model(Tensor(np.ones((2, 3), np.float32))).sum(), tmp_path / "twice.html", model=model))
    page.keyboard.press("c")
    assert page.locator(".rows [aria-expanded]").count() == 2
    page.keyboard.press("End")
    assert "layer.0" in place(page)
