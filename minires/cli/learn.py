"""`minires learn`: the chapters and how far the reader is; `minires learn 7` writes that chapter's share."""

import argparse
from pathlib import Path

from minires.cli.as_json import add_json, print_json
from minires.language import say

EXAMPLES = [
    ("minires learn", "the chapters, and how far you are"),
    ("minires learn 7", "the files of chapter 7"),
    ("minires learn --export notebooks", "all chapters as notebooks"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", nargs="?", type=int, metavar="CHAPTER", help="write this chapter's files")
    parser.add_argument("--answer", action="store_true", help="show a right answer; it comes after the hints")
    parser.add_argument("--export", metavar="FOLDER", help="write the chapter, or all of them, as notebooks instead")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")
    add_json(parser, "print the list of chapters as JSON")


def run(args: argparse.Namespace) -> int:
    from minires.learn import chapters

    folder = Path(args.folder)
    if args.json and (args.chapter is not None or args.export is not None or args.answer):
        raise ValueError("--json is for the list of chapters: leave out all but --folder")
    if args.export is not None:
        return export(args.chapter, Path(args.export))
    if args.chapter is None:
        if args.answer:
            raise ValueError("--answer: give the number of a chapter")
        return show(folder, args.json)
    if args.answer:
        return show_answer(args.chapter, folder)
    exercise, parts = chapters.exercise_of(args.chapter), chapters.parts_of(args.chapter)
    say(f"The chapter, to read and to run:\n  {chapters.path_of(args.chapter)}")
    try:
        if parts:
            write_engine(args.chapter, folder)
        write_exercise(exercise, folder)
    except OSError as error:
        message = f"cannot write into the folder {folder} ({error.strerror}); choose another with --folder"
        raise OSError(message) from error
    say(f"\nThen: minires check {args.chapter}    (--hint for a hint)")
    return 0


def export(chapter: int | None, folder: Path) -> int:
    """Write a chapter, or all, as notebooks; print where."""
    from minires.learn import chapters, notebooks

    if chapter is not None:
        chapters.exercise_of(chapter)  # refuses a chapter that there is not
    for number in chapters.CHAPTERS if chapter is None else [chapter]:
        print(notebooks.export(number, folder))
    return 0


def write_engine(chapter: int, folder: Path) -> None:
    """Add a chapter to the reader's own engine, and say what there is to do."""
    from minires.learn import own_engine

    written = own_engine.write_chapter(chapter, folder)
    say("Your own engine:")
    for section in written.added:
        say(f"  {folder / section.file}{'' if own_engine.gaps(section.text) else ', which has no gap'}")
        for number, gap in enumerate(own_engine.gaps(section.text), 1):
            say(f"    {number}. {gap}")
    for section in written.present:
        say(f"  {folder / section.file}: chapter {chapter} is in it already, and stays as it is")
    if written.filled:
        say("  What earlier chapters would have put there was missing, and was put in, finished:")
        for file in dict.fromkeys([one.file for one in written.filled]):
            numbers = [str(one.chapter) for one in written.filled if one.file == file]
            say(f"    {folder / file} (chapter{'s' if len(numbers) > 1 else ''} {', '.join(numbers)})")


def write_exercise(exercise, folder: Path) -> None:
    from minires.learn import reader

    say("The exercise:")
    path = exercise.path(folder)
    if path.exists():
        say(f"  {path} is there already, and stays as it is; to begin again, move it away first")
        return
    reader.write_exercise(exercise, folder)
    say(f"  {path}: {exercise.title} ({', '.join(exercise.names)})")


def show_answer(chapter: int, folder: Path) -> int:
    """Print what fills a chapter's gaps, and an answer to its exercise; the chapter is marked as seen."""
    from minires.learn import chapters, own_engine, reader

    exercise = chapters.exercise_of(chapter)
    entry = reader.read_progress(folder).get(str(chapter), {})
    given, wanted = entry.get("hints", 0), min(3, len(exercise.hints))
    if not entry.get("passed") and given < wanted:
        raise ValueError(
            f"the answer comes after {wanted} hints, and you have had {given}: `minires check {chapter} --hint` gives "
            "one more each time"
        )
    for section in own_engine.sections(chapter):
        for gap, lines in own_engine.answers(section.text):
            print(f"# {section.file}: {gap}\n{lines}")
    print(f"# {exercise.path(folder).name}\n{chapters.answer_to(chapter)}")
    if not entry.get("passed"):
        reader.note(folder, chapter, seen=True)
    return 0


def show(folder: Path, as_json: bool) -> int:
    """List the chapters, and how far the reader is with each."""
    from minires.learn import chapters, reader

    progress = reader.read_progress(folder)
    if as_json:
        print_json([
            {
                "chapter": number,
                "title": title,
                "path": str(chapters.path_of(number)),
                "progress": mark(number, progress, folder) or None,
                "hints": progress.get(str(number), {}).get("hints", 0),
            }
            for number, (_, title) in chapters.CHAPTERS.items()
        ])  # fmt: skip
        return 0
    for number, (_, title) in chapters.CHAPTERS.items():
        say(f"{number:3}  {mark(number, progress, folder):9}  {title}")
    say(f"\nThe chapters are scripts, in {chapters.path_of(1).parent}")
    say("`minires learn 7` writes the files of chapter 7.")
    return 0


def mark(number: int, progress: dict[str, dict[str, object]], folder: Path) -> str:
    """Say how far the reader is with a chapter."""
    from minires.learn import chapters

    if not chapters.has_exercise(number):
        return ""
    entry = progress.get(str(number), {})
    if entry.get("passed"):
        return "seen" if entry.get("seen") else "passed"
    return "begun" if chapters.exercise_of(number).path(folder).exists() else "not begun"
