"""Networks as ONNX files: onnxruntime gives our outputs, for any batch; what cannot be said there is refused."""

import json
import sys

import numpy as np
import pytest
from random_networks import Call, random_network

from minires import Tensor, interop, models, nn, no_grad, ops
from minires.cli.main import main
from minires.models.parts import ACTIVATIONS
from minires.runs import load_model
from minires.runs.records import read_json

CIFAR, IMAGENET = (3, 16, 12), (3, 64, 64)  # smaller images than theirs: the graph is the same
FAMILY = [
    *[(name, {}, CIFAR) for name in ("resnet20", "resnet56", "resnet110", "preact_resnet20", "preact_resnet164")],
    *[(name, {}, IMAGENET) for name in ("resnet18", "resnet34", "resnet50")],
    ("wide_resnet", {"depth": 10, "width": 2}, CIFAR),
    ("resnext50_32x4d", {}, IMAGENET),
    *[(name, {"fused": True}, CIFAR) for name in ("resnet20", "preact_resnet20")],
    *[(name, {"fused": True}, IMAGENET) for name in ("resnet18", "resnet50", "preact_resnet50")],
    *[("resnet20", {"shortcut": shortcut}, CIFAR) for shortcut in ("B", "C", "always")],
    *[("resnet20", {"norm": "none", "init": init}, CIFAR) for init in ("skipinit", "fixup", "he")],
    ("resnet20", {"skip": False}, CIFAR),
    *[("resnet20", {"norm": norm, "shortcut": "B"}, CIFAR) for norm in ("group", "layer")],
    ("resnet20", {"block": "misplaced_norm"}, CIFAR),
    *[("resnet20", {"activation": activation}, CIFAR) for activation in ACTIVATIONS],
]


@pytest.fixture
def onnxruntime(require):
    require("onnx")
    return require("onnxruntime")


def agree(onnxruntime, model, path, shape):
    """Both give the same outputs, to 1e-5 of the largest number, for several batches."""
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 4):
        images = np.random.default_rng(batch).standard_normal((batch, *shape)).astype(np.float32)
        with no_grad():
            expected = model.eval()(Tensor(images)).data
        (got,) = session.run(None, {"input": images})
        assert got.shape == expected.shape and got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def trained(model):
    """Give batch norms statistics that are not 0 and 1, as a training does."""
    rng = np.random.default_rng(0)
    for name, buffer in model.named_buffers():
        buffer *= rng.uniform(0.8, 1.2, buffer.shape)
        buffer += rng.uniform(-0.1, 0.1, buffer.shape) if name.endswith("mean") else 0
    return model


@pytest.mark.parametrize("name, options, shape", FAMILY, ids=lambda value: str(value))
def test_the_family_in_onnxruntime(name, options, shape, onnxruntime, tmp_path):
    """All of it, the deepest too and with images of their own sizes: benchmarks/onnx_parity.py."""
    model = trained(models.make(name, seed=0, **options))
    interop.save_onnx(model, tmp_path / "model.onnx", shape)
    agree(onnxruntime, model, tmp_path / "model.onnx", shape)


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 100, 10)], ids=str)
def test_random_networks_in_onnxruntime(seeds, onnxruntime, tmp_path):
    for seed in seeds:
        network, shape = random_network(seed)
        interop.save_onnx(network, tmp_path / "model.onnx", shape)
        agree(onnxruntime, network, tmp_path / "model.onnx", shape)


class TwoPaths(nn.Module):
    """A network that someone wrote: attributes of their own names, ops and operators in forward, a shared weight."""

    def __init__(self):
        self.enter = nn.Conv2d(1, 4, 3, padding=1, seed=0)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(np.float32([[[2.0]]]))
        self.classify = nn.Linear(4 * 5 * 6, 3, seed=1)

    def forward(self, x):
        y = ops.relu(self.norm(self.enter(x)))
        y = y * self.scale + ops.pad(y[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0)))
        y = self.norm(y)
        return self.classify(y.reshape(len(x), -1))


def test_a_network_of_ones_own(onnxruntime, tmp_path):
    model = trained(TwoPaths())
    interop.save_onnx(model, tmp_path / "own.onnx", (1, 5, 6))
    agree(onnxruntime, model, tmp_path / "own.onnx", (1, 5, 6))


