"""What a recipe is: every value of a training, its type, and what it is where nothing else is said.

A recipe is written as TOML (the files in `recipes/`) and kept as JSON (`config.json` of a run); `from_dict` and
`to_dict` lead to and from both. A section with a name, such as the optimizer, has the options of what it names.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from minires import optim
from minires.optim import Optimizer, Schedule
from minires.runs.typed_values import check_known, check_least, filled


@dataclass(kw_only=True)
class SGDSection:
    """Options of `optim.SGD`."""

    name: ClassVar[str] = "sgd"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def make(self, params: Any) -> Optimizer:
        return optim.SGD(params, **asdict(self))


@dataclass(kw_only=True)
class AdamSection:
    """Options of `optim.Adam`."""

    name: ClassVar[str] = "adam"
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.0

    def make(self, params: Any) -> Optimizer:
        return optim.Adam(params, **asdict(self))


@dataclass(kw_only=True)
class AdamWSection(AdamSection):
    """Options of `optim.AdamW`."""

    name: ClassVar[str] = "adamw"
    weight_decay: float = 1e-2

    def make(self, params: Any) -> Optimizer:
        return optim.AdamW(params, **asdict(self))


@dataclass(kw_only=True)
class ConstantSection:
    """A learning rate that stays."""

    name: ClassVar[str] = "constant"

    def make(self, optimizer: Optimizer, steps: int) -> Schedule | None:
        return None


@dataclass(kw_only=True)
class MultiStepSection:
    """Options of `optim.MultiStepLR`."""

    name: ClassVar[str] = "multistep"
    milestones: list[int] = field(metadata={"example": [32_000, 48_000]})
    gamma: float = 0.1

    def make(self, optimizer: Optimizer, steps: int) -> Schedule | None:
        return optim.MultiStepLR(optimizer, self.milestones, self.gamma)


@dataclass(kw_only=True)
class CosineSection:
    """Options of `optim.CosineAnnealingLR`, which goes down to the last step."""

    name: ClassVar[str] = "cosine"
    eta_min: float = 0.0

    def make(self, optimizer: Optimizer, steps: int) -> Schedule | None:
        return optim.CosineAnnealingLR(optimizer, steps, self.eta_min)


@dataclass(kw_only=True)
class OneCycleSection:
    """Options of `optim.OneCycleLR`, which rises to optimizer.lr and goes down to the last step."""

    name: ClassVar[str] = "onecycle"
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def make(self, optimizer: Optimizer, steps: int) -> Schedule | None:
        return optim.OneCycleLR(optimizer, None, steps, **asdict(self))


OPTIMIZERS = {kind.name: kind for kind in (SGDSection, AdamSection, AdamWSection)}
SCHEDULES = {kind.name: kind for kind in (ConstantSection, MultiStepSection, CosineSection, OneCycleSection)}
WARMUPS = {"linear": optim.LinearWarmup, "constant": optim.ConstantWarmup}


ScheduleSection = ConstantSection | MultiStepSection | CosineSection | OneCycleSection


@dataclass(kw_only=True)
class WarmupSection:
    """Multiplies the learning rate at the beginning."""

    steps: int = 0
    factor: float = 0.1  #: of the first step
    shape: str = "linear"  #: up to 1, or "constant": at once when the steps are over

    def __post_init__(self) -> None:
        check_known("warmup.shape", self.shape, WARMUPS)

    def put_on(self, schedule: Schedule | None, optimizer: Optimizer) -> Schedule | None:
        """Return the schedule with the warmup before it; None where there is neither."""
        if self.steps == 0:
            return schedule
        return WARMUPS[self.shape](optimizer, self.steps, self.factor, schedule)


@dataclass(kw_only=True)
class ModelSection:
    """A name and options of `models.make`: skip = false, norm = "none", …"""

    name: str = "resnet20"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class DataSection:
    """A name and options of `data.load`."""

    name: str = "digits"
    dir: str = ""  #: where its files are; "": the usual place
    classes: list[str] | None = field(default=None, metadata={"example": ["cat", "dog"]})  #: these alone
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class DatasetSection:
    """What the data set turned out to be: see `Dataset.summary`."""

    name: str = ""
    shape: list[int] = field(default_factory=list)
    train_images: int = 0
    test_images: int = 0
    classes: list[str] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class FinetuneSection:
    """What `minires finetune` began with."""

    source: str = ""  #: a run's folder or a file of weights
    freeze: list[str] = field(default_factory=list)  #: patterns on parameters' names
    head_factor: float = 10.0  #: the head learns so much faster
    mean: list[float] | None = None  #: of the images that the source was trained on, where they are known
    std: list[float] | None = None


@dataclass(kw_only=True)
class Recipe:
    """How to train. ValueError for numbers that no training can have."""

    seed: int = 0  #: of weights, batches, augmentation and the images held out
    device: str = "cpu"  #: or "cuda"
    epochs: int = 20  #: times through the training images
    steps: int = 0  #: updates, in place of epochs where it is above 0
    batch_size: int = 128  #: images in an update
    accumulation: int = 1  #: parts that a batch is computed in, one after the other: less memory
    drop_last: bool = False  #: leave out an epoch's last batch where it is smaller
    validation: int = 0  #: training images held out to evaluate with; 0: the test images are used
    #: in order: "crop" (pad by 4, cut out), "flip", "resized_crop", "cutout" (a square of the mean colour)
    augmentation: list[str] = field(default_factory=list, metadata={"example": ["crop", "flip"]})
    mixup: float = 0.0  #: mix images and labels by a share from Beta(mixup, mixup), 0.2 to 1; 0: never
    label_smoothing: float = 0.0
    #: how much each class counts in the loss; []: all alike
    class_weights: list[float] = field(default_factory=list, metadata={"example": [1.0, 2.5]})
    decay_norms: bool = True  #: weight decay also of norms and biases: of all parameters of one axis
    max_norm: float = 0.0  #: clip the gradients to this norm; 0: never
    ema_decay: float = 0.0  #: evaluate with an exponential average of the weights; 0: with the weights
    evaluate_every: int = 0  #: steps; 0: once an epoch
    checkpoint_every: int = 500  #: steps; one is also written after each evaluation
    keep_checkpoints: int = 3  #: the last so many, besides the best
    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    optimizer: SGDSection | AdamSection = field(default_factory=lambda: SGDSection(lr=0.1))
    schedule: ScheduleSection = field(default_factory=ConstantSection)
    warmup: WarmupSection = field(default_factory=WarmupSection)
    dataset: DatasetSection = field(default_factory=DatasetSection)  #: filled in when the data set is loaded
    finetune: FinetuneSection | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulation", "checkpoint_every", "keep_checkpoints"):
            check_least(name, getattr(self, name), 1)
        for name in ("seed", "steps", "validation", "mixup", "label_smoothing", "max_norm", "ema_decay"):
            check_least(name, getattr(self, name), 0)
        check_least("evaluate_every", self.evaluate_every, 0)
        for weight in self.class_weights:
            check_least("class_weights", weight, 0)

    def make_schedule(self, optimizer: Optimizer, steps: int) -> Schedule | None:
        """Make the schedule of a training of so many steps; None for a learning rate that stays."""
        return self.warmup.put_on(self.schedule.make(optimizer, steps), optimizer)

    def to_dict(self, complete: bool = False) -> dict[str, Any]:
        """Return it as plain values, as in TOML and JSON. What is not known or not there has no key.

        Nor have, unless complete, the options of LATER that say nothing: the files of runs are as they were before.
        """
        content = asdict(self)
        for name in [] if complete else LATER:
            if content[name] == getattr(Recipe, name, []):
                del content[name]
        content["optimizer"] = {"name": self.optimizer.name, **content["optimizer"]}
        content["schedule"] = {"name": self.schedule.name, **content["schedule"]}
        for section in ("model", "data"):
            options = content[section].pop("options")
            content[section] |= options
        if self.data.classes is None:
            del content["data"]["classes"]
        if not self.dataset.name:
            del content["dataset"]
        if self.finetune is None:
            del content["finetune"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Recipe":
        """Make a recipe of plain values; what has no key is as in a recipe that says nothing.

        ValueError, with what is known, for an unknown key, option or name, and for an option that is missing;
        TypeError, with an example, for a value of another type.
        """
        values = {name: section_from(name, value) if name in SECTIONS else value for name, value in content.items()}
        recipe: Recipe = filled(cls, "a recipe", "", values)
        return recipe


LATER = ("drop_last", "mixup", "class_weights", "decay_norms")  # options that recipes of format 1 did not have

# A section is of one kind, or of the kind that its name says.
SECTIONS: dict[str, Any] = {
    "model": ModelSection,
    "data": DataSection,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "warmup": WarmupSection,
    "dataset": DatasetSection,
    "finetune": FinetuneSection,
}


def place_of(name: str) -> str:
    """Return where a recipe has a value of this name: epochs, optimizer.lr, warmup.factor; "" where it has none."""
    sections: dict[str, list[Any]] = {
        "optimizer": list(OPTIMIZERS.values()), "schedule": list(SCHEDULES.values()), "warmup": [WarmupSection],
    }  # fmt: skip
    if name in [field.name for field in fields(Recipe)] and name not in (*sections, "dataset", "finetune"):
        return name
    for section, kinds in sections.items():
        if any(name == field.name for kind in kinds for field in fields(kind)):
            return f"{section}.{name}"
    return "model." + name if name in ("skip", "norm", "shortcut", "activation", "width", "init") else ""


def section_from(name: str, content: Any) -> Any:
    """Make a section of plain values. The options of a model or a data set are left to their makers to check."""
    if not isinstance(content, Mapping):
        first = next(iter(Recipe().to_dict().get(name, {"name": "…"}).items()))
        raise TypeError(f"{name} is a section: set its keys, such as {name}.{first[0]}={first[1]}, not {content!r}")
    kind, title, values = SECTIONS[name], name, dict(content)
    if isinstance(kind, dict):
        chosen = values.pop("name", None)
        check_known(name, chosen, kind)
        kind, title = kind[chosen], f"{name} {chosen}"
    if kind in (ModelSection, DataSection):
        own = [entry.name for entry in fields(kind) if entry.name != "options"]
        values["options"] = {option: values.pop(option) for option in content if option not in own}
    return filled(kind, title, f"{name}.", values)
