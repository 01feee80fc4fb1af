"""Files in the two layouts of `torch.save`, opcode by opcode, written without PyTorch."""

import io
import pickle
import struct
import zipfile

import numpy as np

KINDS = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}
MAGIC = 0x1950A86A20F9469CFC6C


class Raw:
    """A piece of a pickle, as it is."""

    def __init__(self, code):
        self.code = code


def name(module, attribute):
    return Raw(b"c" + f"{module}\n{attribute}\n".encode())


def call(function, *arguments):
    """What calls a function when it is unpickled."""
    return Raw(function.code + code(tuple(arguments)) + b"R")


def code(value):
    """The opcodes that push a value."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, dict):
        return b"}(" + b"".join([code(key) + code(item) for key, item in value.items()]) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join([code(item) for item in value]) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join([code(item) for item in value]) + b"e"
    return pickle.dumps(value, 2)[2:-1]


def pickled(value):
    return b"\x80\x02" + code(value) + b"."


def ordered(pairs):
    """An OrderedDict, as state_dict() gives it, with the attribute that it has there."""
    empty = call(name("collections", "OrderedDict")).code
    items = b"(" + b"".join([code(key) + code(item) for key, item in pairs.items()]) + b"u"
    return Raw(empty + items + code({"_metadata": {"": {"version": 1}}}) + b"b")


class Writer:
    """Collects storages while an object is described."""

    def __init__(self, view=()):
        self.storages = {}
        self.view = view  # a sixth entry of a storage's description in the older layout

    def storage(self, data, kind, size, key=None):
        key = str(len(self.storages)) if key is None else key
        self.storages[key] = (data, size)
        return Raw(code(("storage", name("torch", f"{kind}Storage"), key, "cpu", size, *self.view)) + b"Q")

    def tensor(self, array, kind=None, data=None, size=None, offset=0, strides=None):
        """A tensor of an array, or one that says whatever it is told to say."""
        flat = np.array(array, order="C")
        kind = kind or KINDS[array.dtype.str[1:]]
        storage = self.storage(data or flat.tobytes(), kind, array.size if size is None else size)
        steps = tuple([step // array.itemsize for step in flat.strides]) if strides is None else strides
        hooks = call(name("collections", "OrderedDict"))
        rebuild = name("torch._utils", "_rebuild_tensor_v2")
        return call(rebuild, storage, offset, tuple(array.shape), steps, False, hooks)

    def zipped(self, content, root="archive", compression=zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr(f"{root}/data.pkl", pickled(content))
            archive.writestr(f"{root}/byteorder", "little")
            for key, (data, _) in self.storages.items():
                archive.writestr(f"{root}/data/{key}", data)
            archive.writestr(f"{root}/version", "3\n")
        return buffer.getvalue()

    def rows(self, content):
        about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}
        whole = [pickle.dumps(MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps(about, 2), pickled(content)]
        whole += [pickle.dumps(list(self.storages), 2)]
        whole += [struct.pack("<q", size) + data for data, size in self.storages.values()]
        return b"".join(whole)

    def write(self, path, content, layout):
        path.write_bytes(self.zipped(content) if layout == "zip" else self.rows(content))
        return path


def writer(layout):
    return Writer(() if layout == "zip" else (None,))
