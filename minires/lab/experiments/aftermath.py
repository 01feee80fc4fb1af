"""What becomes of a plain network that explodes at its start, and what of it can be taken back.

A plain network is trained for `at` steps. Then a part of it is put back to where it began, the optimizer starts anew,
and the training goes on to its end. Which part has to go back for the network to learn?

Rescaling a filter before a norm proves nothing, nor does a norm's scale and shift together before the next norm: what
comes after cannot tell. So values are put back, or scales, or shifts, not sizes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from minires.kernels import Array
from minires.lab.aftermath_verdict import judge
from minires.lab.early_layers import describe, flipped, outputs_of
from minires.lab.experiment import Experiment, Row, Settings, seeds_of
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import Images, Network, load_images
from minires.lab.progress import Progress
from minires.lab.short_training import train
from minires.nn import Module

State = dict[str, Array]
LAST_STEPS = 10  # the loss is the mean over so many

# Which arrays of the state dict each puts back to the start, by the end of the name and the number of dimensions.
PUT_BACK: dict[str, Callable[[str, Array], bool]] = {
    "nothing": lambda name, array: False,
    "convolutions": lambda name, array: array.ndim == 4,
    "scales": lambda name, array: ".bn" in f".{name}" and name.endswith(".weight"),
    "shifts": lambda name, array: ".bn" in f".{name}" and name.endswith(".bias"),
    "scales and shifts": lambda name, array: ".bn" in f".{name}" and name.endswith((".weight", ".bias")),
    "all but the classifier": lambda name, array: not name.startswith("fc."),
}
FROM_THE_START = ("clipped", "warmed up")
INTERVENTIONS = (*PUT_BACK, *FROM_THE_START)


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    for name in settings["interventions"]:
        if name not in INTERVENTIONS:
            raise ValueError(f"lab: aftermath: unknown intervention {name!r}; known: {', '.join(INTERVENTIONS)}")
    at, steps = settings["at"], settings["steps"]
    if not 1 <= at < steps:
        raise ValueError(f"lab: aftermath: at must be from 1 to steps - 1, {steps - 1}, got {at}")
    networks = [Network(depth, skip=False, lr=lr) for depth in settings["depths"] for lr in settings["lr"]]
    for network in networks:
        network.build(seed=0)  # refuses what cannot be built
    images = load_images(settings["data"])
    later = len([name for name in settings["interventions"] if name in PUT_BACK])
    work = 2 * at + later * (steps - at) + (len(settings["interventions"]) - later) * steps
    progress.start(sum(settings["depths"]) * len(settings["lr"]) * settings["seeds"] * work)
    for network in networks:
        for seed in seeds_of(settings):
            yield from one_network(network, seed, images, settings, progress)


def one_network(
    network: Network, seed: int, images: Images, settings: Settings, progress: Progress
) -> Iterator[tuple[str, Row]]:
    """Train one network to the step `at`, and its residual twin beside it, and go on with each intervention."""
    at, steps = settings["at"], settings["steps"]
    here = {"depth": network.depth, "lr": network.lr, "seed": seed}
    batches = images.batches(settings["batch_size"], seed)
    batch = next(batches.epoch(0))

    def log(step: int) -> None:
        progress.advance(network.depth)

    progress.doing(f"{network.name}, lr {network.lr}, seed {seed}")
    begun = network.build(seed, images.channels, images.classes)
    start, ratio_start = begun.state_dict(), log10_ratio(measure(begun, *batch))
    model, first, looks = first_steps(network, seed, images, settings, log)
    _, _, beside = first_steps(replace(network, skip=True), seed, images, settings, log)
    for row in looks + beside:
        yield "outputs", {**here, **row}
    for name in settings["interventions"]:
        progress.doing(f"{network.name}, seed {seed}: {name}")
        if name in PUT_BACK:
            changed = copy.deepcopy(model)
            put_back(changed, start, PUT_BACK[name])
            ratio = log10_ratio(measure(changed, *batch))
            record = train(changed, batches, steps, network.lr, (steps,), batch, begin=at, log=log)
        else:
            changed = copy.deepcopy(begun)
            options: dict[str, Any] = {"max_norm": 1.0} if name == "clipped" else {"warmup": at}
            record = train(changed, batches, steps, network.lr, (at, steps), batch, log=log, **options)
            ratio = log10_ratio(record["moments"][0]) if record["moments"] else None
        finished = record["diverged_at"] is None and first["diverged_at"] is None
        yield "interventions", {
            **here, "intervention": name, "log10_ratio_start": ratio_start, "log10_ratio_at": ratio,
            "log10_ratio_end": log10_ratio(record["moments"][-1]) if finished else None,
            "loss_at": mean_loss(first), "loss_end": mean_loss(record) if finished else None,
            "guessing": math.log(images.classes),
        }  # fmt: skip


def first_steps(
    network: Network, seed: int, images: Images, settings: Settings, log: Callable[[int], None]
) -> tuple[Module, dict[str, Any], list[Row]]:
    """Train a network to the step `at`; return it, the record of it, and what its early layers were like on the way."""
    batches = images.batches(settings["batch_size"], seed)
    batch = next(batches.epoch(0))
    model = network.build(seed, images.channels, images.classes)
    before = outputs_of(model, *batch)
    rows = [{"network": network.name, "step": 0, **early(before, before)}]

    def look(step: int) -> None:
        if step in (1, settings["at"]):
            rows.append({"network": network.name, "step": step, **early(outputs_of(model, *batch), before)})
        log(step)

    record = train(model, batches, settings["steps"], network.lr, end=settings["at"], log=look)
    return model, record, rows


def put_back(model: Module, start: State, chosen: Callable[[str, Array], bool]) -> None:
    """Write the chosen arrays of the start into a model."""
    state = model.state_dict()
    model.load_state_dict({name: start[name] if chosen(name, array) else array for name, array in state.items()})


def mean_loss(record: dict[str, Any]) -> float | None:
    losses = record["losses"][-LAST_STEPS:]
    return sum(losses) / len(losses) if losses else None


def early(outputs: dict[str, Array], before: dict[str, Array]) -> Row:
    """Describe the output of the last block of the first third of a network, against what it was before training."""
    name = list(outputs)[len(outputs) // 3]
    return {"output": name, **describe(outputs[name]), "flipped": flipped(before[name], outputs[name])}


EXPERIMENT = Experiment(
    name="aftermath",
    claim="The first steps, along an exploding gradient, spoil a plain network's early layers; the rest is aftermath.",
    source="a hypothesis of this house, from what `gradient-flow` shows",
    expected="it explodes, not any more at step 20, and learns nothing; one step leaves early outputs few directions",
    would_change="a smaller learning rate, with which the early layers hardly move; a network that is not so deep",
    settings={
        "depths": (56,), "lr": (0.05,), "seeds": 1, "at": 20, "steps": 80, "batch_size": 64,
        "interventions": tuple(PUT_BACK),
    },
    full={"depths": (20, 56, 110), "lr": (0.05, 0.02, 0.005), "seeds": 10, "interventions": INTERVENTIONS},
    data=("digits", "cifar10"),
    seconds=35,
    run=run,
    judge=judge,
)  # fmt: skip
