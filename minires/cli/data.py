"""`minires data`: which data sets there are, fetch one, look at one."""

import argparse
from typing import Any

EXAMPLES = [
    ("minires data list", "the data sets, and where they are"),
    ("minires data fetch cifar10", "bring one"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--data-dir", metavar="FOLDER", help="where downloads are kept (MINIRES_DATA, else a cache)")
    every.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
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
        return show_list(args.data_dir)
    if args.action == "fetch":
        return fetch(args.name, args.data_dir, args.timeout)
    options = {"skip_bad": args.skip_bad} | ({} if args.max_pixels is None else {"max_pixels": args.max_pixels})
    return show_info(args.name, args.data_dir, options)


def show_list(data_dir: str | None) -> int:
    """Print one line a data set."""
    from minires.data.downloads import data_folder
    from minires.data.registry import PUBLISHED, load

    digits = load("digits")
    images = f"{len(digits.train_images)} + {len(digits.test_images)}"
    rows = [("name", "images", "shape", "classes", "where")]
    rows += [("digits", images, times(digits.shape), str(len(digits.classes)), "shipped")]
    for name, entry in PUBLISHED.items():
        found = entry.find(data_dir)
        where = str(found) if found else f"to download: {entry.download_size / 1e6:.0f} MB"
        images = f"{entry.train_images} + {entry.test_images}"
        rows += [(name, images, times(entry.shape), str(entry.classes), where)]
    widths = [max([len(row[column]) for row in rows]) for column in range(len(rows[0]))]
    for cells in rows:
        print("  ".join([text.ljust(width) for text, width in zip(cells, widths, strict=True)]).rstrip())
    print(f"\nDownloads go to {data_folder(data_dir)}.")
    return 0


def times(shape: tuple[int, int, int]) -> str:
    return "×".join([str(size) for size in shape])


def fetch(name: str, data_dir: str | None, timeout: float | None) -> int:
    """Download a data set and read it once, so that what is wrong with it is known now."""
    from minires.data.registry import NAMES, PUBLISHED

    if timeout is not None and not 0 < timeout < 1e6:
        raise ValueError(f"--timeout must be above 0 and below a million seconds, got {timeout:g}")
    if name not in PUBLISHED and name != "digits":
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(NAMES)}")
    if name == "digits":
        print("digits: shipped with minires, nothing to fetch")
        return 0
    folder = PUBLISHED[name].fetch(data_dir, timeout)
    dataset = PUBLISHED[name].read(folder)
    print(f"{folder}: {dataset}")
    return 0


def show_info(name: str, data_dir: str | None, options: dict[str, Any]) -> int:
    """Print what a data set holds. options: of a folder of pictures."""
    import numpy as np

    from minires import data
    from minires.data.registry import NAMES, PUBLISHED

    is_folder = name not in NAMES and not name.endswith(".npz")
    dataset = data.load(name, data_dir, **(options if is_folder else {}))
    print(f"{dataset.name}: {times(dataset.shape)} (channels, height, width), {dataset.train_images.dtype}")
    print(f"mean  {'  '.join([f'{value:.3f}' for value in dataset.mean])}   of each channel, images to train with")
    print(f"std   {'  '.join([f'{value:.3f}' for value in dataset.std])}")
    train = np.bincount(dataset.train_labels, minlength=len(dataset.classes))
    test = np.bincount(dataset.test_labels, minlength=len(dataset.classes))
    longest = max([len(label) for label in [*dataset.classes, "class"]])
    print(f"\n{'class':{longest}}  {'train':>6}  {'test':>6}")
    for label, name_of_class in enumerate(dataset.classes):
        print(f"{name_of_class:{longest}}  {train[label]:>6}  {test[label]:>6}")
    print(f"{'all':{longest}}  {train.sum():>6}  {test.sum():>6}")
    if name in PUBLISHED:
        print(f"\n{PUBLISHED[name].source}")
    return 0
