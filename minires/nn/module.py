"""Module and Parameter: the objects that hold what is trained.

A module is a plain object. Its parameters are its attributes that are `Parameter`s, its children those that are
modules, both also in lists, tuples and dicts, one in another; they are found by looking, in the order they were
assigned, so nothing needs to be registered and `super().__init__()` needs not be called.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from minires.engine import Tensor, per_thread
from minires.kernels import Array, kernels_for
from minires.kernels.devices import described, read_only, to_device
from minires.nn import description
from minires.ops.shape import whole

__all__ = ["Module", "Parameter"]


COUNTER = "num_batches_tracked"


class Parameter(Tensor):
    """A tensor that is trained: `Tensor(data, requires_grad=True)`, found by the modules that hold it."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)


class Module:
    """A layer, a block or a network: parameters and `forward`.

    A subclass sets its parameters and children as attributes and defines `forward`; calling the module runs it. Arrays
    that belong to the state but are not trained are named in `buffer_names`. Assign anything to any attribute: modules
    and parameters in lists, tuples and dicts count, under their place ("blocks.0", "heads.cat.1"), as does a leaf
    tensor that requires grad; everything else is the subclass's own business. TypeError where they would never be
    found: in a set, which has no order, or on the class, where they would be those of all its objects.
    """

    forward: Callable[..., Tensor]
    buffer_names: tuple[str, ...] = ()
    training: bool = True
    input_shape: tuple[int, ...] | None = None  # of one image, where a network knows it: what `summary` feeds

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            for path, held in held_in(name, value):
                if not isinstance(held, Module) or held.parameters():
                    raise TypeError(f"{cls.__name__}.{path} would never be trained: assign it to self, in __init__")

    def held(self) -> Iterator[tuple[str, Any]]:
        """Iterate over (name, value) of the modules, parameters and generators that the attributes are or hold."""
        for name, value in vars(self).items():
            yield from held_in(name, value)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        parent, path = per_thread.module, per_thread.module_path
        if parent is not None:
            per_thread.module_path = joined(path, parent.name_of(self))
        per_thread.module = self
        try:
            return self.forward(*inputs, **options)  # step in here
        finally:
            per_thread.module, per_thread.module_path = parent, path

    def __repr__(self) -> str:
        return description.described(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the same as a tree, whose branches open and close."""
        from minires.displays import tree_html  # where there is a notebook
        from minires.nn.tree import rows

        return tree_html(rows(self)[0])

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Iterate over (name, child), in the order they were assigned."""
        for name, value in self.held():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Iterate over (dotted name, module): this one, named `prefix`, then all below it, each once, parents first."""
        seen = set()
        waiting = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if module not in seen:
                seen.add(module)
                yield name, module
                children = [(joined(name, child_name), child) for child_name, child in module.named_children()]
                waiting.extend(reversed(children))

    def name_of(self, module: "Module") -> str:
        """Return the dotted name of a module inside this one, or "" where it is not to be found."""
        for name, child in self.named_children():
            if child is module:
                return name
        for name, other in self.named_modules():  # called past its parent: model.layer1[0](x)
            if other is module:
                return name
        return ""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Iterate over (dotted name, parameter): a module's own, then its children's; a shared one once.

        ValueError where two have one name, as those of {1: …} and {"1": …}.
        """
        seen = set()
        names = set()
        for prefix, module in self.named_modules():
            for name, value in module.held():
                if isinstance(value, Tensor) and value not in seen:
                    seen.add(value)
                    path = joined(prefix, name)
                    if path in names:
                        raise ValueError(f"{type(self).__name__}: two parameters are called {path}; rename one's place")
                    names.add(path)
                    yield path, value

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Iterate over (dotted name, array) of the state that is not trained, such as running statistics."""
        for prefix, module in self.named_modules():
            for name in module.buffer_names:
                yield joined(prefix, name), getattr(module, name)

    def named_generators(self) -> Iterator[tuple[str, np.random.Generator]]:
        """Iterate over (dotted name, generator) of the random generators that layers own, such as dropout's."""
        for prefix, module in self.named_modules():
            for name, value in module.held():
                if isinstance(value, np.random.Generator):
                    yield joined(prefix, name), value

    def random_states(self) -> dict[str, Any]:
        """Return where each generator stands: after `set_random_states` it draws the same numbers again."""
        return {name: generator.bit_generator.state for name, generator in self.named_generators()}

    def set_random_states(self, states: Mapping[str, Any]) -> None:
        """Put each generator back to where `random_states` saw it. ValueError for the states of other generators."""
        generators = dict(self.named_generators())
        if set(states) != set(generators):
            raise ValueError(
                f"set_random_states: the saved random generators are {', '.join(states) or 'none'}, "
                f"the model's {', '.join(generators) or 'none'}"
            )
        for name, generator in generators.items():
            generator.bit_generator.state = states[name]

    def parameters(self) -> list[Tensor]:
        """List the parameters, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, Array]:
        """Copy all parameters and buffers: dotted name, as PyTorch's, → C-contiguous NumPy array.

        A snapshot: training on does not change it.
        """
        return {name: np.array(to_device(array, "cpu"), order="C") for name, array in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> tuple[list[str], list[str]]:
        """Write a state dict's arrays into the parameters and buffers; return the missing and the unexpected names.

        Everything is checked first: with any problem there is one ValueError that lists them all, and nothing is
        changed. `strict=False` lets names be missing or unexpected; shapes and dtypes must fit always. PyTorch's
        `num_batches_tracked` is ignored, but for batch norms with momentum=None, which count too.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: state must be a dict of names and arrays, not a {type(state).__name__}")
        own = self._state()
        given = {name: value for name, value in state.items() if name in own or not name.endswith(COUNTER)}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        problems = []
        if strict:
            problems += [f"{name} is missing" for name in missing]
            problems += [f"{name} is unexpected" for name in unexpected]
        for name, array in own.items():
            value = given.get(name, array)
            if not hasattr(array, "dtype") or read_only(array):
                problems.append(f"{name} of the model, {described(array)}, cannot be written to; give it a .copy()")
            elif value is not array and not isinstance(value, np.ndarray):
                problems.append(f"{name} must be a NumPy array, got a {type(value).__name__}")
            elif value.shape != array.shape:
                problems.append(f"{name} has shape {value.shape} where the model has {array.shape}")
            elif value.dtype != array.dtype and not name.endswith(COUNTER):  # PyTorch's is an integer
                problems.append(
                    f"{name} is {value.dtype} where the model is {array.dtype}; .astype it, or .to the model"
                )
        if problems:
            listed = "\n  ".join(problems)
            raise ValueError(f"load_state_dict: nothing was changed, {len(problems)} problems:\n  {listed}")
        for name, array in own.items():
            if name in given:
                array[...] = kernels_for(array).xp.asarray(given[name])
        return missing, unexpected

    def _state(self) -> dict[str, Array]:
        """Collect the arrays themselves, parameters and buffers, module by module."""
        arrays: dict[str, Array] = {}
        parameters = dict(self.named_parameters())
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if name in module.buffer_names:
                    arrays[joined(prefix, name)] = value
                for inner, _ in held_in(name, value):
                    path = joined(prefix, inner)
                    if path in parameters:
                        arrays[path] = parameters[path].data
        return arrays

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training: batch statistics, dropout. Returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all below it to evaluation: running statistics, no dropout. Returns the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad = None` for every parameter."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, target: str) -> Self:
        """Move to a device ("cpu", "cuda", "cuda:1") or convert to a dtype ("float32", "float64"), in place.

        Parameters stay the same objects, so an optimizer keeps them; their gradients go with them. Returns the module.
        """
        for parameter in self.parameters():
            parameter.data = converted(parameter.data, target)
            if parameter.grad is not None:
                parameter.grad = converted(parameter.grad, target)
        for _, module in self.named_modules():
            for name in module.buffer_names:
                setattr(module, name, converted(getattr(module, name), target))
        return self

    def summary(self, input_shape: tuple[int, ...] | None = None) -> None:
        """Print the table of layers: output shape, parameters and multiply-adds for one image of `input_shape`."""
        from minires.observe.counting import summary_text  # for a table, once

        print(summary_text(self, input_shape))


def held_in(name: str, value: Any, above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Iterate over (name, value) of the modules, parameters and generators that a value is or holds.

    above: the containers it is in, by their id: one that holds itself is not gone into again.
    """
    if isinstance(value, Module | np.random.Generator | Parameter):
        yield name, value
    elif isinstance(value, Tensor):
        if value.requires_grad and value.op is None:
            yield name, value
    elif isinstance(value, list | tuple | deque | Mapping) and id(value) not in above:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            if isinstance(item, HOLDERS):  # not for each of many numbers
                yield from held_in(f"{name}.{key}", item, (*above, id(value)))
    elif isinstance(value, set | frozenset):
        for item in value:
            for _ in held_in(name, item, above):
                raise TypeError(f"Module: {name} is a set of modules or parameters, which has no order; make it a list")


HOLDERS = (Module, Tensor, np.random.Generator, list, tuple, deque, Mapping, set, frozenset)


def joined(prefix: str, name: str) -> str:
    """Join two parts of a dotted name, either of which may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def converted(array: Array, target: str) -> Array:
    """Return the array on the device or in the float dtype that `target` names."""
    if target in ("float32", "float64"):
        return array.astype(target, copy=False)
    if not isinstance(target, str) or not target.startswith(("cpu", "cuda")):
        raise ValueError(f'to: unknown target {target!r}; known: "cpu", "cuda", "cuda:1", …, "float32", "float64"')
    return to_device(array, target)


def check_sizes(function: str, **sizes: int) -> None:
    """Refuse sizes below 1 and those that are no whole numbers."""
    for name, size in sizes.items():
        if whole(function, name, size) < 1:
            raise ValueError(f"{function}: {name} must be at least 1, got {size}")
