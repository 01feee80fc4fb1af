"""`minires check 7`: examine the reader's answer, say which term is wrong, give hints, and train with what is right."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", type=int, metavar="CHAPTER", help="the chapter whose exercise to examine")
    parser.add_argument("--hint", action="store_true", help="after the examination, one hint more than last time")
    parser.add_argument("--train", action="store_true", help="if all is right, train on the digits with your functions")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")


def run(args: argparse.Namespace) -> int:
    from minires.learn import Wrong, chapters, reader

    folder, exercise = Path(args.folder), chapters.exercise_of(args.chapter)
    if args.train and exercise.plug is None:
        raise ValueError(f"nothing of chapter {args.chapter}'s exercise goes into the engine: leave out --train")
    try:
        mine = reader.load(exercise, folder)
        for line in reader.examine(exercise, mine):
            print(f"  ok     {line}", flush=True)
    except Wrong as wrong:
        print(f"  WRONG  {wrong}".replace("\n", "\n       "))
        reader.note(folder, args.chapter, passed=False)
        if args.hint:
            give_hint(exercise, folder)
        return 1
    reader.note(folder, args.chapter, passed=True)
    print(f"\nChapter {args.chapter} passed: {', '.join(exercise.names)}.")
    if args.train:
        train(exercise, mine)
    elif exercise.plug is not None:
        print(f"Put it into the engine and train on the digits with it: minires check {args.chapter} --train")
    return 0


def give_hint(exercise, folder: Path) -> None:
    """Print all hints asked for until now, and one more."""
    from minires.learn import reader

    given = reader.read_progress(folder).get(str(exercise.chapter), {}).get("hints", 0)
    given = min(given + 1, len(exercise.hints))
    for number, hint in enumerate(exercise.hints[:given], 1):
        print(f"\nHint {number} of {len(exercise.hints)}: {hint}")
    reader.note(folder, exercise.chapter, hints=given)


def train(exercise, mine) -> None:
    """Train a small network twice: with the reader's functions in the engine, and with the engine's own."""
    from minires.learn import digits

    with exercise.plug(mine):
        with_mine = digits.losses(digits.STEPS)
    told = digits.compare(with_mine, digits.losses(digits.STEPS))
    print(f"{digits.STEPS} steps on the digits with your functions: {told}")
