"""Load a model's weights from a safetensors file, whoever wrote it, and save them for others.

Files that PyTorch writes with `torch.save` (.pth, .pt, .th, .bin) are pickles, which can run code when they are opened.
They are never opened here; the error for one says how to convert it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minires.data.disk import check_plain
from minires.interop.names import CIFAR_NAMES, FOREIGN_NAMES, Patterns, own_names, renamed
from minires.kernels import Array
from minires.nn import Module
from minires.runs import records

NAMINGS: dict[str, Patterns] = {"torchvision": (), "cifar": CIFAR_NAMES}

CONVERT = """\
    import torch; from safetensors.torch import save_file
    saved = torch.load({source!r}, map_location="cpu", weights_only=True)
    save_file({{name: array.contiguous() for name, array in saved.get("state_dict", saved).items()}}, {target!r})"""


@dataclass(frozen=True)
class LoadedWeights:
    """What `load_weights` did. names: {name in the file: name in the model} of all arrays that were loaded."""

    path: Path
    names: dict[str, str]
    ignored: list[str]  # PyTorch's num_batches_tracked
    converted: dict[str, str]  # {name in the model: dtype in the file}, where that is another one than the model's
    missing: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        """Say it all: every name that was changed, every dtype that was converted, everything left out."""
        changed = {name: own for name, own in self.names.items() if name != own}
        lines = [f"{self.path}: {len(self.names)} arrays loaded, {len(changed)} of them under another name"]
        lines += [f"  {name} → {own}" for name, own in changed.items()]
        for dtype in sorted(set(self.converted.values())):
            lines.append(f"  {list(self.converted.values()).count(dtype)} arrays converted from {dtype}")
        if self.ignored:
            lines.append(f"  {len(self.ignored)} × num_batches_tracked ignored")
        lines += [f"  missing in the file, left as they were: {name}" for name in self.missing]
        lines += [f"  in the file, of no use here: {name}" for name in self.unexpected]
        return "\n".join(lines)


def load_weights(
    model: Module,
    path: str | Path,
    *,
    strict: bool = True,
    patterns: Patterns = FOREIGN_NAMES,
    verbose: bool = True,
) -> LoadedWeights:
    """Load a safetensors file into a model, print what was done, and return it.

    Names that the model does not have are mapped by `patterns`, see `names`. Floats are converted to the model's dtype
    (float16 to float32 is exact). `strict=False` lets arrays be missing or unexpected.
    ValueError, and nothing is changed, for a file that is no whole safetensors file, and for arrays that do not fit:
    every missing and unexpected name and every wrong shape is listed. FileNotFoundError where there is no file.
    """
    path = Path(path)
    arrays = read_weights(path)
    own = model.state_dict()
    ignored = [name for name in arrays if name.rpartition(".")[2] == "num_batches_tracked"]
    names = own_names([name for name in arrays if name not in ignored], own, patterns)
    check_unique(path, names)
    state, converted = {}, {}
    for name, own_name in names.items():
        array = arrays[name]
        if own_name in own and array.dtype.kind == "f" and array.dtype != own[own_name].dtype:
            converted[own_name] = str(array.dtype)
            array = array.astype(own[own_name].dtype)
        state[own_name] = array
    try:
        missing, unexpected = model.load_state_dict(state, strict)
    except ValueError as error:
        error.add_note("\n".join([f"in load_weights, from {path}", *hints(names.values(), own)]))
        raise
    loaded = {name: own_name for name, own_name in names.items() if own_name in own}
    report = LoadedWeights(path, loaded, ignored, converted, missing, unexpected)
    if verbose:
        print(report)
    return report


def save_weights(model: Module, path: str | Path, naming: str = "torchvision") -> None:
    """Write a model's weights as a safetensors file, whole or not at all; PyTorch's `load_state_dict` takes them.

    naming: "torchvision", the model's own names, or "cifar", those of the CIFAR repositories (see `names`).
    ValueError for an unknown naming, OSError where the file cannot be written.
    """
    from safetensors.numpy import save

    if naming not in NAMINGS:
        raise ValueError(f"save_weights: unknown naming {naming!r}; known: {', '.join(NAMINGS)}")
    arrays = {renamed(name, NAMINGS[naming]): array for name, array in model.state_dict().items()}
    records.write_bytes(Path(path), save(arrays, metadata={"format": "pt"}))  # the mark that other readers ask for


def read_weights(path: str | Path) -> dict[str, Array]:
    """Return the arrays of a safetensors file by the names they have there.

    ValueError, naming the file and the cure, for any other file, a damaged one, and a dtype NumPy does not have.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.exists():
        check_plain(path)
    refuse_pickle(path)
    try:
        with safe_open(path, "np") as file:
            if "minires" in (file.metadata() or {}):
                raise ValueError(
                    f"read_weights: {path} is a checkpoint, which holds more than weights; use its run's folder, or in "
                    "Python runs.load_model and save_weights"
                )
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in NUMPY_DTYPES:
                    raise ValueError(
                        f"read_weights: {name} in {path} is {dtype}, which NumPy does not have; convert the file in "
                        "PyTorch with array.float()"
                    )
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"read_weights: {path} is no safetensors file, or a damaged one ({error})") from error


