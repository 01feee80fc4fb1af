"""Load a model's weights from a file, whoever wrote it, and save them for others.

A file is safetensors, or one of `torch.save` (.pth, .pt, .th, .bin): a pickle, which is read and never opened, see
`pickle_walk`. What is done on the way, a prefix taken off, a dtype changed, is said.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minires.interop.about import About
from minires.interop.file_kinds import kind_of
from minires.interop.names import CIFAR_NAMES, FOREIGN_NAMES, Patterns, own_names, renamed
from minires.interop.pickle_walk import ArrayToBe, TensorAt
from minires.interop.torch_files import read_torch_file
from minires.kernels import Array
from minires.nn import Module
from minires.runs import records

NAMINGS: dict[str, Patterns] = {"torchvision": (), "cifar": CIFAR_NAMES}
DTYPES = ("float16", "float32", "float64")

# Where the weights stand in a checkpoint that holds more; those first that are meant where there are several.
PARTS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
)  # fmt: skip
MAX_DEPTH = 6  # dicts in dicts where the weights are looked for
COUNTERS = ("num_batches_tracked", "n_averaged")  # PyTorch's, which are no weights


@dataclass(frozen=True)
class LoadedWeights:
    """What `load_weights` did. names: {name in the file: name in the model} of all arrays that were loaded."""

    path: Path
    names: dict[str, str]
    ignored: list[str]  # PyTorch's num_batches_tracked, n_averaged
    converted: dict[str, str]  # {name in the model: dtype in the file}, where that is another one than the model's
    missing: list[str]
    unexpected: list[str]
    notes: list[str] = field(default_factory=list)  # what was done when the file was read

    def __str__(self) -> str:
        """Say it all: every name that was changed, every dtype that was converted, everything left out."""
        changed = {name: own for name, own in self.names.items() if name != own}
        lines = [f"{self.path}: {len(self.names)} arrays loaded, {len(changed)} of them under another name"]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {name} → {own}" for name, own in changed.items()]
        for dtype in sorted(set(self.converted.values())):
            lines.append(f"  {list(self.converted.values()).count(dtype)} arrays converted from {dtype}")
        if self.ignored:
            kinds = sorted({name.rpartition(".")[2] for name in self.ignored})
            lines.append(f"  {len(self.ignored)} × {', '.join(kinds)} ignored")
        lines += [f"  missing in the file, left as they were: {name}" for name in self.missing]
        lines += [f"  in the file, of no use here: {name}" for name in self.unexpected]
        return "\n".join(lines)


def load_weights(
    model: Module,
    path: str | Path,
    *,
    strict: bool = True,
    patterns: Patterns = FOREIGN_NAMES,
    part: str | None = None,
    verbose: bool = True,
) -> LoadedWeights:
    """Load a file of weights into a model, print what was done, and return it.

    Names that the model does not have are mapped by `patterns`, and by a prefix that is found, see `names`. Floats are
    converted to the model's dtype (float16 to float32 is exact). `strict=False` lets arrays be missing or unexpected.
    part: as for `read_weights`.
    ValueError, and nothing is changed, for a file that is no whole file of weights, and for arrays that do not fit:
    every missing and unexpected name and every wrong shape is listed; also where nothing at all would be loaded.
    FileNotFoundError where there is no file.
    """
    path = Path(path)
    arrays, notes = read_file(path, part)
    own = model.state_dict()
    counted = any([name.endswith("num_batches_tracked") for name in own])  # by batch norms with momentum=None
    ignored = [name for name in arrays if name.rpartition(".")[2] in COUNTERS and not counted]
    try:
        names = own_names([name for name in arrays if name not in ignored], own, patterns)
    except ValueError as error:
        raise ValueError(f"load_weights: {path}: {error}") from error
    check_unique(path, names)
    state, converted = {}, {}
    for name, own_name in names.items():
        array = arrays[name]
        fits = own_name in own and array.shape == own[own_name].shape
        if fits and array.dtype.kind == "f" and array.dtype != own[own_name].dtype:
            converted[own_name] = str(array.dtype)
            array = array.astype(own[own_name].dtype)
        elif own_name in own and array.dtype.kind == "f":
            array = array.astype(own[own_name].dtype, copy=False) if fits else array
        state[own_name] = array
    if not strict and own and not [name for name in state if name in own]:
        another = of_another(names, own)
        raise ValueError(f"load_weights: {path} has nothing of this model, so nothing was loaded; {another}")
    try:
        missing, unexpected = model.load_state_dict(state, strict)
    except ValueError as error:
        error.add_note("\n".join([f"in load_weights, from {path}", *hints(names, own)]))
        raise
    loaded = {name: own_name for name, own_name in names.items() if own_name in own}
    report = LoadedWeights(path, loaded, ignored, converted, missing, unexpected, notes)
    if verbose:
        print(report)
    return report


def save_weights(
    model: Module,
    path: str | Path,
    naming: str = "torchvision",
    *,
    dtype: str | None = None,
    about: About | None = None,
) -> None:
    """Write a model's weights as a safetensors file, whole or not at all; PyTorch's `load_state_dict` takes them.

    naming: "torchvision", the model's own names, or "cifar", those of the CIFAR repositories (see `names`).
    dtype: "float16" halves the file, "float32" or "float64"; None keeps the model's. Loading converts back.
    about: what the file is to say of the network and its images, see `about`.
    ValueError for an unknown naming or dtype, and where a number is too large for the dtype; OSError where the file
    cannot be written.
    """
    from safetensors.numpy import save

    if naming not in NAMINGS:
        raise ValueError(f"save_weights: unknown naming {naming!r}; known: {', '.join(NAMINGS)}")
    if dtype not in (None, *DTYPES):
        raise ValueError(f"save_weights: unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    arrays = {renamed(name, NAMINGS[naming]): array for name, array in model.state_dict().items()}
    if dtype is not None:
        arrays = {name: converted_to(name, array, dtype) for name, array in arrays.items()}
    metadata = {"format": "pt", **(about.to_metadata() if about is not None else {})}  # "pt": other readers ask for it
    records.write_bytes(Path(path), save(arrays, metadata=metadata))  # of their memory as it lies: they are in C order


def converted_to(name: str, array: Array, dtype: str) -> Array:
    """Convert an array of floats. ValueError, naming it, where a number would become infinite."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if not np.isfinite(converted[np.isfinite(array)]).all():
        largest = float(np.abs(array[np.isfinite(array)]).max())
        raise ValueError(f"save_weights: {name} has numbers up to {largest:.3g}, too large for {dtype}; use float32")
    return np.ascontiguousarray(converted)


