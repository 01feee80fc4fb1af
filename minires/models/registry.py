"""Models by name, for command lines and configurations, where options are text and numbers."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from minires.models import family
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.broken import AlwaysProjectedBlock, MisplacedNormBlock
from minires.models.parts import choose
from minires.models.resnet import ResNet

__all__ = ["BLOCKS", "MODELS", "make"]

BLOCKS = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
    "preact": PreActBlock,
    "preact_bottleneck": PreActBottleneck,
    "misplaced_norm": MisplacedNormBlock,
    "always_projected": AlwaysProjectedBlock,
}
TABLE = {name: maker for name, maker in vars(family).items() if isinstance(maker, partial)}
CIFAR_MODELS = [name for name, maker in TABLE.items() if maker.func is family.cifar_resnet]
MODELS: dict[str, Callable[..., ResNet]] = {**TABLE, "wide_resnet": family.wide_resnet}


def make(name: str, **options: Any) -> ResNet:
    """Make a model of the family: make("resnet20", norm="none", seed=0), make("wide_resnet", depth=16, width=4).

    Options are those of the maker and of `ResNet`; `block` is a name of `BLOCKS` (or a class). ValueError, with the
    known ones, for an unknown model, option or block.
    """
    choose("model", name, MODELS)
    known = option_names(name)
    for option in options:
        if option not in known:
            raise ValueError(f"models: {name} has no option {option!r}; known: {', '.join(known)}")
    for required in ("depth", "width"):
        if name == "wide_resnet" and required not in options:
            raise ValueError(f"models: wide_resnet needs {required}=, as in make('wide_resnet', depth=16, width=4)")
    if isinstance(options.get("block"), str):
        options["block"] = BLOCKS[choose("block", options["block"], BLOCKS)]
    return MODELS[name](**options)


def option_names(name: str) -> list[str]:
    """List the options that a model takes."""
    names = set(inspect.signature(MODELS[name]).parameters)
    for function in (family.network_of, ResNet.__init__):
        parameters = inspect.signature(function).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    return sorted(names - {"options", "stem_width"})