NUMPY_DTYPES = {"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"}


def refuse_pickle(path: Path) -> None:
    """Raise ValueError, with the way to convert it, for a file that `torch.save` or pickle wrote; by its content."""
    if path.is_dir():
        raise ValueError(f"read_weights: {path} is a folder, not a safetensors file")
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # a safetensors file: the header's length in 8 bytes, which can be any, then the header
        return
    if start.startswith((b"\x80", b"PK")) or path.suffix in (".pth", ".pt", ".th", ".pkl", ".pickle"):
        lines = CONVERT.format(source=str(path), target=str(path.with_suffix(".safetensors")))
        raise ValueError(
            f"read_weights: {path} is no safetensors file but a pickle or an archive, as torch.save writes them. "
            f"Opening one can run code that it brings, so MiniRes does not; convert it with PyTorch:\n{lines}"
        )


def check_unique(path: Path, names: dict[str, str]) -> None:
    """Refuse a file with two arrays for one of the model's names."""
    taken: dict[str, str] = {}
    doubles = []
    for name, own in names.items():
        if own in taken:
            doubles.append(f"{taken[own]} and {name} are both {own}")
        taken[own] = name
    if doubles:
        listed = "\n  ".join(doubles)
        raise ValueError(f"load_weights: {path} holds arrays twice, nothing was changed:\n  {listed}")


def hints(given: Iterable[str], own: dict[str, Array]) -> list[str]:
    """Say what a difference between the names of a file and of a model usually means."""
    in_file = any(".downsample." in name for name in given)
    in_model = any(".downsample." in name for name in own)
    if in_model and not in_file:
        return ["the file has no projections: it may be of a model with shortcut='A'"]
    if in_file and not in_model:
        return ["the file has projections and the model has none: make it with shortcut='B'"]
    return []


def options_of(arrays: dict[str, Array]) -> dict[str, Any]:
    """Read from a ResNet's arrays what its maker must be told: in_channels, num_classes, stem, shortcut.

    The names may be foreign. Depth and block are not to be read from it: those are the maker's name. ValueError for
    arrays that have no first convolution or no classifier.
    """
    shapes = {renamed(name, FOREIGN_NAMES): array.shape for name, array in arrays.items()}
    for name, ndim in (("conv1.weight", 4), ("fc.weight", 2)):
        if len(shapes.get(name, ())) != ndim:
            raise ValueError(f"options_of: no ResNet's arrays, {name} is not among them; there are {', '.join(shapes)}")
    return {
        "in_channels": shapes["conv1.weight"][1],
        "num_classes": shapes["fc.weight"][0],
        "stem": "imagenet" if shapes["conv1.weight"][2] == 7 else "cifar",
        "shortcut": "B" if any(".downsample." in name for name in shapes) else "A",
    }
