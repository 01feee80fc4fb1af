"""`minires learn`: the chapters and how far the reader is; `minires learn 7` writes that chapter's exercise."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", nargs="?", type=int, metavar="CHAPTER", help="write this chapter's exercise")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")


def run(args: argparse.Namespace) -> int:
    from minires.learn import chapters, reader

    folder = Path(args.folder)
    if args.chapter is not None:
        exercise = chapters.exercise_of(args.chapter)
        try:
            path = reader.write_exercise(exercise, folder)
        except OSError as error:
            message = f"cannot write into the folder {folder} ({error.strerror}); choose another with --folder"
            raise OSError(message) from error
        print(f"{exercise.title}: {', '.join(exercise.names)}\n")
        print(f"  1. do what {path} asks for\n  2. minires check {args.chapter}    (--hint for a hint)")
        return 0
    progress = reader.read_progress(folder)
    for number, (_, title) in chapters.CHAPTERS.items():
        print(f"{number:3}  {mark(number, progress, folder):9}  {title}")
    print("\nA chapter is a script, tutorials/NN_….py; `minires learn 7` writes the exercise of chapter 7.")
    return 0


def mark(number: int, progress: dict[str, dict[str, object]], folder: Path) -> str:
    """Say how far the reader is with a chapter's exercise."""
    from minires.learn import chapters

    if not chapters.has_exercise(number):
        return ""
    entry = progress.get(str(number), {})
    if entry.get("passed"):
        return "passed"
    return "begun" if chapters.exercise_of(number).path(folder).exists() else "not begun"
