"""What is no gradient: running statistics, optimizers' steps, schedules, clipping, initial values, inference.

Each against a formula that is written down here once more, number by number in float64, from the paper or from
PyTorch's documentation, and shares no line with the code that it checks. `minires gradcheck --updates` goes through
`all_updates`.
"""

from minires.gradient_check.updates.inference import forward_passes
from minires.gradient_check.updates.initialization import block_values, initial_values
from minires.gradient_check.updates.learning_rates import schedules
from minires.gradient_check.updates.optimizers import adam_steps, clippings, sgd_steps
from minires.gradient_check.updates.running_averages import running_statistics
from minires.gradient_check.updates.update import Update

__all__ = ["Update", "adam_steps", "all_updates", "clippings", "running_statistics", "sgd_steps"]


def all_updates(seed: int = 0) -> list[Update]:
    """List every update with all its options; under the kernels in use when each is checked."""
    makers = (running_statistics, forward_passes, sgd_steps, adam_steps, clippings, schedules, initial_values,
              block_values)  # fmt: skip
    return [update for maker in makers for update in maker(seed)]
