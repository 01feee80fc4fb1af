"""Dataset: statistics, parts, classes, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.data import Dataset, Loader, load, load_digits
from minires.data.dataset import stratified_split


def made(train=12, test=6, classes=("ant", "bee", "cow"), dtype=np.uint8, seed=0):
    """Images whose first pixel is their label, so that the two cannot part unseen."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in (train, test):
        labels = np.arange(size) % len(classes)
        images = rng.integers(0, 256, (size, 3, 4, 5)).astype(dtype)
        images[:, 0, 0, 0] = labels
        parts += [images, labels]
    return Dataset("made", *parts, list(classes))


@given(st.integers(1, 600), st.integers(1, 3), st.sampled_from([np.uint8, np.float32]), st.integers(0, 9))
def test_mean_and_std_are_those_of_each_channel(N, C, dtype, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (N, C, 2, 3)).astype(dtype)
    labels = np.zeros(N, int)
    dataset = Dataset("any", images, labels, images[:1], labels[:1])
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    np.testing.assert_allclose(dataset.mean, images.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, images.std(axis=(0, 2, 3), dtype=np.float64), rtol=1e-5)


def test_a_channel_that_never_changes_has_std_1():
    images = np.zeros((4, 2, 3, 3), np.uint8)
    images[:2, 0], images[:, 1] = 10, 200
    dataset = Dataset("flat", images, np.zeros(4, int), images, np.zeros(4, int))
    assert dataset.mean.tolist() == [5, 200]
    assert dataset.std.tolist() == [5, 1]


def test_hold_out_tests_with_training_images_alone():
    dataset = made(train=30)
    held = dataset.hold_out(8, seed=1)
    assert (len(held.train_images), len(held.test_images)) == (22, 8)
    both = np.concatenate([held.train_images, held.test_images])
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in dataset.train_images)
    for images, labels in ((held.train_images, held.train_labels), (held.test_images, held.test_labels)):
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    np.testing.assert_array_equal(dataset.hold_out(8, seed=1).test_images, held.test_images)
    assert (dataset.hold_out(8, seed=2).test_images != held.test_images).any()
    assert held.classes == dataset.classes
    np.testing.assert_array_equal(held.mean, Dataset("again", *parts(held)).mean)


def parts(dataset):
    return dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels


def test_only_some_classes_are_numbered_in_the_order_given():
    dataset = made(classes=("ant", "bee", "cow", "dog"))
    few = dataset.only(["dog", "bee"])
    assert few.classes == ["dog", "bee"]
    for images, labels in ((few.train_images, few.train_labels), (few.test_images, few.test_labels)):
        np.testing.assert_array_equal(images[:, 0, 0, 0], np.array([3, 1])[labels])
    assert len(few.train_images) == (np.isin(dataset.train_labels, [1, 3])).sum()


def test_a_summary_is_json_and_whole():
    dataset = made()
    summary = json.loads(json.dumps(dataset.summary()))
    assert summary["name"] == "made"
    assert summary["shape"] == [3, 4, 5]
    assert (summary["train_images"], summary["test_images"]) == (12, 6)
    assert summary["classes"] == ["ant", "bee", "cow"]
    np.testing.assert_array_equal(np.float32(summary["mean"]), dataset.mean)
    np.testing.assert_array_equal(np.float32(summary["std"]), dataset.std)


def test_to_the_device_it_is_on_changes_nothing():
    dataset = made()
    moved = dataset.to("cpu")
    assert moved.train_images is dataset.train_images
    assert moved.summary() == dataset.summary()
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        dataset.to("tpu")


def test_repr_is_one_line():
    assert repr(made()) == "Dataset(made, 12 + 6 images (3, 4, 5) uint8, 3 classes)"


def test_digits_are_those_of_load_digits_once_normalized():
    dataset = load("digits")
    train_images, train_labels, test_images, test_labels = load_digits()
    for pixels, expected in ((dataset.train_images, train_images), (dataset.test_images, test_images)):
        np.testing.assert_allclose((pixels - dataset.mean) / dataset.std, expected, atol=1e-6)
    np.testing.assert_array_equal(dataset.train_labels, train_labels)
    np.testing.assert_array_equal(dataset.test_labels, test_labels)
    np.testing.assert_array_equal(load("digits", split="last360").test_labels, load_digits("last360")[3])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 3))
def test_a_stratified_split_takes_its_part_of_each_class(labels, seed):
    labels = np.array(labels)
    in_test = stratified_split(labels, 0.2, seed)
    for label in range(5):
        assert in_test[labels == label].sum() == round(0.2 * (labels == label).sum())
    np.testing.assert_array_equal(stratified_split(labels, 0.2, seed), in_test)


