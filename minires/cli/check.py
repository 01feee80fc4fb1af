"""`minires check 7`: examine the reader's answer, say which term is wrong, give hints, and train with what is right.

The reader's code runs in a process of its own, with limits; what it gives back is judged here. Exit codes: 0 all is
right; 1 it is not, for whatever reason; 2 a wrong call, or a file that is not there.
"""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", type=int, metavar="CHAPTER", help="the chapter whose exercise to examine")
    parser.add_argument("--hint", action="store_true", help="after the examination, one hint more than last time")
    parser.add_argument("--train", action="store_true", help="if all is right, train on the digits with your functions")
    parser.add_argument("--folder", default="my_minires", metavar="FOLDER", help="where your files are (my_minires)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draw the examination's numbers anew (0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, each function by itself")


def run(args: argparse.Namespace) -> int:
    from minires.learn import Wrong, chapters, reader

    folder, exercise = Path(args.folder), chapters.exercise_of(args.chapter)
    if args.seed < 0:
        raise ValueError(f"a seed is a number from 0 on, got {args.seed}")
    if args.json and (args.hint or args.train):
        raise ValueError("--json gives the result alone: leave out --hint and --train")
    if args.train and exercise.plug is None:
        raise ValueError(f"nothing of chapter {args.chapter}'s exercise goes into the engine: leave out --train")
    if args.json:
        return print_json(exercise, folder, args.seed)
    answer, losses = None, None
    try:
        answer = reader.open_answer(exercise, folder)
        with answer as mine:
            for line in reader.examine(exercise, mine, args.seed):
                print(f"  ok     {line}", flush=True)
            losses = train(mine) if args.train else None
    except Wrong as wrong:
        print(f"  WRONG  {wrong}".replace("\n", "\n       "))
        show_output(answer)
        reader.note(folder, args.chapter, passed=False)
        if args.hint:
            give_hint(exercise, folder)
        return 1
    show_output(answer)
    reader.note(folder, args.chapter, passed=True)
    print(f"\nChapter {args.chapter} passed: {', '.join(exercise.names)}.")
    if losses is not None:
        compare(losses)
    elif exercise.plug is not None:
        print(f"Put it into the engine and train on the digits with it: minires check {args.chapter} --train")
    return 0


def print_json(exercise, folder: Path, seed: int) -> int:
    """Examine each function by itself, in a process of its own, and print what a grader needs; a point for each.

    Nothing is written: a grader's copy of an answer stays as it is.
    """
    from minires.learn import Wrong, reader

    begun = time.monotonic()
    diagnoses: list[dict[str, str]] = []
    right: list[str] = []
    printed: list[str] = []
    for name in exercise.names:
        answer = None
        try:
            answer = reader.open_answer(exercise, folder)
            answer.share(len(exercise.names))
            with answer as mine:
                right += reader.examine(exercise, mine, seed, [name])
        except Wrong as wrong:
            diagnoses.append({"function": name, "text": str(wrong)})
        if answer is not None:
            printed = printed or answer.output()
    result = {
        "chapter": exercise.chapter,
        "exercise": exercise.name,
        "passed": not diagnoses,
        "points": len(exercise.names) - len(diagnoses),
        "of": len(exercise.names),
        "diagnoses": diagnoses,
        "right": right,
        "printed": printed,
        "seed": seed,
        "time": round(time.monotonic() - begun, 3),
    }
    print(json.dumps(result, indent=2, ensure_ascii=True))
    return 1 if diagnoses else 0


def show_output(answer) -> None:
    """Show what the reader's code printed, apart from what is said about it."""
    lines = answer.output() if answer is not None else []
    if lines:
        print("\nYour file printed:", *[f"  | {line}" for line in lines], sep="\n")


def give_hint(exercise, folder: Path) -> None:
    """Print all hints asked for until now, and one more."""
    from minires.learn import reader

    given = reader.read_progress(folder).get(str(exercise.chapter), {}).get("hints", 0)
    given = min(given + 1, len(exercise.hints))
    for number, hint in enumerate(exercise.hints[:given], 1):
        print(f"\nHint {number} of {len(exercise.hints)}: {hint}")
    reader.note(folder, exercise.chapter, hints=given)


def train(mine) -> list[float]:
    """Train a small network with the reader's functions in the engine, in their process."""
    from minires.learn import digits

    return mine.train(digits.STEPS)


def compare(with_mine: list[float]) -> None:
    """Train once more with the engine's own functions, and say how the two went."""
    from minires.learn import digits

    told = digits.compare(with_mine, digits.losses(digits.STEPS))
    print(f"{digits.STEPS} steps on the digits with your functions: {told}")
