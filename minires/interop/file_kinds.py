"""What kind of file it is, by its first bytes, and what to do with one that is not weights."""

import json
import zipfile
from pathlib import Path

from minires.data.disk import check_plain

WEIGHTS = (".safetensors", ".pth", ".pt", ".th", ".bin")
LFS = b"version https://git-lfs.github.com/spec/"
STARTS = {  # of other files that are taken for weights
    b"\x89HDF": ("an HDF5 file, as Keras writes them", "convert it where it was made"),
    b"\x93NUMPY": ("a .npy file of one array", "a file of weights has an array for each name"),
    b"GGUF": ("a GGUF file of a language model", "MiniRes has no such network"),
    b"\x1f\x8b": ("packed with gzip", "unpack it first: gunzip, or tar xzf for a .tar.gz"),
    b"7z\xbc\xaf": ("packed with 7z", "unpack it first"),
    b"Rar!": ("packed with rar", "unpack it first"),
    b"<": ("a web page, not the file it was to bring", "download it anew, from the link to the raw file"),
}


def kind_of(path: Path) -> str:
    """Return "safetensors" or "torch". ValueError that names the file and what it is, with the cure, for all others.

    FileNotFoundError where there is no file.
    """
    if path.is_dir():
        found = sorted([entry.name for entry in path.iterdir() if entry.suffix in WEIGHTS])
        inside = f"; in it: {', '.join(found[:5])}" if found else ""
        raise ValueError(f"read_weights: {path} is a folder, not a file of weights{inside}")
    check_plain(path)
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise ValueError(f"read_weights: {path} is empty, no safetensors file (header too small) nor any other")
    if start[8:9] == b"{":  # a safetensors file: the header's length in 8 bytes, which can be any, then the header
        return "safetensors"
    if start.startswith(LFS):
        raise ValueError(
            f"read_weights: {path} is a pointer of git-lfs, {path.stat().st_size} bytes that stand for the file: "
            "`git lfs pull` in the repository brings it"
        )
    for begins, (what, cure) in STARTS.items():
        if start.lstrip().startswith(begins):
            raise ValueError(f"read_weights: {path} is {what}; {cure}")
    if start.lstrip().startswith(b"{"):
        raise ValueError(f"read_weights: {path} is {json_kind(path)}")
    if zipfile.is_zipfile(path):
        refuse_npz(path)
        return "torch"
    tarred = start[257:262] == b"ustar"
    if tarred:
        raise ValueError(f"read_weights: {path} is a tar archive; unpack it first: tar xf {path.name}")
    if start[:1] == b"\x80" or path.suffix in (".pth", ".pt", ".th", ".pkl", ".pickle", ".bin") and start:
        return "torch"
    return "safetensors"


def json_kind(path: Path) -> str:
    """Say what a JSON file is: the index of weights in several files, or another one."""
    try:
        content = json.loads(path.read_bytes()[:50_000_000])
    except ValueError:
        return "text that begins like JSON, no file of weights"
    shards = sorted(set(content["weight_map"].values())) if isinstance(content.get("weight_map"), dict) else []
    if not shards:
        return "a JSON file, no file of weights"
    listed = ", ".join([*shards[:3], *["…"] * (len(shards) > 3)])
    return (
        f"an index: the weights are in {len(shards)} files beside it, {listed}. "
        "Load each with load_weights(model, FILE, strict=False)"
    )


def refuse_npz(path: Path) -> None:
    """ValueError for NumPy's archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return  # a damaged archive: whoever reads it says so
    if names and all([name.endswith(".npy") for name in names]):
        target = path.with_suffix(".safetensors").name
        raise ValueError(
            f"read_weights: {path} is an .npz file of {len(names)} arrays. Convert it:\n"
            "    import numpy as np; from safetensors.numpy import save_file\n"
            f"    save_file(dict(np.load({path.name!r})), {target!r})"
        )
