"""Trainings in folders, which can be stopped at any step and gone on with.

    recipe = runs.resolve("digits")                 how to train
    trainer = runs.build(recipe)                    data, model, optimizer
    runs.Run(folder, recipe, trainer).carry_out()   metrics, checkpoints, a report
    model, recipe, step = runs.load_model(folder)   the trained network
    rows = runs.read(folder, "metrics.jsonl")       what it left, checked
"""

from minires.runs.building import build
from minires.runs.folder import load_model, lock, new_run
from minires.runs.recipe import Recipe
from minires.runs.run import Run
from minires.runs.run_files import read
from minires.runs.settings import resolve

__all__ = ["Recipe", "Run", "build", "load_model", "lock", "new_run", "read", "resolve"]
