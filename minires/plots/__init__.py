"""Figures from the files of a run, never from live objects; and moving pictures, which the chapters draw."""

from minires.plots.animation import Animation
from minires.plots.curves import training_curves
from minires.plots.filters import first_layer
from minires.plots.gradients import PANELS, comparison, gradient_flow
from minires.plots.lab import experiment
from minires.plots.predictions import confusion_matrix, misclassified
from minires.plots.report_page import html_report
from minires.plots.saliency_map import MOST_PICTURES, saliency
from minires.plots.style import COLOURS

__all__ = [
    "COLOURS",
    "MOST_PICTURES",
    "PANELS",
    "Animation",
    "comparison",
    "confusion_matrix",
    "experiment",
    "first_layer",
    "gradient_flow",
    "html_report",
    "misclassified",
    "saliency",
    "training_curves",
]
