"""Networks that come trained, by name: `pretrained("resnet20-cifar10")`.

ResNet-20 on CIFAR-10 is in the package, in `networks/`, with a card that says how it was made and how good it is. The
shipped digits are learnt within seconds, so their networks are trained when they are first asked for, and kept beside
the downloaded data sets. `load_network` makes the network of any file of weights, and of any of these names.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import minires
from minires import kernels, models, runs
from minires.data.disk import naming
from minires.data.downloads import data_folder
from minires.interop.about import About, read_about
from minires.interop.weights import LoadedWeights, load_weights, options_of, read_weights, save_weights
from minires.nn import Module
from minires.runs.building import has_fused_form, model_options
from minires.runs.recipe import Recipe

FOLDER = Path(__file__).parent / "networks"


@dataclass(frozen=True)
class Trained:
    """A network that comes trained. settings: those of the recipe `digits` that it is trained with on first use; None:
    its file is in the package.
    """

    line: str
    model: str
    settings: tuple[str, ...] | None = None


SHORT = ("epochs=5",)  # a quarter of the recipe's
PLAIN = "model.skip=false"
PRETRAINED: dict[str, Trained] = {
    "resnet20-cifar10": Trained("ResNet-20 on CIFAR-10", "resnet20"),
    "resnet20-digits": Trained("ResNet-20 on the shipped digits", "resnet20", SHORT),
    "plain20-digits": Trained("its plain twin: the same first weights, no skips", "resnet20", (*SHORT, PLAIN)),
}


def pretrained(name: str, *, fused: bool = False) -> Module:
    """Return a trained network, in evaluation mode; what it was trained on is `about_network(name)`.

        model = interop.pretrained("resnet20-cifar10")

    name: of `PRETRAINED`. One of the digits is trained when it is first asked for, which takes seconds and is said.
    fused: as of `models.make`. ValueError, with those there are, for another name.
    """
    if name not in PRETRAINED:
        raise ValueError(
            f"pretrained: unknown network {str(name)!r}; known: {', '.join(PRETRAINED)}. The network of a file of "
            "weights is made by load_network"
        )
    return load_network(name, fused=fused)[0]


def about_network(source: str | Path) -> About:
    """Return what is known of a network: classes, shape, mean and std of its images. source: as of `load_network`."""
    return read_about(weights_of(source))


def load_network(
    source: str | Path, model: str | None = None, options: dict[str, Any] | None = None, *, fused: bool | None = False
) -> tuple[Module, About, LoadedWeights]:
    """Return the network whose weights these are, in evaluation mode, what is known of it, and how they were loaded.

    source: a name of `PRETRAINED`, or a file of weights. model, options: as of `models.make`, where the file does not
    say them; they go before what it says, and that before what its arrays' shapes show. fused: as of `models.make`;
    None where that is faster, and there is such a form.
    ValueError for a file that does not say of which model it is, where `model` does not either, and as of
    `load_weights` and `models.make`; FileNotFoundError where there is no file, with the names that there are.
    """
    path = weights_of(source)
    about = read_about(path)
    name = model or about.model
    if not name:
        raise ValueError(f"load_network: {path} does not say of which model it is; say model=, such as 'resnet20'")
    said = about.options if name == about.model else {}
    chosen = {"init": None, **options_of(read_weights(path)), **said, **(options or {})}
    chosen.pop("fused", None)
    if fused is None:
        fused = kernels.in_use() != "numpy" and has_fused_form(chosen)
    network = models.make(name, **chosen, fused=fused)
    loaded = load_weights(network, path, verbose=False)
    told = {option: value for option, value in chosen.items() if value is not None}
    return network.eval(), replace(about, model=name, options=told), loaded


def weights_of(source: str | Path) -> Path:
    """Return the file of a network's weights: of a name of `PRETRAINED`, trained if need be, or the path itself.

    A name goes before a file of the same name: write "./resnet20-cifar10" for the file. FileNotFoundError for a path
    where there is nothing, with the names that there are.
    """
    if str(source) in PRETRAINED:
        name = str(source)
        return FOLDER / f"{name}.safetensors" if PRETRAINED[name].settings is None else trained_file(name)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}, and no network of that name; known: {', '.join(PRETRAINED)}")
    return path


def trained_file(name: str) -> Path:
    """Return the file of a network of the digits, trained now if it is not there, or not whole."""
    recipe = recipe_of(name)
    path = kept_at(name, recipe)
    if path.exists():
        try:
            read_about(path)
            return path
        except ValueError as error:
            print(f"minires: {error}; {name} is trained anew", file=sys.stderr)
    with naming(path, "choose another folder with MINIRES_DATA"):  # before the work
        path.parent.mkdir(parents=True, exist_ok=True)
    train(name, recipe, path)
    return path


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a network of the digits."""
    known = PRETRAINED[name]
    return runs.resolve("digits", known.settings or (), model=known.model, data="digits")


def kept_at(name: str, recipe: Recipe) -> Path:
    """Return where a network of the digits is kept: another place where it would be trained in another way."""
    made = json.dumps([minires.__version__, recipe.to_dict()], sort_keys=True)
    return data_folder() / "networks" / f"{name}-{hashlib.sha256(made.encode()).hexdigest()[:8]}.safetensors"


def train(name: str, recipe: Recipe, path: Path) -> None:
    """Train a network by its recipe and write its weights, whole or not at all; say both."""
    from minires.runs.progress import ProgressBar

    trainer = runs.build(recipe)
    trainer.evaluate_every = recipe.steps  # at the end alone
    print(f"minires: {name} is trained now, once: {recipe.steps} steps on the digits", file=sys.stderr)
    accuracy = 0.0
    with ProgressBar(total=recipe.steps, disable=None, leave=False) as bar:

        def log(record: dict[str, Any]) -> None:
            nonlocal accuracy
            accuracy = record.get("test_accuracy", accuracy)
            bar.update("loss" in record, timed=record["step"] > 1)

        trainer.train(recipe.steps, log)
    save_weights(trainer.model, path, about=about_recipe(recipe))
    images = recipe.dataset.test_images
    print(f"minires: {accuracy:.2%} of {images} test images are right; kept in {path}", file=sys.stderr)


def about_recipe(recipe: Recipe) -> About:
    """Say of a recipe that knows its data set what a file of its weights is to say."""
    options = {name: value for name, value in model_options(recipe).items() if name != "fused"}
    data = recipe.dataset
    return About(recipe.model.name, options, data.name, data.shape, data.classes, data.mean, data.std)
