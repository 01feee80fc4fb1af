"""`minires finetune` from a run and from a file of weights, and going on with what it began."""

import numpy as np
import pytest

from minires import data, interop, models, runs
from minires.cli.main import main
from minires.runs import checkpoint, records
from minires.runs.folder import read_recipe

QUICK = ["steps=4", "evaluate_every=2", "checkpoint_every=2"]


@pytest.fixture
def finetune(tmp_path):
    """Run `minires finetune` with these arguments; return its exit code and its run's folder."""

    def call(*arguments, settings=QUICK):
        code = main(["finetune", *map(str, arguments), "--out", str(tmp_path / "out"), "--set", *settings])
        folders = sorted((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else []
        return code, folders[-1] if folders else None

    return call


@pytest.fixture
def pictures(tmp_path):
    """A folder of two classes of coloured pictures, none of them square."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for name, colour in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            noise = generator.integers(-30, 30, (40 + i, 50, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


def test_from_a_run(run, finetune, capsys):
    code, folder = finetune(run, "--data", "digits", "--classes", "9", "8", "--freeze", "conv1.*", "*bn?.*")
    assert code == 0 and folder.name.endswith("-finetune-resnet20")
    printed = capsys.readouterr().out
    before, source, _ = runs.load_model(run)
    after, recipe, step = runs.load_model(folder, "last")
    assert step == 4 and recipe.dataset.classes == ["9", "8"]
    assert recipe.finetune.freeze == ["conv1.*", "*bn?.*"]
    for name in ("mean", "std"):  # the images are normalized as those the source was trained on
        assert getattr(recipe.dataset, name) == getattr(source.dataset, name)
    old, new = before.state_dict(), after.state_dict()
    for name in new:
        if name.startswith(("conv1.", "bn1.")) or ".bn" in name:
            np.testing.assert_array_equal(old[name], new[name], err_msg=name)
        elif not name.startswith("fc."):
            assert not np.array_equal(old[name], new[name]), name
    assert new["fc.weight"].shape == (2, 16)
    norms = sum(array.size for name, array in new.items() if "bn" in name and name.endswith(("weight", "bias")))
    trained = sum(parameter.size for parameter in after.parameters()) - norms - new["conv1.weight"].size
    assert f"{trained:,} of" in printed
    assert records.read_json(folder / "report.json")["outcome"] == "finished"


def test_the_head_learns_faster(run, finetune):
    _, folder = finetune(run, "--data", "digits", "--classes", "8", "9", "--head-factor", "4")
    state, _ = checkpoint.load(checkpoint.newest(folder / "checkpoints"))
    backbone, head = state["optimizer"]["param_groups"]
    assert (backbone["initial_lr"], head["initial_lr"]) == pytest.approx((0.01, 0.04))
    assert len(head["params"]) == 2


def test_begins_where_the_source_was(run, finetune):
    _, folder = finetune(run, "--data", "digits", "--classes", "8", "9", settings=["steps=1", "ema_decay=0.9"])
    state, _ = checkpoint.load(checkpoint.path_of(folder / "checkpoints", 0))
    source, _, _ = runs.load_model(run)
    for name, array in source.state_dict().items():
        if not name.startswith("fc."):
            np.testing.assert_array_equal(state["model"][name], array)
            np.testing.assert_array_equal(state["ema"]["averages"][name], array)


def test_resumed_to_the_same_bytes(run, finetune):
    arguments = [run, "--data", "digits", "--classes", "8", "9", "--freeze", "layer1.*"]
    _, whole = finetune(*arguments, settings=["steps=4", "schedule.name=constant"])
    _, stopped = finetune(*arguments, settings=["steps=2", "schedule.name=constant"])
    assert main(["train", "--resume", str(stopped), "--set", "steps=4"]) == 0
    one, other = (runs.load_model(folder, "last")[0].state_dict() for folder in (whole, stopped))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_finetuned_run_is_a_run(run, finetune, capsys):
    _, folder = finetune(run, "--data", "digits", "--classes", "8", "9")
    assert main(["evaluate", str(folder)]) == 0
    assert records.read_json(folder / "evaluation.json")["classes"] == ["8", "9"]
    code, again = finetune(folder, "--data", "digits", "--classes", "1", "2", "3")
    assert code == 0 and read_recipe(again).dataset.classes == ["1", "2", "3"]


def test_on_pictures(run, finetune, pictures):
    code, folder = finetune(run, "--data", pictures)
    assert code == 0
    dataset = read_recipe(folder).dataset
    assert dataset.classes == ["blue", "red"] and dataset.shape == [1, 8, 8]


@pytest.mark.parametrize("naming", ["torchvision", "cifar"])
def test_from_a_file_of_weights(finetune, pictures, tmp_path, capsys, naming):
    source = models.resnet20(num_classes=100, width=4, shortcut="B", seed=7)
    interop.save_weights(source, tmp_path / "weights.safetensors", naming)
    arguments = [tmp_path / "weights.safetensors", "--model", "resnet20", "--data", pictures, "--freeze", "[!f]*"]
    code, folder = finetune(*arguments, settings=[*QUICK, "model.width=4"])
    assert code == 0
    assert ("linear.weight → fc.weight" in capsys.readouterr().out) == (naming == "cifar")
    model, recipe, _ = runs.load_model(folder, "last")
    assert recipe.dataset.shape == [3, 32, 32] and recipe.model.options["shortcut"] == "B"
    assert recipe.dataset.mean == data.load(pictures, image_size=32).mean.tolist()
    state = model.state_dict()
    for name, array in source.state_dict().items():
        if not name.startswith("fc."):
            np.testing.assert_array_equal(state[name], array, err_msg=name)
    assert state["fc.weight"].shape == (2, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--data", "digits", "--freeze", "layer9.*"], "no parameter's name matches 'layer9.*'"),
        (["RUN", "--data", "digits", "--freeze", "*"], "every parameter is frozen"),
        (["RUN", "--data", "digits", "--classes", "ten"], "unknown classes ten"),
        (["RUN", "--data", "digits", "--model", "resnet20"], "--model is for files of weights"),
        (["RUN", "--data", "digits", "--head-factor", "-1"], "--head-factor must be at least 0"),
        (["RUN", "--data", "nowhere"], "unknown data set 'nowhere'"),
        (["RUN", "--data", "digits", "--checkpoint", "77"], "holds none of step 77"),
        (["RUN", "--data", "ARRAYS"], "the model takes images of 1 channels, those of a have 3"),
        (["nowhere", "--data", "digits"], "there is no nowhere"),
        (["FILE", "--data", "digits"], "add --model"),
        (["FILE", "--data", "digits", "--model", "resnet56"], "is missing"),
        (["PTH", "--data", "digits", "--model", "resnet20"], "a zip archive without its end"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_leaves_no_folder(run, finetune, tmp_path, capsys, arguments, message):
    interop.save_weights(models.resnet20(seed=0), tmp_path / "w.safetensors")
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 and so on")
    images, labels = np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    paths = {"RUN": run, "FILE": tmp_path / "w.safetensors", "PTH": tmp_path / "w.pth", "ARRAYS": tmp_path / "a.npz"}
    code, folder = finetune(*[paths.get(argument, argument) for argument in arguments])
    assert code == 2 and folder is None
    assert message in capsys.readouterr().err
