"""`minires pretrained`: the networks that come trained: which there are, and the card of one."""

import argparse

EXAMPLES = [
    ("minires pretrained list", "what there is"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    actions.add_parser("list", parents=[every], help="all networks, and where their weights are")
    info = actions.add_parser("info", parents=[every], help="what a network was trained on and how good it is")
    info.add_argument("name", metavar="NAME", help="a network's name, or a file of weights")


def run(args: argparse.Namespace) -> int:
    return show_list() if args.action == "list" else show_info(args.name)


def show_list() -> int:
    """Print one line a network."""
    from minires.interop import trained

    rows = [("name", "what it is", "where")]
    for name, entry in trained.PRETRAINED.items():
        where = "shipped"
        if entry.settings is not None:
            path = trained.kept_at(name, trained.recipe_of(name))
            where = str(path) if path.exists() else "trained on first use"
        rows.append((name, entry.line, where))
    widths = [max([len(row[column]) for row in rows]) for column in range(2)]
    for name, line, where in rows:
        print(f"{name:{widths[0]}}  {line:{widths[1]}}  {where}")
    print("\nIn Python: interop.pretrained(NAME). Commands take these names as they take files: --weights NAME.")
    return 0


def show_info(name: str) -> int:
    """Print what is known of a network, and its card where it has one."""
    from minires import interop
    from minires.interop.trained import FOLDER

    card = FOLDER / f"{name}.md"
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
