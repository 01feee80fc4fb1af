"""Checkpoint files: what goes in comes out, whole or not at all; every other file is refused by a clear word."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save_file

from minires import kernels, models
from minires.optim import SGD
from minires.runs import checkpoint, checkpoint_file, records

STATE = {
    "model": {"conv1.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "scale": np.array(0.5)},
    "generators": {"dropout": np.random.default_rng(3).bit_generator.state},
    "empty": {},
    "step": 7,
    "betas": [0.9, 0.999],
}


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


def test_round_trip(tmp_path):
    path = checkpoint.save(tmp_path / "new" / "checkpoints", 7, STATE)
    assert path == tmp_path / "new" / "checkpoints" / "step-000007.safetensors"
    state, environment = checkpoint.load(path)
    assert equal(state, STATE)
    assert environment == checkpoint.environment()
    generator = np.random.default_rng()
    generator.bit_generator.state = state["generators"]["dropout"]
    assert generator.random() == np.random.default_rng(3).random()


DTYPES = st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint8, np.uint32, np.bool_])
ANY_ARRAY = DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0)))


@given(ANY_ARRAY, st.sampled_from(["as it is", "transposed", "Fortran", "every other", "backwards"]))
def test_arrays_of_every_order_come_back(tmp_path_factory, array, order):
    view = {
        "as it is": array,
        "transposed": array.T,
        "Fortran": np.asfortranarray(array) if array.ndim else array,
        "every other": array[..., ::2] if array.ndim else array,
        "backwards": array[::-1] if array.ndim else array,
    }[order]
    expected = view.tolist()
    path = checkpoint.save(tmp_path_factory.mktemp("round"), 0, {"a": {"b": view}})
    loaded = checkpoint.load(path)[0]["a"]["b"]
    assert loaded.shape == view.shape and loaded.dtype == view.dtype
    np.testing.assert_array_equal(loaded, np.array(expected, view.dtype).reshape(view.shape))


def test_same_state_same_bytes(tmp_path):
    shuffled = {key: STATE[key] for key in reversed(STATE)}
    shuffled["model"] = {key: STATE["model"][key].copy() for key in reversed(STATE["model"])}
    first = checkpoint.save(tmp_path / "a", 7, STATE).read_bytes()
    assert checkpoint.save(tmp_path / "b", 7, STATE).read_bytes() == first
    assert equal(checkpoint.load(checkpoint.save(tmp_path / "c", 7, shuffled))[0], STATE)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {1: 2}}, r"the key 1 at a must be a string without '/'"),
        ({"a/b": 2}, r"the key 'a/b' at the top must be a string"),
        ({"a": {"b": object()}}, r"a/b is a object, which no file can hold"),
        ({"a": 1j}, r"a is a complex, which no file can hold"),
    ],
)
def test_what_no_file_can_hold(tmp_path, state, message):
    with pytest.raises(TypeError, match=message):
        checkpoint.save(tmp_path / "checkpoints", 1, state)
    assert not (tmp_path / "checkpoints").exists()


def test_missing(tmp_path):
    with pytest.raises(ValueError, match="there is no .*step-000001"):
        checkpoint.load(tmp_path / "step-000001.safetensors")
    with pytest.raises(ValueError, match="holds none, so there is nothing to go on from"):
        checkpoint.newest(tmp_path)
    checkpoint.save(tmp_path, 3, STATE)
    with pytest.raises(ValueError, match="holds none of step 4; there are: 3"):
        checkpoint.path_of(tmp_path, 4)


def test_every_truncation_is_noticed(tmp_path):
    path = checkpoint.save(tmp_path, 1, STATE)
    content = path.read_bytes()
    for length in [0, 1, 7, 8, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="step-000001.safetensors is damaged: .* Delete it; .* begin a new run"):
            checkpoint.load(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = checkpoint.save(tmp_path, 1, STATE)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its bytes are not those that were saved"):
        checkpoint.load(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"conv1.weight": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="no training checkpoint of MiniRes"):
        checkpoint.load(path)
    path.write_bytes(b"PK\x03\x04 a zip, as PyTorch writes them" * 10)
    with pytest.raises(ValueError, match="is damaged: it is no whole safetensors file"):
        checkpoint.load(path)


def test_newer_format(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "FORMAT_VERSION", 3)
    monkeypatch.setattr(checkpoint, "__version__", "9.1")
    path = checkpoint.save(tmp_path, 1, STATE)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"format version 3, written by MiniRes 9\.1; .* reads up to 2: update it"):
        checkpoint.load(path)


def test_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = checkpoint.save(tmp_path, 1, STATE)
    content = path.read_bytes()

    def full_disk(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(records.os, function, full_disk)
            with pytest.raises(OSError, match=r"cannot write .*step-000001.*No space left.*before it are whole"):
                checkpoint.save(tmp_path, 1, {**STATE, "step": 8})
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit a process's file size")
def test_a_write_that_really_stops_in_the_middle(tmp_path):
    script = f"""
