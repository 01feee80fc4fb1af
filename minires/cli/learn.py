"""`minires learn`: the chapters and how far the reader is; `minires learn 7` writes that chapter's share."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", nargs="?", type=int, metavar="CHAPTER", help="write this chapter's files")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")


def run(args: argparse.Namespace) -> int:
    from minires.learn import chapters

    folder = Path(args.folder)
    if args.chapter is None:
        return show(folder)
    exercise, parts = chapters.exercise_of(args.chapter), chapters.parts_of(args.chapter)
    try:
        if parts:
            write_engine(args.chapter, folder)
        write_exercise(exercise, folder)
    except OSError as error:
        message = f"cannot write into the folder {folder} ({error.strerror}); choose another with --folder"
        raise OSError(message) from error
    print(f"\nThen: minires check {args.chapter}    (--hint for a hint)")
    return 0


def write_engine(chapter: int, folder: Path) -> None:
    """Add a chapter to the reader's own engine, and say what there is to do."""
    from minires.learn import own_engine

    written = own_engine.write_chapter(chapter, folder)
    print("Your own engine:")
    for section in written.added:
        print(f"  {folder / section.file}")
        for number, gap in enumerate(own_engine.gaps(section.text), 1):
            print(f"    {number}. {gap}")
    for section in written.present:
        print(f"  {folder / section.file}: chapter {chapter} is in it already, and stays as it is")
    if written.filled:
        print("  What earlier chapters would have put there was missing, and was put in, finished:")
        print(f"    {', '.join(sorted({f'{one.file} (chapter {one.chapter})' for one in written.filled}))}")


def write_exercise(exercise, folder: Path) -> None:
    from minires.learn import reader

    print("The exercise:")
    path = exercise.path(folder)
    if path.exists():
        print(f"  {path} is there already, and stays as it is; to begin again, move it away first")
        return
    reader.write_exercise(exercise, folder)
    print(f"  {path}: {exercise.title} ({', '.join(exercise.names)})")


def show(folder: Path) -> int:
    """List the chapters, and how far the reader is with each."""
    from minires.learn import chapters, reader

    progress = reader.read_progress(folder)
    for number, (_, title) in chapters.CHAPTERS.items():
        print(f"{number:3}  {mark(number, progress, folder):9}  {title}")
    print("\nA chapter is a script, tutorials/NN_….py; `minires learn 7` writes the files of chapter 7.")
    return 0


def mark(number: int, progress: dict[str, dict[str, object]], folder: Path) -> str:
    """Say how far the reader is with a chapter."""
    from minires.learn import chapters

    if not chapters.has_exercise(number):
        return ""
    entry = progress.get(str(number), {})
    if entry.get("passed"):
        return "passed"
    return "begun" if chapters.exercise_of(number).path(folder).exists() else "not begun"
