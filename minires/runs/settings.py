"""From the name of a recipe and what is set by hand to a complete `Recipe`.

It is made of layers, each over those before: a recipe that says nothing, the TOML file, the file's part for this
model, what was set by hand.
"""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minires.data.disk import read_plain
from minires.runs.recipe import Recipe
from minires.runs.typed_values import suggestion

FOLDER = Path(__file__).parent / "recipes"
Layer = dict[str, Any]  # some of a recipe's values, as TOML has them


def recipe_names() -> list[str]:
    """List the recipes that come with MiniRes."""
    return sorted([path.stem for path in FOLDER.glob("*.toml")])


def resolve(name: str, settings: Sequence[str] = (), **given: Any) -> Recipe:
    """Return a complete recipe: of a name of `recipe_names()`, or the path of a TOML file.

    settings: "key=value" each, as on the command line: "optimizer.lr=0.05", "augmentation=[]", "model.skip=false".
    given: model=, data= and other keys of the top, which count like settings; None is left out.
    A section with a name, such as the optimizer, begins anew when that name changes. Setting epochs unsets steps.
    ValueError, with what is known, for an unknown recipe, key or value; TypeError for a value of another type.
    """
    by_hand: Layer = {}
    for key, value in given.items():
        if value is not None:
            by_hand[key] = {"name": value} if key in ("model", "data") else value
    for setting in settings:
        put(by_hand, setting)
    file = read_toml(path_of(name))
    models = file.pop("models", {})
    values = Recipe().to_dict(complete=True)
    lay_over(values, file)
    lay_over(values, models.get(model_of(by_hand) or model_of(values), {}))
    say_dropped(values, by_hand)
    lay_over(values, by_hand)
    return Recipe.from_dict(values)


def say_dropped(values: Layer, by_hand: Layer) -> None:
    """Say which of a recipe's options go with the kind of optimizer or schedule that is set in its place."""
    for key in ("optimizer", "schedule"):
        before, section = values[key], by_hand.get(key)
        if not isinstance(before, Mapping) or not isinstance(section, Mapping):
            continue
        name = section.get("name", before.get("name"))
        dropped = [f"{option}={before[option]}" for option in before if option not in ("name", *section)]
        if name != before.get("name") and dropped:
            text = f"the {key} is {name} in place of {before.get('name')}, which had {', '.join(dropped)}"
            print(f"minires: {text}", file=sys.stderr)


def model_of(layer: Layer) -> str:
    """Return the name of the model in a layer, or "" where it has none."""
    section = layer.get("model")
    name = section.get("name") if isinstance(section, Mapping) else None
    return name if isinstance(name, str) else ""


def path_of(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    if name not in recipe_names():
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(recipe_names())}, or the path of a .toml file")
    return FOLDER / f"{name}.toml"


def read_toml(path: Path) -> Layer:
    try:
        return tomllib.loads(read_plain(path).decode())
    except FileNotFoundError as error:
        raise ValueError(f"there is no recipe {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
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


def put(layer: Layer, setting: str) -> None:
    """Set in a layer what a setting says."""
    keys, value = parsed(setting)
    for depth, key in enumerate(keys[:-1], start=1):
        layer = layer.setdefault(key, {})
        if not isinstance(layer, dict):
            inside = ".".join(keys[:depth])
            raise TypeError(f"{inside} is no section: it is set to {layer!r}, so {setting} says nothing")
    layer[keys[-1]] = value


def lay_over(values: Layer, layer: Mapping[str, Any]) -> None:
    """Write a layer over a recipe's values, section by section. ValueError for a key that is not there."""
    for key, value in layer.items():
        if key not in values:
            raise ValueError(f"unknown key {key!r} in a recipe; {suggestion(key, values)}")
        before = values[key]
        if not isinstance(value, Mapping) or not isinstance(before, Mapping):
            values[key] = value  # where one of them should be a section, `Recipe.from_dict` says so
        elif value.get("name", before.get("name")) == before.get("name"):
            values[key] = {**before, **value}
        else:
            values[key] = {**({"dir": before["dir"]} if key == "data" else {}), **value}
    if "epochs" in layer and "steps" not in layer:
        values["steps"] = 0
