"""What all optimizers share: parameter groups, the arrays kept per parameter, and saving both."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from minires.engine import Tensor
from minires.kernels import Array, kernels_for
from minires.kernels.devices import alike, described, read_only

__all__ = ["Optimizer"]

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """Holds the parameters in groups, `param_groups`, and what a method keeps for each of them, in `state`.

    params: tensors, or a list of dicts, each with "params" and the options that are different in that group:

        SGD([{"params": convolutions}, {"params": scales, "weight_decay": 0.0}], lr=0.1, weight_decay=1e-4)

    A subclass gives its options with their defaults, checks them in `check_options`, and updates in `update`.
    Arrays are written in place into `.data`; a parameter whose `.grad` is None is left alone. Each step checks that
    `.data`, `.grad` and what is kept are of one shape, dtype and device: after `.data` was given another array of
    another kind, make a new optimizer.
    TypeError for what is no tensor; ValueError for no parameters, one given twice, one that an op made, wrong options.
    """

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.name = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.scheduled_steps = 0  # of the last schedule: a number, since a cycle would keep all parameters alive
        if isinstance(params, Tensor | dict):
            raise TypeError(f"{self.name}: params must be a list of tensors or groups, got one {type(params).__name__}")
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(f"{self.name}: there are no parameters to optimize")
        groups = entries if isinstance(entries[0], dict) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add {"params": tensors, option: value, …}; an option left out has the optimizer's value."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f'{self.name}: a parameter group must be a dict with "params", got {type(group).__name__}')
        options = {name: value for name, value in group.items() if name != "params"}
        unknown = [name for name in options if name not in self.defaults and name != "initial_lr"]
        if unknown:
            raise ValueError(f"{self.name}: unknown option {unknown[0]!r}; known: {', '.join(self.defaults)}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        seen = set(self._all_params())
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"{self.name}: parameters must be tensors, got {type(param).__name__}")
            if param.op is not None:
                raise ValueError(f"{self.name}: {param!r} was computed by an op; only leaves can be optimized")
            if param in seen:
                raise ValueError(f"{self.name}: the parameter {param!r} is given twice")
            seen.add(param)
        complete = {"params": params, **self.defaults, **options}
        self.check_options(complete)
        self.param_groups.append(complete)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError where an option of the group has a value that the method cannot work with."""
        self.check_range(group, "lr")
        self.check_range(group, "weight_decay")

    def check_range(self, group: dict[str, Any], option: str) -> None:
        value = group[option]
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{self.name}: {option} must be a number, got {type(value).__name__}")
        if not 0 <= float(value) < math.inf:  # so that nan is refused too
            raise ValueError(f"{self.name}: {option} must be at least 0 and below inf, got {value}")

    def step(self) -> None:
        """Update every parameter that has a gradient.

        ValueError or RuntimeError, naming the parameter by its number, and nothing changed, where one does not fit.
        """
        ready = [(self.params_with_grad(group), group) for group in self.param_groups]
        for params, group in ready:
            if params:
                self.update(params, group)

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Update these parameters, which all have a gradient, with the group's options."""
        raise NotImplementedError(f"{self.name} has no update")

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for param in self._all_params():
            param.grad = None

    def params_with_grad(self, group: dict[str, Any]) -> list[Tensor]:
        """Return the group's parameters that have a gradient, checked to fit it and what is kept for them.

        `.data` may have been replaced since the last step. Compiled kernels would write past what is kept for it.
        """
        params = [param for param in group["params"] if param.grad is not None]
        for param in params:
            if not can_be_updated(param.data):
                raise ValueError(
                    f"{self.name}: {self._which(param)}, {described(param.data)}, cannot be updated in place: .data "
                    "must be a plain float array that can be written to; give it a copy, .data = np.array(values, "
                    "np.float32)"
                )
            if not alike(param.grad, param.data):
                raise ValueError(
                    f"{self.name}: {self._which(param)} is {described(param.data)} and has as .grad "
                    f"{described(param.grad)}; run backward again after replacing .data, or zero_grad() first"
                )
            self._check_kept(param)
        return params

    def _check_kept(self, param: Tensor) -> None:
        """RuntimeError where an array kept for a parameter is not of its shape, dtype and device."""
        for name, kept in self.state.get(param, {}).items():
            if name != "step" and (not alike(kept, param.data) or read_only(kept)):
                raise RuntimeError(
                    f"{self.name}: {self._which(param)} is {described(param.data)} and its {name} {described(kept)}: "
                    "it was moved, converted or replaced after the first step and what the optimizer keeps was not; "
                    "make a new optimizer after .to(…) or .data = …"
                )

    def _which(self, param: Tensor) -> str:
        """Name a parameter for an error: by its number in the order given, as `state_dict` does."""
        number = self._all_params().index(param)
        return f"parameter {number}"

    def buffer(self, param: Tensor, name: str) -> Array:
        """Return the array kept for a parameter under this name: zeros of its shape when first asked for."""
        state = self.state.setdefault(param, {})
        if name not in state:
            state[name] = kernels_for(param.data).xp.zeros_like(param.data)
        return state[name]

    def state_dict(self) -> dict[str, Any]:
        """Return options and state as numbers and copied arrays; a parameter is its number in the order given.

        RuntimeError where a parameter was replaced and what is kept for it was not: such a state could not be loaded.
        """
        for param in self.state:
            self._check_kept(param)
        number = {param: i for i, param in enumerate(self._all_params())}
        groups = [{**group, "params": [number[param] for param in group["params"]]} for group in self.param_groups]
        state = {
            number[param]: {name: value.copy() if hasattr(value, "copy") else value for name, value in kept.items()}
            for param, kept in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave: same number of groups, same parameters in each, same shapes.

        Arrays are copied into the parameter's dtype and device. ValueError, and nothing changed, if one does not fit.
        """
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f'{self.name}.load_state_dict: expected a dict with "state" and "param_groups"')
        saved_groups, saved_state = state_dict["param_groups"], state_dict["state"]
        sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in saved_groups]
        if saved_sizes != sizes:
            raise ValueError(
                f"{self.name}.load_state_dict: the saved groups have {saved_sizes} parameters, this optimizer's {sizes}"
            )
        for saved in saved_groups:
            if missing := ", ".join(sorted(set(self.defaults) - set(saved))):
                raise ValueError(f"{self.name}.load_state_dict: a saved group lacks {missing}: another optimizer's?")
            self.check_options(saved)
        numbers = [number for saved in saved_groups for number in saved["params"]]
        state = {
            param: {name: self._fitted(value, name, number, param) for name, value in saved_state[number].items()}
            for number, param in zip(numbers, self._all_params(), strict=True)
            if number in saved_state
        }
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})
        self.state = state

    def _fitted(self, value: Any, name: str, number: int, param: Tensor) -> Any:
        """Return a saved number as it is, a saved array as a copy in the parameter's dtype and device."""
        if not hasattr(value, "shape"):
            return value
        if value.shape != param.shape:
            raise ValueError(
                f"{self.name}.load_state_dict: {name} of parameter {number} has shape {value.shape}, "
                f"the parameter {param.shape}"
            )
        return kernels_for(param.data).xp.array(value, dtype=param.dtype)

    def _all_params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]


def can_be_updated(array: Any) -> bool:
    """Say whether a step can write into an array: floats, and no mask, file or other subclass around them."""
    if not hasattr(array, "dtype") or array.dtype.kind != "f" or not array.dtype.isnative or read_only(array):
        return False
    return type(array) is np.ndarray or not isinstance(array, np.ndarray)
