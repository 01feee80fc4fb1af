"""A running average of a model's weights, which is often better than the last weights (Polyak and Juditsky 1992)."""

import copy
from typing import Any

import numpy as np

from minires.kernels import Array, kernels_for
from minires.kernels.devices import alike, described, read_only
from minires.nn import Module


class EMA:
    """The exponential moving average of all parameters and running statistics of a model.

        average = d · average + (1 - d) · weights        d = min(decay, (1 + n) / (10 + n)) after n updates

    so that the first, random weights are soon forgotten. Call `update()` after each step of the optimizer. `model` is
    a copy of the model that holds the averages: it is what is evaluated. Make it after `.to(…)`.
    A parameter whose `.data` is given another array of the same shape and dtype is followed; one of another shape,
    dtype or device is refused. ValueError for a decay outside (0, 1).
    """

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"EMA: decay must be above 0 and below 1, got {decay}")
        self.decay = decay
        self.updates = 0
        self.trained = model
        self.model = copy.deepcopy(model).eval()
        self.model.zero_grad()

    @property
    def averages(self) -> dict[str, Array]:
        """The averages by name: the arrays themselves."""
        return arrays_of(self.model)

    def update(self) -> None:
        """Move the averages towards the weights as they are now.

        ValueError, and nothing changed, where an array of the model no longer fits its average.
        """
        averages, weights = self.averages, arrays_of(self.trained)
        check_fit("update", averages, weights)
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, average in averages.items():
            average *= decay
            average += (1 - decay) * weights[name]

    def state_dict(self) -> dict[str, Any]:
        """Return copied averages and their number of updates. ValueError where the model no longer fits them."""
        averages = self.averages
        check_fit("state_dict", averages, arrays_of(self.trained))
        return {"updates": self.updates, "averages": {name: array.copy() for name, array in averages.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. ValueError, and nothing changed, for other names or shapes."""
        averages, own = state_dict["averages"], self.averages
        check_fit("load_state_dict", own, arrays_of(self.trained))
        shapes = {name: array.shape for name, array in averages.items()}
        own_shapes = {name: array.shape for name, array in own.items()}
        if shapes != own_shapes:
            different = [name for name in {**shapes, **own_shapes} if shapes.get(name) != own_shapes.get(name)]
            name = different[0]
            raise ValueError(
                f"EMA.load_state_dict: {len(different)} averages do not fit, first {name}: "
                f"{shapes.get(name, 'missing')} where the model has {own_shapes.get(name, 'none')}"
            )
        for name, average in own.items():
            average[...] = kernels_for(average).xp.asarray(averages[name])
        self.updates = state_dict["updates"]


def arrays_of(model: Module) -> dict[str, Array]:
    """Collect the arrays of all parameters and buffers, by name."""
    return {name: parameter.data for name, parameter in model.named_parameters()} | dict(model.named_buffers())


def check_fit(function: str, averages: dict[str, Array], weights: dict[str, Array]) -> None:
    """ValueError, naming the first, where a model's arrays and the averages of them are not the same in kind."""
    cure = "make a new EMA after changing the model"
    for name in {**averages, **weights}:
        if name not in averages or name not in weights:
            where = "the averages but not the model" if name in averages else "the model but not the averages"
            raise ValueError(f"EMA.{function}: {name} is in {where}; {cure}")
        average, weight = averages[name], weights[name]
        if not alike(average, weight):
            raise ValueError(
                f"EMA.{function}: {name} is {described(weight)} in the model and its average {described(average)}; "
                f"{cure}"
            )
        if read_only(average) or (isinstance(weight, np.ndarray) and np.may_share_memory(average, weight)):
            raise ValueError(
                f"EMA.{function}: the average of {name} {'is read-only' if read_only(average) else 'shares its memory'}"
                "; give the model a copy of it, .data = average.copy()"
            )
