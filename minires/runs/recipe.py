"""Recipes: how to train, as TOML files beside this one.

A configuration is `defaults.toml`, then the recipe, then the recipe's part for this model, then what was set by hand.
It is a plain dict, complete, and is saved with the run.
"""

import difflib
import inspect
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minires.optim import (
    SGD,
    Adam,
    AdamW,
    ConstantWarmup,
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    Optimizer,
    Schedule,
)

FOLDER = Path(__file__).parent / "recipes"
OPTIMIZERS: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
SCHEDULES: dict[str, Any] = {"constant": None, "multistep": MultiStepLR, "cosine": CosineAnnealingLR}
KINDS: dict[type, tuple[str, tuple[type, ...]]] = {  # of a value: in words, and the types that will do for it
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("text", (str,)),
    list: ("a list", (list, tuple)),
    tuple: ("a list", (list, tuple)),
}
WARMUPS: dict[str, Any] = {"linear": LinearWarmup, "constant": ConstantWarmup}
AT_LEAST_1 = ("epochs", "batch_size", "accumulation", "checkpoint_every", "keep_checkpoints")
AT_LEAST_0 = ("seed", "steps", "validation", "label_smoothing", "max_norm", "ema_decay", "evaluate_every")

Configuration = dict[str, Any]


def names() -> list[str]:
    """List the recipes that come with MiniRes."""
    return sorted([path.stem for path in FOLDER.glob("*.toml") if path.stem != "defaults"])


def resolve(recipe: str, settings: Sequence[str] = (), **given: Any) -> Configuration:
    """Return the complete configuration of a recipe: a name of `names()`, or the path of a TOML file.

    settings: "key=value" each, as on the command line: "optimizer.lr=0.05", "augmentation=[]", "model.skip=false".
    given: model=, data= and other keys of the top, which count like settings; None is left out.
    A section with a name, such as the optimizer, begins anew when that name changes. Setting epochs unsets steps.
    ValueError, with what is known, for an unknown recipe, key or value; TypeError for a value of another type.
    """
    configuration = read(FOLDER / "defaults.toml")
    content = read(path_of(recipe))
    models = content.pop("models", {})
    by_hand: Configuration = {}
    for name, value in given.items():
        if value is not None:
            by_hand[name] = {"name": value} if name in ("model", "data") else value
    for setting in settings:
        put(by_hand, *parsed(setting))
    merge(configuration, content)
    model = by_hand.get("model", {}).get("name", configuration["model"]["name"])
    merge(configuration, models.get(model, {}))
    merge(configuration, by_hand)
    complete_options(configuration, "optimizer", OPTIMIZERS)
    complete_options(configuration, "schedule", SCHEDULES)
    check(configuration)
    return configuration


def path_of(recipe: str) -> Path:
    if recipe.endswith(".toml"):
        return Path(recipe)
    if recipe not in names():
        raise ValueError(f"unknown recipe {recipe!r}; known: {', '.join(names())}, or the path of a .toml file")
    return FOLDER / f"{recipe}.toml"


def read(path: Path) -> Configuration:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"there is no recipe {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the recipe {path} is no TOML ({error})") from error


