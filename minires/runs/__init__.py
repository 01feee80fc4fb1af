"""From a recipe to a trained network in a folder, which can be stopped and gone on with at any step.

    configuration = recipe.resolve("digits")          what to train, and how
    trainer = runs.build(configuration)               data, model, optimizer
    runs.carry_out(folder, trainer, configuration)    metrics, checkpoints, a report
    runs.load_model(folder)                           the trained network
"""

from minires.runs.run import (
    build,
    build_model,
    carry_out,
    evaluation_loader,
    has_fused_form,
    load_data,
    load_model,
    make_trainer,
    model_options,
    read_configuration,
    report,
    restore,
)

__all__ = [
    "build",
    "build_model",
    "carry_out",
    "evaluation_loader",
    "has_fused_form",
    "load_data",
    "load_model",
    "make_trainer",
    "model_options",
    "read_configuration",
    "report",
    "restore",
]
