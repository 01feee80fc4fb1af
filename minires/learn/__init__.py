"""The reader's side of the tutorials: exercises that examine themselves, and `quick()` for the chapters.

    minires learn               the chapters, and how far you are
    minires learn 7             adds chapter 7 to the reader's own engine, my_minires/conv.py, and writes its exercise,
                                my_minires/07_conv_backward.py: signatures, formulas, and gaps
    minires check 7             examines both, and says which term is wrong; --hint says one thing more each time
    minires check --all         all that is begun
    minires learn 7 --answer    a right answer, after three hints
    python -m my_minires.train  trains what the reader has written so far
    minires check 7 --train     once it is right: trains on the digits with it in the engine
    minires check 7 --json      for graders: a point for each function, and what is wrong with the others

The reader's code runs in a process of its own (minires/learn/isolation.py), with limits of time, memory and output.
What it gives back is judged here; nothing that the process says of itself counts.

**The reader's own engine** lies whole in `package/`, with comments around what the reader is to write;
minires/learn/own_engine.py hands it out chapter by chapter, `parts/` examines it with the tools of the exercises.

**How to write an exercise.** Each is one module, `minires/learn/exercises/chapter_NN.py`, that defines `EXERCISE`, an
`Exercise` (see minires/learn/exercise.py for every field). Chapter 7's is the model:

    EXERCISE = Exercise(
        chapter=7,
        name="conv_backward",                       # the reader's file is my_minires/07_conv_backward.py
        title="The backward pass of a convolution with holes, and of a maximum",
        text=TEXT,                                  # that file: signatures, formulas, `...` gaps
        hints=("…", "…"),                           # one more each `--hint`, never the solution
        checks={"conv2d_grad_input": check, …},     # what the file must define, and how each is examined
        plug=plug,                                  # optional
    )

A check gets the reader's answer, whose functions it calls, and a seed. It is a generator: it yields one short line for
each thing found right, from the simplest to the hardest, and raises `Wrong("…")` at the first that is not. Inputs are
drawn with `generator(seed, head)`, so that each seed examines with other numbers. The tools, in
minires/learn/examiner.py:

    yield from check_gradient(                      # a hand-written backward against finite differences, in float64
        "conv2d_grad_input, stride 2",              # the line, and the head of the diagnosis
        forward,                                    # arrays -> y, an array
        backward,                                   # (grad_y, arrays…) -> one gradient or a tuple: calls the reader's;
                                                    #   None in the tuple for an array that is a constant
        draw,                                       # generator -> named arrays, of other sizes each time
        {"x": Right(terms, variants, sizes)},       # what is known of the right gradients: see below
        seed=seed,
    )
    yield from check_values("im2col", mine.im2col, Right(…), draw, seed)                # arrays that are no gradients
    yield from check_equal("y for stride 2", got, wanted, hint="…")                     # a value

All refuse the gap (a `...` that is still there returns None), wrong shapes and dtypes, and functions that write into
their arguments; an exception in the reader's code is shown with its line, and so is the line that makes float64 of
float32.

**How a mistake is named.** `Right` (minires/gradient_check/fitting.py) holds the terms of the right gradient, named
arrays that add up to it, and variants, what it becomes with mistakes that people make, a sentence for each. The
reader's gradient is compared with the variants and regressed on the terms: a coefficient 0 says that a term is missing,
−1 that its sign is wrong, M/N that N was counted for M. So a variant is needed only for what is no coefficient. A
sentence is said only if its mistake gives what the reader's function gives on four draws: let these differ in their
sizes, and begin with a case in which mistakes differ (stride (2, 3) rather than (2, 1): there the strides exchanged are
not the strides ignored). Where nothing fits, a picture shows the places. Anything else: `raise Wrong("what is wrong,
not what is right")`.

What cannot be sent to another process, tensors and modules, is handled beside the reader's code: `beside` names
functions that get the reader's module and give back numbers and arrays; a check calls them like the reader's own, and
judges what comes back. Chapters 12 and 13 do.

`plug(mine)` is a context manager that puts the reader's functions into the engine; inside it the digits are trained:
`return replaced(numpy_kernels, conv2d_grad_input=mine.conv2d_grad_input)`, `replaced(ReLU, backward=…)`. Training
runs on the NumPy kernels. None where nothing can be plugged in.

An exercise asks for what its chapter has not printed: tests/learn/test_pasted_listings.py pastes the chapter's listings
into it, and none may pass.

A right answer is minires/learn/answers/chapter_NN.py, which `minires learn N --answer` shows. All answers are in
tests/learn/answers_NN.py: `RIGHT`, a dict from each of `names` to a right answer; `ALSO_RIGHT`, a list of what may
stand in its place: other ways to the same numbers, views, another order of memory; and `WRONG`, a list of at least
eight `(dict of what to replace in RIGHT, regular expression that the diagnosis matches)`, each with its own
diagnosis. tests/learn/test_exercises.py finds them by itself. Chapters are listed in minires/learn/chapters.py.
"""

import os

from minires.learn.examiner import Wrong, check_equal, check_gradient, check_values, generator, replaced
from minires.learn.exercise import Exercise
from minires.learn.trainings import recorded_trainings

__all__ = [
    "Exercise",
    "Wrong",
    "check_equal",
    "check_gradient",
    "check_values",
    "generator",
    "quick",
    "recorded_trainings",
    "replaced",
]


def quick() -> bool:
    """Whether chapters should do a few steps only, for tests: the environment variable MINIRES_QUICK is set."""
    return bool(os.environ.get("MINIRES_QUICK"))
