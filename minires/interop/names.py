"""The names that others give to the same arrays, as tables of patterns, and the map from a file's names to a model's.

MiniRes has torchvision's names. In the CIFAR repositories (akamaster/pytorch_resnet_cifar10, kuangliu/pytorch-cifar)
the classifier is `linear` and a projection is `shortcut.0` with its norm `shortcut.1`; option A has no arrays under any
name. `torch.nn.DataParallel` puts `module.` before everything, `torch.compile` `_orig_mod.`.
"""

import re
from collections.abc import Collection, Iterable, Sequence

Patterns = Sequence[tuple[str, str]]  # (regular expression, replacement), tried in this order

FOREIGN_NAMES: Patterns = (
    (r"^module\.", ""),
    (r"^_orig_mod\.", ""),
    (r"^linear\.", "fc."),
    (r"^(layer\d+\.\d+)\.shortcut\.", r"\1.downsample."),
)

CIFAR_NAMES: Patterns = (
    (r"^fc\.", "linear."),
    (r"^(layer\d+\.\d+)\.downsample\.", r"\1.shortcut."),
)


def own_names(names: Iterable[str], known: Collection[str], patterns: Patterns = FOREIGN_NAMES) -> dict[str, str]:
    """Map every name of a file to a name of the model: {"module.linear.bias": "fc.bias", …}.

    known: the model's names. A name that the model has stays as it is, so that a network with a `linear` of its own
    keeps it; the patterns are applied, in order, to the others until the model has the name. One that no pattern makes
    known comes out as the patterns leave it, for the caller to call unexpected.
    """
    mapped = {}
    for name in names:
        own = name
        for pattern, replacement in patterns:
            if own in known:
                break
            own = re.sub(pattern, replacement, own)
        mapped[name] = own
    return mapped


def renamed(name: str, patterns: Patterns) -> str:
    """Apply all patterns to a name, in order."""
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name
