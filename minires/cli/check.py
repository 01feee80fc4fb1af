"""`minires check 7`: examine the reader's answer, say which term is wrong, give hints, and train with what is right.

The reader's code runs in a process of its own, with limits; what it gives back is judged here. Exit codes: 0 all is
right; 1 it is not, for whatever reason; 2 a wrong call, or a file that is not there.
"""

import argparse
import time
from pathlib import Path

from minires.cli.as_json import print_json
from minires.language import say

EXAMPLES = [
    ("minires check 7", "examine what you have written for chapter 7"),
    ("minires check 7 --hint", "and one hint more than last time"),
    ("minires check --all", "everything that you have begun"),
    ("minires check 7 --json", "for graders"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", nargs="?", type=int, metavar="CHAPTER", help="the chapter to examine")
    parser.add_argument("--all", action="store_true", help="examine every chapter that you have begun")
    parser.add_argument("--hint", action="store_true", help="after the examination, one hint more than last time")
    parser.add_argument("--train", action="store_true", help="if all is right, train on the digits with your functions")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draw the examination's numbers anew (0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, each function by itself")


def run(args: argparse.Namespace) -> int:
    from minires.learn import chapters

    folder = Path(args.folder)
    if args.seed < 0:
        raise ValueError(f"a seed is a number from 0 on, got {args.seed}")
    if args.all == (args.chapter is not None):
        raise ValueError("give the number of a chapter, or --all")
    if (args.json or args.all) and (args.hint or args.train):
        raise ValueError("--json and --all give the results alone: leave out --hint and --train")
    if args.all:
        return check_all(folder, args)
    exercise = chapters.exercise_of(args.chapter)
    if args.train and exercise.plug is None:
        raise ValueError(f"nothing of chapter {args.chapter}'s exercise goes into the engine: leave out --train")
    if args.json:
        return grade([args.chapter], folder, args.seed)
    return check_chapter(args.chapter, folder, args)


def begun(folder: Path) -> list[int]:
    """List the chapters of which something is there; ValueError where there is nothing."""
    from minires.learn import chapters

    found = [number for number in chapters.CHAPTERS if tasks_of(number, folder)]
    if not found:
        raise ValueError(f"there is nothing in {folder} yet; `minires learn 1` begins")
    return found


def tasks_of(number: int, folder: Path) -> list:
    """List what there is of a chapter: the parts of the reader's own engine, then the exercise."""
    from minires.learn import chapters, own_engine

    there = {section.file for section in own_engine.sections(number) if own_engine.is_there(section, folder)}
    found = [part for part in chapters.parts_of(number) if part.file in there]
    if chapters.has_exercise(number) and chapters.exercise_of(number).path(folder).exists():
        found.append(chapters.exercise_of(number))
    return found


def check_all(folder: Path, args: argparse.Namespace) -> int:
    """Examine all chapters that are begun; go on behind one that is not right."""
    numbers = begun(folder)
    if args.json:
        return grade(numbers, folder, args.seed)
    wrong = []
    for number in numbers:
        say(f"Chapter {number}")
        if check_chapter(number, folder, args):
            wrong.append(number)
    if wrong:
        say(f"\nNot right yet: {', '.join(['chapter ' + str(number) for number in wrong])}.")
    else:
        say(f"\nAll right: {len(numbers)} chapters.")
    return 1 if wrong else 0


def check_chapter(number: int, folder: Path, args: argparse.Namespace) -> int:
    """Examine what there is of a chapter, its share of the reader's own engine first; stop at what is wrong."""
    from minires.learn import Wrong, chapters, own_engine, reader

    tasks = tasks_of(number, folder) or [chapters.exercise_of(number)]  # whose file is missing, which is said
    answer, losses = None, None
    try:
        earlier = own_engine.open_gaps(folder, number) if tasks[0].file else []
        if earlier:
            file, before, gap = earlier[0]
            raise Wrong(f"{file} still has a gap of chapter {before}, on which this builds: {gap}")
        for task in tasks:
            answer = reader.open_answer(task, folder)
            with answer as mine:
                for line in reader.examine(task, mine, args.seed):
                    say(f"  ok     {line}")
                losses = train(mine) if args.train and not task.file else None
    except Wrong as wrong:
        say(f"  WRONG  {wrong}".replace("\n", "\n       "))
        for file, _, gap in [one for one in own_engine.open_gaps(folder, number + 1) if one[1] == number]:
            say(f"         still to do in {file}: {gap}")
        show_output(answer)
        reader.note(folder, number, passed=False)
        if args.hint:
            give_hint(task if answer is not None else tasks[0], folder)
        return 1
    show_output(answer)
    reader.note(folder, number, passed=True)
    if not args.all:
        say_passed(number, tasks, folder, losses)
    return 0


def say_passed(number: int, tasks: list, folder: Path, losses: list[float] | None) -> None:
    """Say what is right now, and what can be trained with it."""
    last = tasks[-1]
    say(f"\nChapter {number} passed: {', '.join([name for task in tasks for name in task.names])}.")
    if losses is not None:
        compare(losses)
    elif not last.file and last.plug is not None:
        say(f"Put it into the engine and train on the digits with it: minires check {number} --train")
    if number in MILESTONES and tasks[0].file:
        say(f"Your own engine can do something now: python -m {folder.name}.{MILESTONES[number]}")


MILESTONES = {3: "points", 5: "train linear", 7: "train conv", 12: "train resnet20"}


def grade(numbers: list[int], folder: Path, seed: int) -> int:
    """Examine each function by itself, in a process of its own, and print what a grader needs; a point for each.

    Nothing is written: a grader's copy of an answer stays as it is.
    """
    results = [as_json(task, folder, seed) for number in numbers for task in tasks_or_exercise(number, folder)]
    print_json(results[0] if len(results) == 1 else results)
    return 0 if all(result["passed"] for result in results) else 1


def tasks_or_exercise(number: int, folder: Path) -> list:
    from minires.learn import chapters

    return tasks_of(number, folder) or [chapters.exercise_of(number)]


def as_json(task, folder: Path, seed: int) -> dict[str, object]:
    """Examine the functions of one task; return the result."""
    from minires.learn import Wrong, reader

    begun = time.monotonic()
    diagnoses: list[dict[str, str]] = []
    right: list[str] = []
    printed: list[str] = []
    for name in task.names:
        answer = None
        try:
            answer = reader.open_answer(task, folder)
            answer.share(len(task.names))
            with answer as mine:
                right += reader.examine(task, mine, seed, [name])
        except Wrong as wrong:
            diagnoses.append({"function": name, "text": str(wrong)})
        if answer is not None:
            printed = printed or answer.output()
    return {
        "chapter": task.chapter,
        "exercise": task.name,
        "file": task.path(folder).name,
        "passed": not diagnoses,
        "points": len(task.names) - len(diagnoses),
        "of": len(task.names),
        "diagnoses": diagnoses,
        "right": right,
        "printed": printed,
        "seed": seed,
        "time": round(time.monotonic() - begun, 3),
    }


def show_output(answer) -> None:
    """Show what the reader's code printed, apart from what is said about it."""
    lines = answer.output() if answer is not None else []
    if lines:
        say("\nYour file printed:")
        print(*[f"  | {line}" for line in lines], sep="\n")


def give_hint(exercise, folder: Path) -> None:
    """Print all hints asked for until now, and one more."""
    from minires.learn import reader

    given = reader.read_progress(folder).get(str(exercise.chapter), {}).get("hints", 0)
    given = min(given + 1, len(exercise.hints))
    for number, hint in enumerate(exercise.hints[:given], 1):
        say(f"\nHint {number} of {len(exercise.hints)}: {hint}")
    reader.note(folder, exercise.chapter, hints=given)


def train(mine) -> list[float]:
    """Train a small network with the reader's functions in the engine, in their process."""
    from minires.learn import digits

    return mine.train(digits.STEPS)


def compare(with_mine: list[float]) -> None:
    """Train once more with the engine's own functions, and say how the two went."""
    from minires.learn import digits

    told = digits.compare(with_mine, digits.losses(digits.STEPS))
    say(f"{digits.STEPS} steps on the digits with your functions: {told}")
