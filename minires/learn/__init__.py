"""The reader's side of the tutorials: exercises that examine themselves, and `quick()` for the chapters.

    minires learn               the chapters, and how far you are
    minires learn 7             writes my_minires/07_conv_backward.py: signature, formula, and a gap
    minires check 7             examines it, and says which term is wrong; --hint says one thing more each time
    minires check 7 --train     once it is right: trains on the digits with it in the engine

**How to write an exercise.** Each is one module, `minires/learn/exercises/chapter_NN.py`, that defines `EXERCISE`, an
`Exercise` (see minires/learn/exercise.py for every field). Chapter 7's is the model:

    EXERCISE = Exercise(
        chapter=7,
        name="conv_backward",                       # the reader's file is my_minires/07_conv_backward.py
        title="The backward pass of a convolution",
        text=TEXT,                                  # that file: signatures, formulas, `...` gaps
        names=("conv2d_grad_input", "conv2d_grad_weight"),     # what it must define
        hints=("…", "…"),                           # one more each `--hint`, never the solution
        check=check,
        plug=plug,                                  # optional
    )

`check(mine)` gets the reader's module. It is a generator: it yields one short line for each thing found right, from
the simplest to the hardest, and raises `Wrong("…")` at the first that is not. The tools for it, in
minires/learn/examiner.py:

    yield from check_gradient(                      # a hand-written backward against finite differences, in float64
        "conv2d_grad_input, stride 2",              # the line, and the head of the diagnosis
        forward,                                    # arrays -> y, an array
        backward,                                   # (grad_y, arrays…) -> one gradient or a tuple: calls the reader's
        {"x": x, "weight": weight},                 # named arrays (float64); those with a gradient None in the
        mistakes={"sentence": wrong_backward},      #   backward's tuple are taken as constants.  mistakes: see below
    )
    yield from check_equal("y for stride 2", got, wanted, hint="…")    # a value; hint: what may have gone wrong

Both refuse the gap (a `...` that is still there returns None), wrong shapes and dtypes, and functions that write into
their arguments; an exception in the reader's code is shown with its line. `check_gradient` adds the gradient checker's
own diagnosis ("the sign is wrong", "flipped along axes 2 and 3", …). Where that has no sentence for a typical mistake,
`mistakes` maps a sentence that names the wrong term to a backward that makes this mistake; if the reader's gradient
equals its gradient, the sentence is the diagnosis. Anything else: `raise Wrong("what is wrong, not what is right")`.

`plug(mine)` is a context manager that puts the reader's functions into the engine; inside it the digits are trained:
`return replaced(numpy_kernels, conv2d_grad_input=mine.conv2d_grad_input)`, `replaced(ReLU, backward=…)`. Training
runs on the NumPy kernels. None where nothing can be plugged in.

The answers are in tests/learn/answers_NN.py: `RIGHT`, a dict from each of `names` to a right answer, and `WRONG`, a
list of at least two `(dict of what to replace in RIGHT, regular expression that the diagnosis matches)`, each with its
own diagnosis. tests/learn/test_exercises.py finds them by itself. Chapters are listed in minires/learn/chapters.py.
"""

import os

from minires.learn.examiner import Wrong, check_equal, check_gradient, replaced
from minires.learn.exercise import Exercise

__all__ = ["Exercise", "Wrong", "check_equal", "check_gradient", "quick", "replaced"]


def quick() -> bool:
    """Whether chapters should do a few steps only, for tests: the environment variable MINIRES_QUICK is set."""
    return bool(os.environ.get("MINIRES_QUICK"))
