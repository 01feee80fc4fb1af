"""Freezing, a new head, and the groups of an optimizer that trains it faster."""

import numpy as np
import pytest

from minires import Tensor, gradcheck, models, nn, ops
from minires.optim import SGD
from minires.runs import finetuning

rng = np.random.default_rng(0)
IMAGES = rng.standard_normal((6, 3, 9, 8)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def small(**options):
    return models.cifar_resnet(8, width=4, **{"num_classes": 3, "seed": 0, **options})


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def step(model, params=None):
    optimizer = SGD(model.parameters() if params is None else params, 0.1, momentum=0.9, weight_decay=0.1)
    model.train()
    loss = ops.cross_entropy(model(Tensor(IMAGES)), LABELS % model.fc.weight.shape[0])
    loss.backward()
    optimizer.step()


def changed(before, model):
    return {name for name, array in model.state_dict().items() if not np.array_equal(before[name], array)}


def test_frozen_parameters_and_statistics_stay():
    model = small()
    names = finetuning.freeze(model, "conv1.*", "bn1.*", "layer[12].*")
    assert set(names) == {name for name, _ in model.named_parameters()} - trainable(model)
    assert trainable(model) == {name for name in model.state_dict() if name.startswith(("layer3.", "fc."))} - {
        name for name, _ in model.named_buffers()
    }
    before = model.state_dict()
    step(model)
    assert changed(before, model) == {name for name in before if name.startswith(("layer3.", "fc."))}


def test_a_frozen_beginning_is_not_back_propagated():
    model = small()
    finetuning.freeze(model, "[!f]*")
    logits = model(Tensor(IMAGES))
    assert logits.op.inputs[0].op is None and not logits.op.inputs[0].requires_grad


def test_in_the_middle_gradients_go_through():
    model, free = small(), small()
    for network in (model, free):
        network.eval()  # so that both compute the same
    finetuning.freeze(model, "layer2.*")
    for network in (model, free):
        ops.cross_entropy(network(Tensor(IMAGES)), LABELS).backward()
    for (name, parameter), other in zip(model.named_parameters(), free.parameters(), strict=True):
        if name.startswith("layer2."):
            assert parameter.grad is None
        else:
            np.testing.assert_array_equal(parameter.grad, other.grad, err_msg=name)


def test_unfreeze():
    model = small()
    finetuning.freeze(model, "*")
    finetuning.unfreeze(model, "*.bn1.weight", "fc.bias")
    assert trainable(model) == {"layer1.0.bn1.weight", "layer2.0.bn1.weight", "layer3.0.bn1.weight", "fc.bias"}
    assert model.bn1.frozen and model.layer1[0].bn2.frozen and not model.layer1[0].bn1.frozen
    finetuning.unfreeze(model, "*")
    before = model.state_dict()
    step(model)
    assert changed(before, model) == set(before)


def test_a_norm_frozen_by_hand_stays_so():
    model = small()
    model.bn1.freeze()
    finetuning.freeze(model, "layer1.*")
    finetuning.unfreeze(model, "layer1.*")
    assert model.bn1.frozen and not model.layer1[0].bn1.frozen


@pytest.mark.parametrize("function", [finetuning.freeze, finetuning.unfreeze])
def test_a_pattern_that_matches_nothing(function):
    model = small()
    with pytest.raises(ValueError, match=f"{function.__name__}: no parameter's name matches 'layer4.*', .*|'layer4"):
        function(model, "conv1.*", "layer4.*")
    assert trainable(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.BatchNorm1d])
def test_a_frozen_norm_does_in_training_what_it_does_in_evaluation(kind):
    norm = kind(3).to("float64")
    norm.running_mean[...] = rng.standard_normal(3)
    norm.running_var[...] = rng.uniform(0.5, 2, 3)
    norm.weight.data[...] = rng.standard_normal(3)
    shape = (4, 3, 5, 2) if kind is nn.BatchNorm2d else (4, 3)
    x = rng.standard_normal(shape)
    expected = norm.eval()(Tensor(x)).data
    kept = norm.running_mean.copy(), norm.running_var.copy()

    norm.freeze()
    norm.train()
    assert norm.training and norm.frozen
    np.testing.assert_array_equal(norm(Tensor(x)).data, expected)
    np.testing.assert_array_equal(norm(Tensor(x[:1])).data, expected[:1])  # one value a channel is enough now
    np.testing.assert_array_equal((norm.running_mean, norm.running_var), kept)
    assert gradcheck(norm, x).ok

    norm.freeze(False)
    assert not np.allclose(norm(Tensor(x)).data, expected)
    assert not np.array_equal(norm.running_mean, kept[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_replace_head(dtype):
    model = small().to(dtype)
    before = model.state_dict()
    finetuning.replace_head(model, 7, seed=1)
    after = model.state_dict()
    assert after["fc.weight"].shape == (7, 16) and after["fc.bias"].shape == (7,)
    assert {array.dtype for array in after.values()} == {np.dtype(dtype)}
    assert all(np.array_equal(before[name], after[name]) for name in before if not name.startswith("fc."))
    assert 0 < np.abs(after["fc.weight"]).max() <= 0.25  # 1 / sqrt(16)
    assert model(Tensor(IMAGES.astype(dtype))).shape == (6, 7)
    other = small().to(dtype)
    finetuning.replace_head(other, 7, seed=1)
    np.testing.assert_array_equal(other.fc.weight.data, model.fc.weight.data)


def test_replace_head_keeps_its_kind():
    model = small(norm="none", init="fixup")
    finetuning.replace_head(model, 2, seed=0)
    assert hasattr(model.fc, "input_bias") and "fc.input_bias" in model.state_dict()
    assert model(Tensor(IMAGES)).shape == (6, 2)


def test_replace_head_refuses():
    with pytest.raises(TypeError, match="Sequential does not say which linear layer is its classifier"):
        finetuning.replace_head(nn.Sequential(nn.Linear(2, 3)), 4)
    model = small()
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        finetuning.replace_head(model, 0)
    assert model.fc.weight.shape == (3, 16)


def test_load_all_but_head():
    model, source = small(num_classes=5), small(seed=1)
    before = model.state_dict()
    finetuning.load_all_but_head(model, source.state_dict())
    for name, array in model.state_dict().items():
        wanted = before if name.startswith("fc.") else source.state_dict()
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)

    state = source.state_dict()
    state["extra.weight"] = state.pop("bn1.bias")
    with pytest.raises(ValueError, match="2 problems:\n  bn1.bias is missing\n  extra.weight is unexpected"):
        finetuning.load_all_but_head(model, state)


def test_parameter_groups():
    model = small()
    finetuning.freeze(model, "conv1.*")
    backbone, head = finetuning.parameter_groups(model, 0.01)
    assert backbone["lr"] == 0.01 and head["lr"] == pytest.approx(0.1)
    assert [id(parameter) for parameter in head["params"]] == [id(model.fc.weight), id(model.fc.bias)]
    assert len(backbone["params"]) == len(model.parameters()) - 3
    before = model.state_dict()
    step(model, [backbone, head])
    assert changed(before, model) == set(before) - {"conv1.weight"}


def test_groups_where_only_the_head_is_trained():
    model = small()
    finetuning.freeze(model, "[!f]*")
    (group,) = finetuning.parameter_groups(model, 0.01, head_factor=3)
    assert group["lr"] == pytest.approx(0.03) and len(group["params"]) == 2
    finetuning.freeze(model, "*")
    with pytest.raises(ValueError, match="every parameter is frozen"):
        finetuning.parameter_groups(model, 0.01)
