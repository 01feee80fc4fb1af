"""All that changes in a training, collected for a checkpoint and put back."""

from typing import Any

from minires.training import Trainer


class TrainingState:
    """The complete state of a trainer, and the best evaluation so far.

    A trainer that is made the same way and takes over what `state_dict` gave goes on to the same bytes.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.best: dict[str, Any] = {}  # the record of the evaluation with the highest accuracy

    def note_evaluation(self, record: dict[str, Any]) -> None:
        """Keep the record of an evaluation if it is the best."""
        assert self.trainer.evaluation is not None
        accuracy = f"{self.trainer.evaluation[0]}_accuracy"
        if not self.best or record[accuracy] > self.best[accuracy]:
            self.best = record

    def state_dict(self) -> dict[str, Any]:
        """Return copied arrays and plain values: what `checkpoint.save` takes."""
        trainer = self.trainer
        optimizer = trainer.optimizer.state_dict()
        return {
            "step": trainer.step,
            "evaluated": trainer.evaluated,
            "best": self.best,
            "model": trainer.model.state_dict(),
            "optimizer": {
                "param_groups": optimizer["param_groups"],
                "state": {str(number): kept for number, kept in optimizer["state"].items()},
            },
            **{name: part.state_dict() if part is not None else {} for name, part in self.optional_parts().items()},
            "generators": trainer.model.random_states(),
            "loader": self.loader_position(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, from a trainer made the same way.

        ValueError, and nothing changed, for another model (both shapes are listed), optimizer or data.
        """
        before = self.state_dict()
        try:
            self._load(state)
        except Exception:
            self._load(before)
            raise

    def _load(self, state: dict[str, Any]) -> None:
        trainer = self.trainer
        trainer.model.load_state_dict(state["model"])
        optimizer = state["optimizer"]
        kept = {int(number): kept for number, kept in optimizer["state"].items()}
        trainer.optimizer.load_state_dict({"param_groups": optimizer["param_groups"], "state": kept})
        for name, part in self.optional_parts().items():
            if (part is not None) != bool(state[name]):
                saved, own = ("with" if there else "without" for there in (state[name], part is not None))
                raise ValueError(f"load_state_dict: saved {saved} {name}, loaded {own}")
            if part is not None:
                part.load_state_dict(state[name])
        trainer.model.set_random_states(state["generators"])
        trainer.step, trainer.evaluated, self.best = state["step"], state["evaluated"], state["best"]
        if self.loader_position() != state["loader"]:
            raise ValueError(
                f"load_state_dict: the place in the data was {state['loader']}, "
                f"with this loader it is {self.loader_position()}"
            )

    def optional_parts(self) -> dict[str, Any]:
        """What a trainer has or has not, by its name in the state."""
        return {"schedule": self.trainer.schedule, "ema": self.trainer.ema}

    def loader_position(self) -> dict[str, int]:
        """Where in the data the next batch is taken from: a loader's order depends on nothing else."""
        loader = self.trainer.loader
        epoch, batch = divmod(self.trainer.step, len(loader))
        images = len(loader.images)
        return {"epoch": epoch, "batch": batch, "batch_size": loader.batch_size, "images": images, "seed": loader.seed}