def test_bad_parts_are_refused():
    images, labels = np.zeros((4, 1, 2, 3), np.uint8), np.zeros(4, int)
    with pytest.raises(TypeError, match="Dataset bad: train images must be an array, got list"):
        Dataset("bad", [0], labels, images, labels)
    with pytest.raises(TypeError, match="Dataset bad: test labels must be an array, got list"):
        Dataset("bad", images, labels, images, [0] * 4)
    with pytest.raises(TypeError, match="Dataset bad: train images must be uint8 or float32, got float64"):
        Dataset("bad", images.astype(float), labels, images, labels)
    with pytest.raises(TypeError, match="Dataset bad: train labels must be integers, got float64"):
        Dataset("bad", images, labels.astype(float), images, labels)
    with pytest.raises(
        ValueError, match=r"train images must be of shape \(N, C, H, W\), none of them 0, got \(4, 2, 3\)"
    ):
        Dataset("bad", images[:, 0], labels, images, labels)
    with pytest.raises(ValueError, match=r"test images must be .* got \(0, 1, 2, 3\)"):
        Dataset("bad", images, labels, images[:0], labels[:0])
    with pytest.raises(ValueError, match=r"train images \(4, 1, 2, 3\) need labels of shape \(4,\), got \(3,\)"):
        Dataset("bad", images, labels[:3], images, labels)
    with pytest.raises(ValueError, match="test images hold values that are no finite numbers"):
        Dataset("bad", images.astype("f4"), labels, np.full((4, 1, 2, 3), np.nan, np.float32), labels)
    with pytest.raises(ValueError, match=r"train with are \(1, 2, 3\) uint8, those to test with \(1, 2, 2\) uint8"):
        Dataset("bad", images, labels, images[..., :2], labels)
    with pytest.raises(ValueError, match="labels run from 0 to 2, but there are 2 classes, 0 to 1"):
        Dataset("bad", images, labels + 2, images, labels, ["a", "b"])
    with pytest.raises(ValueError, match="labels run from -1 to 0, but there are 1 classes"):
        Dataset("bad", images, labels - 1, images, labels)


def test_bad_requests_are_refused():
    dataset = made()
    for count in (0, 12):
        with pytest.raises(ValueError, match=f"Dataset.hold_out: count must be between 1 and 11, got {count}"):
            dataset.hold_out(count)
    with pytest.raises(ValueError, match="Dataset.only: unknown classes elk; the classes of made are ant, bee, cow"):
        dataset.only(["ant", "elk"])
    with pytest.raises(ValueError, match=r"Dataset.only: name each class once, at least one, got \[\]"):
        dataset.only([])
    with pytest.raises(ValueError, match=r"Dataset.only: name each class once, at least one, got \['ant', 'ant'\]"):
        dataset.only(["ant", "ant"])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "mend"),
    [
        ((6, 32, 32, 3), "images.transpose(0, 3, 1, 2)"),
        ((6, 28, 28, 1), "images.transpose(0, 3, 1, 2)"),
        ((6, 224, 160, 4), "images.transpose(0, 3, 1, 2)"),
        ((6, 28, 28), "images[:, np.newaxis]"),
        ((6, 784), "images.reshape(-1, 1, 28, 28)"),
        ((6, 3072), "images.reshape(-1, 3, 32, 32)"),
    ],
)
def test_images_in_another_layout_come_with_the_line_that_mends_them(dtype, shape, mend):
    images, labels = np.ones(shape, dtype), np.arange(6) % 2

    def dataset(images):
        return Dataset("mine", images, labels, images, labels)

    def loader(images):
        ones = np.ones(images.shape[1], np.float32)
        return Loader(images, labels, 2, mean=ones, std=ones)

    for make in (dataset, loader):
        with pytest.raises(ValueError) as caught:
            make(images)
        line = str(caught.value).rpartition(": ")[2]
        assert line == mend
        make(eval(line, {"images": images, "np": np}))


@pytest.mark.parametrize(
    ("labels", "mend"),
    [
        (np.arange(6)[:, None] % 2, "labels[:, 0]"),
        (np.eye(2, dtype=np.int64)[np.arange(6) % 2], "labels.argmax(axis=1)"),
        (np.arange(6) % 2.0, "labels.astype(np.int64)"),
    ],
)
def test_labels_in_another_layout_come_with_the_line_that_mends_them(labels, mend):
    images = np.ones((6, 1, 4, 4), np.float32)
    with pytest.raises((ValueError, TypeError)) as caught:
        Dataset("mine", images, labels, images, labels)
    assert f": {mend}" in str(caught.value)
    mended = eval(mend, {"labels": labels, "np": np})
    assert Dataset("mine", images, mended, images, mended).train_labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_images_of_few_channels_and_a_width_of_three_pass():
    """Only what can be nothing else is called channels-last."""
    for shape in [(4, 3, 32, 32), (4, 1, 28, 3), (4, 3, 5, 4), (4, 4, 4, 4)]:
        Dataset("mine", np.ones(shape, np.float32), np.arange(4), np.ones(shape, np.float32), np.arange(4))
