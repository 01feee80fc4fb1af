"""Modules as plain objects: how parameters are found, named, saved, loaded, converted, and where ops say they ran."""

import copy
import threading

import numpy as np
import pytest

from minires import nn, ops
from minires.engine import Tensor, backward_order, per_thread


class Inner(nn.Module):
    def __init__(self, channels):
        self.scale = nn.Parameter(np.ones((1, channels), np.float32))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x):
        return self.norm(ops.multiply(x, self.scale))


class Outer(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 4, seed=0)
        self.blocks = [Inner(4), Inner(4)]
        self.nothing = None
        self.tail = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, seed=1))

    def forward(self, x):
        y = self.first(x)
        for block in self.blocks:
            y = block(y)
        return self.tail(y)


def batch(seed=0, dtype=np.float32):
    return Tensor(np.random.default_rng(seed).standard_normal((5, 3)).astype(dtype))


def paths(y):
    return [tensor.op.module_path for tensor in reversed(backward_order(y))]


def test_names_follow_the_attributes():
    model = Outer()
    assert [name for name, _ in model.named_parameters()] == [
        "first.weight", "first.bias", "blocks.0.scale", "blocks.0.norm.weight", "blocks.0.norm.bias",
        "blocks.1.scale", "blocks.1.norm.weight", "blocks.1.norm.bias", "tail.1.weight", "tail.1.bias",
    ]  # fmt: skip
    assert [name for name, _ in model.named_buffers()][:2] == [
        "blocks.0.norm.running_mean",
        "blocks.0.norm.running_var",
    ]
    assert [name for name, _ in model.named_modules()] == [
        "", "first", "blocks.0", "blocks.0.norm", "blocks.1", "blocks.1.norm", "tail", "tail.0", "tail.1",
    ]  # fmt: skip


def test_there_is_no_attribute_magic():
    for name in ("__setattr__", "__getattr__", "__getattribute__", "__delattr__"):
        assert all(name not in vars(cls) for cls in nn.Module.__mro__[:-1])
    with pytest.raises(AttributeError, match="wieght"):
        nn.Linear(2, 2).wieght  # noqa: B018


def test_a_shared_parameter_counts_once():
    model = Outer()
    model.tail[1].weight = model.again = nn.Parameter(np.zeros((2, 4), np.float32))
    names = [name for name, _ in model.named_parameters()]
    assert "again" in names and "tail.1.weight" not in names
    assert len(model.parameters()) == len({id(parameter) for parameter in model.parameters()})
    assert list(model.state_dict())[0] == "again"


def test_ops_know_the_module_they_ran_in():
    y = Outer()(batch())
    assert paths(y) == ["first", "blocks.0", "blocks.0.norm", "blocks.1", "blocks.1.norm", "tail.0", "tail.1"]
    assert per_thread.module_path == "" and per_thread.module is None


def test_an_op_of_the_root_has_no_path_and_a_block_called_past_its_parent_has_its_own():
    class Root(nn.Module):
        def __init__(self):
            self.stage = nn.Sequential(nn.Linear(3, 3, seed=0))

        def forward(self, x):
            return ops.relu(self.stage[0](x))

    assert paths(Root()(batch())) == ["stage.0", ""]


def test_the_path_is_restored_after_an_error():
    model = Outer()
    with pytest.raises(ValueError, match="linear"):
        model(Tensor(np.zeros((5, 7), np.float32)))
    assert per_thread.module_path == "" and per_thread.module is None
    assert paths(model(batch()))[0] == "first"


def test_each_thread_has_its_own_path():
    inside, go_on, found = threading.Event(), threading.Event(), []

    class Waiting(nn.Module):
        def forward(self, x):
            inside.set()
            assert go_on.wait(10)
            return x

    worker = threading.Thread(target=lambda: nn.Sequential(Waiting())(batch()))
    worker.start()
    assert inside.wait(10)
    found = paths(nn.Linear(3, 2, seed=0)(batch()))
    go_on.set()
    worker.join()
    assert found == [""]


def test_forward_takes_keywords():
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return ops.multiply(x, factor)

    np.testing.assert_array_equal(Scaled()(batch(), factor=2.0).data, 2 * batch().data)


def test_state_dict_is_a_snapshot_that_loads_back():
    model, other = Outer(), Outer()
    model(batch())  # moves the running statistics
    state = model.state_dict()
    assert all(type(array) is np.ndarray and array.flags.c_contiguous for array in state.values())
    model.first.weight.data[...] += 1
    assert not np.array_equal(state["first.weight"], model.first.weight.data)

    before = {name: array for name, array in other._state().items()}
    assert other.load_state_dict(state) == ([], [])
    for name, array in other._state().items():
        assert array is before[name]  # in place: an optimizer's references stay good
        np.testing.assert_array_equal(array, state[name])


def test_state_dict_arrays_are_contiguous_whatever_the_memory_order():
    conv = nn.Conv2d(2, 3, (2, 3), seed=0)
    conv.weight.data = np.asfortranarray(conv.weight.data)
    assert conv.state_dict()["weight"].flags.c_contiguous


