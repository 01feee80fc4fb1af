"""A training in a folder: its records and checkpoints, how it ends, and how it goes on."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minires.runs import checkpoint, records
from minires.runs.recipe import Recipe
from minires.runs.run_files import read
from minires.runs.signals import SignalHandler, StoppableLoader, StopRequested
from minires.runs.state import TrainingState
from minires.training import Trainer

BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"


class Run:
    """A trainer, the recipe it was built from, and the folder that it writes to, whose lock the caller holds."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        trainer: Trainer,
        command: str = "train",
        tell: Callable[["Run"], None] | None = None,
    ) -> None:
        """tell: says at the end what the training came to, which `run.report` holds then; None prints `run.lines()`."""
        assert trainer.evaluation is not None
        self.folder, self.recipe, self.trainer, self.command = folder, recipe, trainer, command
        self.tell = tell
        self.report: dict[str, Any] = {}
        self.checkpoints, self.metrics = folder / "checkpoints", folder / "metrics.jsonl"
        self.part = trainer.evaluation[0]  # what is evaluated with: "test" or "validation"
        self.state = TrainingState(trainer)

    def carry_out(self) -> int:
        """Train to the recipe's last step, with records and checkpoints in the folder; return the exit code.

        0 finished, 1 diverged, 128 + the signal's number where one stopped it.
        """
        from minires.runs.progress import ProgressBar

        resume = f"minires train --resume {shlex.quote(str(self.folder))}"
        code, outcome = 0, "finished"
        self.first_step = self.trainer.step + 1
        self.bar = ProgressBar(total=self.recipe.steps, initial=self.trainer.step, bar_format=BAR, disable=None)
        try:
            with self.bar, SignalHandler() as signals:
                self.make_stoppable(signals)
                try:
                    if not checkpoint.steps_in(self.checkpoints):
                        self.save()
                    self.prune()  # one that was killed behind its last save has left one too many
                    self.trainer.train(self.recipe.steps, self.log)
                except StopRequested as stop:
                    self.save()
                    code = 128 + stop.number
                    outcome = f"stopped by {stop} after step {self.trainer.step}; go on with: {resume}"
        except FloatingPointError as error:
            last = checkpoint.newest(self.checkpoints).name
            code, outcome = 1, f"{error}. The last checkpoint, from before, is {last}"
        except OSError as error:
            if checkpoint.steps_in(self.checkpoints):
                last = checkpoint.newest(self.checkpoints).name
                error.add_note(f"the last checkpoint is {last}; go on with: {resume}")
            raise
        self.write_report(outcome)
        if self.tell is None:
            print(*self.lines(), sep="\n")
        else:
            self.tell(self)
        if code:
            print(f"minires {self.command}: {outcome}", file=sys.stderr)
        return code

    def make_stoppable(self, signals: SignalHandler) -> None:
        """Let a signal end the training before the next batch, of a step or of an evaluation."""
        trainer = self.trainer
        assert trainer.evaluation is not None
        trainer.loader = StoppableLoader(trainer.loader, signals)
        trainer.evaluation = (self.part, StoppableLoader(trainer.evaluation[1], signals))

    def log(self, record: dict[str, Any]) -> None:
        """Write the record of a step or an evaluation down, show it, and save when it is time to."""
        records.append_jsonl(self.metrics, record)
        if "loss" in record:  # of a step
            self.bar.set_postfix_str(f"loss {record['loss']:.3f}", refresh=False)
            self.bar.update(timed=record["step"] != self.first_step)
            due = record["step"] % self.recipe.checkpoint_every == 0
            if due and not self.trainer.evaluation_is_due(self.recipe.steps):  # else the evaluation saves both
                self.save()
            return
        self.state.note_evaluation(record)
        words = f"epoch {record['epoch'] + 1}: {self.part} accuracy {record[f'{self.part}_accuracy']:.1%}"
        self.bar.set_description(words)
        if self.bar.disable:  # no terminal, but perhaps a log file
            print(words, file=sys.stderr)
        self.save()

    def save(self) -> None:
        """Write a checkpoint, and delete those that are not to be kept."""
        records.sync(self.metrics)  # a power cut shall not leave a checkpoint without its metrics
        state = {**self.state.state_dict(), "configuration": self.recipe.to_dict()}
        checkpoint.save(self.checkpoints, self.trainer.step, state, self.trainer.model.parameters()[0].data)
        self.prune()

    def prune(self) -> None:
        """Delete the checkpoints that are not to be kept."""
        checkpoint.prune(self.checkpoints, self.recipe.keep_checkpoints, self.state.best.get("step"))

    def restore(self) -> list[str]:
        """Put the trainer back to where the newest checkpoint was; return what is to be said about the differences.

        Metrics written after that checkpoint are cut off, as are the remains of a write that was killed.
        ValueError, and nothing changed, where there is no checkpoint, or it is damaged or does not fit.
        """
        if self.metrics.exists():
            read(self.folder, self.metrics.name)  # says what is damaged, before anything is changed
        path = checkpoint.newest(self.checkpoints)
        state, environment = checkpoint.load(path)
        try:
            self.state.load_state_dict(state)
        except (KeyError, TypeError, AttributeError, IndexError) as error:  # only in format 1 is the state unchecked
            raise checkpoint.damaged(path, f"its state is not the one that was saved ({error!r})") from error
        except ValueError as error:
            error.add_note(f"so it is with {path}")
            raise
        checkpoint.remove_leftovers(self.checkpoints)
        trainer = self.trainer

        def keep(record: dict[str, Any]) -> bool:
            return record["step"] <= (trainer.step if "loss" in record else trainer.evaluated)

        records.truncate_jsonl(self.metrics, keep)
        return checkpoint.differences(environment, checkpoint.environment(trainer.model.parameters()[0].data))

    def write_report(self, outcome: str) -> None:
        """Write report.json."""
        accuracy, loss = f"{self.part}_accuracy", f"{self.part}_loss"
        metrics = read(self.folder, self.metrics.name) if self.metrics.exists() else []
        last: dict[str, Any] = next((record for record in reversed(metrics) if accuracy in record), {})
        best = self.state.best
        self.report = {
            "model": self.recipe.model.name,
            "parameters": sum([parameter.size for parameter in self.trainer.model.parameters()]),
            "outcome": outcome,
            "steps": self.trainer.step,
            "evaluated_step": last.get("step"),
            accuracy: last.get(accuracy),
            loss: last.get(loss),
            "best_step": best.get("step"),
            f"best_{accuracy}": best.get(accuracy),
        }
        records.write_json(self.folder / "report.json", self.report)

    def lines(self) -> list[str]:
        """Say what the report holds, and where."""
        report, accuracy = self.report, f"{self.part}_accuracy"
        files = f"{self.folder}: config.json, metrics.jsonl, report.json, checkpoints"
        if report["evaluated_step"] is None:
            return [files]
        last = f"{self.part} accuracy {report[accuracy]:.2%}, {self.part} loss {report[f'{self.part}_loss']:.4f}"
        best = f"best {report[f'best_{accuracy}']:.2%} after {report['best_step']}"
        return [f"{report['model']}: {last} after {report['evaluated_step']} steps; {best}", files]
