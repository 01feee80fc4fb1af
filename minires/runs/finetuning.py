"""Train a trained network further, for other classes: freeze a part of it, give it a new head, which learns faster.

    replace_head(model, num_classes=4)
    freeze(model, "conv1.*", "bn1.*", "layer1.*")
    optimizer = SGD(parameter_groups(model, lr=0.01), lr=0.01, momentum=0.9)
"""

import copy
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from minires import nn
from minires.kernels import Array, kernels_for


def freeze(model: nn.Module, *patterns: str) -> list[str]:
    """Freeze the parameters whose dotted names match a pattern, and return their names.

    Patterns are those of file names: "layer1.*", "*.bn?.weight", "[!f]*" for everything that does not begin with f.
    A frozen parameter has requires_grad False, so nothing computes its gradient, and a frozen beginning of the network
    is not back-propagated at all. A batch norm with no parameter left to train keeps its running statistics too, also
    through `train()` (`nn.BatchNorm2d.freeze`). `unfreeze` undoes it.
    ValueError, and nothing frozen, for a pattern that no parameter's name matches.
    """
    names = matching(model, "freeze", patterns)
    set_frozen(model, names, True)
    return names


def unfreeze(model: nn.Module, *patterns: str) -> list[str]:
    """Undo `freeze` for the parameters whose names match a pattern, and return their names."""
    names = matching(model, "unfreeze", patterns)
    set_frozen(model, names, False)
    return names


def matching(model: nn.Module, function: str, patterns: tuple[str, ...]) -> list[str]:
    """List the parameters' names that match one of the patterns, in the model's order."""
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"{function}: no parameter's name matches {pattern!r}; the names are those of state_dict(), here "
                f"{names[0]} … {names[-1]}, and a pattern covers whole names: 'layer1.*'"
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def set_frozen(model: nn.Module, names: list[str], frozen: bool) -> None:
    """Freeze or thaw these parameters, and the batch norms they belong to."""
    parameters = dict(model.named_parameters())
    modules = dict(model.named_modules())
    for name in names:
        parameters[name].requires_grad = not frozen
        parameters[name].grad = None
    for name in names:
        module = modules[name.rpartition(".")[0]]
        if isinstance(module, nn.BatchNorm2d):
            module.freeze(not any([parameter.requires_grad for parameter in module.parameters()]))


def load_all_but_head(model: nn.Module, state: Mapping[str, Array]) -> None:
    """Load a state dict of the same network with another number of classes: everything but the classifier.

    ValueError, and nothing changed, where anything else is missing, unexpected or of another shape; all are listed.
    """
    head = f"{getattr(model, 'classifier', '')}."
    own = {name: array for name, array in model.state_dict().items() if name.startswith(head)}
    given = {name: array for name, array in state.items() if not name.startswith(head)}
    model.load_state_dict({**given, **own})


def replace_head(model: nn.Module, num_classes: int, seed: int | None = None) -> None:
    """Put a fresh linear layer for `num_classes` in the place of the model's classifier, drawn as PyTorch draws it.

    TypeError for a model that does not say which of its layers is the classifier; ValueError for no classes.
    """
    name = getattr(model, "classifier", "")
    head = getattr(model, name, None)
    if not isinstance(head, nn.Linear):
        raise TypeError(
            f"replace_head: {type(model).__name__} does not say which linear layer is its classifier; "
            "its attribute `classifier` must be that layer's name"
        )
    if num_classes < 1:
        raise ValueError(f"replace_head: num_classes must be at least 1, got {num_classes}")
    xp = kernels_for(head.weight.data).xp
    fresh = copy.copy(head)  # of its class, with what else it holds
    fresh.weight = nn.Parameter(xp.zeros((num_classes, head.weight.shape[1]), head.weight.dtype))
    if head.bias is not None:
        fresh.bias = nn.Parameter(xp.zeros(num_classes, head.weight.dtype))
    nn.initialize(fresh, "pytorch", seed)
    setattr(model, name, fresh)


def parameter_groups(model: nn.Module, lr: float, head_factor: float = 10.0) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: the head, at head_factor · lr, and what else is to be trained, at lr.

    The head starts from nothing and has the longest way; what is trained already must not be shaken by its first,
    large gradients. Frozen parameters are in no group. ValueError where everything is frozen.
    """
    head = {parameter for parameter in getattr(model, getattr(model, "classifier", "")).parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("parameter_groups: every parameter is frozen, so there is nothing to train")
    groups = [
        {"params": [parameter for parameter in trained if parameter not in head], "lr": lr},
        {"params": [parameter for parameter in trained if parameter in head], "lr": head_factor * lr},
    ]
    return [group for group in groups if group["params"]]
