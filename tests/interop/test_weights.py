"""Weights from files: what is renamed and converted is said, and a file that does not fit changes nothing."""

import numpy as np
import pytest

from minires import interop, models, nn
from minires.runs import checkpoint

rng = np.random.default_rng(0)


def small(**options):
    return models.cifar_resnet(8, width=4, **{"num_classes": 3, "seed": 0, **options})


def write(path, arrays, **metadata):
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata or None)
    return path


def published(model):
    """Foreign names, spelled out here by hand: what the CIFAR repositories' own classes would call these arrays."""
    names = {}
    for name in model.state_dict():
        foreign = name
        if name.startswith("fc."):
            foreign = "linear" + name[2:]
        elif ".downsample." in name:
            foreign = name.replace("downsample", "shortcut")
        names["module." + foreign] = name
    return names


def same(model, other):
    return all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("naming", ["torchvision", "cifar"])
def test_round_trip(tmp_path, naming, shortcut):
    model, other = small(shortcut=shortcut, seed=1), small(shortcut=shortcut, seed=2)
    model.bn1.running_mean[...] = rng.standard_normal(4)
    interop.save_weights(model, tmp_path / "w.safetensors", naming)
    loaded = interop.load_weights(other, tmp_path / "w.safetensors", verbose=False)
    assert same(model, other)
    assert set(loaded.names.values()) == set(model.state_dict()) and not loaded.missing and not loaded.unexpected
    stored = set(interop.read_weights(tmp_path / "w.safetensors"))
    if naming == "torchvision":
        assert stored == set(model.state_dict())
    else:
        assert "linear.weight" in stored and "fc.weight" not in stored
        assert ("layer2.0.shortcut.1.running_var" in stored) == (shortcut == "B")


def test_foreign_names_are_mapped_and_said(tmp_path, capsys):
    model, other = small(shortcut="B", seed=1), small(shortcut="B", seed=2)
    state = model.state_dict()
    arrays = {foreign: state[own] for foreign, own in published(model).items()}
    arrays["module.bn1.num_batches_tracked"] = np.array(64000)
    loaded = interop.load_weights(other, write(tmp_path / "w.safetensors", arrays))
    assert same(model, other)
    assert loaded.names == published(model)
    printed = capsys.readouterr().out
    for foreign, own in published(model).items():
        assert f"  {foreign} → {own}\n" in printed
    assert f"{len(state)} arrays loaded, {len(state)} of them under another name" in printed
    assert "1 × num_batches_tracked ignored" in printed


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes(tmp_path, prefix):
    model, other = small(seed=1), small(seed=2)
    arrays = {prefix + name: array for name, array in model.state_dict().items()}
    interop.load_weights(other, write(tmp_path / "w.safetensors", arrays), verbose=False)
    assert same(model, other)


def test_a_name_that_the_model_has_stays(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(2, 3, seed=0)
            self.fc = nn.Linear(2, 3, seed=1)

    model, other = Own(), Own()
    model.linear.weight.data[...] = 7
    interop.save_weights(model, tmp_path / "w.safetensors")
    loaded = interop.load_weights(other, tmp_path / "w.safetensors", verbose=False)
    assert same(model, other) and all(name == own for name, own in loaded.names.items())


def test_patterns_of_ones_own(tmp_path):
    model, other = small(seed=1), small(seed=2)
    arrays = {f"encoder/{name}": array for name, array in model.state_dict().items()}
    path = write(tmp_path / "w.safetensors", arrays)
    with pytest.raises(ValueError, match="encoder/conv1.weight is unexpected"):
        interop.load_weights(other, path)
    interop.load_weights(other, path, patterns=[("^encoder/", "")], verbose=False)
    assert same(model, other)


@pytest.mark.parametrize(("stored", "wanted"), [("float16", "float32"), ("float64", "float32"), ("float32", "float64")])
def test_floats_are_converted_and_it_is_said(tmp_path, capsys, stored, wanted):
    model = small(seed=1)
    state = {name: array.astype(stored) for name, array in model.state_dict().items()}
    other = small(seed=2).to(wanted)
    loaded = interop.load_weights(other, write(tmp_path / "w.safetensors", state))
    for name, array in other.state_dict().items():
        assert array.dtype == wanted
        np.testing.assert_array_equal(array, state[name].astype(wanted))
    assert set(loaded.converted) == set(state) and f"{len(state)} arrays converted from {stored}" in str(loaded)
    assert str(loaded) in capsys.readouterr().out


def test_integers_are_not_taken_for_weights(tmp_path):
    model = small()
    state = model.state_dict() | {"fc.bias": np.arange(3)}
    with pytest.raises(ValueError, match="fc.bias is int64 where the model is float32"):
        interop.load_weights(model, write(tmp_path / "w.safetensors", state))


def test_every_mismatch_is_listed_and_nothing_changed(tmp_path):
    model = small()
    before = model.state_dict()
    state = small(seed=9).state_dict()
    del state["bn1.running_mean"], state["layer1.0.conv1.weight"]
    state["fc.weight"] = np.zeros((1000, 16), np.float32)
    state["head.weight"] = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="nothing was changed, 4 problems") as caught:
        interop.load_weights(model, write(tmp_path / "w.safetensors", state))
    for line in [
        "layer1.0.conv1.weight is missing",
        "bn1.running_mean is missing",
        "head.weight is unexpected",
        "fc.weight has shape (1000, 16) where the model has (3, 16)",
    ]:
        assert line in str(caught.value)
    assert str(tmp_path / "w.safetensors") in caught.value.__notes__[0]
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_not_strict(tmp_path, capsys):
    model, other = small(seed=1), small(seed=2)
    state = model.state_dict()
    del state["fc.bias"]
    state["extra"] = np.zeros(1, np.float32)
    kept = other.fc.bias.data.copy()
    loaded = interop.load_weights(other, write(tmp_path / "w.safetensors", state), strict=False)
    assert loaded.missing == ["fc.bias"] and loaded.unexpected == ["extra"] and "extra" not in loaded.names
    np.testing.assert_array_equal(other.fc.bias.data, kept)
    np.testing.assert_array_equal(other.fc.weight.data, model.fc.weight.data)
    printed = capsys.readouterr().out
    assert "missing in the file, left as they were: fc.bias" in printed and "of no use here: extra" in printed


