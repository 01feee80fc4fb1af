"""Loader: every image once an epoch, in an order that seed and epoch decide, augmented and normalized."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.data import Loader


def numbered(n):
    """n images that each carry their own number, which is also the label."""
    labels = np.arange(n)
    return np.broadcast_to(labels.astype(np.float32)[:, None, None, None], (n, 1, 2, 3)).copy(), labels


@given(st.integers(1, 40), st.integers(1, 50), st.booleans(), st.integers(0, 5))
def test_an_epoch_has_every_image_once_with_its_label(n, batch_size, shuffle, epoch):
    batches = Loader(*numbered(n), batch_size, shuffle)
    seen = list(batches.epoch(epoch))
    assert len(seen) == len(batches)
    assert all(len(labels) == batch_size for _, labels in seen[:-1])
    for images, labels in seen:
        np.testing.assert_array_equal(images[:, 0, 1, 2], labels)
        assert images.dtype == np.float32
    assert sorted(np.concatenate([labels for _, labels in seen])) == list(range(n))


def test_drop_last_leaves_out_the_smaller_batch():
    batches = Loader(*numbered(10), 4, drop_last=True)
    assert [len(labels) for _, labels in batches.epoch(0)] == [4, 4]
    assert len(batches) == 2


def order(seed, epoch, shuffle=True):
    return np.concatenate([labels for _, labels in Loader(*numbered(50), 8, shuffle, seed=seed).epoch(epoch)]).tolist()


def test_the_order_depends_on_seed_and_epoch_alone():
    batches = Loader(*numbered(50), 8, seed=3)
    for epoch in range(3):
        list(batches.epoch(epoch))
    assert np.concatenate([labels for _, labels in batches.epoch(7)]).tolist() == order(3, 7)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert order(0, 5, shuffle=False) == list(range(50))


def test_batches_are_copies():
    images, labels = numbered(6)
    for batch, _ in Loader(images, labels, 2, shuffle=False).epoch(0):
        batch[:] = -1
    np.testing.assert_array_equal(images, numbered(6)[0])


def test_bad_input_is_refused():
    images, labels = numbered(6)
    with pytest.raises(TypeError, match="Loader: labels must be an array, got list"):
        Loader(images, [0] * 6, 2)
    with pytest.raises(ValueError, match=r"Loader: images \(6, 1, 2, 3\) need labels of shape \(6,\), got \(5,\)"):
        Loader(images, labels[:5], 2)
    with pytest.raises(ValueError, match="Loader: there are no images"):
        Loader(images[:0], labels[:0], 2)
    with pytest.raises(ValueError, match="Loader: batch_size 0 gives no batch of 6 images"):
        Loader(images, labels, 0)
    with pytest.raises(ValueError, match="Loader: batch_size 7 gives no batch of 6 images"):
        Loader(images, labels, 7, drop_last=True)
    with pytest.raises(ValueError, match="Loader: seed must be at least 0, got -1"):
        Loader(images, labels, 2, seed=-1)
    with pytest.raises(ValueError, match="Loader.epoch: the number must be at least 0, got -1"):
        Loader(images, labels, 2).epoch(-1)