def test_num_batches_tracked_is_ignored():
    model = Outer()
    state = {**model.state_dict(), "blocks.0.norm.num_batches_tracked": np.array(7)}
    assert model.load_state_dict(state) == ([], [])


def test_loading_lists_every_problem_and_changes_nothing():
    model = Outer()
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    del state["first.bias"], state["blocks.1.norm.running_var"]
    state["head.weight"] = np.zeros(3, np.float32)
    state["first.weight"] = np.zeros((4, 5), np.float32)
    state["tail.1.bias"] = np.zeros(2, np.float64)
    state["blocks.0.norm.bias"] = [0.0] * 4
    with pytest.raises(ValueError, match="nothing was changed, 6 problems") as error:
        model.load_state_dict(state)
    for line in (
        "first.bias is missing", "blocks.1.norm.running_var is missing", "head.weight is unexpected",
        "first.weight has shape (4, 5) where the model has (4, 3)", "tail.1.bias is float64 where the model is float32",
        "blocks.0.norm.bias must be a NumPy array, got a list",
    ):  # fmt: skip
        assert line in str(error.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_loading_loosely_skips_names_but_not_shapes():
    model = Outer()
    state = {"first.bias": np.full(4, 5, np.float32), "head.weight": np.zeros(3, np.float32)}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert "first.weight" in missing and "first.bias" not in missing and unexpected == ["head.weight"]
    np.testing.assert_array_equal(model.first.bias.data, 5)
    with pytest.raises(ValueError, match=r"first.bias has shape \(3,\)"):
        model.load_state_dict({"first.bias": np.zeros(3, np.float32)}, strict=False)
    with pytest.raises(TypeError, match="must be a dict"):
        model.load_state_dict([("first.bias", np.zeros(4, np.float32))])


def test_train_and_eval_reach_everything():
    model = Outer()
    assert model.eval() is model
    assert [module.training for _, module in model.named_modules()] == [False] * 9
    model.train()
    assert [module.training for _, module in model.named_modules()] == [True] * 9


def test_zero_grad_forgets():
    model = Outer()
    ops.sum(model(batch())).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_to_converts_in_place():
    model = Outer()
    parameters = model.parameters()
    ops.sum(model(batch())).backward()
    assert model.to("float64") is model
    assert all(new is old for new, old in zip(model.parameters(), parameters, strict=True))
    assert {array.dtype for array in model._state().values()} == {np.dtype(np.float64)}
    assert {parameter.grad.dtype for parameter in parameters} == {np.dtype(np.float64)}
    assert model(batch(dtype=np.float64)).dtype == np.float64
    assert model.to("float32").to("cpu").first.weight.dtype == np.float32
    for wrong in ("float16", "gpu", np.float32):
        with pytest.raises(ValueError, match='to: unknown target .* known: "cpu", "cuda"'):
            model.to(wrong)


def test_a_deep_copy_is_independent():
    model = Outer()
    twin = copy.deepcopy(model).to("float64")
    twin.first.weight.data[...] = 0
    assert model.first.weight.dtype == np.float32 and np.any(model.first.weight.data)
    assert isinstance(twin.first.weight, nn.Parameter) and twin.first.weight.requires_grad


def test_repr_is_one_line():
    assert repr(nn.Linear(3, 4)) == "Linear(weight (4, 3), bias (4,))"


def test_random_generators_go_back_to_where_they_were():
    model = nn.Sequential(nn.Dropout(0.5, seed=1), nn.Sequential(nn.Dropout(0.5, seed=2)))
    assert [name for name, _ in model.named_generators()] == ["0.generator", "1.0.generator"]
    x = Tensor(np.ones((4, 5), np.float32))
    states = model.random_states()
    first, second = model(x).data, model(x).data
    assert not np.array_equal(first, second)
    model.set_random_states(states)
    np.testing.assert_array_equal(model(x).data, first)
    model.set_random_states(states)  # what was saved has not moved with them
    np.testing.assert_array_equal(model(x).data, first)
    message = "the saved random generators are none, the model's 0.generator, 1.0.generator"
    with pytest.raises(ValueError, match=message):
        model.set_random_states({})


def test_load_state_dict_into_what_cannot_be_written_to_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Linear(4, 2, seed=1))
    saved = {name: array + 1 for name, array in model.state_dict().items()}
    model[1].bias.data = np.broadcast_to(np.float32(0), 2)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"1.bias of the model, \(2,\) float32 on cpu, cannot be written to"):
        model.load_state_dict(saved)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


def test_repr_is_a_tree_of_layers():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    text = repr(network)
    assert text.splitlines()[0] == "Sequential, 44 parameters"
    assert "  0: Conv2d(weight (4, 1, 3, 3), stride 1, padding 1)" in text.splitlines()
    assert "eps 1e-05, momentum 0.1" in text and text.splitlines()[3] == "  2: ReLU()"


def test_repr_shows_a_modules_own_parameters_and_ends_where_it_holds_itself():
    class Scaled(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(1))
            self.layer = nn.Linear(2, 2)

    text = repr(Scaled())
    assert "  scale (1,)" in text.splitlines() and "  layer: Linear(weight (2, 2), bias (2,))" in text.splitlines()
    loop = Scaled()
    loop.itself = loop
    assert repr(loop).count("Scaled") < 50
