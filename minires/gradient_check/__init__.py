"""Finite differences against hand-written backward passes, built so that a wrong gradient cannot pass.

`gradcheck(fn, *arrays)` checks a function of tensors, `check_model(model, batch, labels)` a network parameter by
parameter. Both give back a `Report`, or raise a `GradientError` that says what is wrong and where.
"""

from minires.gradient_check.function_check import gradcheck
from minires.gradient_check.model_check import check_model
from minires.gradient_check.report import ArgumentReport, GradientError, Report

__all__ = ["ArgumentReport", "GradientError", "Report", "check_model", "gradcheck"]