class Sequences(nn.Module):
    """Norms without a batch, batch norm's options, rows in more than one axis: shapes that follow the batch midway."""

    def __init__(self):
        self.enter = nn.Conv2d(1, 4, 3, padding=1, seed=0)
        self.norms = [nn.GroupNorm(2, 4), nn.GroupNorm(1, 4, affine=False), nn.BatchNorm2d(4, affine=False)]
        self.along = nn.BatchNorm1d(4, momentum=None)
        self.layers = [nn.LayerNorm(4), nn.LayerNorm((30, 4), bias=False), nn.LayerNorm(4, elementwise_affine=False)]
        self.classify = nn.Linear(4, 3, seed=1)

    def forward(self, x):
        y = self.enter(x)
        for norm in self.norms:
            y = ops.gelu(norm(y))
        y = self.along(ops.gelu(y.reshape(len(x), 4, -1), "tanh"))
        y = y.transpose(0, 2, 1)
        for layer in self.layers:
            y = layer(y)
        return self.classify(y).mean(axis=1)


def test_sequences_and_norms_without_a_batch(onnxruntime, tmp_path):
    model = trained(Sequences())
    interop.save_onnx(model, tmp_path / "sequences.onnx", (1, 5, 6))
    agree(onnxruntime, model, tmp_path / "sequences.onnx", (1, 5, 6))


@pytest.mark.parametrize("make", [TwoPaths, lambda: models.resnet20(fused=True), lambda: models.preact_resnet20()])
def test_weights_have_the_names_of_the_state_dict(make, require, tmp_path):
    onnx = require("onnx")
    model = trained(make())
    shape = (1, 5, 6) if make is TwoPaths else CIFAR
    interop.save_onnx(model, tmp_path / "model.onnx", shape)
    proto = onnx.load(tmp_path / "model.onnx")
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in proto.graph.initializer}
    state = model.state_dict()
    assert {name for name in arrays if not name.startswith("constant")} == set(state)
    for name, array in state.items():
        np.testing.assert_array_equal(arrays[name], array)
    (given,) = proto.graph.input
    first, *rest = given.type.tensor_type.shape.dim
    assert given.name == "input" and first.dim_param == "batch"
    assert [size.dim_value for size in rest] == list(shape)
    (returned,) = proto.graph.output
    assert returned.name == "output" and returned.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_nodes_tell_the_module_and_the_line_they_come_from(require, tmp_path):
    onnx = require("onnx")
    interop.save_onnx(models.resnet20(), tmp_path / "model.onnx", CIFAR)
    nodes = {node.name: node for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert nodes["layer2.0.conv1/Conv"].op_type == "Conv"
    assert nodes["layer2.0.conv1/Conv"].doc_string.startswith("Conv2d at blocks.py:")
    assert all("/" not in node.doc_string for node in nodes.values())  # no folder of the machine it was made on


def test_the_model_is_left_as_it_was(require, tmp_path):
    require("onnx")
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Dropout(0.5, seed=0))
    before, states = model.state_dict(), model.random_states()
    interop.save_onnx(model, tmp_path / "model.onnx", (1, 5, 5))
    assert [module.training for _, module in model.named_modules()] == [True, True, False, True]
    assert model.random_states() == states and all(parameter.grad is None for parameter in model.parameters())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_double_model_gives_a_double_file(require, tmp_path):
    onnx = require("onnx")
    interop.save_onnx(models.resnet20().to("float64"), tmp_path / "model.onnx", CIFAR)
    proto = onnx.load(tmp_path / "model.onnx")
    kinds = {value.type.tensor_type.elem_type for value in (*proto.graph.input, *proto.graph.output)}
    assert kinds == {onnx.TensorProto.DOUBLE}


