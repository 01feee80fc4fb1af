"""Augmentation against one image at a time, in plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.data import RandomCrop, RandomHorizontalFlip, RandomResizedCrop, make_augmentation


def batch(N=6, C=3, H=7, W=5, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (N, C, H, W)).astype(dtype)


def draws_for(augmentation, N, seed=0):
    return np.random.default_rng(seed).random((N, augmentation.draws))


@given(st.integers(1, 8), st.integers(1, 4), st.sampled_from([np.uint8, np.float32]), st.integers(0, 99))
def test_random_crop_against_loops(N, padding, dtype, seed):
    images, crop = batch(N, dtype=dtype, seed=seed), RandomCrop(padding)
    draws = draws_for(crop, N, seed)
    cropped = crop(images, draws)
    assert cropped.dtype == dtype and cropped.shape == images.shape
    for n in range(N):
        down, right = (int(draw * (2 * padding + 1)) - padding for draw in draws[n])
        for i in range(7):
            for j in range(5):
                inside = 0 <= i + down < 7 and 0 <= j + right < 5
                expected = images[n, :, i + down, j + right] if inside else [0, 0, 0]
                np.testing.assert_array_equal(cropped[n, :, i, j], expected)


def test_random_crop_reaches_every_place_and_no_other():
    image = batch(1, 1, 4, 4)
    offsets = (np.arange(5) + 0.5) / 5
    corners = np.array([[a, b] for a in [0.0, *offsets, 1 - 2**-53] for b in [0.0, *offsets, 1 - 2**-53]])
    cropped = RandomCrop(2)(np.repeat(image, len(corners), axis=0), corners)
    padded = np.pad(image[0, 0], 2)
    windows = {padded[i : i + 4, j : j + 4].tobytes() for i in range(5) for j in range(5)}
    assert {crop.tobytes() for crop in cropped} == windows


def test_flip_mirrors_each_image_or_leaves_it():
    images = batch(40)
    flip = RandomHorizontalFlip()
    draws = draws_for(flip, 40)
    flipped = flip(images, draws)
    for n in range(40):
        np.testing.assert_array_equal(flipped[n], images[n, :, :, ::-1] if draws[n, 0] < 0.5 else images[n])
    assert 5 < (draws < 0.5).sum() < 35
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(images, draws), images)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(images, draws), images[..., ::-1])


def bilinear(image, y, x):
    """Value of one channel between its pixels' centres; beyond the outer centres, that of the edge."""
    H, W = image.shape
    y, x = min(max(y, 0), H - 1), min(max(x, 0), W - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, H - 1), min(left + 1, W - 1)
    above = image[top, left] * (left + 1 - x) + image[top, right] * (x - left)
    below = image[bottom, left] * (left + 1 - x) + image[bottom, right] * (x - left)
    return above * (top + 1 - y) + below * (y - top)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_random_resized_crop_against_loops(dtype):
    images = batch(8, 2, 6, 9, dtype)
    crop = RandomResizedCrop()
    draws = draws_for(crop, 8)
    out = crop(images, draws)
    assert out.dtype == dtype and out.shape == images.shape
    for n in range(8):
        area = (0.08 + draws[n, 0] * 0.92) * 6 * 9
        ratio = (3 / 4) * (16 / 9) ** draws[n, 1]
        height, width = min((area / ratio) ** 0.5, 6), min((area * ratio) ** 0.5, 9)
        top, left = draws[n, 2] * (6 - height), draws[n, 3] * (9 - width)
        for c in range(2):
            expected = [
                [
                    bilinear(
                        images[n, c].astype(float),
                        top + (i + 0.5) * height / 6 - 0.5,
                        left + (j + 0.5) * width / 9 - 0.5,
                    )
                    for j in range(9)
                ]
                for i in range(6)
            ]
            # Rounding to uint8 may fall the other way in float32.
            np.testing.assert_allclose(out[n, c], expected, atol=1e-3 if dtype == np.float32 else 0.501)


def test_the_whole_image_is_cut_where_scale_and_ratio_allow_nothing_else():
    images = batch(5, 3, 6, 6)
    whole = RandomResizedCrop(scale=(1, 1), ratio=(1, 1))
    np.testing.assert_array_equal(whole(images, draws_for(whole, 5)), images)


def test_a_crop_stays_inside():
    """Constant images stay as they are: no zero is drawn in from outside, at any place."""
    images = np.full((200, 1, 5, 8), 9, np.uint8)
    crop = RandomResizedCrop(scale=(0.01, 1.0), ratio=(0.1, 10))
    np.testing.assert_array_equal(crop(images, draws_for(crop, 200)), images)


@pytest.mark.parametrize("augmentation", [RandomCrop(), RandomHorizontalFlip(), RandomResizedCrop()])
def test_an_image_does_not_depend_on_its_batch(augmentation):
    images = batch(9)
    draws = draws_for(augmentation, 9)
    before = images.copy()
    together = augmentation(images, draws)
    np.testing.assert_array_equal(images, before)
    for n in range(9):
        np.testing.assert_array_equal(augmentation(images[n : n + 1], draws[n : n + 1])[0], together[n])
    assert augmentation(images[:0], draws[:0]).shape == (0, 3, 7, 5)


def test_augmentations_by_name():
    made = make_augmentation(["crop", "flip", "resized_crop"])
    assert [type(one) for one in made] == [RandomCrop, RandomHorizontalFlip, RandomResizedCrop]
    assert repr(made[:2]) == "[RandomCrop(padding=4), RandomHorizontalFlip(p=0.5)]"
    assert make_augmentation([]) == []
    with pytest.raises(ValueError, match="make_augmentation: unknown rotate; known: crop, flip, resized_crop"):
        make_augmentation(["crop", "rotate"])


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="RandomCrop: padding must be at least 1, got 0"):
        RandomCrop(0)
    with pytest.raises(ValueError, match="RandomHorizontalFlip: p must be between 0 and 1, got 1.5"):
        RandomHorizontalFlip(1.5)
    for scale, ratio in [((0, 1), (1, 1)), ((0.5, 1.1), (1, 1)), ((0.9, 0.5), (1, 1)), ((0.5, 1), (2, 1))]:
        with pytest.raises(ValueError, match="RandomResizedCrop: scale and ratio must be ranges above 0"):
            RandomResizedCrop(scale, ratio)
