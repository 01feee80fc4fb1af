"""Files of torch.save: read by their opcodes, and nothing that they name is ever called."""

import os
import pickle
import random
import struct

import numpy as np
import pytest
from torch_writer import MAGIC, Raw, Writer, call, code, name, ordered, pickled, writer

from minires import interop, models

rng = np.random.default_rng(0)
LAYOUTS = ["zip", "rows"]


def small(**options):
    return models.cifar_resnet(8, width=4, **{"num_classes": 3, "seed": 0, **options})


def same(model, other):
    return all(np.array_equal(array, other.state_dict()[name]) for name, array in model.state_dict().items())


def described(made, state):
    return ordered({name: made.tensor(array) for name, array in state.items()})


def refused(path, data, match):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=match) as caught:
        interop.read_weights(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_state_dict(tmp_path, layout, shortcut):
    model, other = small(shortcut=shortcut, seed=1), small(shortcut=shortcut, seed=2)
    made = writer(layout)
    path = made.write(tmp_path / "w.pth", described(made, model.state_dict()), layout)
    loaded = interop.load_weights(other, path, verbose=False)
    assert same(model, other) and not loaded.missing and not loaded.unexpected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "i8", "u1", "b1"])
def test_dtypes_and_shapes(tmp_path, layout, dtype):
    made = writer(layout)
    shapes = [(), (3,), (2, 3), (2, 3, 1, 4)]
    arrays = {f"of {len(shape)}": (rng.standard_normal(shape) * 50).astype(dtype) for shape in shapes}
    arrays["empty"] = np.zeros((0, 3), dtype)
    path = made.write(tmp_path / "w.pt", {key: made.tensor(array) for key, array in arrays.items()}, layout)
    read = interop.read_weights(path)
    assert list(read) == list(arrays)
    for key, array in arrays.items():
        assert read[key].dtype == array.dtype and read[key].shape == array.shape
        np.testing.assert_array_equal(read[key], array)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bfloat16_is_read_as_float32_and_said(tmp_path, layout):
    values = np.array([1.5, -2.0, 0.0, 3.0e38], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    made = writer(layout)
    tensor = made.tensor(values, "BFloat16", upper.tobytes())
    path = made.write(tmp_path / "w.pt", {"w": tensor}, layout)
    exact = (upper.astype(np.uint32) << 16).view(np.float32)
    read = interop.read_weights(path)["w"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, exact)

    class One(type(small())):
        def __init__(self):
            self.w = small().fc.bias.__class__(np.zeros(4, np.float32))

    assert "bfloat16 read as float32" in str(interop.load_weights(One(), path, verbose=False))


def test_bfloat16_in_safetensors(tmp_path):
    upper = np.array([0x3FC0, 0xC000], np.uint16)  # 1.5, -2
    header = b'{"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},'
    header += b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.float32(7).tobytes() + upper.tobytes())
    read = interop.read_weights(path)
    np.testing.assert_array_equal(read["a"], np.array([[1.5], [-2.0]], np.float32))
    np.testing.assert_array_equal(read["b"], np.array([7.0], np.float32))


def test_a_dtype_that_numpy_lacks(tmp_path):
    header = b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    data = len(header).to_bytes(8, "little") + header + b"\0" * 2
    refused(tmp_path / "w.safetensors", data, r"a in .* is F8_E4M3, which NumPy does not have; .*array\.float\(\)")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_of_one_storage(tmp_path, layout):
    """Transposed (channels-last weights), cut, and shared: what state dicts of real models have."""
    base = np.arange(12, dtype=np.float32)
    made = writer(layout)
    storage = made.storage(base.tobytes(), "Float", 12)
    rebuild, hooks = name("torch._utils", "_rebuild_tensor_v2"), call(name("collections", "OrderedDict"))

    def view(offset, shape, strides):
        return call(rebuild, storage, offset, shape, strides, False, hooks)

    content = {"whole": view(0, (3, 4), (4, 1)), "turned": view(0, (4, 3), (1, 4)), "cut": view(5, (2, 2), (4, 1))}
    read = interop.read_weights(made.write(tmp_path / "w.pt", content, layout))
    np.testing.assert_array_equal(read["whole"], base.reshape(3, 4))
    np.testing.assert_array_equal(read["turned"], base.reshape(3, 4).T)
    np.testing.assert_array_equal(read["cut"], [[5, 6], [9, 10]])


