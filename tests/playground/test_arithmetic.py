"""The page's numbers are the engine's: handed the same weights and inputs, every norm is the same."""

import base64
import math

import numpy as np
import pytest

from minires import kernels, ops, playground
from minires.engine import Tensor
from minires.lab import mlp_twin

pytestmark = pytest.mark.browser

N = 128  # inputs in a batch, in the page as in the twin

# The rows of the lab's table, as the page's switches say them.
SWITCHES = {
    "plain_pytorch": {"skip": "none", "norm": "none"},
    "plain_lecun": {"skip": "none", "norm": "none"},
    "plain_he": {"skip": "none", "norm": "none"},
    "plain_norm": {"skip": "none", "norm": "batch"},
    "residual": {"skip": "identity", "norm": "none"},
    "residual_norm": {"skip": "identity", "norm": "batch"},
    "misplaced_norm": {"skip": "identity", "norm": "batch", "order": "misplaced"},
    "always_projected": {"skip": "projected", "norm": "batch"},
    "pre_activation_norm": {"skip": "identity", "norm": "batch", "order": "pre"},
    "pre_activation": {"skip": "identity", "norm": "none", "order": "pre"},
    "skip_init": {"skip": "scaled", "norm": "none", "order": "pre"},
}
ACTIVATIONS = {"relu": ops.relu, "elu": ops.elu, "selu": ops.selu, "tanh": ops.tanh, "none": lambda x: x}

COMPUTE = """async ([settings, given]) => {
    const array = text => {
        const letters = atob(text), bytes = new Uint8Array(letters.length);
        for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
        return new Float64Array(bytes.buffer);
    };
    const all = array(given.weights), count = settings.width ** 2, weights = [];
    for (let i = 0; i < all.length; i += count) weights.push(all.subarray(i, i + count));
    return ask(settings, { x: array(given.x), grad: array(given.grad), weights });
}"""


@pytest.fixture(autouse=True, scope="module")
def numpy_kernels():
    with kernels.use("numpy"):
        yield


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    page = chromium.new_page(reduced_motion="reduce")
    page.set_default_timeout(240_000)
    page.goto(playground.write(tmp_path_factory.mktemp("page") / "playground.html").as_uri() + "#width=32&depth=4")
    page.locator("#result[aria-busy=false]").wait_for()
    yield page
    page.close()


def as_text(array):
    return base64.b64encode(np.ascontiguousarray(array, np.float64).tobytes()).decode()


class Drawing:
    """Draws weights and keeps them, in the order in which a block asks for them."""

    def __init__(self, width, generator):
        self.width, self.generator, self.weights = width, generator, []

    def __call__(self, std):
        self.weights.append(self.generator.standard_normal((self.width, self.width)) * std)
        return Tensor(self.weights[-1])


def through(block, blocks, width, generator, draw):
    """Run the engine through some blocks and back; return the input, the gradient handed in, and all norms."""
    x = Tensor(generator.standard_normal((N, width)), requires_grad=True)
    outputs = [x]
    for _ in range(blocks):
        outputs.append(block(outputs[-1]))
    grad = generator.standard_normal((N, width)) / N
    outputs[-1].backward(grad, keep_grads=True)
    return x.data, grad, [(np.linalg.norm(h.data), np.linalg.norm(h.grad)) for h in outputs]


def check(page, settings, x, grad, weights, norms, tolerance):
    given = {"x": as_text(x), "grad": as_text(grad), "weights": as_text(np.array(weights))}
    found = page.evaluate(COMPUTE, [settings, given])
    step = settings["depth"] // (len(norms) - 1)
    assert found["layers"] == [step * i for i in range(len(norms))]
    np.testing.assert_allclose(found["norm_h"], [norm for norm, _ in norms], rtol=tolerance)
    np.testing.assert_allclose(found["norm_grad"], [norm for _, norm in norms], rtol=tolerance)


@pytest.mark.parametrize(
    ("row", "layers"),
    [(row, 20) for row in mlp_twin.ROWS]
    + [("plain_norm", 50), ("residual_norm", 50), ("plain_pytorch", 100), ("residual_norm", 100)],
)
def test_every_row_of_the_labs_table(row, layers, page):
    kind, generator = mlp_twin.ROWS[row], np.random.default_rng(3)
    drawing = Drawing(mlp_twin.WIDTH, generator)
    blocks = layers // kind.layers

    def block(h):
        return kind.block(h, lambda init: drawing(mlp_twin.STD[init]), kind.init, 1 / math.sqrt(blocks))

    x, grad, norms = through(block, blocks, mlp_twin.WIDTH, generator, drawing)
    settings = {"order": "post", "activation": "relu", "depth": layers, "width": mlp_twin.WIDTH, **SWITCHES[row]}
    check(page, settings, x, grad, drawing.weights, norms, 1e-9 if layers <= 50 else 1e-6)


