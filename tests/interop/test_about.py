"""What a file of weights says of itself is read back, and what cannot be is refused by name."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minires import Tensor, interop, models
from minires.interop.about import KEY

ABOUT = interop.About("resnet20", {"width": 4}, "mine", [3, 32, 32], ["cät", "dog"], [120.0] * 3, [60.0] * 3)


@pytest.fixture
def model():
    model = models.resnet20(width=4, num_classes=2, seed=1)
    rng = np.random.default_rng(0)
    for _, buffer in model.named_buffers():
        buffer[...] = rng.uniform(0.5, 2, buffer.shape)
    return model.eval()


@pytest.mark.parametrize("dtype", [None, "float16", "float32", "float64"])
def test_a_file_says_which_network_it_is(tmp_path, model, dtype):
    path = tmp_path / "w.safetensors"
    interop.save_weights(model, path, dtype=dtype, about=ABOUT)
    network, about, loaded = interop.load_network(path)
    assert about.classes == ABOUT.classes and about.mean == ABOUT.mean and about.model == "resnet20"
    assert len(loaded.names) == len(model.state_dict()) and not network.training
    state = network.state_dict()
    for name, array in model.state_dict().items():
        expected = array.astype(dtype or array.dtype)
        assert load_file(path)[name].dtype == expected.dtype
        np.testing.assert_array_equal(state[name], expected.astype(np.float32))


def test_arrays_of_any_memory_order_are_written_rightly(tmp_path, model):
    """The library writes memory as it lies: kernels leave filters in another order than their shape's."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = np.asfortranarray(parameter.data)
    for dtype in (None, "float16"):
        interop.save_weights(model, tmp_path / "w.safetensors", dtype=dtype)
        arrays = load_file(tmp_path / "w.safetensors")
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(arrays[name], parameter.data, rtol=1e-3, atol=1e-6)


def test_a_file_of_others_says_nothing(tmp_path, model):
    interop.save_weights(model, tmp_path / "w.safetensors")
    assert interop.read_about(tmp_path / "w.safetensors") == interop.About()
    save_file({"a": np.zeros(3)}, tmp_path / "theirs.safetensors", metadata={"model": "[", "classes": "7"})
    assert interop.read_about(tmp_path / "theirs.safetensors") == interop.About()
    with pytest.raises(ValueError, match="does not say of which model it is; say model="):
        interop.load_network(tmp_path / "w.safetensors")
    network, about, _ = interop.load_network(tmp_path / "w.safetensors", "resnet20", {"width": 4})
    assert about.options["num_classes"] == 2 and network.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "none", "init": "fixup"},
        {"norm": "none", "init": "skipinit"},
        {"norm": "none"},
        {"skip": False},
        {"shortcut": "C"},
        {"activation": "elu"},
        {"init": "zero_gamma", "fused": True},
    ],
    ids=str,
)
def test_networks_of_other_options(tmp_path, options):
    """What a file says leads to the same network: also to scalars that only some initializations bring."""
    model = models.make("resnet20", width=4, seed=5, **options).eval()
    about = interop.About("resnet20", {"width": 4, **options})
    interop.save_weights(model, tmp_path / "w.safetensors", about=about)
    images = Tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32))
    for fused in (False, None):
        network, _, _ = interop.load_network(tmp_path / "w.safetensors", fused=fused)
        assert network.state_dict().keys() == model.state_dict().keys()
        np.testing.assert_allclose(network(images).data, model(images).data, rtol=1e-3, atol=1e-3)


def changed(**changes):
    return json.dumps({**asdict(ABOUT), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "cannot be"),
        ("[]", "must be a section with model, options"),
        ("{}", "model is missing"),
        (changed(model="resnet21"), "'resnet21' is no network that MiniRes can make"),
        (changed(model=3), "model is 3, and must be text"),
        (changed(shape=[3, 32]), r"an image's shape must be \(C, H, W\), not \[3, 32\]"),
        (changed(shape=[3, 32, 10**9]), r"shape\[2\] is 1000000000, and must be a whole number from 1 to 4096"),
        (changed(mean=[1.0]), "the mean has 1 numbers, and the images 3 channels"),
        (changed(std=[1.0, 1.0, 0.0]), "a std above 0"),
        (changed(mean=[1.0, None, 1.0]), "a mean and a std"),
        (changed(mean=[], std=[1.0] * 3), "a mean and a std"),
        (changed(classes=["a", 1]), r"classes\[1\] is 1"),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path, text, message):
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "w.safetensors", metadata={KEY: text})
    with pytest.raises(ValueError, match=message) as error:
        interop.read_about(tmp_path / "w.safetensors")
    assert "w.safetensors" in str(error.value)


@pytest.mark.parametrize("options", [{"width": 10**5}, {"width": "wide"}, {"colour": 1}, {"skip": "maybe"}])
def test_options_that_the_arrays_do_not_fit(tmp_path, model, options):
    """Also such as would take more memory than there is: nothing is written before all shapes are compared."""
    about = interop.About("resnet20", options)
    interop.save_weights(model, tmp_path / "w.safetensors", about=about)
    with pytest.raises((ValueError, TypeError, MemoryError)):
        interop.load_network(tmp_path / "w.safetensors")


def test_numbers_too_large_for_half_precision(tmp_path, model):
    model.fc.bias.data[0] = 1e6
    with pytest.raises(ValueError, match=r"fc.bias has numbers up to 1e\+06, too large for float16; use float32"):
        interop.save_weights(model, tmp_path / "w.safetensors", dtype="float16")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="unknown dtype 'bfloat16'; known: float16, float32, float64"):
        interop.save_weights(model, tmp_path / "w.safetensors", dtype="bfloat16")
