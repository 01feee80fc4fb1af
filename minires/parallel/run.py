"""A run on several processes: all train, process 0 alone writes the folder and shows the progress.

An error before the training ends all processes with one message. One that a single process meets later ends the others
at once, as does its death, which mpiexec sees; the run then goes on from its last checkpoint, with any number of
processes. A signal to mpiexec reaches all processes; they stop after the same step.
"""

import shlex
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minires import runs
from minires.parallel.processes import Processes, all_processes, share_cores
from minires.parallel.trainer import ParallelTrainer, draw_apart, in_parallel
from minires.runs import checkpoint
from minires.runs.recipe import Recipe
from minires.runs.run import Run
from minires.runs.signals import SignalHandler, StopRequested
from minires.runs.state import TrainingState

Prepared = tuple[Recipe, ParallelTrainer]
Tell = Callable[[Run], None] | None


class ParallelRun(Run):
    """The run of process 0, which writes."""

    trainer: ParallelTrainer

    def make_stoppable(self, signals: SignalHandler) -> None:
        """Signals are told to all processes with the gradients; all stop after the same step."""
        self.trainer.signals = signals

    def log(self, record: dict[str, Any]) -> None:
        if "images_per_second" in record:  # of this process's share, in the time that all of them took
            share = self.trainer.processes.share(self.trainer.images)
            record["images_per_second"] *= self.trainer.images / max(1, share.stop - share.start)
        super().log(record)


def start(make_recipe: Callable[[], Recipe], out: str, tell: Tell = None) -> int:
    """Begin a new run below `out`; return the exit code, as `Run.carry_out` does. tell: as of `Run`."""
    processes = all_processes()
    recipe, trainer = processes.together(lambda: prepared(processes, make_recipe()))
    folder: list[Path] = []
    if_first(processes, lambda: folder.append(runs.new_run(out, "train", recipe.model.name, recipe.to_dict())))
    with ExitStack() as stack:
        if_first(processes, lambda: stack.enter_context(runs.lock(folder[0])))
        return train(processes, recipe, trainer, folder[0] if folder else None, tell)


def resume(
    folder: Path, make_recipe: Callable[[], Recipe], write_config: Callable[[Recipe], None], tell: Tell = None
) -> int:
    """Go on with a run from its newest checkpoint, written by whatever number of processes."""
    processes = all_processes()
    recipe, trainer = processes.together(lambda: prepared(processes, make_recipe()))
    with ExitStack() as stack:
        if_first(processes, lambda: stack.enter_context(runs.lock(folder)))
        processes.together(lambda: restore(processes, recipe, trainer, folder))
        if_first(processes, lambda: write_config(recipe))
        if processes.rank == 0:
            print(f"{folder}: goes on after step {trainer.step}", file=sys.stderr)
        return train(processes, recipe, trainer, folder, tell)


def if_first(processes: Processes, work: Callable[[], Any]) -> None:
    """Let process 0 do it; where it fails, all end."""
    processes.together(lambda: work() if processes.rank == 0 else None)


def prepared(processes: Processes, recipe: Recipe) -> Prepared:
    """Build a process's trainer, on a GPU of its own where the recipe asks for one."""
    share_cores(processes)
    if recipe.device == "cuda":
        use_own_gpu(processes.local_rank)
    return recipe, in_parallel(runs.build(recipe), processes)


def use_own_gpu(local_rank: int) -> None:
    """Make "cuda" another GPU in each process of a machine; too few are shared."""
    from minires.kernels.devices import gpu_problem

    if gpu_problem() is None:  # else the device is refused, with that reason, when the model is moved
        import cupy

        cupy.cuda.Device(local_rank % cupy.cuda.runtime.getDeviceCount()).use()


def restore(processes: Processes, recipe: Recipe, trainer: ParallelTrainer, folder: Path) -> None:
    """Put a process's trainer back to where the newest checkpoint was; process 0 tidies the folder."""
    if processes.rank == 0:
        for difference in Run(folder, recipe, trainer).restore():
            print(f"minires train: {difference}", file=sys.stderr)
    else:
        TrainingState(trainer).load_state_dict(checkpoint.load(checkpoint.newest(folder / "checkpoints"))[0])
    if trainer.step > recipe.steps:
        raise ValueError(f"{folder} has done {trainer.step} steps already, more than {recipe.steps}")


def train(
    processes: Processes, recipe: Recipe, trainer: ParallelTrainer, folder: Path | None = None, tell: Tell = None
) -> int:
    """Train to the recipe's last step. An error that is this process's alone ends all of them."""
    try:
        trainer.check_equal()
        draw_apart(trainer.model, processes.rank)
        if processes.rank > 0:
            return follow(trainer, recipe.steps)
        assert folder is not None
        print(
            f"{folder}: {processes.size} processes, each with its share of {recipe.batch_size} images; should one of "
            f"them die, go on with: minires train --resume {shlex.quote(str(folder))}",
            file=sys.stderr,
        )
        run = ParallelRun(folder, recipe, trainer, tell=tell)
        if checkpoint.steps_in(run.checkpoints):  # the best evaluation so far stands in the checkpoint too
            run.state.best = checkpoint.load(checkpoint.newest(run.checkpoints))[0]["best"]
        return run.carry_out()
    except BaseException as error:  # whatever it is: the others would wait for this process for ever
        words = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
        who = f"process {processes.rank} of {processes.size}"
        print(f"minires train: {who} ends the training: {words}", file=sys.stderr, flush=True)
        time.sleep(1)  # mpiexec passes the message on, and would drop it when it ends all
        processes.abort(130 if isinstance(error, KeyboardInterrupt) else 2)
        raise


def follow(trainer: ParallelTrainer, steps: int) -> int:
    """Train along with process 0, which writes everything down; return its exit code."""
    try:
        with SignalHandler() as trainer.signals:
            trainer.train(steps, lambda record: None)
    except StopRequested as stop:
        return 128 + stop.number
    except FloatingPointError:
        return 1
    return 0