@pytest.mark.parametrize(
    ("stored", "wanted", "hint"), [("A", "B", "with shortcut='A'"), ("B", "A", "make it with shortcut='B'")]
)
def test_the_wrong_shortcut_is_recognized(tmp_path, stored, wanted, hint):
    interop.save_weights(small(shortcut=stored), tmp_path / "w.safetensors", "cifar")
    with pytest.raises(ValueError) as caught:
        interop.load_weights(small(shortcut=wanted), tmp_path / "w.safetensors")
    assert hint in caught.value.__notes__[0]


def test_one_array_twice(tmp_path):
    state = small().state_dict()
    state["linear.bias"] = state["fc.bias"]
    with pytest.raises(ValueError, match="fc.bias and linear.bias are both fc.bias|linear.bias and fc.bias are both"):
        interop.load_weights(small(), write(tmp_path / "w.safetensors", state))


def test_a_header_that_looks_like_a_pickle(tmp_path):
    """The header's length is the file's first bytes, so it may spell the start of a pickle or of an archive."""
    for start in (b"\x80\x02", b"PK"):
        length = int.from_bytes(start, "little")
        array = np.arange(3, dtype=np.float32)
        header = b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'.ljust(length)
        path = tmp_path / "w.safetensors"
        path.write_bytes(length.to_bytes(8, "little") + header + array.tobytes())
        np.testing.assert_array_equal(interop.read_weights(path)["a"], array)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:-1], "not fully covered"),
        (lambda whole: whole[:100], "or a damaged one"),
        (lambda whole: b"", "header too small"),
        (lambda whole: b"\xff" * 8 + whole[8:], "header too large"),
        (lambda whole: whole[:8] + b"{{" + whole[10:], "invalid JSON"),
        (lambda whole: b"conv1,fc\n1,2\n3,4\n5,6\n", "no safetensors file"),
    ],
    ids=["one byte short", "cut", "empty", "length", "header", "text"],
)
def test_damaged_files(tmp_path, damage, reason):
    model = small()
    before = model.state_dict()
    path = tmp_path / "w.safetensors"
    interop.save_weights(model, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"w.safetensors is no safetensors file, or a damaged one .*{reason}|{reason}"):
        interop.load_weights(model, path)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_a_checkpoint_is_no_file_of_weights(tmp_path):
    path = checkpoint.save(tmp_path, 3, {"model": small().state_dict()})
    with pytest.raises(ValueError, match="step-000003.safetensors is a checkpoint, .* use its run's folder"):
        interop.load_weights(small(), path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors"):
        interop.load_weights(small(), tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="is a folder"):
        interop.load_weights(small(), tmp_path)


def test_saving_refuses_before_it_writes(tmp_path):
    with pytest.raises(ValueError, match="unknown naming 'keras'; known: torchvision, cifar"):
        interop.save_weights(small(), tmp_path / "w.safetensors", "keras")
    with pytest.raises(OSError):
        interop.save_weights(small(), tmp_path / "nowhere" / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_saved_in_another_memory_order(tmp_path):
    """safetensors takes an array's bytes as they lie in memory."""
    model, other = small(seed=1), small(seed=2)
    model.fc.weight.data = np.asfortranarray(model.fc.weight.data)
    interop.save_weights(model, tmp_path / "w.safetensors")
    interop.load_weights(other, tmp_path / "w.safetensors", verbose=False)
    assert same(model, other)


@pytest.mark.parametrize("naming", ["torchvision", "cifar"])
@pytest.mark.parametrize(
    "options",
    [
        {"in_channels": 1, "num_classes": 7, "stem": "cifar", "shortcut": "A"},
        {"in_channels": 3, "num_classes": 2, "stem": "imagenet", "shortcut": "B"},
    ],
)
def test_what_a_files_shapes_say(tmp_path, options, naming):
    interop.save_weights(small(**options), tmp_path / "w.safetensors", naming)
    assert interop.options_of(interop.read_weights(tmp_path / "w.safetensors")) == options


def test_shapes_of_something_else():
    with pytest.raises(ValueError, match="conv1.weight is not among them; there are a, b"):
        interop.options_of({"a": np.zeros(2), "b": np.zeros((2, 2))})
