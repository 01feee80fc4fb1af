"""What becomes of a plain network that explodes at its start, and what of it can be taken back.

A plain network is trained for `at` steps. Then a part of it is put back to where it began, the optimizer starts anew,
and the training goes on to its end. Which part has to go back for the network to learn?

Rescaling a filter before a norm proves nothing, nor does a norm's scale and shift together before the next norm: what
comes after cannot tell. So values are put back, or scales, or shifts, not sizes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

from minires.kernels import Array
from minires.lab import conclusions
from minires.lab.conclusions import NOTHING
from minires.lab.early_layers import describe, flipped, outputs_of
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import Images, Network, load_images
from minires.lab.progress import Progress
from minires.lab.short_training import train
from minires.nn import Module

State = dict[str, Array]
LAST_STEPS = 10  # the loss is the mean over so many
LOOKS = {"rank": ".1f", "likeness": ".2f", "flipped": ".0%"}  # what of the outputs is said, and how
LEARNS = 0.03  # of guessing's loss: by so much an intervention must be better than none, in every seed

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
WORDS = {
    "nothing": "nothing is put back",
    "convolutions": "the convolutions' values go back",
    "scales": "the norms' scales go back",
    "shifts": "the norms' shifts go back",
    "scales and shifts": "the norms' scales and shifts go back",
    "all but the classifier": "all but the classifier goes back",
    "clipped": "from the start, gradients are clipped to norm 1",
    "warmed up": "from the start, the learning rate is warmed up",
}


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
    work = at + later * (steps - at) + (len(settings["interventions"]) - later) * steps
    progress.start(sum(settings["depths"]) * len(settings["lr"]) * settings["seeds"] * work)
    for network in networks:
        for seed in seeds_of(settings):
            yield from one_network(network, seed, images, settings, progress)


def one_network(
    network: Network, seed: int, images: Images, settings: Settings, progress: Progress
) -> Iterator[tuple[str, Row]]:
    """Train one network to the step `at`, look at its early layers on the way, and go on with each intervention."""
    at, steps = settings["at"], settings["steps"]
    here = {"depth": network.depth, "lr": network.lr, "seed": seed}
    batches = images.batches(settings["batch_size"], seed)
    batch = next(batches.epoch(0))

    progress.doing(f"{network.name}, lr {network.lr}, seed {seed}")
    model = network.build(seed, images.channels, images.classes)
    begun = copy.deepcopy(model)
    start = model.state_dict()
    before = outputs_of(model, *batch)
    looks = {0: early(before, before)}
    ratio_start = log10_ratio(measure(model, *batch))

    def log(step: int) -> None:
        progress.advance(network.depth)

    def log_and_look(step: int) -> None:
        if step in (1, at):
            looks[step] = early(outputs_of(model, *batch), before)
        log(step)

    first = train(model, batches, steps, network.lr, end=at, log=log_and_look)
    for step, look in looks.items():
        yield "outputs", {**here, "step": step, **look}
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


def judge(tables: Tables, settings: Settings) -> Verdict:
    """Say what is settled over the seeds of the deepest network at its largest rate, and what is not."""
    depth, lr = max(settings["depths"]), max(settings["lr"])
    rows = [row for row in tables["interventions"] if (row["depth"], row["lr"]) == (depth, lr)]
    seeds, guessing = settings["seeds"], rows[0]["guessing"]
    of = {name: [row for row in rows if row["intervention"] == name] for name in settings["interventions"]}
    starts = [row["log10_ratio_start"] for row in rows]
    findings = [
        Finding(f"log10 of the ratio before training, the smallest of {counted(seeds)}", least(starts), low=2),
    ]
    if "nothing" in of:
        ratios = [row["log10_ratio_at"] for row in of["nothing"]]
        losses = [row["loss_end"] for row in of["nothing"]]
        findings += [
            Finding(f"log10 of the ratio after {settings['at']} steps, the largest", most(ratios), high=1.5),
            Finding(f"loss at step {settings['steps']} over guessing's, the smallest", over(least(losses), guessing),
                    low=NOTHING),
        ]  # fmt: skip
    looks = [row for row in tables["outputs"] if (row["depth"], row["lr"]) == (depth, lr)]
    if looks:
        before = {row["seed"]: row["rank"] for row in looks if row["step"] == 0}
        shares = [row["rank"] / before[row["seed"]] for row in looks if row["step"] == settings["at"]]
        what = f"directions that {looks[0]['output']} fills for the images, after {settings['at']} steps over before"
        findings.append(Finding(f"{what}, the largest", most(shares)))
    learners = [name for name in of if name != "nothing" and "nothing" in of and better(of[name], of["nothing"])]
    settled = all(finding.inside for finding in findings)
    lines = table_in_words(tables, settings)
    ends = [row["loss_end"] for row in of.get("nothing", [])]
    if ends and None not in ends and max(ends) <= NOTHING * guessing:
        words = f"plain-{depth} learns by itself, to a loss of {span(ends, '.2f')}: nothing needs to be put back."
        return Verdict("open", words, findings, open="A deeper network, or a larger rate.", lines=lines)
    gone = "The explosion is gone" if settled else "Not everywhere is the explosion gone"
    nothing = "and nothing is learned" if settled else "with nothing learned"
    cure = f"It learns if these go back: {', '.join(learners)}." if learners else "Nothing put back makes it learn."
    words = f"{gone} within {settings['at']} steps, {nothing}, in {counted(seeds)}. {cure}"
    if seeds == 1:
        return Verdict("open", words, findings, open="One seed settles nothing: --seeds 10.", lines=lines)
    answer = "half right" if settled and learners == ["convolutions"] else "open"
    left = (
        "How far the first steps' damage is one of direction and how far of size; why a network whose values went back "
        "learns slowly; whether other rates, depths and images do the same."
    )
    return Verdict(answer, words, findings, open=left, lines=lines)


def better(rows: list[Row], nothing: list[Row]) -> bool:
    """Whether an intervention ends lower than none, by a margin, in every seed."""
    pairs = [(row["loss_end"], other["loss_end"]) for row, other in zip(rows, nothing, strict=True)]
    margin = LEARNS * nothing[0]["guessing"]
    return all(mine is not None and (theirs is None or mine < theirs - margin) for mine, theirs in pairs)


def table_in_words(tables: Tables, settings: Settings) -> list[str]:
    """Say the tables in lines that need no legend."""
    lines = []
    for depth, lr in dict.fromkeys([(row["depth"], row["lr"]) for row in tables["interventions"]]):
        rows = [row for row in tables["interventions"] if (row["depth"], row["lr"]) == (depth, lr)]
        lines.append(f"plain-{depth}, lr {lr}: the gradient at the stem over the last block's, and what is learned")
        lines.append(f"  before training: {powers([row['log10_ratio_start'] for row in rows])}")
        for name in dict.fromkeys([row["intervention"] for row in rows]):
            own = [row for row in rows if row["intervention"] == name]
            losses = [row["loss_end"] for row in own]
            lines.append(f"  {WORDS[name]}: {powers([row['log10_ratio_at'] for row in own])}; trained on, loss "
                         f"{span(losses, '.2f')}, {learned(losses, own[0]['guessing'])}")  # fmt: skip
        for step in dict.fromkeys([row["step"] for row in tables["outputs"]]):
            own = [row for row in tables["outputs"] if (row["depth"], row["lr"], row["step"]) == (depth, lr, step)]
            rank, likeness, changed = (span([row[key] for row in own], spec) for key, spec in LOOKS.items())
            steps = "before training" if step == 0 else "after 1 step" if step == 1 else f"after {step} steps"
            lines.append(f"  {own[0]['output']} {steps}: its outputs for {settings['batch_size']} images fill {rank} "
                         f"directions, two images' have a cosine of {likeness}"
                         + (f", {changed} of its units have changed between on and off" if step else ""))  # fmt: skip
    return lines


def learned(losses: list[float | None], guessing: float) -> str:
    known = [loss for loss in losses if loss is not None]
    if len(known) < len(losses):
        return "it diverges"
    kinds = sorted({conclusions.learned(loss, guessing) for loss in known})
    return " or ".join(kinds)


def counted(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} seeds"


def powers(logs: list[float | None]) -> str:
    """Say a factor of each seed: "10^3.5 … 10^3.7"."""
    known = sorted({f"{log:.1f}" for log in logs if log is not None}, key=float)
    return " … ".join([f"10^{word}" for word in dict.fromkeys([known[0], known[-1]])]) if known else "no number"


def span(values: list[float | None], spec: str) -> str:
    known = [value for value in values if value is not None]
    ends = [format(min(known), spec), format(max(known), spec)] if known else ["no number"]
    return " … ".join(dict.fromkeys(ends))


def least(values: list[float | None]) -> float | None:
    return None if None in values else min([value for value in values if value is not None])


def most(values: list[float | None]) -> float | None:
    return None if None in values else max([value for value in values if value is not None])


def over(value: float | None, other: float) -> float | None:
    return None if value is None else value / other


EXPERIMENT = Experiment(
    name="aftermath",
    claim="The first steps, along an exploding gradient, spoil a plain network's early layers; the rest is aftermath.",
    source="a hypothesis of this house, from what `gradient-flow` shows",
    expected="it explodes at the start, not at step 20, and learns nothing; it does if the filters' values go back",
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