import resource, signal
import numpy as np
from pathlib import Path
from minires.runs import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoint.save(Path({str(tmp_path)!r}), 1, {{"a": np.zeros(10_000)}})
try:
    checkpoint.save(Path({str(tmp_path)!r}), 2, {{"a": np.zeros(100_000)}})
except OSError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot write the checkpoint" in result.stdout and "File too large" in result.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["step-000001.safetensors"]
    assert checkpoint.load(checkpoint.newest(tmp_path))[0]["a"].shape == (10_000,)


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(OSError, match="cannot write the checkpoint .*step-000001"):
        checkpoint.save(tmp_path / "file", 1, STATE)
    assert (tmp_path / "file").read_text() == "here first"


def test_last_and_best_are_kept(tmp_path):
    for step in (8, 9, 10, 11, 100, 1_000_000, 2_000_000):
        checkpoint.save(tmp_path, step, {"step": step})
    checkpoint.prune(tmp_path, 2, best=9)
    assert checkpoint.steps_in(tmp_path) == [9, 1_000_000, 2_000_000]
    checkpoint.prune(tmp_path, 2)
    assert checkpoint.steps_in(tmp_path) == [1_000_000, 2_000_000]
    assert checkpoint.load(checkpoint.newest(tmp_path))[0] == {"step": 2_000_000}


def test_leftovers_of_a_killed_write(tmp_path):
    checkpoint.save(tmp_path, 1, STATE)
    (tmp_path / ".step-000002.safetensors.4711").write_bytes(b"half of it")
    assert checkpoint.steps_in(tmp_path) == [1]
    checkpoint.remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["step-000001.safetensors"]


def test_environment():
    with kernels.use("numpy"):
        now = checkpoint.environment()
    assert now["kernels"] == "numpy" and now["numpy"] == np.__version__ and now["threads"] >= 1
    assert checkpoint.differences(now, now) == []
    other = {**now, "threads": 99, "numba": "1.0"}
    listed = f"threads: 99 then, {now['threads']} now", "numba: 1.0 then, none now"
    for remark, words in zip(checkpoint.differences(other, now), listed, strict=True):
        assert remark.startswith(f"resumed, but not bit for bit as it was: {words}")


def test_vectors_and_threads_of_the_compiled_kernels_are_recorded():
    pytest.importorskip("numba")
    with kernels.use("numba"):
        now = checkpoint.environment()
        with kernels.use("numba", winograd=False):
            plain = checkpoint.environment()
    assert now["kernels"] == "numba" and now["vectors"] in ("512 bits", "256 bits", "none")
    [remark] = checkpoint.differences(now, plain)
    assert "not bit for bit as it was: winograd: True then, False now" in remark
    [remark] = checkpoint.differences({**now, "vectors": "64 bits"}, now)
    assert f"not bit for bit as it was: vectors: 64 bits then, {now['vectors']} now" in remark
    [remark] = checkpoint.differences({**now, "numba threads": 99}, now)  # results are the same for any number
    assert "bit for bit" not in remark and f"numba threads: 99 then, {now['numba threads']} now" in remark


def test_states_of_model_and_optimizer(tmp_path):
    model = models.cifar_resnet(8, width=4, init="skipinit", norm="none", seed=0)  # its scalars are 0-d arrays
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = np.ones_like(parameter.data)
    optimizer.step()
    state = {"model": model.state_dict(), "groups": {"0": {"lr": optimizer.param_groups[0]["lr"]}}}
    path = checkpoint.save(tmp_path, 1, state, model.fc.weight.data)
    assert equal(checkpoint.load(path)[0], state)
    header = path.read_bytes()[8:].split(b"\x00")[0]
    assert json.loads(header[: header.rindex(b"}") + 1])["model/fc.weight"]["dtype"] == "F32"
