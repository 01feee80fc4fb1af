"""`minires pretrained`: the networks that come trained: which there are, and the card of one."""

import argparse
from dataclasses import asdict
from typing import Any

from minires.cli.as_json import add_json, print_json

EXAMPLES = [
    ("minires pretrained list", "what there is"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add_json(every, default=argparse.SUPPRESS)
    actions.add_parser("list", parents=[every], help="all networks, and where their weights are")
    info = actions.add_parser("info", parents=[every], help="what a network was trained on and how good it is")
    info.add_argument("name", metavar="NAME", help="a network's name, or a file of weights")


def run(args: argparse.Namespace) -> int:
    return show_list(args.json) if args.action == "list" else show_info(args.name, args.json)


def show_list(as_json: bool) -> int:
    """Print one line a network."""
    networks = known_networks()
    if as_json:
        print_json(networks)
        return 0
    rows = [("name", "what it is", "where")]
    for one in networks:
        rows.append((one["name"], one["what"], "shipped" if one["shipped"] else one["path"] or "trained on first use"))
    widths = [max([len(row[column]) for row in rows]) for column in range(2)]
    for name, line, where in rows:
        print(f"{name:{widths[0]}}  {line:{widths[1]}}  {where}")
    print("\nIn Python: interop.pretrained(NAME). Commands take these names as they take files: --weights NAME.")
    return 0


def known_networks() -> list[dict[str, Any]]:
    """List the networks that have names. path: of the weights, None where they are not made yet."""
    from minires.interop import trained

    found = []
    for name, entry in trained.PRETRAINED.items():
        shipped = entry.settings is None
        path = trained.FOLDER / f"{name}.safetensors" if shipped else trained.kept_at(name, trained.recipe_of(name))
        there = str(path) if path.exists() else None
        found.append({"name": name, "what": entry.line, "shipped": shipped, "path": there})
    return found


def show_info(name: str, as_json: bool) -> int:
    """Print what is known of a network, and its card where it has one."""
    from minires import interop
    from minires.interop.trained import FOLDER
    from minires.runs.records import read_json

    card = FOLDER / f"{name}.md"
    if as_json:
        path = interop.weights_of(name)
        measured = read_json(card.with_suffix(".json")) if card.exists() else {}
        kept = {key: value for key, value in measured.items() if key != "logits"}  # which are for a test
        print_json({"path": str(path), "bytes": path.stat().st_size, **asdict(interop.read_about(path)), **kept})
        return 0
    if name in interop.PRETRAINED and card.exists():
        print(card.read_text(encoding="utf-8").rstrip())
        return 0
    path = interop.weights_of(name)
    about = interop.read_about(path)
    print(f"{path}: {path.stat().st_size:,} bytes")
    if not about.model:
        print("it does not say of which model it is, nor how its images were normalized")
        return 0
    print(f"model    {about.model} {about.options}")
    print(f"images   {about.data}, {' × '.join(map(str, about.shape))}")
    print(f"classes  {', '.join(about.classes)}")
    print(f"mean     {'  '.join([f'{value:.3f}' for value in about.mean])}   of pixels from 0 to 255")
    print(f"std      {'  '.join([f'{value:.3f}' for value in about.std])}")
    return 0
