"""Your own networks: the plain twin of any, and the report that they get."""

import json
from pathlib import Path

import numpy as np
import pytest

from minires import Tensor, kernels, lab, models, nn, ops
from minires.data import Loader, load_digits
from minires.runs import read

IMAGES, LABELS = (array[:12] for array in load_digits()[:2])
BATCH = (IMAGES, LABELS)


class Own(nn.Module):
    """A network that is of no family: residual adds of linear layers, one after a constant."""

    def __init__(self, seed=0):
        self.first, self.inner, self.last = nn.Linear(64, 24), nn.Linear(24, 24), nn.Linear(24, 10)
        nn.initialize(self, "he", seed=seed)

    def forward(self, x):
        h = ops.relu(self.first(ops.reshape(x, (len(x.data), 64))))
        h = ops.relu(ops.residual_add(h, self.inner(h)))
        return self.last(h)


@pytest.fixture(autouse=True)
def numpy_kernels():
    with kernels.use("numpy"):
        yield


def gradients(model):
    ops.cross_entropy(model(Tensor(IMAGES)), LABELS).backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("options", [{}, {"norm": "none"}, {"block": "preact"}])
def test_the_plain_twin_of_the_family_is_its_own(options):
    """skip=False makes the same network: equal logits, equal gradients, to the bit."""
    made = [models.make("preact_resnet20" if "block" in options else "resnet20", in_channels=1, seed=3, skip=skip,
                        **({} if "block" in options else options)) for skip in (True, False)]  # fmt: skip
    twin, plain = lab.twin(made[0]), made[1]
    np.testing.assert_array_equal(twin(Tensor(IMAGES)).data, plain(Tensor(IMAGES)).data)
    mine, theirs = gradients(twin), gradients(plain)
    assert list(mine) == list(theirs)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])


def test_the_plain_twin_of_a_network_of_your_own():
    model = Own()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    twin = lab.twin(model)
    h = np.maximum(IMAGES.reshape(12, 64) @ before["first.weight"].T + before["first.bias"], 0)
    h = np.maximum(h @ before["inner.weight"].T + before["inner.bias"], 0)
    expected = h @ before["last.weight"].T + before["last.bias"]
    np.testing.assert_allclose(twin(Tensor(IMAGES)).data, expected, rtol=1e-5, atol=1e-5)
    assert list(twin.state_dict()) == list(before)
    assert not np.allclose(model(Tensor(IMAGES)).data, expected)  # the model itself still has its skip
    twin.first.weight.data[...] = 0
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_gradients_of_a_twin_are_right():
    twin = lab.twin(Own()).to("float64")
    x = IMAGES.astype(np.float64)
    ops.cross_entropy(twin(Tensor(x)), LABELS).backward()
    grad, weight, step = twin.first.weight.grad, twin.first.weight.data, 1e-6
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(weight.shape)
    losses = []
    for sign in (1, -1):
        weight += sign * step * direction
        losses.append(ops.cross_entropy(twin(Tensor(x)), LABELS).item())
        weight -= sign * step * direction
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx((grad * direction).sum(), rel=1e-5)


def test_a_twin_of_a_twin_and_its_parts():
    twin = lab.twin(lab.twin(Own()))
    assert type(twin).__name__ == "PlainOwn"
    block = lab.twin(models.resnet20(in_channels=1, seed=0).layer1[0])
    assert block(Tensor(np.zeros((2, 16, 4, 4), np.float32))).shape == (2, 16, 4, 4)


def test_a_branch_of_constants():
    """What is left has nothing to differentiate, and says so as any such pass does."""

    class Constant(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones((2, 3)))

        def forward(self, x):
            return ops.residual_add(self.weight * 1.0, Tensor(np.full((2, 3), 5.0)))

    y = lab.twin(Constant())(Tensor(np.zeros((2, 3))))
    np.testing.assert_array_equal(y.data, 5.0)
    assert not y.requires_grad


def test_networks_without_shortcuts_have_no_twin():
    twin = lab.twin(nn.Linear(64, 10))
    with pytest.raises(ValueError, match=r"called no ops\.residual_add"):
        twin(Tensor(IMAGES.reshape(12, 64)))
    with pytest.raises(TypeError, match="must be an nn.Module, got str"):
        lab.twin("resnet20")


def test_twin_without_a_network_is_the_experiment():
    report = lab.twin(depths=(10,), seeds=1)
    assert report["experiment"] == "twin" and len(report["tables"]["ratios"]) == 11


def test_compare_models_of_the_family():
    """The same figures as `compare` has for the same networks."""
    made = {name: models.cifar_resnet(14, in_channels=1, seed=0, skip=name == "with") for name in ("with", "no")}
    report = lab.compare_models({**made, "twin": lab.twin(made["with"])}, BATCH)
    first, second, third = (entry["runs"][0]["initial"] for entry in report["networks"])
    assert first["outputs"] == ["stem", *(f"layer{stage}.{i}" for stage in (1, 2, 3) for i in (0, 1))]
    assert second["log10_grad_h"] == third["log10_grad_h"] != first["log10_grad_h"]
    assert [row["name"] for row in report["summary"]] == ["with", "no", "twin"]
    assert report["summary"][0]["guessing"] == pytest.approx(np.log(10))


def test_compare_models_of_your_own(tmp_path):
    model = Own()
    before = model.state_dict()
    loader = Loader(*load_digits()[:2], 16, drop_last=True)
    models_ = {"with <b>skip</b>": model, "ohne, ohne": lab.twin(model)}
    test = Loader(*BATCH, 6, shuffle=False)
    report = lab.compare_models(models_, BATCH, loader=loader, steps=3, out=tmp_path, test=test)
    entries = report["networks"]
    assert [entry["name"] for entry in entries] == list(models_)
    for entry in entries:
        (run,) = entry["runs"]
        assert run["initial"]["outputs"] == ["first", "inner", "last"] and len(run["trained"]["losses"]) == 3
        assert [norms["step"] for norms in run["trained"]["moments"]] == [1, 2, 3]
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    folder = Path(report["folder"])
    assert read(folder, "report.json") == json.loads(json.dumps(report))
    assert (folder / "gradient_flow.png").stat().st_size > 10_000


def test_what_a_network_raises_names_the_network():
    wrong = nn.Linear(3, 10)
    with pytest.raises(ValueError, match="must be") as raised:
        lab.compare_models({"fine": Own(), "wrong": wrong}, BATCH)
    assert "in the network 'wrong' of compare_models" in raised.value.__notes__


@pytest.mark.parametrize(
    ("models_", "batch", "error", "message"),
    [
        ({}, BATCH, ValueError, "there is no network"),
        ({"a": "resnet20"}, BATCH, TypeError, "'a' must be an nn.Module, got str"),
        ({"a\nb": Own()}, BATCH, ValueError, "must be text on one line"),
        ({"": Own()}, BATCH, ValueError, "must be text on one line"),
        ({"a": Own()}, (IMAGES, LABELS[:3]), ValueError, "as many labels as images"),
    ],
)
def test_bad_input(models_, batch, error, message):
    with pytest.raises(error, match=message):
        lab.compare_models(models_, batch)


def test_a_loss_that_depends_on_no_weight():
    class Fixed(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(10))

        def forward(self, x):
            return ops.reshape(x, (12, 64))[:, :10] * self.scale

    with pytest.raises(ValueError, match="no weight of two dimensions"):
        lab.compare_models({"fixed": Fixed()}, BATCH)
