"""`minires predict`: any picture in, class names out."""

import re

import numpy as np
import pytest

from minires import data, runs, training
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
