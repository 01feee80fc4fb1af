"""`minires predict`: any picture in, class names out, of a run, a network that comes trained, a file of weights."""

import re

import numpy as np
import pytest

from minires import Tensor, data, interop, models, runs, training
from minires.cli.main import main
from minires.runs.building import evaluation_loader


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", "--out", str(out), "--set", "steps=40", "evaluate_every=40", "model.width=8"]) == 0
    (folder,) = out.iterdir()
    return folder


def answers(text):
    """{picture: [(class, percent), …]} of what was printed."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"  (\S+) +(\d+\.\d\d)%(?:  █+)?", line)
        if match is None:
            rows = found[line] = []
        else:
            rows.append((match[1], float(match[2])))
    return found


@pytest.fixture(scope="module")
def logits(run):
    model, recipe, _ = runs.load_model(run)
    return training.predict(model, evaluation_loader(data.load("digits"), recipe))[0]


def save(image, path, mode="L"):
    from PIL import Image

    picture = Image.fromarray(image)
    if mode == "I;16":
        picture = Image.fromarray(image.astype(np.uint16) * 257)
    elif mode != "L":
        picture = picture.convert(mode)
    picture.save(path)
    return str(path)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "I;16", "1"])
def test_top_5_of_any_mode(run, logits, tmp_path, capsys, mode):
    images = data.load("digits").test_images[:3, 0]
    if mode == "1":
        images = images // 128 * 255
    paths = [save(image, tmp_path / f"{i}.png", mode) for i, image in enumerate(images)]
    assert main(["predict", str(run), *paths]) == 0
    printed = answers(capsys.readouterr().out)
    assert list(printed) == paths
    for row, path in zip(logits, paths, strict=False):
        names, percents = zip(*printed[path], strict=True)
        assert len(names) == 5 and list(percents) == sorted(percents, reverse=True)
        if mode != "1":
            assert list(names) == [str(k) for k in np.argsort(-row)[:5]]
            probabilities = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            np.testing.assert_allclose(percents, 100 * np.sort(probabilities)[::-1][:5], atol=0.011)


def test_any_size(run, tmp_path, capsys):
    dataset = data.load("digits")
    right = 0
    for i in range(20):
        image = dataset.test_images[i, 0].repeat(25, axis=0).repeat(25, axis=1)
        wide = np.pad(image, ((0, 0), (60, 60)))
        assert main(["predict", str(run), save(wide, tmp_path / "wide.png"), "--top", "1"]) == 0
        ((answer,),) = answers(capsys.readouterr().out).values()
        right += answer[0] == str(dataset.test_labels[i])
    assert right >= 15


def test_invert(run, tmp_path, capsys):
    image = data.load("digits").test_images[0, 0]
    white, black = save(image, tmp_path / "a.png"), save(255 - image, tmp_path / "b.png")
    assert main(["predict", str(run), white]) == 0
    expected = answers(capsys.readouterr().out)[white]
    assert main(["predict", str(run), black, "--invert"]) == 0
    assert answers(capsys.readouterr().out)[black] == expected
    assert main(["predict", str(run), black, "--top", "3"]) == 0
    assert answers(capsys.readouterr().out)[black] != expected[:3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "good.png", "text.png"], "text.png: no picture that Pillow can read"),
        (["RUN", "nowhere.png"], "nowhere.png cannot be opened (No such file or directory); give the paths of"),
        (["RUN", "good.png", "--top", "0"], "--top must be at least 1, got 0"),
        (["RUN", "good.png", "--checkpoint", "3"], "holds none of step 3"),
        ([".", "good.png"], "holds no config.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_prints_nothing_but_the_reason(run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    save(np.zeros((8, 8), np.uint8), tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no picture")
    assert main(["predict", *[str(run) if argument == "RUN" else argument for argument in arguments]]) == 2
    printed, error = capsys.readouterr()
    assert printed == "" and message in error


def picture(path, size=(32, 32), mode="RGB", seed=0):
    """A picture of coloured squares."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST).convert(mode).save(path)
    return str(path)


def expected_percents(name, path):
    """What the network of that name says of a picture that needs no resizing."""
    from PIL import Image

    model, about = interop.pretrained(name), interop.about_network(name)
    mean, std = np.array(about.mean, np.float32), np.array(about.std, np.float32)
    with Image.open(path) as image:
        pixels = (np.asarray(image.convert("RGB"), np.float32) - mean) / std
    logits = model(Tensor(pixels.transpose(2, 0, 1)[np.newaxis])).data[0]
    shares = np.exp(logits - logits.max())
    return dict(zip(about.classes, 100 * shares / shares.sum(), strict=True))


@pytest.mark.parametrize("options", [[], ["resnet20-cifar10"], ["--weights", "resnet20-cifar10"]])
def test_without_a_run(tmp_path, capsys, options):
    path = picture(tmp_path / "photo.png")
    assert main(["predict", *options, path]) == 0
    printed, said = capsys.readouterr()
    (rows,) = answers(printed).values()
    expected = expected_percents("resnet20-cifar10", path)
    for name, percent in rows:
        assert percent == pytest.approx(expected[name], abs=0.02)
    assert len(rows) == 5 and "photo.png" not in said


