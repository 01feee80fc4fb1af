r"""The bytes of a checkpoint: a safetensors file, the arrays as its tensors and all else as JSON in its metadata.

The metadata entry "minires" begins with the format and a checksum:

    {"format_version": 2, "checksum": "crc32:3f1a09c4", "environment": {...}, "state": {...}}

The checksum is the CRC-32 of the whole file, as it is when the eight digits are zeros. So it covers everything: arrays,
their names and shapes, the state, the environment, and the format itself. It is checked before anything is made of the
bytes. In files of format 1, which are still read, it covered the arrays alone.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from minires.kernels import Array

FORMAT_VERSION = 2  # of the file; one that is higher is refused
MARK = rb"\"checksum\": \"crc32:"  # as it stands in the file, where the quotes of the inner JSON are escaped
ZEROS = b"00000000"


class Damaged(ValueError):
    """The bytes are not those that were written, or they never were a safetensors file."""


def encode(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> bytes:
    """Return the file of these C-contiguous arrays and plain values. The same content gives the same bytes."""
    from safetensors.numpy import save as to_bytes

    head = {"format_version": FORMAT_VERSION, "checksum": f"crc32:{ZEROS.decode()}"}
    content = to_bytes(dict(arrays), {"minires": json.dumps({**head, **about})})
    start = content.index(MARK) + len(MARK)
    return content[:start] + checksum(content) + content[start + len(ZEROS) :]


def checksum(content: bytes) -> bytes:
    """Return the CRC-32 of a file whose checksum is zeros, as eight hexadecimal digits."""
    return b"%08x" % zlib.crc32(content)


def decode(content: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a file by name, and what stands beside them; an empty dict where that is no checkpoint's.

    `Damaged` where the checksum is wrong or the bytes are no whole safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    has_checksum = check(content)
    try:
        found = from_bytes(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header.pop("__metadata__", {}).get("minires", "{}"))
        arrays = {name: found[name] for name in header}  # in the file's order, which is always the same
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"it is no whole safetensors file ({error})") from error
    if about and not has_checksum:
        check_format_1(arrays, about)
    return arrays, about


def check(content: bytes) -> bool:
    """Compare a file with its checksum; return whether it has one. `Damaged` where they differ."""
    found = content.find(MARK)
    if found < 0:
        return False
    start = found + len(MARK)
    end = start + len(ZEROS)
    if content[start:end] != checksum(content[:start] + ZEROS + content[end:]):
        raise Damaged("its bytes are not those that were saved")
    return True


def check_format_1(arrays: Mapping[str, Array], about: Any) -> None:
    """Check a file of format 1, whose checksum covers the arrays alone: the rest must at least have its parts."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name].tobytes(), zlib.crc32(name.encode(), total))
    if not isinstance(about, dict) or about.get("format_version") != 1 or about.get("crc32") != total:
        raise Damaged("its arrays are not those that were saved")
    if not isinstance(about.get("environment"), dict) or not isinstance(about.get("state"), dict):
        raise Damaged("its state is not the one that was saved")
