"""What looks at a pass and computes no gradient of its own. For the reader at a prompt all of it is in `minires.debug`.

observing         an observer, which the engine tells of every op's forward and backward
watch             stop at the first op that computes a NaN or runs away; `first_not_finite` for trainings
backward_steps    the backward pass one op at a time, each with a record: `Step`
forks             what skip and branch bring back at every residual add

and, in files of their own, counting.py (what a network costs), profiling.py (where the time goes) and pdb_prompt.py.
"""

from minires.observe.fork_meter import Fork, forks
from minires.observe.observer import Observer, observing
from minires.observe.step import Input, Progress, Source, Statistics, Step, statistics
from minires.observe.stepper import backward_steps
from minires.observe.watching import Finding, WatchError, first_not_finite, watch

__all__ = [
    "Finding",
    "Fork",
    "Input",
    "Observer",
    "Progress",
    "Source",
    "Statistics",
    "Step",
    "WatchError",
    "backward_steps",
    "first_not_finite",
    "forks",
    "observing",
    "statistics",
    "watch",
]