@pytest.mark.parametrize(
    ("nested", "where"),
    [
        (lambda state: {"net": state, "acc": 95.1, "epoch": 200}, "net"),
        (lambda state: {"model": state, "optimizer": {"state": {0: {"step": 3}}, "param_groups": [1]}}, "model"),
        (lambda state: {"model_state_dict": state, "args": call(name("argparse", "Namespace"))}, "model_state_dict"),
        (lambda state: {"state_dict_ema": state}, "state_dict_ema"),
        (lambda state: {"checkpoint": {"model": {"state_dict": state}}}, "checkpoint.model.state_dict"),
        (lambda state: (state, 3), "0"),
        (lambda state: {"anything": state, "epoch": None}, "anything"),
        (lambda state: {"a": {"b": [0, {"c": {"d": state}}]}}, "a.b.1.c.d"),
        (lambda state: {"mine": state, "optimizer_D": {"momentum": state}, "rest": {"mean": 0}}, "mine"),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nested_checkpoints(tmp_path, layout, nested, where):
    model, other = small(seed=1), small(seed=2)
    made = writer(layout)
    content = nested(described(made, model.state_dict()))
    loaded = interop.load_weights(other, made.write(tmp_path / "ckpt.pth", content, layout), verbose=False)
    assert same(model, other)
    assert f"the weights are those under {where!r}" in str(loaded)


def test_a_network_and_its_average(tmp_path):
    """The weights come first, `part` reads the others; of two networks with equal right none is guessed."""
    made = Writer()
    first, second = small(seed=1), small(seed=2)
    average, weights = described(made, second.state_dict()), described(made, first.state_dict())
    path = made.write(tmp_path / "ckpt.pth", {"state_dict_ema": average, "state_dict": weights}, "zip")
    model = small(seed=3)
    interop.load_weights(model, path, verbose=False)
    assert same(model, first)
    interop.load_weights(model, path, part="state_dict_ema", verbose=False)
    assert same(model, second)
    with pytest.raises(ValueError, match="no part 'teacher' of weights; it has 'state_dict_ema', 'state_dict'"):
        interop.load_weights(model, path, part="teacher")

    made = Writer()
    content = {"G": described(made, second.state_dict()), "D": described(made, first.state_dict())}
    path = made.write(tmp_path / "gan.pth", content, "zip")
    with pytest.raises(ValueError, match="several networks, 'G', 'D': say which with part="):
        interop.read_weights(path)
    assert "conv1.weight" in interop.read_weights(path, "D")


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("suffix", ["pkl", "pth"])
def test_nothing_is_called(tmp_path, protocol, suffix):
    data = pickle.dumps({"state_dict": Trap(tmp_path / "sprung")}, protocol)
    refused(tmp_path / f"w.{suffix}", data, r"io\.open, which is code, and no part of weights; nothing of it was run")
    assert not (tmp_path / "sprung").exists()
    pickle.loads(data)  # it would have
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("piece", "named"),
    [
        (call(name("os", "system"), "touch sprung"), r"os\.system"),
        (call(name("builtins", "eval"), "1"), r"builtins\.eval"),
        (call(name("builtins", "getattr"), name("builtins", "int"), "real"), r"builtins\.getattr"),
        (name("subprocess", "Popen"), r"subprocess\.Popen"),  # named is enough
        (Raw(code("os") + code("system") + b"\x93" + code(("true",)) + b"R"), r"os\.system"),
        (Raw(b"(S'true'\nios\nsystem\n"), "the pickle opcode INST"),
        (Raw(b"(cos\nsystem\nS'true'\no"), r"os\.system"),
        (Raw(b"\x82\x01"), "the pickle opcode EXT1"),
        (call(name("builtins", "int"), "1"), r"calls builtins\.int"),
        (call(name("torch.storage", "UntypedStorage"), 10**12), r"calls torch\.storage\.UntypedStorage"),
        (call(name("torch.nn.modules.conv", "Conv2d"), 3, 3, 3), "a whole model, not its weights alone"),
        (call(name("torch._utils", "_rebuild_sparse_tensor"), 1), "a kind of tensor that MiniRes has not"),
        (name("torch", "ComplexFloatStorage"), "a kind of tensor that MiniRes has not"),
        (Raw(code(((),) * 3) + b"Q"), "refers to something beside the pickle"),
        ({(1, 2): 3}, "a tuple as key"),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_no_part_of_weights_is_named(tmp_path, monkeypatch, layout, piece, named):
    monkeypatch.chdir(tmp_path)
    made = writer(layout)
    content = {"w": made.tensor(np.ones(2, np.float32)), "x": piece}
    data = made.zipped(content) if layout == "zip" else made.rows(content)
    refused(tmp_path / "w.pth", data, named)
    assert not (tmp_path / "sprung").exists()


BIG = 10**13


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (lambda made: made.tensor(np.ones(4, np.float32), size=BIG), "should have|should be|cut off|damaged"),
        (lambda made: made.tensor(np.ones(4, np.float32), size=-1), "a storage's description is damaged"),
        (lambda made: made.tensor(np.ones(4, np.float32), strides=(2,)), "reaches beyond its storage of 4 numbers"),
        (lambda made: made.tensor(np.ones(4, np.float32), strides=(-1,)), "sizes are damaged"),
        (lambda made: made.tensor(np.ones(4, np.float32), offset=1), "reaches beyond"),
        (lambda made: made.tensor(np.ones(4, np.float32), offset=2**60), "sizes are damaged"),
        (lambda made: made.tensor(np.ones(4, np.float32), strides=(1, 1)), "has the strides"),
        (lambda made: made.tensor(np.broadcast_to(np.float32(1), (1000, 1000)), size=1, data=b"\0\0\x80?",
                                  strides=(0, 0)), "an expanded view"),
        (lambda made: made.tensor(np.broadcast_to(np.float32(1), (0,) * 17), data=b"\0\0\x80?", size=1,
                                  strides=(1,) * 17), "has the strides"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sizes_are_checked_before_memory_is_taken(tmp_path, layout, tensor, reason):
    made = writer(layout)
    content = {"w": tensor(made)}
    refused(tmp_path / "w.pth", made.zipped(content) if layout == "zip" else made.rows(content), reason)


def test_long_texts_that_are_not_there(tmp_path):
    refused(tmp_path / "w.pth", b"\x80\x04\x8d" + struct.pack("<Q", BIG) + b"abc.", "damaged or cut off")
    refused(tmp_path / "v.pth", b"\x80\x04\x8e" + struct.pack("<Q", BIG) + b"abc.", "damaged or cut off")
    bottomless = b"\x80\x02)" + b"\x85" * 200_000
    refused(tmp_path / "e.pth", b"", "is empty")
    refused(tmp_path / "p.pth", Writer().zipped({"a": 1})[:-30], "a zip archive without its end, cut off after")
    refused(tmp_path / "u.pth", bottomless + b".", "no weights in it")
    refused(tmp_path / "t.pth", b"\x80\x02}" + bottomless[2:] + b"K\x01s.", "a tuple as key")


def test_archives_of_other_kinds(tmp_path):
    import zipfile

    made = Writer()
    content = {"w": made.tensor(np.zeros(1000, np.float32))}
    refused(tmp_path / "a.pth", made.zipped(content, compression=zipfile.ZIP_DEFLATED), "packed with compression")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "b.pth", (tmp_path / "b.zip").read_bytes(), "an archive without data.pkl")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for entry in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"net/{entry}", b"")
    refused(tmp_path / "c.pt", (tmp_path / "c.zip").read_bytes(), "a TorchScript program. .*torch.jit.load")


def test_bytes_that_changed_are_noticed_in_an_archive(tmp_path):
    made = Writer()
    data = made.zipped({"w": made.tensor(np.full(8, 1.25, np.float32))})
    at = data.index(np.full(8, 1.25, np.float32).tobytes())
    refused(tmp_path / "w.pth", data[:at] + b"\xff" + data[at + 1 :], "is damaged .*CRC")


def test_the_older_layout_of_another_version(tmp_path):
    data = b"".join([pickle.dumps(part, 2) for part in (MAGIC, 1002, {}, {}, [])])
    refused(tmp_path / "w.pth", data, r"the version \(1002,\)")


def test_pickled_arrays_of_numpy(tmp_path):
    """`pickle.dump` of {name: array}: no PyTorch was ever there."""
    state = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.asfortranarray(np.eye(3, 2)), "n": np.int64(4)}
    for protocol in (2, 3, 4, 5):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps({"state_dict": state, "best": np.float64(0.5)}, protocol))
        read = interop.read_weights(path)
        assert list(read) == ["a", "b"]
        for key, array in read.items():
            assert array.dtype == state[key].dtype
            np.testing.assert_array_equal(array, state[key])
    refused(tmp_path / "o.pkl", pickle.dumps({"a": np.array([None, 1], object)}), "not of numbers")


