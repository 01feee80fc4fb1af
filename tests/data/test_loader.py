"""Loader: every image once an epoch, in an order that seed and epoch decide, augmented and normalized."""

import gc
import threading
import time
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.data import Loader, make_augmentation


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


def pixels(n=50, seed=0):
    """n random images whose label is their number."""
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 8, 6), dtype=np.uint8), np.arange(n)


MEAN, STD = np.float32([100, 120, 140]), np.float32([50, 60, 70])
STANDARD = {"mean": MEAN, "std": STD}


def augmented(n=50, **options):
    return Loader(
        *pixels(n), **{"batch_size": 8, "augmentation": make_augmentation(["crop", "flip"]), **STANDARD, **options}
    )


def by_label(batches):
    return {int(label): image for images, labels in batches for image, label in zip(images, labels, strict=True)}


def test_batches_are_normalized_to_float32():
    images, labels = pixels()
    for seen, numbers in Loader(images, labels, 8, **STANDARD).epoch(0):
        assert seen.dtype == np.float32
        expected = (images[numbers].astype(float) - MEAN[:, None, None]) / STD[:, None, None]
        np.testing.assert_allclose(seen, expected, atol=1e-6)
    floats = Loader(images.astype(np.float32), labels, 50, shuffle=False, **STANDARD)
    np.testing.assert_array_equal(
        next(floats.epoch(0))[0], next(Loader(images, labels, 50, False, **STANDARD).epoch(0))[0]
    )


def test_augmentation_depends_on_seed_epoch_and_index_alone():
    whole = by_label(augmented(seed=4).epoch(3))
    for options in ({"batch_size": 1}, {"batch_size": 50}, {"shuffle": False}, {"prefetch": 0}, {"prefetch": 5}):
        again = by_label(augmented(seed=4, **options).epoch(3))
        for label, image in whole.items():
            np.testing.assert_array_equal(again[label], image)
    for other in (augmented(seed=5).epoch(3), augmented(seed=4).epoch(2)):
        different = by_label(other)
        assert sum((different[label] != image).any() for label, image in whole.items()) > 40


def test_augmentations_draw_independently_and_in_order():
    """Crop, then flip, with the numbers of row `index` of one table: what the loader does, written out."""
    images, labels = pixels(10)
    crop, flip = make_augmentation(["crop", "flip"])
    draws = np.random.default_rng([7, 2, 1]).random((10, 3))
    expected = flip(crop(images, draws[:, :2]), draws[:, 2:])
    seen = by_label(Loader(images.astype(np.float32), labels, 4, seed=7, augmentation=[crop, flip]).epoch(2))
    for label in range(10):
        np.testing.assert_array_equal(seen[label], expected[label])


def same_batches(one, other):
    for (images, labels), (images_again, labels_again) in zip(one, other, strict=True):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("start", range(8))
def test_an_epoch_can_be_resumed_at_any_batch(start):
    loader = augmented()
    same_batches(list(loader.epoch(2))[start:], augmented().epoch(2, start))


@pytest.mark.parametrize("step", [0, 1, 6, 7, 8, 20])
def test_a_stream_goes_through_the_epochs_from_any_step(step):
    loader = augmented()
    epochs = [batch for number in range(5) for batch in loader.epoch(number)]
    stream = augmented().stream(step)
    same_batches(epochs[step : step + 15], islice(stream, 15))
    stream.close()


def test_a_stream_with_drop_last_drops_in_every_epoch():
    loader = augmented(drop_last=True)
    sizes = [len(labels) for _, labels in islice(loader.stream(), 20)]
    assert sizes == [8] * 20
    assert len(loader) == 6


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minires-loader")]


def test_no_thread_is_left():
    loader = augmented()
    list(loader.epoch(0))
    assert loader_threads() == []
    for _ in loader.epoch(0):
        assert len(loader_threads()) == 1
        break
    assert loader_threads() == []
    stream = loader.stream()
    next(stream)
    stream.close()
    assert loader_threads() == []
    with pytest.raises(ZeroDivisionError):
        for _ in loader.epoch(1):
            1 / 0  # noqa: B018
    gc.collect()  # the traceback held the loop
    assert loader_threads() == []


def test_an_epoch_never_begun_starts_no_thread():
    augmented().epoch(0)
    assert loader_threads() == []


