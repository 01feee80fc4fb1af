"""`minires playground`: a page for the browser, with switches for what a gradient depends on."""

import argparse
import sys

EXAMPLES = [
    ("minires playground", "write the page, and open it"),
    ("minires playground --out playground.html --no-browser", "write it there, and open nothing"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FILE", help="where to write the page (in the folder of downloads)")
    parser.add_argument("--no-browser", action="store_true", help="write it, and open nothing")


def run(args: argparse.Namespace) -> int:
    """Write the page, say where it is, and open it in the browser that there is."""
    import webbrowser

    from minires import playground
    from minires.data.downloads import data_folder

    path = playground.write(args.out or data_folder() / "playground.html").resolve()
    print(path, flush=True)
    if not args.no_browser and not webbrowser.open(path.as_uri()):
        print("no browser could be opened here; the page works in any, without a network", file=sys.stderr)
    return 0