@pytest.mark.parametrize(
    ("file", "content", "cure"),
    [
        ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "git lfs pull"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "git lfs pull"),
        ("w.pth", b"<!DOCTYPE html><html><title>404</title>", "a web page"),
        ("w.safetensors", b"\n <html>", "a web page"),
        ("w.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 20, "HDF5"),
        ("w.npy", b"\x93NUMPY\x01\x00" + b"\0" * 20, "a .npy file of one array"),
        ("w.pth.tar.gz", b"\x1f\x8b\x08" + b"\0" * 20, "unpack it first"),
        ("w.pth.tar", b"\0" * 257 + b"ustar" + b"\0" * 250, "a tar archive; unpack it first"),
        ("model.safetensors.index.json",
         b'{"metadata": {}, "weight_map": {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}}',
         "an index: the weights are in 2 files beside it, m-00001-of-00002.safetensors"),
        ("config.json", b'{"architectures": ["ResNet"]}', "a JSON file, no file of weights"),
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_named_with_the_cure(tmp_path, file, content, cure):
    refused(tmp_path / file, content, cure)


def test_an_npz_file_is_named_with_a_cure_that_works(tmp_path, monkeypatch):
    model, other = small(seed=1), small(seed=2)
    np.savez(tmp_path / "w.npz", **model.state_dict())
    with pytest.raises(ValueError, match="w.npz is an .npz file of .* arrays. Convert it:") as caught:
        interop.load_weights(other, tmp_path / "w.npz")
    monkeypatch.chdir(tmp_path)
    exec("\n".join([line.strip() for line in str(caught.value).splitlines()[1:]]))  # what the reader is told to run
    interop.load_weights(other, tmp_path / "w.safetensors", verbose=False)
    assert same(model, other)


def mutated(data, random):
    """A file with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data)) if random.random() < 0.5 else random.randrange(min(len(data), 400))
        kind = random.randrange(5)
        if kind == 0:
            data[at] = random.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 2:
            del data[at : at + random.randint(1, 20)]
        elif kind == 3:
            data[at:at] = random.choice([b"\x85", b"R", b"Q", b"u", b"(", b"b", b"\x93", b"\xff\xff\xff\x7f"])
        else:
            data[at:at] = data[at : at + random.randint(1, 30)]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files_are_read_or_refused(tmp_path, layout):
    """Whatever is in the file, it is arrays or a ValueError, and little memory. MINIRES_FUZZ=100000 tries more."""
    made = writer(layout)
    state = {"conv.weight": rng.standard_normal((2, 3, 3, 3)).astype(np.float32), "n": np.array(3)}
    content = {"epoch": 3, "state_dict": described(made, state), "best": 0.5}
    whole = made.zipped(content) if layout == "zip" else made.rows(content)
    draw = random.Random(0)
    path = tmp_path / "w.pth"
    read = refusals = 0
    for _ in range(int(os.environ.get("MINIRES_FUZZ", 400))):
        path.write_bytes(mutated(whole, draw))
        try:
            arrays = interop.read_weights(path)
        except ValueError:
            refusals += 1
        else:
            assert sum([array.size for array in arrays.values()]) < 1000
            read += 1
    print(f"{layout}: {read} read, {refusals} refused")
    assert read and refusals


@pytest.mark.filterwarnings("ignore:invalid escape")
def test_the_pickle_alone_under_mutation():
    """The machine by itself, without a checksum before it: it ends, in a value or a ValueError."""
    import io

    from minires.interop.pickle_walk import Storage, walk

    made = Writer()
    state = described(made, {"w": np.ones((2, 2), np.float32)})
    whole = pickled({"state_dict": state, "a": [1, (2, None)], "b": {"c": 1}})
    draw = random.Random(1)
    for _ in range(int(os.environ.get("MINIRES_FUZZ", 2000))):
        try:
            walk(io.BytesIO(mutated(whole, draw)), lambda saved: Storage("0", "f4", 4))
        except ValueError:
            pass
