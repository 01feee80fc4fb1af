"""A folder of pictures sorted into classes: what is found in it, in which layout, and what is left out.

    FOLDER/cat/1.jpg  FOLDER/dog/a/2.png              classes, with folders inside them or not
    FOLDER/train/cat/1.jpg  FOLDER/test/cat/2.jpg     parts, each with the classes: also training, seg_train, val, …
    FOLDER/train/cat/1.jpg                            one part only: it is treated like the first layout
    FOLDER/images/…  FOLDER/FOLDER/…                  one folder inside another, until there are several
"""

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minires.kernels import Array

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm",
)  # fmt: skip
TRAIN = ("train", "training", "seg_train", "train_set", "training_set", "trainset")
TEST = ("test", "testing", "seg_test", "test_set", "testing_set", "testset", "eval", "evaluation")
VALIDATION = ("val", "valid", "validation", "dev", "validation_set", "val_set")
JUNK = ("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin")  # of systems, not of people
LAYOUTS = (
    "FOLDER/cat/1.jpg, FOLDER/dog/2.png; or FOLDER/train/cat/1.jpg and FOLDER/test/cat/2.jpg "
    "(also training, seg_train; testing, seg_test, val, valid, validation)"
)
NAMED = 5  # files that a message names


@dataclass
class Part:
    """The pictures of one part, and what lies among them and is none. labels: (N,), numbers of classes."""

    folder: Path
    classes: list[str]
    paths: list[Path] = field(default_factory=list)
    labels: Array = field(default_factory=lambda: np.empty(0, np.int64))
    left_out: list[Path] = field(default_factory=list)


def find_parts(folder: Path) -> tuple[Part, Part | None]:
    """Return the pictures to train with, and those to test with where the folder has such a part.

    What is left out is counted and named on standard error. ValueError, with the layouts that are known, for a folder
    in none of them, and for an empty class.
    """
    folder = unwrapped(folder, stop=(*TEST, *VALIDATION))
    inside = {name.lower(): folder / name for name in folder_names(folder)}
    train = part_named(inside, TRAIN)
    test = part_named(inside, TEST) or part_named(inside, VALIDATION)
    only_parts = not [name for name in inside if name not in (*TRAIN, *TEST, *VALIDATION)]
    if train is None and inside and only_parts:
        names = ", ".join([path.name for path in inside.values()])
        raise ValueError(
            f"load_folder: {folder} has {names}, and no folders of classes to train with; known are {LAYOUTS}"
        )
    if train is None or (test is None and not only_parts):  # a class can be called "train", beside "bus"
        part = find_pictures(folder)
        say_left_out(folder, part.left_out, [])
        return part, None
    parts = [find_pictures(unwrapped(path)) for path in (train, test) if path is not None]
    unused = [path for path in inside.values() if path not in (train, test)]
    say_left_out(folder, [path for part in parts for path in part.left_out] + files_in(folder), unused)
    return parts[0], parts[1] if test is not None else None


def part_named(inside: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    """Return the folder of a part: of such a name, and with folders of classes in it."""
    for name in names:
        if name in inside and folder_names(unwrapped(inside[name])):
            return inside[name]
    return None


def unwrapped(folder: Path, stop: tuple[str, ...] = ()) -> Path:
    """Go down while a folder holds one folder of folders, and no pictures, as unpacked archives do; and to `images`.

    Not into one with a name in `stop`.
    """
    while True:
        names = folder_names(folder)
        images = [name for name in names if name.lower() == "images"]
        if images and not [name for name in names if name not in images and pictures_in(folder / name)]:
            names = images  # beside annotations, lists
        if len(names) != 1 or names[0].lower() in stop or not folder_names(folder / names[0]):
            return folder
        if [path for path in files_in(folder) if is_picture(path)]:
            return folder
        folder = folder / names[0]


def pictures_in(folder: Path) -> list[Path]:
    return [path for path in walk(folder) if is_picture(path)]


def folder_names(folder: Path) -> list[str]:
    return sorted([path.name for path in folder.iterdir() if path.is_dir() and not is_junk(path)])


def files_in(folder: Path) -> list[Path]:
    return sorted([path for path in folder.iterdir() if not path.is_dir() and not is_junk(path)])


def is_junk(path: Path) -> bool:
    """What systems leave in folders, and what is hidden."""
    return path.name.startswith(".") or path.name.lower() in JUNK


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def find_pictures(folder: Path) -> Part:
    """Return the classes of a folder and all pictures of each, also in folders inside it."""
    classes = folder_names(folder)
    if len(classes) < 2:
        lying = len([path for path in files_in(folder) if is_picture(path)])
        beside = f" and {lying} pictures that are in none" if lying else ""
        raise ValueError(
            f"load_folder: {folder} has {len(classes)} folders{beside}, and needs one for each of at least 2 classes: "
            f"{LAYOUTS}"
        )
    part = Part(folder, classes, left_out=files_in(folder))
    labels = []
    for label, name in enumerate(classes):
        files = walk(folder / name)
        found = [path for path in files if is_picture(path)]
        part.left_out += [path for path in files if not is_picture(path)]
        if not found:
            kinds = kinds_of(part.left_out)
            there = f"; there are {kinds}" if kinds else ""
            raise ValueError(f"load_folder: the class {folder / name} is empty: no {', '.join(SUFFIXES)} in it{there}")
        part.paths += found
        labels += [label] * len(found)
    part.labels = np.array(labels)
    return part


def walk(folder: Path) -> list[Path]:
    """List all files below a folder, links to folders followed once."""
    files, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted([name for name in folders if not is_junk(Path(name))])
        files += [Path(root, name) for name in sorted(names) if not is_junk(Path(name))]
    return files


def kinds_of(paths: list[Path]) -> str:
    """Count files by their suffix: "3 .heic, 1 .txt"."""
    counted = Counter([path.suffix.lower() or "without suffix" for path in paths])
    return ", ".join([f"{count} {suffix}" for suffix, count in counted.most_common()])


def say_left_out(folder: Path, files: list[Path], folders: list[Path]) -> None:
    """Count and name what is left out."""
    pictures = [path for path in files if is_picture(path)]
    others = [path for path in files if not is_picture(path)]
    for paths, what in ((pictures, "pictures that lie in no class"), (others, "files that are no pictures it reads")):
        if paths:
            named = ", ".join([str(path.relative_to(folder)) for path in paths[:NAMED]])
            more = f", … and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            print(f"minires: {folder}: left out {len(paths)} {what}, {kinds_of(paths)}: {named}{more}", file=sys.stderr)
    for unused in folders:
        count = len(pictures_in(unused))
        print(f"minires: {folder}: left out the folder {unused.name}, with {count} pictures", file=sys.stderr)
