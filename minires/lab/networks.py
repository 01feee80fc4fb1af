"""What is compared: networks that differ in a few switches and start from the same weights, and the images they see."""

from dataclasses import asdict, dataclass
from typing import Any

from minires import data as data_sets
from minires.data import Loader, load_digits
from minires.kernels import Array
from minires.kernels.devices import to_device
from minires.models import cifar_resnet
from minires.nn import Module

TEST_BATCH = 256
TEST_IMAGES = 2000  # at most so many are looked at after a short training
SETTING = ("init", "norm", "activation", "lr")  # what a panel of a figure has in common


@dataclass(frozen=True)
class Network:
    """One network of a comparison: the CIFAR ResNet of 6n+2 layers, and the learning rate that it is trained with."""

    depth: int
    skip: bool
    init: str = "he"
    norm: str = "batch"
    activation: str = "relu"
    lr: float = 0.05

    @property
    def name(self) -> str:
        return f"{'residual' if self.skip else 'plain'}-{self.depth}"

    def build(self, seed: int, in_channels: int = 1, classes: int = 10) -> Module:
        return cifar_resnet(self.depth, in_channels=in_channels, num_classes=classes, skip=self.skip, init=self.init,
                            norm=self.norm, activation=self.activation, seed=seed)

    def switches(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Images:
    """Images to train and to test with, on a device, and how they become batches."""

    name: str
    train: tuple[Array, Array]
    test: tuple[Array, Array]
    classes: int
    normalization: dict[str, Any]

    @property
    def channels(self) -> int:
        return int(self.train[0].shape[1])

    def batches(self, batch_size: int, seed: int) -> Loader:
        return Loader(*self.train, batch_size, drop_last=True, seed=seed, **self.normalization)

    def test_batches(self) -> Loader:
        return Loader(*self.test, TEST_BATCH, shuffle=False, **self.normalization)


def load_images(name: str = "digits", data_dir: str | None = None, device: str = "cpu") -> Images:
    """Load a data set by the name that `data.load` knows it by. Its errors are those of `data.load`."""
    if name == "digits":
        train_images, train_labels, test_images, test_labels = [to_device(array, device) for array in load_digits()]
        return Images(name, (train_images, train_labels), (test_images, test_labels), 10, {})
    dataset = data_sets.load(name, data_dir=data_dir).to(device)
    return Images(
        dataset.name,
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images[:TEST_IMAGES], dataset.test_labels[:TEST_IMAGES]),
        len(dataset.classes),
        {"mean": dataset.mean, "std": dataset.std},
    )


def labels_of(networks: list[dict[str, Any]]) -> list[str]:
    """Name networks so that no two names are the same: "plain-56", and what else differs: "plain-56, lr 0.005"."""
    different = [key for key in SETTING if len({network[key] for network in networks}) > 1]
    return [", ".join([network["name"], *[f"{key} {network[key]}" for key in different]]) for network in networks]
