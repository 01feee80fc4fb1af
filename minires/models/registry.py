"""Models by name, for command lines and configurations, where options are text and numbers."""

import inspect
from collections.abc import Callable
from typing import Any

from minires.models import resnet
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.broken import AlwaysProjectedBlock, MisplacedNormBlock
from minires.models.parts import choose
from minires.models.resnet import ResNet

BLOCKS = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
    "preact": PreActBlock,
    "preact_bottleneck": PreActBottleneck,
    "misplaced_norm": MisplacedNormBlock,
    "always_projected": AlwaysProjectedBlock,
}
CIFAR_MODELS = [f"{kind}{depth}" for kind in ("resnet", "preact_resnet") for depth in (20, 32, 44, 56, 110, 1202)]
CIFAR_MODELS += ["preact_resnet164", "preact_resnet1001"]
IMAGENET_MODELS = [f"{kind}{depth}" for kind in ("resnet", "preact_resnet") for depth in resnet.IMAGENET_DEPTHS]
MODELS: dict[str, Callable[..., ResNet]] = {
    name: getattr(resnet, name) for name in [*CIFAR_MODELS, *IMAGENET_MODELS, "wide_resnet"]
}


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
    builder = resnet.cifar_resnet if name in CIFAR_MODELS else resnet.imagenet_resnet
    names: dict[str, None] = {}
    for function in (MODELS[name], resnet.wide_resnet if name == "wide_resnet" else builder, ResNet.__init__):
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY or function is MODELS[name]:
                names[parameter.name] = None
    return sorted(set(names) - {"options", "stem_width"})
