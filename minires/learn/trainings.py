"""The trainings on CIFAR-10 that the project has on record, for chapters to draw: `benchmarks/results/training`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class RecordedTraining:
    """about: a row of the table, {"model": …, "recipe": …, "seed": …, "accuracy": …}. rows: of metrics.jsonl, thinned:
    {"step": …, "loss": …, "lr": …} each hundred steps, {"step": …, "test_accuracy": …} where it was evaluated."""

    name: str
    about: dict[str, Any]
    rows: list[dict[str, Any]]

    def curve(self, key: str) -> tuple[list[int], list[float]]:
        """Return the steps at which `key` was recorded, and what it was there."""
        found = [row for row in self.rows if key in row]
        return [row["step"] for row in found], [row[key] for row in found]


def recorded_trainings() -> list[RecordedTraining]:
    """Return all recorded trainings, first those of the recipes as they are. ValueError for a damaged record."""
    from minires import runs  # chapters come here for `quick`, and need none of it
    from minires.runs import records

    checkout = PACKAGE.parent / "benchmarks" / "results" / "training"
    folder = checkout if checkout.is_dir() else PACKAGE / "tutorials" / "trainings"
    table = records.read_json(folder / "runs.json")
    return [RecordedTraining(name, about, runs.read(folder / name, "metrics.jsonl")) for name, about in table.items()]
