"""Data sets, augmentation and the loader with arrays on a GPU: the same images as on the CPU, and nothing waits."""

from itertools import islice

import numpy as np
import pytest

from minires.data import Dataset, Loader, load, make_augmentation
from minires.kernels.emulation import fake_cupy


def loader_of(dataset, names):
    return Loader(
        dataset.train_images, dataset.train_labels, 16, seed=3, augmentation=make_augmentation(names, dataset.mean),
        mean=dataset.mean, std=dataset.std,
    )  # fmt: skip


def colours():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 3, 9, 7), dtype=np.uint8), np.arange(40) % 3
    return Dataset("colours", images, labels, images[:5], labels[:5])


@pytest.mark.parametrize("names", [[], ["crop"], ["flip"], ["resized_crop"], ["crop", "flip"], ["cutout"]])
def test_batches_are_those_of_the_cpu(gpu, names):
    dataset = colours()
    moved = dataset.to("cuda")
    assert isinstance(moved.train_images, gpu.ndarray) and isinstance(moved.test_labels, gpu.ndarray)
    fake_cupy.waits.clear()
    batches = list(islice(loader_of(moved, names).stream(1), 4))
    assert fake_cupy.waits == []
    for (images, labels), (expected, expected_labels) in zip(
        batches, loader_of(dataset, names).stream(1), strict=False
    ):
        assert images.dtype == np.float32
        np.testing.assert_allclose(images.get(), expected, atol=1e-5 if "resized_crop" not in names else 0.02)
        np.testing.assert_array_equal(labels.get(), expected_labels)
    if gpu.__version__ == "fake":
        np.testing.assert_array_equal(images.get(), expected)


def test_a_data_set_made_of_arrays_on_the_gpu(gpu):
    dataset = load("digits")
    parts = [dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels]
    moved = Dataset("digits", *[gpu.asarray(part) for part in parts])
    assert moved.summary() == dataset.summary()
    few, expected = moved.only(["8", "3"]), dataset.only(["8", "3"])
    np.testing.assert_array_equal(few.train_images.get(), expected.train_images)
    np.testing.assert_array_equal(few.test_labels.get(), expected.test_labels)
    held, expected = moved.hold_out(100), dataset.hold_out(100)
    np.testing.assert_array_equal(held.test_images.get(), expected.test_images)
    np.testing.assert_array_equal(moved.to("cpu").train_images, dataset.train_images)
