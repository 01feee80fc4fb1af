"""Modules and parameters in lists and dicts are trained, saved and moved; what cannot be found is refused."""

from collections import OrderedDict, deque

import numpy as np
import pytest

from minires import Tensor, nn, ops, optim


class Nested(nn.Module):
    def __init__(self, seed=0):
        self.stages = [[nn.Linear(2, 2, seed=seed), nn.Linear(2, 2, seed=seed + 1)], [nn.Linear(2, 2, seed=seed + 2)]]
        self.heads = {"cat": nn.Linear(2, 1, seed=seed + 3), "dogs": {"big": (nn.Linear(2, 1, seed=seed + 4),)}}
        self.scales = [nn.Parameter(np.ones(2, np.float32)), nn.Parameter(np.ones(2, np.float32))]
        self.shifts = {"a": nn.Parameter(np.zeros(2, np.float32))}
        self.queue = deque([OrderedDict(last=nn.BatchNorm1d(2))])
        self.free = Tensor(np.ones(2, np.float32), requires_grad=True)
        self.noise = [np.random.default_rng(seed)]
        self.numbers, self.words, self.constant = [1, 2.5], {"x": "y"}, Tensor(np.ones(2, np.float32))

    def forward(self, x):
        for stage in self.stages:
            for layer in stage:
                x = layer(x)
        x = self.queue[0]["last"](x) * self.scales[0] * self.scales[1] + self.shifts["a"] * self.free
        return self.heads["cat"](x) + self.heads["dogs"]["big"][0](x)


NAMES = [
    "free", "scales.0", "scales.1", "shifts.a", "stages.0.0.weight", "stages.0.0.bias", "stages.0.1.weight",
    "stages.0.1.bias", "stages.1.0.weight", "stages.1.0.bias", "heads.cat.weight", "heads.cat.bias",
    "heads.dogs.big.0.weight", "heads.dogs.big.0.bias", "queue.0.last.weight", "queue.0.last.bias",
]  # fmt: skip
BUFFERS = ["queue.0.last.running_mean", "queue.0.last.running_var"]


def test_they_are_found():
    model = Nested()
    assert sorted(name for name, _ in model.named_parameters()) == sorted(NAMES)
    assert set(model.state_dict()) == {*NAMES, *BUFFERS}
    assert [name for name, _ in model.named_generators()] == ["noise.0"]
    assert not model.eval().queue[0]["last"].training


def test_they_are_trained():
    model = Nested()
    x = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)
    before = model.state_dict()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ops.mse_loss(model(Tensor(x)), np.ones((8, 1), np.float32)).backward()
        optimizer.step()
    for name, array in model.state_dict().items():
        if not name.startswith("stages") or name.endswith("weight"):  # a norm takes the shifts before it away
            assert not np.array_equal(array, before[name]), name
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_they_are_saved_loaded_and_converted():
    model, other = Nested(0), Nested(9)
    other.load_state_dict(model.state_dict())
    assert all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())
    other.to("float64")
    assert {array.dtype for array in other.state_dict().values()} == {np.dtype(np.float64)}
    x = np.random.default_rng(0).standard_normal((4, 2))
    assert other.eval()(Tensor(x)).dtype == np.float64


def test_where_ops_ran_is_said_in_full():
    y = Nested()(Tensor(np.ones((3, 2), np.float32)))
    assert y.op.inputs[1].op.module_path == "heads.dogs.big.0"


def test_a_shared_one_counts_once():
    model = Nested()
    model.again = {"shared": [model.scales[0]], "layer": model.stages[0][0]}
    assert len(model.parameters()) == len(NAMES)


def test_a_list_that_holds_itself():
    model = Nested()
    model.stages.append(model.stages)
    assert len(model.parameters()) == len(NAMES)


def test_a_set_is_refused():
    model = Nested()
    model.branches = {"b": [{nn.Linear(2, 2, seed=0)}]}
    for ask in (model.parameters, model.state_dict, model.train):
        with pytest.raises(TypeError, match="branches.b.0 is a set of modules or parameters, which has no order"):
            ask()
    model.branches = {1, 2}
    model.parameters()


def test_two_of_one_name_are_refused():
    model = Nested()
    model.heads = {1: nn.Parameter(np.ones(2, np.float32)), "1": nn.Parameter(np.ones(2, np.float32))}
    with pytest.raises(ValueError, match="two parameters are called heads.1"):
        model.state_dict()


def test_on_the_class_they_are_refused():
    with pytest.raises(TypeError, match="Net.scale would never be trained: assign it to self"):

        class Net(nn.Module):
            scale = nn.Parameter(np.ones(2, np.float32))

    with pytest.raises(TypeError, match="Other.layers.0 would never be trained"):

        class Other(nn.Module):
            layers = [nn.Linear(2, 2, seed=0)]  # noqa: RUF012

    class Fine(nn.Module):
        activation = nn.ReLU()
        sizes = (1, 2)


def test_an_activation_that_is_kept_is_no_parameter():
    class Keeping(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2, seed=0)

        def forward(self, x):
            self.input, self.last = x, self.layer(x)
            return self.last

    model = Keeping()
    model(Tensor(np.ones((3, 2), np.float32)))
    assert [name for name, _ in model.named_parameters()] == ["layer.weight", "layer.bias"]
