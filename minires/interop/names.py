"""The names that others give to the same arrays, and the map from a file's names to a model's.

MiniRes has torchvision's names. `FOREIGN_NAMES` are the patterns of other families: the CIFAR repositories
(akamaster/pytorch_resnet_cifar10, kuangliu/pytorch-cifar), where the classifier is `linear` and a projection is
`shortcut`, and Hugging Face's ResNets. Before a name there can be anything: `module.` of `torch.nn.DataParallel`,
`_orig_mod.` of `torch.compile`, `model.`, `backbone.`, several of them. Which it is, is found by trying: the one that
makes most names those of the model.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

Patterns = Sequence[tuple[str, str]]  # (regular expression, replacement), applied in this order

WRAPPERS: Patterns = (  # wherever in a name they stand, however often
    (r"(^|(?<=\.))(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.", ""),
)

HUGGING_FACE_NAMES: Patterns = (
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (r"^(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.", r"stages.\1."),
    (r"^stages\.(\d+\.\d+)\.shortcut\.convolution\.", r"stages.\1.downsample.0."),
    (r"^stages\.(\d+\.\d+)\.shortcut\.normalization\.", r"stages.\1.downsample.1."),
    *[(rf"^stages\.(\d+\.\d+)\.layer\.{k}\.convolution\.", rf"stages.\1.conv{k + 1}.") for k in range(3)],
    *[(rf"^stages\.(\d+\.\d+)\.layer\.{k}\.normalization\.", rf"stages.\1.bn{k + 1}.") for k in range(3)],
    *[(rf"^stages\.{k}\.(?=\d)", f"layer{k + 1}.") for k in range(4)],
    (r"^classifier\.1\.", "fc."),
)

FOREIGN_NAMES: Patterns = (
    (r"^linear\.", "fc."),
    (r"^(layer\d+\.\d+)\.shortcut\.", r"\1.downsample."),
    *HUGGING_FACE_NAMES,
)

CIFAR_NAMES: Patterns = (
    (r"^fc\.", "linear."),
    (r"^(layer\d+\.\d+)\.downsample\.", r"\1.shortcut."),
)


def own_names(names: Iterable[str], known: Collection[str], patterns: Patterns = FOREIGN_NAMES) -> dict[str, str]:
    """Map every name of a file to a name of the model: {"module.linear.bias": "fc.bias", …}.

    known: the model's names. A name that the model has stays as it is, so that a network with a `linear` of its own
    keeps it. The others lose the prefix that `common_prefix` finds, then wrappers, then the patterns are applied until
    the model has the name. One that nothing makes known comes out without prefix, for the caller to call unexpected.
    Where the model is the one with a prefix, `backbone.`, names get it.
    """
    names = list(names)
    known = set(known)
    before, added = common_prefix(names, known, patterns)
    mapped = {}
    for name in names:
        rest = name.removeprefix(before)
        own = translated(rest, known, patterns, added)
        mapped[name] = name if name in known and (before or added) else own
    return mapped


def translated(name: str, known: Collection[str], patterns: Patterns, added: str = "") -> str:
    """Apply the patterns to a name, in order, until the model has it; then to the name without wrappers."""
    own = name
    for wrapped in (name, renamed(name, WRAPPERS)):
        own = wrapped
        for pattern, replacement in (("^", ""), *patterns):
            own = re.sub(pattern, replacement, own)
            if added + own in known:
                return added + own
    return own


def common_prefix(names: Sequence[str], known: Collection[str], patterns: Patterns = FOREIGN_NAMES) -> tuple[str, str]:
    """Return the prefix to take from the names, and the one to put before them, that make most names known.

    ("", "") where the names are known as they are, or where nothing helps. ValueError where two prefixes are equally
    good, as in a file with a network and its average.
    """
    known = set(known)
    found = sum([translated(name, known, patterns) in known for name in names])
    if found == len(known):
        return "", ""
    taken: Counter[str] = Counter()
    for name in names:
        for dot in re.finditer(r"\.", name):
            if translated(name[dot.end() :], known, patterns) in known:
                taken[name[: dot.end()]] += 1
    put: Counter[str] = Counter()
    own = {translated(name, (), patterns) for name in names} | set(names)
    for name in known:
        for dot in re.finditer(r"\.", name):
            if name[dot.end() :] in own:
                put[name[: dot.end()]] += 1
    ranked = [(count, prefix, "") for prefix, count in taken.items()]
    ranked += [(count, "", prefix) for prefix, count in put.items()]
    most = max([count for count, _, _ in ranked], default=0)
    if most <= found or 2 * most < min(len(names), len(known)):
        return "", ""
    best = sorted([entry for entry in ranked if entry[0] == most], reverse=True)
    choices = sorted({renamed(before, WRAPPERS) for _, before, _ in best if before})
    if len(choices) > 1:
        cure = re.escape(best[0][1])
        raise ValueError(
            f"its names begin with {' and '.join(map(repr, choices[:3]))}, which fit the model equally well; choose: "
            f"patterns=[(r'^{cure}', '')], strict=False"
        )
    return best[0][1:] if choices or len(best) == 1 else ("", "")


def renamed(name: str, patterns: Patterns) -> str:
    """Apply all patterns to a name, in order."""
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name
