"""Pictures of every kind and size, folders of them, and the broken ones among them."""

import io
import os
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from minires.data import load, load_image
from minires.data.image_files import load_folder


def gradient(height, width):
    """Red grows downwards, green to the right; blue is 50."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, height)[:, None]
    pixels[..., 1] = np.linspace(0, 255, width)
    pixels[..., 2] = 50
    return pixels


def saved(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path):
    pixels = gradient(12, 17)
    image = load_image(saved(tmp_path / "a.png", pixels), (3, 12, 17))
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp"])
@pytest.mark.parametrize(("height", "width"), [(40, 100), (100, 40), (64, 64), (3, 5), (1, 1)])
def test_any_size_is_cut_around_its_middle(tmp_path, suffix, height, width):
    image = load_image(saved(tmp_path / f"a.{suffix}", gradient(height, width)), (3, 16, 16))
    assert image.shape == (3, 16, 16)
    if min(height, width) >= 40:  # what is left of the longer side lies evenly around its middle
        for axis, (size, other) in enumerate([(height, width), (width, height)]):
            line = image[axis].mean(axis=1 - axis)
            part = min(1, other / size)
            assert abs(line.mean() - 127) < 6
            assert abs((line[-1] - line[0]) - 255 * part * 15 / 16) < 12


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb_or_grey(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    path = saved(tmp_path / f"a.{suffix}", np.full((9, 9, 3), 255, np.uint8), mode)
    assert Image.open(path).mode == mode
    for channels in (1, 3):
        image = load_image(path, (channels, 4, 4))
        assert image.shape == (channels, 4, 4)
        assert image.min() >= 254


def test_what_is_transparent_becomes_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)  # black, and invisible
    pixels[:, :2, 3] = 255
    image = load_image(saved(tmp_path / "a.png", pixels), (3, 4, 4))
    assert image[:, :, :2].max() == 0
    assert image[:, :, 2:].min() == 255
    palette = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
    palette.save(tmp_path / "p.png", transparency=0)
    assert load_image(tmp_path / "p.png", (1, 4, 4)).min() == 255


def test_16_bits_become_8(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16))
    assert load_image(path, (1, 2, 2))[0].tolist() == [[0, 100], [200, 255]]
    assert load_image(path, (3, 2, 2))[2].tolist() == [[0, 100], [200, 255]]


def test_a_picture_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise
    pixels = gradient(8, 8)
    path = saved(tmp_path / "a.png", pixels, exif=exif)
    np.testing.assert_array_equal(load_image(path, (3, 8, 8)), np.rot90(pixels, -1).transpose(2, 0, 1))


def broken_pictures():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(buffer, "PNG")
    png = buffer.getvalue()
    buffer = io.BytesIO()
    Image.fromarray(gradient(60, 60)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    changed = bytearray(png)
    changed[500] ^= 255
    head = b"IHDR" + (200_000).to_bytes(4, "big") * 2 + png[24:29]
    huge = png[:12] + head + zlib.crc32(head).to_bytes(4, "big") + png[33:]
    return {
        "empty.png": b"",
        "text.png": b"not a picture",
        "html.jpg": b"<html><body>404</body></html>",
        "cut.png": png[: len(png) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "changed.png": bytes(changed),
        "head.webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        "huge.png": huge,
    }


@pytest.mark.parametrize("name", broken_pictures())
def test_a_broken_picture_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(broken_pictures()[name])
    with pytest.raises(ValueError, match=rf"{name}: \w+"):
        load_image(tmp_path / name)


def test_a_picture_of_absurd_size_is_not_unpacked(tmp_path):
    (tmp_path / "huge.png").write_bytes(broken_pictures()["huge.png"])
    with pytest.raises(ValueError, match=r"huge\.png: Image size \(40000000000 pixels\) exceeds limit"):
        load_image(tmp_path / "huge.png")


def test_a_small_file_of_many_pixels_is_refused_by_its_head(tmp_path):
    """Half a megabyte that unpacks to 169 million pixels."""
    path = tmp_path / "bomb.png"
    Image.new("1", (13_000, 13_000)).save(path)
    message = r"bomb\.png: 13000 × 13000 pixels are more than 50,000,000; make the picture smaller, or allow more"
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        load_image(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    small = saved(tmp_path / "small.png", gradient(30, 40))
    with pytest.raises(ValueError, match=r"40 × 30 pixels are more than 1,199"):
        load_image(small, max_pixels=1199)
    assert load_image(small, (3, 8, 8), max_pixels=1200).shape == (3, 8, 8)


def test_the_limit_of_pixels_is_an_option_of_a_folder(tmp_path):
    folder_of(tmp_path / "pets", {"cat": 5, "dog": 5})
    with pytest.raises(ValueError, match=r"pixels are more than 10"):
        load(tmp_path / "pets", image_size=8, max_pixels=10)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png is a pipe, and must be a plain file"):
        load_image(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="/dev/zero is a device, and must be a plain file"):
        load_image("/dev/zero")
    with pytest.raises(ValueError, match="is a folder, and must be a plain file"):
        load_image(tmp_path)


def test_what_cannot_be_opened_and_odd_channels(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.png"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="load_image: pictures have 1 or 3 channels, not 2"):
        load_image(tmp_path / "none.png", (2, 4, 4))


def folder_of(root, classes, size=8):
    """{class: count} pictures, of which each is one colour: (class, number, 0)."""
    for label, (name, count) in enumerate(classes.items()):
        for number in range(count):
            pixels = np.zeros((size + number, size, 3), np.uint8) + np.array([label, number, 0], np.uint8)
            saved(root / name / f"{number:02}.png", pixels)
    return root


def test_a_folder_of_classes(tmp_path):
    folder_of(tmp_path / "pets", {"cat": 10, "bird": 15, "dog": 5})
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "pets" / "cat" / ".hidden.png").write_text("nor this")
    (tmp_path / "pets" / ".cache").mkdir()
    dataset = load(tmp_path / "pets", image_size=8)
    assert (dataset.name, dataset.classes, dataset.shape) == ("pets", ["bird", "cat", "dog"], (3, 8, 8))
    assert np.bincount(dataset.train_labels).tolist() == [12, 8, 4]
    assert np.bincount(dataset.test_labels).tolist() == [3, 2, 1]
    red = np.array([1, 0, 2])  # numbered as they were made
    both = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    np.testing.assert_array_equal(both[:, 0, 4, 4], red[labels])
    assert {(int(a), int(b)) for a, b in both[:, :2, 4, 4]} == {
        (red, n) for red, count in enumerate([10, 15, 5]) for n in range(count)
    }
    again = load(str(tmp_path / "pets"), image_size=8)
    np.testing.assert_array_equal(again.train_images, dataset.train_images)
    other = load(tmp_path / "pets", image_size=8, seed=1)
    assert (other.test_images != dataset.test_images).any()


@pytest.mark.parametrize("test_name", ["test", "val", "valid"])
def test_a_folder_with_its_own_test_pictures(tmp_path, test_name):
    folder_of(tmp_path / "train", {"a": 3, "b": 2})
    folder_of(tmp_path / test_name, {"a": 1, "b": 1})
    dataset = load(tmp_path, image_size=4, channels=1)
    assert dataset.shape == (1, 4, 4)
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1]
    assert dataset.test_labels.tolist() == [0, 1]
    folder_of(tmp_path / test_name, {"c": 1})
    with pytest.raises(ValueError, match=rf"train and .*{test_name} have different classes: c"):
        load(tmp_path, image_size=4)


def test_bad_pictures_are_named_and_counted_or_left_out(tmp_path, capsys):
    folder_of(tmp_path, {"a": 6, "b": 6})
    (tmp_path / "a" / "02.png").write_bytes(b"gone")
    (tmp_path / "b" / "cut.png").write_bytes(broken_pictures()["cut.png"])
    with pytest.raises(ValueError) as caught:
        load(tmp_path, image_size=8)
    message = str(caught.value)
    assert message.startswith(
        "load_folder: 2 of 13 pictures cannot be read (skip_bad, --skip-bad, goes on without them)"
    )
    assert str(tmp_path / "a" / "02.png") in message and str(tmp_path / "b" / "cut.png") in message
    dataset = load(tmp_path, image_size=8, skip_bad=True)
    assert len(dataset.train_labels) + len(dataset.test_labels) == 11
    both = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    np.testing.assert_array_equal(both[:, 0, 4, 4], labels)
    warned = capsys.readouterr().err
    assert "2 of 13 pictures cannot be read, going on without them" in warned
    assert "02.png" in warned and "cut.png" in warned


def test_of_very_many_bad_pictures_the_first_are_named(tmp_path):
    folder_of(tmp_path, {"a": 1, "b": 1})
    for number in range(60):
        (tmp_path / "a" / f"bad{number:02}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"60 of 62 pictures cannot be read .*\n(.*\n){50}  … and 10 more$") as caught:
        load(tmp_path, image_size=8)
    assert "bad49.png" in str(caught.value) and "bad50.png" not in str(caught.value)


def test_empty_and_missing_classes(tmp_path):
    with pytest.raises(
        ValueError, match="has 0 folders, and needs one for each of at least 2 classes: FOLDER/cat/1.jpg"
    ):
        load(tmp_path)
    folder_of(tmp_path, {"a": 5})
    with pytest.raises(ValueError, match="has 1 folders"):
        load(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"the class .*b is empty: no \.png, \.jpg, .* in it"):
        load(tmp_path)
    (tmp_path / "b" / "1.png").write_bytes(b"gone")
    with pytest.raises(ValueError, match="the class b is empty: none of its pictures can be read"):
        load(tmp_path, skip_bad=True)
    with pytest.raises(ValueError, match="load_folder: image_size must be at least 1, got 0"):
        load(tmp_path, image_size=0)


def test_too_few_pictures_to_hold_any_out(tmp_path):
    folder_of(tmp_path, {"a": 2, "b": 2})
    with pytest.raises(ValueError, match="has 4 pictures, too few to test with a fifth of them"):
        load_folder(tmp_path, image_size=4)


def fill(root, *names):
    """Pictures, and files that are none, at these places."""
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix.lower()
        if suffix in (".txt", ".heic", ".xml", ""):
            path.write_bytes(b"no picture")
        else:
            kind = {".jfif": "jpeg", ".jpe": "jpeg", ".tif": "tiff"}.get(suffix)
            Image.fromarray(np.full((9, 9, 3), 3 * i, np.uint8)).save(path, format=kind)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "tiff", "gif", "jfif", "jpe", "BMP", "Tif", "ppm"])
def test_pictures_of_every_kind_are_read(tmp_path, suffix):
    fill(tmp_path, *[f"{name}/{k}.{suffix}" for name in "ab" for k in range(5)])
    dataset = load_folder(tmp_path, 8)
    assert len(dataset.train_images) + len(dataset.test_images) == 10
    assert set(np.concatenate([dataset.train_images, dataset.test_images])[:, 0, 4, 4]) <= set(range(0, 30))


def test_nothing_is_left_out_silently(tmp_path, capsys):
    """Pictures in folders inside a class belong to it; all else is counted and named."""
    inside = [f"cat/{place}{k}.png" for place in ("", "home/", "home/sofa/") for k in range(3)]
    dogs = [f"dog/{k}.jpg" for k in range(6)]
    odd = ["cat/notes.txt", "dog/IMG_1.heic", "dog/IMG_2.HEIC", "loose.png", "README"]
    junk = ["__MACOSX/cat/._0.png", "cat/.DS_Store", "dog/Thumbs.db.txt", "dog/._0.jpg"]
    fill(tmp_path, *inside, *dogs, *odd, "dog/Thumbs.db.txt")
    for name in (junk[0], junk[1], junk[3]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"junk")
    dataset = load_folder(tmp_path, 8)
    assert dataset.classes == ["cat", "dog"]
    assert np.bincount(np.concatenate([dataset.train_labels, dataset.test_labels])).tolist() == [9, 6]
    said = capsys.readouterr().err
    assert "left out 1 pictures that lie in no class, 1 .png: loose.png" in said
    assert "left out 5 files that are no pictures it reads, 2 .txt, 2 .heic, 1 without suffix" in said
    assert "IMG_1.heic" in said and "DS_Store" not in said and "MACOSX" not in said


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "validation"), ("train", "testing"), ("Train", "Test"), ("training", "val"), ("TRAIN", "VALID"),
        ("seg_train/seg_train", "seg_test/seg_test"), ("images/train", "images/test"), ("pets/train", "pets/dev"),
        ("data/images/Training", "data/images/Testing"),
    ],
)  # fmt: skip
def test_layouts_of_two_parts(tmp_path, train, test):
    fill(tmp_path, *[f"{train}/{name}/{k}.png" for name in "ab" for k in range(3)])
    fill(tmp_path, *[f"{test}/{name}/{k}.png" for name in "ab" for k in range(2)], "__MACOSX/x/y.png")
    dataset = load_folder(tmp_path, 8)
    assert dataset.classes == ["a", "b"]
    assert (len(dataset.train_images), len(dataset.test_images)) == (6, 4)


@pytest.mark.parametrize("place", ["train", "Training", "images", "pets", "pets/images", "seg_train/seg_train"])
def test_layouts_of_one_part(tmp_path, place):
    """A fifth of it is the test set."""
    fill(tmp_path, *[f"{place}/{name}/{k}.png" for name in "ab" for k in range(5)])
    if place.endswith("images"):
        fill((tmp_path / place).parent, "annotations/list.txt", "annotations/more/list.xml")
    dataset = load_folder(tmp_path, 8)
    assert dataset.classes == ["a", "b"]
    assert (len(dataset.train_images), len(dataset.test_images)) == (8, 2)


def test_three_parts_and_parts_without_classes(tmp_path, capsys):
    fill(tmp_path, *[f"{part}/{name}/{k}.png" for part in ("train", "test", "val") for name in "ab" for k in range(5)])
    dataset = load_folder(tmp_path, 8)
    assert (len(dataset.train_images), len(dataset.test_images)) == (10, 10)
    assert "left out the folder val, with 10 pictures" in capsys.readouterr().err
    other = tmp_path / "kaggle"
    fill(other, *[f"train/{name}/{k}.png" for name in "ab" for k in range(5)], *[f"test/{k}.png" for k in range(4)])
    dataset = load_folder(other, 8)
    assert (len(dataset.train_images), len(dataset.test_images)) == (8, 2)
    assert "left out the folder test, with 4 pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        [f"test/{name}/{k}.png" for name in "ab" for k in range(5)],
        [f"{part}/{name}/{k}.png" for part in ("test", "val") for name in "ab" for k in range(5)],
        [f"{part}/{k}.png" for part in ("train", "val") for k in range(5)],
    ],
)
def test_a_part_to_test_with_alone_is_refused_with_the_layouts(tmp_path, names):
    fill(tmp_path, *names)
    with pytest.raises(ValueError, match="no folders of classes to train with; known are FOLDER/cat/1.jpg"):
        load_folder(tmp_path, 8)


def test_a_class_called_train(tmp_path):
    fill(tmp_path, *[f"{name}/{k}.png" for name in ("bus", "train", "test") for k in range(5)])
    assert load_folder(tmp_path, 8).classes == ["bus", "test", "train"]


def test_pictures_in_no_class_at_all(tmp_path):
    fill(tmp_path, *[f"{k}.png" for k in range(4)])
    with pytest.raises(ValueError, match="has 0 folders and 4 pictures that are in none, and needs one for each"):
        load_folder(tmp_path, 8)


def test_a_folder_linked_into_itself(tmp_path):
    fill(tmp_path, *[f"{name}/{k}.png" for name in "ab" for k in range(5)])
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    dataset = load_folder(tmp_path, 8)
    assert len(dataset.train_images) + len(dataset.test_images) == 10
