"""Other families' names and any prefix: found by trying what makes the names of a file those of the model."""

import numpy as np
import pytest

from minires import interop, models, nn

small = lambda **options: models.cifar_resnet(8, width=4, **{"num_classes": 3, "seed": 0, **options})  # noqa: E731


def write(path, arrays):
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return path


def same(model, other):
    return all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())


PREFIXES = [
    "module.", "module.module.", "_orig_mod.module.", "module._orig_mod.module._orig_mod.", "model.", "backbone.",
    "net.", "encoder.", "model._orig_mod.", "module.backbone.", "student.model.net.", "1.", "fc.",
    "_fsdp_wrapped_module.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("naming", ["torchvision", "cifar"])
def test_any_prefix(tmp_path, prefix, naming):
    model, other = small(shortcut="B", seed=1), small(shortcut="B", seed=2)
    interop.save_weights(model, tmp_path / "own.safetensors", naming)
    arrays = {prefix + name: array for name, array in interop.read_weights(tmp_path / "own.safetensors").items()}
    arrays[f"{prefix}bn1.num_batches_tracked"] = np.array(3)
    path = write(tmp_path / "w.safetensors", arrays)
    loaded = interop.load_weights(other, path, verbose=False)
    assert same(model, other) and not loaded.missing and not loaded.unexpected
    assert f"{prefix}conv1.weight → conv1.weight" in str(loaded)
    assert interop.options_of(interop.read_weights(path))["num_classes"] == 3


def test_wrappers_inside(tmp_path):
    model, other = small(seed=1), small(seed=2)
    arrays = {name.replace("layer1.0.", "layer1._orig_mod.0.module."): a for name, a in model.state_dict().items()}
    interop.load_weights(other, write(tmp_path / "w.safetensors", arrays), verbose=False)
    assert same(model, other)


def test_an_average_counts_its_updates(tmp_path):
    """torch.optim.swa_utils.AveragedModel: `module.` and one number more."""
    model, other = small(seed=1), small(seed=2)
    arrays = {f"module.{name}": array for name, array in model.state_dict().items()} | {"n_averaged": np.array(7)}
    loaded = interop.load_weights(other, write(tmp_path / "w.safetensors", arrays), verbose=False)
    assert same(model, other) and loaded.ignored == ["n_averaged"]


class Wrapped(nn.Module):
    def __init__(self, seed):
        self.backbone = small(seed=seed)
        self.head = nn.Linear(16, 2, seed=seed)


def test_the_model_is_the_one_with_a_prefix(tmp_path):
    model, other = small(seed=1), Wrapped(2)
    path = write(tmp_path / "w.safetensors", model.state_dict())
    loaded = interop.load_weights(other, path, strict=False, verbose=False)
    assert same(model, other.backbone) and loaded.missing == ["head.weight", "head.bias"] and not loaded.unexpected


def test_a_prefix_and_what_is_not_under_it(tmp_path):
    """The names beside it are listed, and nothing is loaded without strict=False."""
    model, other = small(seed=1), small(seed=2)
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()} | {"mean": np.zeros(3, np.float32)}
    path = write(tmp_path / "w.safetensors", arrays)
    with pytest.raises(ValueError, match="1 problems:\n  mean is unexpected"):
        interop.load_weights(other, path)
    interop.load_weights(other, path, strict=False, verbose=False)
    assert same(model, other)


def test_two_networks_in_one_file(tmp_path):
    first, second, other = small(seed=1), small(seed=2), small(seed=3)
    arrays = {f"module.encoder_q.{name}": array for name, array in first.state_dict().items()}
    arrays |= {f"module.encoder_k.{name}": array for name, array in second.state_dict().items()}
    path = write(tmp_path / "moco.safetensors", arrays)
    with pytest.raises(ValueError, match="fit the model equally well; choose: patterns="):
        interop.load_weights(other, path)
    patterns = [(r"^module\.encoder_k\.", "")]
    interop.load_weights(other, path, patterns=patterns, strict=False, verbose=False)
    assert same(second, other)


def hugging_face(name):
    """The name that `transformers.ResNetForImageClassification` gives to an array, spelled out by hand."""
    module, _, last = name.rpartition(".")
    if module in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{'convolution' if module == 'conv1' else 'normalization'}.{last}"
    if module == "fc":
        return f"classifier.1.{last}"
    layer, block, *inner = module.split(".")
    place = f"resnet.encoder.stages.{int(layer[-1]) - 1}.layers.{block}"
    if inner[0] == "downsample":
        return f"{place}.shortcut.{'convolution' if inner[1] == '0' else 'normalization'}.{last}"
    kind = "convolution" if inner[0].startswith("conv") else "normalization"
    return f"{place}.layer.{int(inner[0][-1]) - 1}.{kind}.{last}"


@pytest.mark.parametrize("make", [models.resnet18, models.resnet50])
@pytest.mark.parametrize("headless", [False, True])
def test_hugging_face(tmp_path, make, headless):
    """With its classifier, or as `ResNetModel` saves it: without, and without `resnet.`."""
    model, other = make(seed=1, num_classes=3, init=None), make(seed=2, num_classes=3, init=None)
    random = np.random.default_rng(0)
    state = {name: random.standard_normal(a.shape).astype(np.float32) for name, a in model.state_dict().items()}
    arrays = {hugging_face(name): array for name, array in state.items()}
    assert "resnet.encoder.stages.3.layers.0.shortcut.normalization.running_var" in arrays
    if headless:
        arrays = {name.removeprefix("resnet."): a for name, a in arrays.items() if not name.startswith("classifier")}
    path = write(tmp_path / "model.safetensors", arrays)
    loaded = interop.load_weights(other, path, strict=not headless, verbose=False)
    assert loaded.missing == (["fc.weight", "fc.bias"] if headless else []) and not loaded.unexpected
    for name, array in other.state_dict().items():
        if not (headless and name.startswith("fc.")):
            np.testing.assert_array_equal(array, state[name], err_msg=name)
    if not headless:
        options = interop.options_of(interop.read_weights(path))
        assert options == {"in_channels": 3, "num_classes": 3, "stem": "imagenet", "shortcut": "B"}


def test_another_familys_names_are_called_that(tmp_path):
    model = small()
    arrays = {f"blocks/{k}": np.ones(2, np.float32) for k in range(30)}
    path = write(tmp_path / "w.safetensors", arrays)
    before = model.state_dict()
    with pytest.raises(ValueError) as caught:
        interop.load_weights(model, path)
    assert "another family's names" in caught.value.__notes__[0] and "shortcut" not in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="has nothing of this model, so nothing was loaded; .*another family's names"):
        interop.load_weights(model, path, strict=False)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