@pytest.mark.parametrize(
    ("size", "mode", "says"),
    [
        ((64, 64), "RGB", "minires: resized to the 32 × 32 pixels that the network knows: photo.png (64 × 64)"),
        ((90, 40), "RGB", "minires: cut around the middle and resized to the 32 × 32 pixels that the network knows: "),
        ((8, 8), "RGB", "photo.png (8 × 8)"),
        ((32, 32), "L", "minires: grey, where the network knows colours: photo.png"),
        ((32, 32), "RGB", ""),
    ],
)
def test_what_is_done_to_a_picture_is_said(tmp_path, monkeypatch, capsys, size, mode, says):
    monkeypatch.chdir(tmp_path)
    picture("photo.png", size, mode)
    assert main(["predict", "photo.png", "--top", "1"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "photo.png" in line]
    assert says in "\n".join(said) and len(said) == bool(says)


def test_colours_are_lost_on_a_network_of_digits(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for i in range(7):
        picture(f"{i}.png", (8, 8), seed=i)
    assert main(["predict", str(run), *[f"{i}.png" for i in range(7)]]) == 0
    said = capsys.readouterr().err
    assert "made grey, since the network knows no colours: 0.png, 1.png, 2.png, 3.png, 4.png, and 2 more" in said


def test_a_turned_picture_has_the_size_that_is_seen(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    Image.new("RGB", (40, 90)).save("photo.jpg", exif=exif)
    assert main(["predict", "photo.jpg"]) == 0
    assert "photo.jpg (90 × 40)" in capsys.readouterr().err


@pytest.mark.parametrize("said_by", ["file", "options", "data"])
def test_a_file_of_weights(tmp_path, capsys, said_by):
    """What a file says of itself; what options say where it does not; the names of classes that a data set gives."""
    from PIL import Image

    model = models.resnet20(in_channels=1, width=4, seed=3).eval()
    about = interop.About("resnet20", {"width": 4}, "mine", [1, 8, 8], list("abcdefghij"), [100.0], [50.0])
    path = tmp_path / "w.safetensors"
    interop.save_weights(model, path, about=about if said_by == "file" else None)
    options = ["--model", "resnet20", "--normalize", "0.39215686/0.19607843", "--set", "model.width=4"]
    options = options if said_by != "file" else []
    options += ["--data", "digits"] if said_by == "data" else []
    shown = picture(tmp_path / "p.png", (8, 8) if said_by != "options" else (32, 32), "L")
    assert main(["predict", "--weights", str(path), *options, shown]) == 0
    (rows,) = answers(capsys.readouterr().out).values()
    pixels = (np.array(Image.open(shown), np.float32)[np.newaxis, np.newaxis] - 100) / 50
    logits = model(Tensor(pixels)).data[0]
    names = list("abcdefghij") if said_by == "file" else [str(k) for k in range(10)]
    assert [name for name, _ in rows] == [names[k] for k in np.argsort(-logits)[:5]]


def test_options_may_stand_between_pictures(run, tmp_path, capsys):
    paths = [picture(tmp_path / f"{i}.png", (8, 8), "L", seed=i) for i in range(3)]
    assert main(["predict", str(run), *paths]) == 0
    expected = capsys.readouterr().out
    assert main(["predict", str(run), "--top", "5", paths[0], "--max-pixels", "100", *paths[1:]]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "good.png", "--weights", "resnet20-cifar10"], "--weights and the run"),
        ([".", ".."], ". and .. are folders: give the paths of the pictures in them"),
        (["good.png", "--checkpoint", "last"], "--checkpoint is of a run, and good.png is no run's folder"),
        (["RUN"], "is a folder: give the paths of pictures, alone or after a run's folder"),
        (["good.png", "--weights", "resnet21"], "there is no file resnet21, and no network of that name; known: resn"),
        (["good.png", "--weights", "w.safetensors"], "add --model, --normalize; --normalize is imagenet"),
        (["good.png", "--weights", "w.safetensors", "--model", "resnet20", "--normalize", "data"], "say which, with"),
        (["good.png", "--weights", "w.safetensors", "--model", "resnet20", "--normalize", "mnist", "--data", "digits"],
         "takes images of 1 channels and knows 3 classes; digits has 1 and 10"),
        (["good.png", "--out", "f.png"], "--out is for --explain"),
        (["good.png", "--explain", "--out", "good.png"], "would take the place of the picture good.png"),
        (["good.png", "--explain", "--out", "f.jpg"], "--out: the figure is a PNG file, so its name ends in .png"),
        (["good.png", "--explain", "--out", "nowhere/f.png"], "--out: there is no folder nowhere"),
        (["good.png", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_bad_calls_print_nothing_but_the_reason(run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    picture("good.png")
    interop.save_weights(models.resnet20(in_channels=1, num_classes=3, seed=0), "w.safetensors")
    before = (tmp_path / "good.png").read_bytes()
    assert main(["predict", *[str(run) if argument == "RUN" else argument for argument in arguments]]) == 2
    printed, error = capsys.readouterr()
    assert printed == "" and message in error and (tmp_path / "good.png").read_bytes() == before


@pytest.mark.parametrize("with_run", [False, True])
def test_explain(run, tmp_path, monkeypatch, capsys, with_run):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    pictures = [picture(f"{i}.png", (8, 8), "L", seed=i) for i in range(2)]
    arguments = [str(run), *pictures] if with_run else pictures[:1]
    assert main(["predict", "--explain", *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "explain.png"
    with Image.open("explain.png") as figure:
        assert min(figure.size) > 300