def read_weights(path: str | Path, part: str | None = None) -> dict[str, Array]:
    """Return the arrays of a file of weights by the names they have there. bfloat16 becomes float32, which holds it.

    part: of a checkpoint with several networks the one to read, such as "state_dict_ema" or "net.generator"; by itself
    the first of `PARTS` is taken, or the only one there is.
    ValueError, naming the file, what it is and the cure, for any other file, a damaged one, a dtype NumPy has not.
    """
    return read_file(Path(path), part)[0]


def read_file(path: Path, part: str | None = None) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays of a file by their names, and what was done to read them."""
    if kind_of(path) == "safetensors":
        if part is not None:
            raise ValueError(f"read_weights: {path} is a safetensors file, which has no parts; leave out part={part!r}")
        return read_safetensors(path)
    try:
        file = read_torch_file(path)
        name, described = chosen_part(file.content, part)
        arrays = {key: file.array(value) for key, value in described.items() if is_array(value)}
    except ValueError as error:
        raise ValueError(f"read_weights: {path} cannot be read: {error}") from error
    notes = [f"the weights are those under {name!r}"] if name else []
    notes += [f"{len(left)} values that are no arrays left out" for left in [set(described) - set(arrays)] if left]
    notes += [f"{dtype} read as float32, which is exact" for dtype in sorted(file.widened)]
    return arrays, notes


def is_array(value: Any) -> bool:
    return isinstance(value, TensorAt | np.ndarray) or (isinstance(value, ArrayToBe) and value.array is not None)


def chosen_part(content: Any, part: str | None) -> tuple[str, dict[str, Any]]:
    """Return the part of a checkpoint that is the weights, and where it stands in it: "", "net", "ema.model"."""
    found = dict(parts_of(content))
    arrays = {name: len([value for value in items.values() if is_array(value)]) for name, items in found.items()}
    if arrays.get("", 0) < max(arrays.values(), default=0):
        found.pop("", None)  # what stands beside the weights, such as the state of a random generator
    if part is not None:
        if part not in found:
            raise ValueError(f"it has no part {part!r} of weights; it has {', '.join(map(repr, found)) or 'none'}")
        return part, found[part]
    if not found:
        keys = ", ".join([str(key) for key in list(content)[:8]]) if isinstance(content, dict) else ""
        raise ValueError(f"there are no weights in it, only a {type(content).__name__} of {keys or 'other things'}")
    if "" in found:
        return "", found[""]
    ranked = sorted(found, key=lambda name: [rank(word) for word in name.split(".")])
    if rank(ranked[0].split(".")[0]) == len(PARTS):  # no name that is known: the one that is much larger, if there is
        ranked = sorted(found, key=lambda name: -arrays[name])
    if len(found) > 1 and rank(ranked[0].split(".")[0]) == len(PARTS) and arrays[ranked[0]] < 2 * arrays[ranked[1]]:
        raise ValueError(
            f"it holds several networks, {', '.join(map(repr, found))}: say which with part={ranked[0]!r}"
        )
    return ranked[0], found[ranked[0]]


def rank(word: str) -> int:
    return PARTS.index(word) if word in PARTS else len(PARTS)


def parts_of(content: Any, name: str = "", seen: tuple[set[int], int] | None = None) -> Iterator[tuple[str, Any]]:
    """Find the dicts of named arrays in what a file holds, but for optimizers; each once, at most MAX_DEPTH deep."""
    known, depth = seen or (set(), 0)
    items = dict(enumerate(content)) if isinstance(content, list | tuple) else content
    if not isinstance(items, dict) or depth > MAX_DEPTH or id(content) in known:
        return
    known.add(id(content))
    named = [key for key, value in items.items() if isinstance(key, str) and is_array(value)]
    if named and not [key for key in items if not isinstance(key, str)]:
        yield name, items
    for key, value in items.items():
        if isinstance(value, dict | list | tuple) and not str(key).lower().startswith(("optim", "sched", "scaler")):
            yield from parts_of(value, f"{name}.{key}" if name else str(key), (known, depth + 1))


def read_safetensors(path: Path) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            if "minires" in (file.metadata() or {}):
                raise ValueError(
                    f"read_weights: {path} is a checkpoint, which holds more than weights; use its run's folder, or in "
                    "Python runs.load_model and save_weights"
                )
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}
            for name, dtype in dtypes.items():
                if dtype not in NUMPY_DTYPES and dtype != "BF16":
                    raise ValueError(
                        f"read_weights: {name} in {path} is {dtype}, which NumPy does not have; convert the file in "
                        "PyTorch with array.float()"
                    )
            wide = [name for name, dtype in dtypes.items() if dtype == "BF16"]
            arrays = {name: file.get_tensor(name) for name in dtypes if name not in wide}
    except SafetensorError as error:
        raise ValueError(f"read_weights: {path} is no safetensors file, or a damaged one ({error})") from error
    arrays |= bfloat16_arrays(path, wide)
    notes = [f"{len(wide)} × bfloat16 read as float32, which is exact"] if wide else []
    return {name: arrays[name] for name in dtypes}, notes


def bfloat16_arrays(path: Path, names: list[str]) -> dict[str, Array]:
    """Read arrays of a safetensors file, whose header is known to be right, that NumPy has no dtype for."""
    arrays = {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name in names:
            start, end = header[name]["data_offsets"]
            file.seek(8 + length + start)
            upper = np.frombuffer(file.read(end - start), "<u2")  # the upper half of a float32
            arrays[name] = (upper.astype(np.uint32) << 16).view(np.float32).reshape(header[name]["shape"])
    return arrays


NUMPY_DTYPES = {"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"}


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


def hints(names: dict[str, str], own: dict[str, Array]) -> list[str]:
    """Say what a difference between the names of a file and of a model usually means."""
    known = [name for name in names.values() if name in own]
    if 2 * len(known) < len(own):
        return [of_another(names, own)]
    in_file = any(".downsample." in name for name in names.values())
    in_model = any(".downsample." in name for name in own)
    if in_model and not in_file:
        return ["the file has no projections: it may be of a model with shortcut='A'"]
    if in_file and not in_model:
        return ["the file has projections and the model has none: make it with shortcut='B'"]
    return []


def of_another(names: Iterable[str], own: dict[str, Array]) -> str:
    """Say that the file is of another network or family, with names of both to compare."""
    theirs, ours = ", ".join(list(names)[:3]), ", ".join(list(own)[:3])
    return (
        f"its names are {theirs}, …, the model's {ours}, …: it is of another network, or has another family's names, "
        "for which there are patterns="
    )


def options_of(arrays: dict[str, Array]) -> dict[str, Any]:
    """Read from a ResNet's arrays what its maker must be told: in_channels, num_classes, stem, shortcut; of a ResNeXt,
    or one of wider bottlenecks, groups and width_per_group.

    The names may be foreign. Depth and block are not to be read from it: those are the maker's name. ValueError for
    arrays that have no first convolution or no classifier.
    """
    names = own_names(arrays, RESNET_NAMES)
    shapes = {own: arrays[name].shape for name, own in names.items()}
    for name, ndim in (("conv1.weight", 4), ("fc.weight", 2)):
        if len(shapes.get(name, ())) != ndim:
            listed = ", ".join([*list(shapes)[:8], *["…"] * (len(shapes) > 8)])
            raise ValueError(f"options_of: no ResNet's arrays, {name} is not among them; there are {listed}")
    middle, last = shapes.get("layer1.0.conv2.weight", ()), shapes.get("layer1.0.conv3.weight", ())
    wide: dict[str, int] = {}
    if len(middle) == len(last) == 4 and middle[:2] != (last[0] // 4, last[0] // 4):
        wide = {"groups": middle[0] // max(1, middle[1]), "width_per_group": middle[1]}
    return {
        "in_channels": shapes["conv1.weight"][1],
        "num_classes": shapes["fc.weight"][0],
        "stem": "imagenet" if shapes["conv1.weight"][2] == 7 else "cifar",
        "shortcut": "B" if any(".downsample." in name for name in shapes) else "A",
        **wide,
    }


# What every ResNet has, by which a prefix is found where the model is not yet made.
RESNET_NAMES = (
    "conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "layer1.0.conv1.weight",
    "layer1.0.bn1.weight", "layer1.0.conv2.weight", "layer2.0.conv1.weight", "layer2.0.bn1.weight", "fc.weight",
    "fc.bias",
)  # fmt: skip
