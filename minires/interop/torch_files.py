"""The files of `torch.save`, in both their layouts, read without PyTorch and without unpickling.

Since PyTorch 1.6 a file is a zip archive, stored without compression: `NAME/data.pkl` is a pickle that describes the
tensors, `NAME/data/KEY` are the numbers of a storage. Before, a file was five things in a row: the pickles of a magic
number, a version, some sizes and the objects, and of a list of keys; then for each key the number of elements and the
elements. What `pickle.dump` writes is a pickle whose storages are such files, as bytes in it.

Every size that a file states is compared with what the file holds before memory is taken for it.
"""

import io
import math
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from minires.interop.pickle_walk import (
    DTYPES,
    STORAGE_IN_BYTES,
    ArrayToBe,
    Name,
    Refused,
    Storage,
    TensorAt,
    finished,
    walk,
)
from minires.kernels import Array

MAGIC = 0x1950A86A20F9469CFC6C
MAX_NDIM = 16


@dataclass(eq=False)
class TorchFile:
    """What a file holds. content: dicts, lists, numbers and texts, with `TensorAt` where a tensor is."""

    path: Path
    content: Any = None
    rows: dict[str, Array] = field(default_factory=dict)  # bytes of the storages that lie in the file one by one
    archive: zipfile.ZipFile | None = None
    root: str = ""
    order: Literal["<", ">"] = "<"
    storages: dict[tuple[str, int, int | None, str], Array] = field(default_factory=dict)
    widened: set[str] = field(default_factory=set)  # dtypes that NumPy has not, and which were read as float32

    def array(self, value: TensorAt | ArrayToBe | Array) -> Array:
        """Return the numbers of a tensor, a view of its storage. ValueError where they are not all there."""
        if not isinstance(value, TensorAt):
            array: Array = finished(value)
            return array
        shape, strides, offset = value.shape, value.strides, value.offset
        for sizes in (shape, strides, (offset,)):
            if not isinstance(sizes, tuple | list) or not all([type(one) is int and 0 <= one < 2**48 for one in sizes]):
                raise ValueError(f"a tensor's sizes are damaged: shape {listed(shape)}, strides {listed(strides)}")
        if len(shape) != len(strides) or len(shape) > MAX_NDIM:
            raise ValueError(f"a tensor of shape {listed(shape)} has the strides {listed(strides)}")
        row = self.numbers(value.storage, value.dtype)
        size = math.prod(shape)
        if size > len(row):
            raise ValueError(
                f"a tensor of shape {listed(shape)} has {size} numbers, and its storage in the file {len(row)}: it is "
                "damaged, or an expanded view, which .contiguous() makes whole"
            )
        if size == 0:
            return np.empty(tuple(shape), row.dtype)
        last = offset + sum([(one - 1) * stride for one, stride in zip(shape, strides, strict=True)])
        if last >= len(row):
            raise ValueError(f"a tensor of shape {listed(shape)} reaches beyond its storage of {len(row)} numbers")
        steps = [stride * row.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(row[offset:], tuple(shape), steps)

    def numbers(self, storage: Storage, dtype: str) -> Array:
        """Return a storage as numbers of a dtype; read once, however many tensors look at it."""
        place = (storage.key, storage.start, storage.part, dtype)
        if place not in self.storages:
            kind = in_file(dtype)
            row = self.row(storage.key, storage.size * in_file(storage.dtype).itemsize)
            row = row[: len(row) // kind.itemsize * kind.itemsize].view(kind.newbyteorder(self.order))
            row = row.astype(row.dtype.newbyteorder("="), copy=False)
            if storage.part is not None:
                if storage.start + storage.part > len(row):
                    raise ValueError(f"a view of the storage {storage.key} reaches beyond its {len(row)} numbers")
                row = row[storage.start : storage.start + storage.part]
            if dtype == "bfloat16":  # the upper half of a float32
                row = (row.astype(np.uint32) << 16).view(np.float32)
                self.widened.add("bfloat16")
            self.storages[place] = row
        return self.storages[place]

    def row(self, key: str, size: int) -> Array:
        """Return the bytes of a storage. ValueError where the file has another number of them."""
        if self.archive is not None and key not in self.rows:
            name = f"{self.root}/data/{key}"
            try:
                entry = self.archive.getinfo(name)
            except KeyError as error:
                raise ValueError(f"it lacks {name}") from error
            self.rows[key] = np.frombuffer(bytearray(read_entry(self.archive, entry, size)), np.uint8)
        if key not in self.rows:
            raise ValueError(f"it lacks the numbers of the storage {key[:40]}")
        row = self.rows[key]
        if len(row) != size:
            raise ValueError(f"its storage {key[:40]} has {len(row)} bytes, and should have {size}")
        return row

    def storage(self, saved: Any) -> Storage:
        """Make a storage of what stands in the pickle instead of it: ("storage", class, key, device, size, view)."""
        if isinstance(saved, tuple) and saved[:1] == (STORAGE_IN_BYTES,):
            return self.storage_in_bytes(*saved[1:])
        if not isinstance(saved, tuple) or len(saved) not in (5, 6) or saved[0] != "storage":
            if isinstance(saved, tuple) and saved[:1] == ("module",):
                raise Refused("it holds a whole model, with its source code, not its weights alone")
            raise Refused("it refers to something beside the pickle that is no storage")
        _, kind, key, _, size, *view = saved
        if not isinstance(kind, Name) or not isinstance(key, str) or type(size) is not int or not 0 <= size < 2**48:
            raise ValueError("a storage's description is damaged")
        dtype = DTYPES.get(kind.full.removeprefix("torch.").removesuffix("Storage"), "")
        if view and view[0] is not None:
            _, start, part = view[0]
            if type(start) is not int or type(part) is not int or min(start, part) < 0:
                raise ValueError("a storage's view is damaged")
            return Storage(key, dtype, size, start, part)
        return Storage(key, dtype, size)

    def storage_in_bytes(self, data: Any) -> Storage:
        """Take over the one storage of a file of the old layout that stands as bytes in a pickle."""
        if not isinstance(data, bytes):
            raise ValueError("a storage's bytes are damaged")
        inner = read_rows(self.path, data)
        if not isinstance(inner.content, Storage):
            raise ValueError("a storage's bytes hold something else")
        key = f"{len(self.rows)} in bytes"
        self.rows[key] = inner.row(inner.content.key, 0 if not inner.rows else len(inner.rows[inner.content.key]))
        return Storage(key, inner.content.dtype, inner.content.size, inner.content.start, inner.content.part)


def in_file(dtype: str) -> np.dtype[Any]:
    """What the numbers of a storage are in the file, as NumPy knows it."""
    return np.dtype({"bfloat16": "u2", "": "u1"}.get(dtype, dtype))


def listed(sizes: Any) -> str:
    """A shape, as far as it fits a line."""
    text = str(tuple(sizes[:8])) if isinstance(sizes, tuple | list) else type(sizes).__name__
    return text if len(text) <= 80 else f"{text[:77]}…"


def read_torch_file(path: Path) -> TorchFile:
    """Read what a file of `torch.save` or `pickle.dump` describes; its numbers when `array` asks for them.

    ValueError that says what is wrong, in words that go on "FILE cannot be read: …", for a file that is damaged, holds
    anything but tensors and plain values, or is packed with compression.
    """
    if zipfile.is_zipfile(path):
        return read_archive(path)
    data = path.read_bytes()
    if data.startswith(b"PK"):
        raise ValueError(f"it is a zip archive without its end, cut off after {len(data)} bytes: get the file anew")
    return read_rows(path, data)


def read_archive(path: Path) -> TorchFile:
    """Read the newer layout."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ValueError(f"the archive is damaged or cut off ({error})") from error
    found = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ValueError(f"it is an archive without data.pkl, so none of torch.save; in it: {', '.join(names[:5])}")
    root = found[0].partition("/")[0]
    if f"{root}/constants.pkl" in names:
        raise ValueError(
            "it is a TorchScript program. In PyTorch: "
            "torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), NEW)"
        )
    total = sum([entry.file_size for entry in archive.infolist()])
    if total > os.path.getsize(path):
        raise ValueError(f"the archive is packed with compression or damaged: {total} bytes in a smaller file")
    file = TorchFile(path, archive=archive, root=root)
    if f"{root}/byteorder" in names:
        word = read_entry(archive, archive.getinfo(f"{root}/byteorder"))
        file.order = ">" if word.strip() == b"big" else "<"
    data = read_entry(archive, archive.getinfo(found[0]))
    file.content = walk(io.BytesIO(data), file.storage)
    return file


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int | None = None) -> bytes:
    """Return the bytes of an entry that is stored as it is, and has so many bytes."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed, which torch.save never does: pack the folder without")
    if size is not None and entry.file_size != size:
        raise ValueError(f"{entry.filename} has {entry.file_size} bytes, and should have {size}")
    try:
        return archive.read(entry)
    except Exception as error:  # zipfile raises whatever its parts raise
        raise ValueError(f"{entry.filename} is damaged ({error})") from error


def read_rows(path: Path, data: bytes) -> TorchFile:
    """Read the older layout, or a pickle of one object."""
    file = TorchFile(path)
    stream = io.BytesIO(data)
    file.content = walk(stream, file.storage)
    if file.content != MAGIC:
        return file
    version = walk(stream, file.storage)
    about = walk(stream, file.storage)
    if version != 1001 or not isinstance(about, dict):
        raise ValueError(f"it has the version {listed((version,))} of the older layout, and 1001 is known")
    file.order = "<" if about.get("little_endian", True) else ">"
    known: dict[str, Storage] = {}

    def storage(saved: Any) -> Storage:
        made = file.storage(saved)
        known.setdefault(made.key, made)
        return made

    file.content = walk(stream, storage)
    keys = walk(stream, file.storage)
    if not isinstance(keys, list) or not all([isinstance(key, str) and key in known for key in keys]):
        raise ValueError("the list of its storages is damaged")
    for key in keys:
        read_row(file, stream, known[key])
    return file


def read_row(file: TorchFile, stream: BinaryIO, storage: Storage) -> None:
    """Read a storage of the older layout: the number of its elements, then those."""
    count = np.frombuffer(stream.read(8), f"{file.order}i8")
    size = storage.size * in_file(storage.dtype).itemsize
    if len(count) != 1 or int(count[0]) != storage.size:
        raise ValueError(f"it is cut off or damaged at the storage {storage.key[:40]}")
    data = stream.read(size)
    if len(data) != size:
        raise ValueError(f"it is cut off: the storage {storage.key[:40]} is not whole")
    file.rows[storage.key] = np.frombuffer(bytearray(data), np.uint8)