def parsed(setting: str) -> tuple[list[str], Any]:
    """Split "optimizer.lr=0.05" into its keys and its value: TOML's, or else a string without quotes."""
    name, separator, text = setting.partition("=")
    if not separator or not name.strip():
        raise ValueError(f"a setting is key=value, such as optimizer.lr=0.05, not {setting!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    return name.strip().split("."), value


def put(configuration: Configuration, keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        configuration = configuration.setdefault(key, {})
    configuration[keys[-1]] = value


def merge(configuration: Configuration, other: Mapping[str, Any]) -> None:
    """Write `other` over a configuration, section by section; ValueError for a key that is not there."""
    for key, value in other.items():
        if key not in configuration:
            close = difflib.get_close_matches(key, configuration, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(configuration)}"
            raise ValueError(f"unknown key {key!r} in a recipe; {hint}")
        if isinstance(configuration[key], dict) != isinstance(value, dict):
            wanted = "is a section: set its keys, such as" if isinstance(configuration[key], dict) else "is no section:"
            raise TypeError(f"{key} {wanted} {example(key, configuration[key])}")
        if not isinstance(value, dict):
            configuration[key] = value
        elif value.get("name", configuration[key].get("name")) != configuration[key].get("name"):
            configuration[key] = {**({"dir": configuration[key]["dir"]} if key == "data" else {}), **value}
        else:
            configuration[key] = {**configuration[key], **value}
    if "epochs" in other and "steps" not in other:
        configuration["steps"] = 0


def example(key: str, value: Any) -> str:
    if isinstance(value, dict):
        first = next(iter(value))
        return f"{key}.{first}={value[first]}"
    return f"{key}={value}"


def complete_options(configuration: Configuration, section: str, known: Mapping[str, Any]) -> None:
    """Fill a section up with the defaults of what it names; ValueError for an unknown name, option or a missing one."""
    given = configuration[section]
    name = given.get("name")
    if name not in known:
        raise ValueError(f"unknown {section} {name!r}; known: {', '.join(known)}")
    options = options_of(known[name])
    for option in given:
        if option != "name" and option not in options:
            raise ValueError(f"{section} {name} has no option {option!r}; known: {', '.join(options) or 'none'}")
    complete = {"name": name}
    for option, default in options.items():
        if option not in given and default is inspect.Parameter.empty:
            raise ValueError(f"{section} {name} needs {section}.{option}")
        value = given.get(option, default)
        complete[option] = list(value) if isinstance(value, tuple) else value
        if default is not inspect.Parameter.empty:
            check_type(f"{section}.{option}", value, default)
    configuration[section] = complete


def options_of(maker: Any) -> dict[str, Any]:
    """The options of an optimizer or a schedule, and their defaults; what the training itself gives is left out."""
    if maker is None:
        return {}
    parameters = inspect.signature(maker).parameters
    return {name: parameters[name].default for name in parameters if name not in ("params", "optimizer", "T_max")}


def check(configuration: Configuration) -> None:
    """Refuse values of another type than the defaults', and numbers that no training can have."""
    for key, default in read(FOLDER / "defaults.toml").items():
        if not isinstance(default, dict):
            check_type(key, configuration[key], default)
        elif key == "warmup":
            unknown = [name for name in configuration[key] if name not in default]
            if unknown:
                raise ValueError(f"warmup has no option {unknown[0]!r}; known: {', '.join(default)}")
            for name, value in default.items():
                check_type(f"warmup.{name}", configuration[key][name], value)
    for least, keys in ((1, AT_LEAST_1), (0, AT_LEAST_0)):
        for key in keys:
            if not configuration[key] >= least:
                raise ValueError(f"{key} must be at least {least}, got {configuration[key]}")
    if configuration["warmup"]["shape"] not in WARMUPS:
        raise ValueError(f"unknown warmup.shape {configuration['warmup']['shape']!r}; known: {', '.join(WARMUPS)}")


def check_type(name: str, value: Any, default: Any) -> None:
    """Refuse a value of another type than its default: 2 will do for 0.1, "2" and true will not."""
    words, kinds = KINDS[type(default)]
    if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise TypeError(f"{name} must be {words}, such as {default!r}, got {value!r}")


def make_optimizer(configuration: Configuration, params: Any) -> Optimizer:
    """Make the configuration's optimizer, for parameters or groups of them."""
    options = {name: value for name, value in configuration["optimizer"].items() if name != "name"}
    optimizer: Optimizer = OPTIMIZERS[configuration["optimizer"]["name"]](params, **options)
    return optimizer


def make_schedule(configuration: Configuration, optimizer: Optimizer, steps: int) -> Schedule | None:
    """Make the configuration's schedule, for a training of so many steps; None for a learning rate that stays."""
    options = {name: value for name, value in configuration["schedule"].items() if name != "name"}
    schedule: Schedule | None = None
    if configuration["schedule"]["name"] == "multistep":
        schedule = MultiStepLR(optimizer, **options)
    elif configuration["schedule"]["name"] == "cosine":
        schedule = CosineAnnealingLR(optimizer, steps, **options)
    warmup = configuration["warmup"]
    if warmup["steps"]:
        warmed: Schedule = WARMUPS[warmup["shape"]](optimizer, warmup["steps"], warmup["factor"], schedule)
        return warmed
    return schedule
