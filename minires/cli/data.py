"""`minires data`: which data sets there are, fetch one, look at one."""

import argparse
from typing import TYPE_CHECKING, Any

from minires.cli.as_json import add_json, print_json

if TYPE_CHECKING:
    from minires.data import Dataset

EXAMPLES = [
    ("minires data list", "the data sets, and where they are"),
    ("minires data fetch cifar10", "bring one"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--data-dir", metavar="FOLDER", help="where downloads are kept (MINIRES_DATA, else a cache)")
    every.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add_json(every, default=argparse.SUPPRESS)
    actions.add_parser("list", parents=[every], help="all data sets, and whether they are here")
    fetch = actions.add_parser("fetch", parents=[every], help="download a data set, check and unpack it")
    fetch.add_argument("name", metavar="NAME", help="cifar10, cifar100, mnist or fashion-mnist")
    fetch.add_argument("--timeout", type=float, metavar="SECONDS",
                       help="give up where next to nothing came for so long (30)")
    info = actions.add_parser("info", parents=[every], help="sizes, classes, mean and deviation of a data set")
    info.add_argument("name", metavar="NAME", help="a data set's name, a folder of pictures, a .npz file")
    info.add_argument("--skip-bad", action="store_true", help="leave out pictures that cannot be read")
    info.add_argument("--max-pixels", type=int, metavar="N", help="refuse pictures of more (50 million)")


def run(args: argparse.Namespace) -> int:
    if args.action == "list":
        return show_list(args.data_dir, args.json)
    if args.action == "fetch":
        return fetch(args.name, args.data_dir, args.timeout, args.json)
    options = {"skip_bad": args.skip_bad} | ({} if args.max_pixels is None else {"max_pixels": args.max_pixels})
    return show_info(args.name, args.data_dir, options, args.json)


def show_list(data_dir: str | None, as_json: bool) -> int:
    """Print one line a data set."""
    from minires.data.downloads import data_folder

    sets = known_sets(data_dir)
    if as_json:
        print_json(sets)
        return 0
    rows = [("name", "images", "shape", "classes", "where")]
    for one in sets:
        images = f"{one['train_images']} + {one['test_images']}"
        where = one["folder"] or f"to download: {one['download_bytes'] / 1e6:.0f} MB"
        where = where if one["download_bytes"] else "shipped"
        rows.append((one["name"], images, times(one["shape"]), str(one["classes"]), where))
    widths = [max([len(row[column]) for row in rows]) for column in range(len(rows[0]))]
    for cells in rows:
        print("  ".join([text.ljust(width) for text, width in zip(cells, widths, strict=True)]).rstrip())
    print(f"\nDownloads go to {data_folder(data_dir)}.")
    return 0


def known_sets(data_dir: str | None) -> list[dict[str, Any]]:
    """List the data sets that have names. folder: where one is, None where it is not; the digits come along."""
    from minires.data.registry import PUBLISHED, load

    digits = load("digits")
    found: list[dict[str, Any]] = [{
        "name": "digits",
        "train_images": len(digits.train_images),
        "test_images": len(digits.test_images),
        "shape": digits.shape,
        "classes": len(digits.classes),
        "folder": None,
        "download_bytes": 0,
    }]  # fmt: skip
    for name, entry in PUBLISHED.items():
        folder = entry.find(data_dir)
        found.append({
            "name": name,
            "train_images": entry.train_images,
            "test_images": entry.test_images,
            "shape": entry.shape,
            "classes": entry.classes,
            "folder": str(folder) if folder else None,
            "download_bytes": entry.download_size,
        })  # fmt: skip
    return found


def times(shape: tuple[int, int, int]) -> str:
    return "×".join([str(size) for size in shape])


def fetch(name: str, data_dir: str | None, timeout: float | None, as_json: bool) -> int:
    """Download a data set and read it once, so that what is wrong with it is known now."""
    from minires.data.registry import NAMES, PUBLISHED, load

    if timeout is not None and not 0 < timeout < 1e6:
        raise ValueError(f"--timeout must be above 0 and below a million seconds, got {timeout:g}")
    if name not in PUBLISHED and name != "digits":
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(NAMES)}")
    if name == "digits":
        folder, dataset = None, load("digits")
    else:
        folder = PUBLISHED[name].fetch(data_dir, timeout)
        dataset = PUBLISHED[name].read(folder)
    if as_json:
        print_json({"folder": folder and str(folder), **facts_of(dataset)})
    elif folder is None:
        print("digits: shipped with minires, nothing to fetch")
    else:
        print(f"{folder}: {dataset}")
    return 0


def facts_of(dataset: "Dataset") -> dict[str, Any]:
    """Return what a data set holds. mean, std: of each channel, in units of pixels from 0 to 255."""
    import numpy as np

    count = len(dataset.classes)
    return {
        "name": dataset.name,
        "shape": dataset.shape,
        "dtype": str(dataset.train_images.dtype),
        "mean": dataset.mean,
        "std": dataset.std,
        "classes": dataset.classes,
        "train_images": np.bincount(dataset.train_labels, minlength=count),
        "test_images": np.bincount(dataset.test_labels, minlength=count),
    }


def show_info(name: str, data_dir: str | None, options: dict[str, Any], as_json: bool) -> int:
    """Print what a data set holds. options: of a folder of pictures."""
    from minires import data
    from minires.data.registry import NAMES, PUBLISHED

    is_folder = name not in NAMES and not name.endswith(".npz")
    dataset = data.load(name, data_dir, **(options if is_folder else {}))
    facts = facts_of(dataset)
    if as_json:
        print_json(facts)
        return 0
    print(f"{dataset.name}: {times(dataset.shape)} (channels, height, width), {dataset.train_images.dtype}")
    print(f"mean  {'  '.join([f'{value:.3f}' for value in dataset.mean])}   of each channel, images to train with")
    print(f"std   {'  '.join([f'{value:.3f}' for value in dataset.std])}")
    train, test = facts["train_images"], facts["test_images"]
    longest = max([len(label) for label in [*dataset.classes, "class"]])
    print(f"\n{'class':{longest}}  {'train':>6}  {'test':>6}")
    for label, name_of_class in enumerate(dataset.classes):
        print(f"{name_of_class:{longest}}  {train[label]:>6}  {test[label]:>6}")
    print(f"{'all':{longest}}  {train.sum():>6}  {test.sum():>6}")
    if name in PUBLISHED:
        print(f"\n{PUBLISHED[name].source}")
    return 0