def any_block(settings, draw, blocks):
    """The block of any switches, in the engine's ops."""
    width, pre = settings["width"], settings["order"] == "pre"
    act = ACTIVATIONS[settings["activation"]]
    std = math.sqrt(2 / width)

    def bn(x):
        if settings["norm"] == "none":
            return x
        return ops.batch_norm(x, Tensor(np.ones(width)), Tensor(np.zeros(width)))[0]

    def plain(h):
        return act(bn(h)) @ draw(std) if pre else act(bn(h @ draw(std)))

    def residual(h):
        if pre:
            branch = act(bn(act(bn(h)) @ draw(std))) @ draw(std)
        elif settings["order"] == "misplaced":
            branch = bn(act(bn(h @ draw(std)))) @ draw(std)
        else:
            branch = bn(act(bn(h @ draw(std))) @ draw(std))
        if settings["skip"] == "scaled":
            branch = branch * (1 / math.sqrt(blocks))
        skip = h @ draw(math.sqrt(1 / width)) if settings["skip"] == "projected" else h
        total = ops.residual_add(skip, branch)
        return total if pre else act(total)

    return plain if settings["skip"] == "none" else residual


def test_networks_of_any_switches(page):
    generator = np.random.default_rng(7)
    seen = set()
    for draw in range(40):
        settings = {
            "skip": str(generator.choice(["none", "identity", "projected", "scaled"])),
            "order": str(generator.choice(["post", "pre", "misplaced"])),
            "norm": str(generator.choice(["none", "batch"])),
            "activation": str(generator.choice(list(ACTIVATIONS))),
            "width": 32,
            "depth": 2 * int(generator.integers(2, 26) if draw < 32 else generator.integers(26, 51)),
        }
        if settings["order"] == "misplaced" and settings["skip"] == "none":
            settings["order"] = "post"
        drawing = Drawing(settings["width"], generator)
        blocks = settings["depth"] // (1 if settings["skip"] == "none" else 2)
        block = any_block(settings, drawing, blocks)
        x, grad, norms = through(block, blocks, settings["width"], generator, drawing)
        check(page, settings, x, grad, drawing.weights, norms, 1e-9 if settings["depth"] <= 50 else 1e-6)
        seen |= set(settings.items())
    assert len([key for key, _ in seen if key != "depth"]) == 4 + 3 + 2 + 5 + 1, "every choice has been drawn"


def test_a_wrong_weight_is_noticed(page):
    """So that the comparison above can fail."""
    generator = np.random.default_rng(0)
    settings = {"skip": "identity", "order": "post", "norm": "batch", "activation": "relu", "width": 32, "depth": 8}
    drawing = Drawing(32, generator)
    x, grad, norms = through(any_block(settings, drawing, 4), 4, 32, generator, drawing)
    drawing.weights[3] = drawing.weights[3].T
    with pytest.raises(AssertionError):
        check(page, settings, x, grad, drawing.weights, norms, 1e-9)


def test_numbers_that_are_too_small_or_too_large_are_said(page):
    weights = np.zeros((4, 32, 32))
    given = {"x": as_text(np.ones((N, 32))), "grad": as_text(np.ones((N, 32))), "weights": as_text(weights)}
    settings = {"skip": "none", "order": "post", "norm": "none", "activation": "none", "width": 32, "depth": 4}
    found = page.evaluate(COMPUTE, [settings, given])
    assert found["norm_grad"][:-1] == [0] * 4 and found["norm_h"][1:] == [0] * 4
    given["weights"] = as_text(weights + 1e200)
    found = page.evaluate(f"async all => (await ({COMPUTE})(all)).norm_grad.map(String)", [settings, given])
    assert found[0] in ("Infinity", "NaN")
    assert page.evaluate("[kindOf(0), kindOf(Infinity), kindOf(NaN)]") == ["nothing", "overflow", "overflow"]


def test_random_numbers_are_normal_and_can_be_had_again(page):
    """Moments of 16,384 numbers, within five standard errors; other seeds, roles and numbers give others."""
    source = playground.page_file("random.js")

    def draw(*key):
        numbers = page.evaluate(f"key => {{ {source}; return [...standardNormal(...key, 128 * 128)]; }}", list(key))
        return np.array(numbers)

    first = draw(0, "layer", 0)
    assert (draw(0, "layer", 0) == first).all()
    others = [first, draw(1, "layer", 0), draw(0, "layer", 1), draw(0, "skip", 0), draw(0, "x", 0)]
    for i, numbers in enumerate(others):
        error = 5 / math.sqrt(len(numbers))
        assert abs(numbers.mean()) < error and abs(numbers.var() - 1) < 1.5 * error
        assert abs((numbers**4).mean() - 3) < 10 * error
        for other in others[:i]:
            assert abs((numbers * other).mean()) < error