class FailsAt:
    """An augmentation that fails on its third batch."""

    draws = 0

    def __init__(self):
        self.calls = 0

    def __call__(self, images, draws):
        self.calls += 1
        if self.calls == 3:
            raise MemoryError("no room for this batch")
        return images


@pytest.mark.parametrize("prefetch", [0, 1, 2, 10])
def test_an_error_in_the_thread_surfaces_in_its_place(prefetch):
    seen = []
    with pytest.raises(MemoryError, match="no room for this batch"):
        for _, labels in augmented(augmentation=[FailsAt()], prefetch=prefetch).epoch(0):
            seen.append(labels)
    assert len(seen) == 2
    assert loader_threads() == []


class Recorder:
    """An augmentation that counts its batches and tells the threads that made them."""

    draws = 0

    def __init__(self):
        self.threads = []

    def __call__(self, images, draws):
        self.threads.append(threading.current_thread().name)
        return images


def test_prefetching_is_ahead_by_that_many_batches_and_no_more():
    recorder = Recorder()
    batches = augmented(augmentation=[recorder], prefetch=2).epoch(0)
    next(batches)
    deadline = time.monotonic() + 10
    while len(recorder.threads) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(recorder.threads) == 3  # the one in use, and two ahead
    next(batches)
    list(batches)
    assert len(recorder.threads) == 7
    assert set(recorder.threads) == {"minires-loader_0"}
    recorder.threads.clear()
    list(augmented(augmentation=[recorder], prefetch=0).epoch(0))
    assert set(recorder.threads) == {threading.current_thread().name}


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
    with pytest.raises(ValueError, match="Loader.epoch: start must be between 0 and 3, got 4"):
        Loader(images, labels, 2).epoch(0, 4)
    with pytest.raises(ValueError, match="Loader.stream: the step must be at least 0, got -1"):
        Loader(images, labels, 2).stream(-1)
    with pytest.raises(ValueError, match="Loader: prefetch must be at least 0, got -1"):
        Loader(images, labels, 2, prefetch=-1)
    with pytest.raises(ValueError, match="Loader: uint8 images need mean and std"):
        Loader(images.astype(np.uint8), labels, 2)
    with pytest.raises(ValueError, match="Loader: mean and std go together"):
        Loader(images, labels, 2, mean=np.ones(1))
    with pytest.raises(
        ValueError, match=r"images \(6, 1, 2, 3\) need mean and std of shape \(1,\), got \(3,\) and \(1,\)"
    ):
        Loader(images, labels, 2, mean=np.ones(3), std=np.ones(1))


@pytest.mark.parametrize(
    ("N", "batch_size", "sizes"),
    [(9, 4, [4, 5]), (9, 8, [9]), (10, 4, [4, 4, 2]), (3, 1, [1, 1, 1]), (1, 4, [1]), (8, 4, [4, 4]), (4, 3, [4])],
)
def test_one_image_alone_goes_into_the_batch_before(N, batch_size, sizes):
    """Batch norm has no variance of one number; every image comes once all the same, in every epoch."""
    images = np.arange(N, dtype=np.float32).reshape(N, 1, 1, 1)
    for shuffle in (False, True):
        loader = Loader(images, np.arange(N), batch_size, shuffle=shuffle, prefetch=0)
        for epoch in (0, 1):
            batches = list(loader.epoch(epoch))
            assert [len(labels) for _, labels in batches] == sizes and len(loader) == len(sizes)
            assert sorted(np.concatenate([labels for _, labels in batches])) == list(range(N))
        stream = loader.stream(len(loader) - 1)
        assert len(next(stream)[1]) == sizes[-1] and len(next(stream)[1]) == sizes[0]
    assert loader.joins_last == (sum(sizes) == N and sizes[-1] == batch_size + 1)
    if batch_size <= N:
        dropped = Loader(images, np.arange(N), batch_size, drop_last=True)
        assert [len(labels) for _, labels in dropped.epoch(0)] == [batch_size] * (N // batch_size)


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 2.5), ("batch_size", None), ("seed", 1.5), ("prefetch", "2")]
)
def test_numbers_that_cannot_be_are_refused_at_once(name, value):
    options = {"batch_size": 2, name: value}
    with pytest.raises(TypeError, match=f"Loader: {name} must be a whole number, got {value!r}"):
        Loader(np.ones((4, 1, 2, 2), np.float32), np.arange(4), **options)
    Loader(np.ones((4, 1, 2, 2), np.float32), np.arange(4), np.int64(2), seed=np.int32(3))
