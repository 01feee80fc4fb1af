"""The shipped digits and their two splits."""

import hashlib

import numpy as np
import pytest

from minires.data import load_digits
from minires.data.digits import PATH

SHA256 = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"


def nearest_neighbour_accuracy(train_images, train_labels, test_images, test_labels):
    train, test = train_images.reshape(len(train_images), -1), test_images.reshape(len(test_images), -1)
    distances = (train**2).sum(1) - 2 * test @ train.T
    return (train_labels[distances.argmin(1)] == test_labels).mean()


def test_the_shipped_file_is_the_one_attributed():
    assert hashlib.sha256(PATH.read_bytes()).hexdigest() == SHA256
    attribution = PATH.with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "10.24432/C50P49" in attribution
    assert "CC BY 4.0" in attribution


@pytest.mark.parametrize(("split", "sizes"), [("random", (1438, 359)), ("last360", (1437, 360))])
def test_shapes_types_and_standardization(split, sizes):
    train_images, train_labels, test_images, test_labels = load_digits(split)
    assert train_images.shape == (sizes[0], 1, 8, 8)
    assert test_images.shape == (sizes[1], 1, 8, 8)
    assert train_labels.shape == (sizes[0],)
    assert test_labels.shape == (sizes[1],)
    assert train_images.dtype == test_images.dtype == np.float32
    assert train_labels.dtype == test_labels.dtype == np.int64
    assert abs(train_images.mean(dtype=np.float64)) < 1e-6
    assert abs(train_images.std(dtype=np.float64) - 1) < 1e-6


def test_the_random_split_is_a_fifth_of_each_digit_and_always_the_same():
    _, train_labels, test_images, test_labels = load_digits()
    per_digit = np.bincount(train_labels) + np.bincount(test_labels)
    assert per_digit.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (np.abs(np.bincount(test_labels) - 0.2 * per_digit) <= 0.5).all()
    np.testing.assert_array_equal(load_digits()[2], test_images)


@pytest.mark.parametrize("split", ["random", "last360"])
def test_no_image_is_in_both_parts_and_none_is_lost(split):
    with np.load(PATH) as file:
        everything = sorted(image.tobytes() for image in file["images"])
    train_images, _, test_images, _ = load_digits(split)
    both = np.concatenate([train_images, test_images])
    step = np.diff(np.unique(both)).min()  # between two neighbouring grey values
    pixels = np.rint((both - both.min()) / step).astype(np.uint8)
    assert sorted(image.tobytes() for image in pixels) == everything


def test_the_last_360_are_in_order_and_harder():
    with np.load(PATH) as file:
        np.testing.assert_array_equal(load_digits("last360")[3], file["labels"][-360:])
    assert nearest_neighbour_accuracy(*load_digits("last360")) < nearest_neighbour_accuracy(*load_digits()) - 0.01


def test_an_unknown_split_lists_the_known_ones():
    with pytest.raises(ValueError, match="load_digits: unknown split 'half'; known: random, last360"):
        load_digits("half")