STATISTICS = np.random.default_rng(0)
REFUSED = {
    "a condition on numbers": (lambda x: ops.where(x.data > 0, x, 0 * x), "Where at .* its condition .*no op made it"),
    "an input through NumPy": (lambda x: x + np.tanh(x.data), "Add at .* an input .*no op made it"),
    "the number of images": (lambda x: x / len(x), "Divide at .* an input .*no op made it"),
    "a result through NumPy": (lambda x: Tensor(x.data * 2), "the result: an input .*no op made it"),
    "an index that follows the batch": (lambda x: x[len(x) - 1], r"Getitem at .* its index, 1, .*no op made it"),
    "a random number": (lambda x: x * float(STATISTICS.random()), "Multiply at .* an input .*no op made it"),
    "dropout in evaluation": (lambda x: ops.dropout(x, 0.5, STATISTICS), "Dropout at .* its kept .*no op made it"),
    "another op for other images": (lambda x: ops.relu(x) if len(x) > 2 else ops.tanh(x), "Tanh at .*, ReLU at"),
    "more ops for other images": (lambda x: -x if len(x) > 2 else x, "computes more for some images.*Negative at"),
    "labels": (lambda x: ops.cross_entropy(x.sum(axis=(2, 3)), np.zeros(len(x), int)), "CrossEntropy at .* its labels"),
    "two sizes": (lambda x: x.reshape(1, len(x), 1, -1).transpose(1, 0, 2, 3).reshape(len(x), -1).transpose(), None),
}


@pytest.mark.parametrize("function, message", REFUSED.values(), ids=REFUSED)
def test_what_leaves_no_record_is_refused_with_the_op_and_the_line(function, message, onnxruntime, tmp_path):
    network = Call(function)
    if message is None:  # a neighbour of those refused, which has a form in ONNX
        interop.save_onnx(network, tmp_path / "model.onnx", (2, 3, 4))
        agree(onnxruntime, network, tmp_path / "model.onnx", (2, 3, 4))
        return
    with pytest.raises(ValueError, match=message) as caught:
        interop.save_onnx(network, tmp_path / "model.onnx", (2, 3, 4))
    assert "test_onnx.py:" in str(caught.value) or "the result" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_mistakes(require, tmp_path, monkeypatch):
    require("onnx")
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match=r"Sequential does not know its input's shape; pass input_shape"):
        interop.save_onnx(nn.Sequential(nn.ReLU()), path)
    with pytest.raises(TypeError, match="Call must return one Tensor, returned a tuple"):
        interop.save_onnx(Call(lambda x: (x, x)), path, (3,))
    with pytest.raises(ValueError, match="a parameter is named 'input'"):
        interop.save_onnx(Call(lambda x, weight: x * weight, input=np.ones(3)), path, (3,))
    with pytest.raises(ValueError, match="conv2d"):
        interop.save_onnx(models.resnet20(), path, (1, 8, 8))
    monkeypatch.setattr("minires.interop.onnx_file.LARGEST", 1000)
    with pytest.raises(ValueError, match="the file would have .* bytes; ONNX keeps at most 1000"):
        interop.save_onnx(models.resnet20(), path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'minires-engine\[onnx\]'"):
        interop.save_onnx(models.resnet20(), path)
    assert not list(tmp_path.iterdir())


def test_a_run_is_exported_with_what_is_known_of_its_images(onnxruntime, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "runs"), "--set", "steps=2", "batch_size=8", "evaluate_every=2"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    path = tmp_path / "digits.onnx"
    assert main(["export", str(folder), str(path)]) == 0
    assert "resnet20, " in capsys.readouterr().out
    model, recipe, _ = load_model(folder)
    agree(onnxruntime, model, path, tuple(recipe.dataset.shape))
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["mean"]) == recipe.dataset.mean and json.loads(metadata["std"]) == recipe.dataset.std
    assert json.loads(metadata["classes"]) == read_json(folder / "config.json")["arguments"]["dataset"]["classes"]


def test_weights_are_exported_with_the_model_that_they_are_of(onnxruntime, tmp_path, capsys):
    model = trained(models.resnet20(seed=3, num_classes=4))
    weights, path = tmp_path / "weights.safetensors", tmp_path / "model.onnx"
    interop.save_weights(model, weights)
    assert main(["export", str(weights), str(path), "--model", "resnet20", "--size", "10", "14"]) == 0
    assert "input (batch, 3, 10, 14) float32" in capsys.readouterr().out
    agree(onnxruntime, model, path, (3, 10, 14))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "model.onnx"], "there is no nowhere"),
        (["weights.safetensors", "model.onnx"], "add --model"),
        (["weights.safetensors", "nowhere/model.onnx", "--model", "resnet20"], "there is no folder nowhere"),
        (["weights.safetensors", "model.onnx", "--model", "resnet50"], "problems"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, require, tmp_path, monkeypatch, capsys):
    require("onnx")
    monkeypatch.chdir(tmp_path)
    interop.save_weights(models.resnet20(), tmp_path / "weights.safetensors")
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]
