"""`minires train` from the command line: any model of the family, its records, and how it ends."""

import pytest

from minires import records, training
from minires.cli.main import main


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Train on a few digits: run `minires train` with these arguments, return its exit code and its folder."""
    from minires import data

    images, labels, test_images, test_labels = data.load_digits()
    few = images[:64], labels[:64], test_images[:32], test_labels[:32]
    monkeypatch.setattr(data, "load_digits", lambda split: few)

    def run(*arguments):
        code = main(["train", "--epochs", "2", "--batch-size", "32", "--out", str(tmp_path), *arguments])
        folders = list(tmp_path.iterdir())
        return code, folders[0] if folders else None

    return run


def test_train(quick, capsys):
    code, folder = quick("--seed", "1")
    assert code == 0 and folder.name.endswith("-train-resnet20")
    config = records.read_json(folder / "config.json")["arguments"]
    assert config["model"] == "resnet20" and config["lr"] == 0.1 and config["seed"] == 1 and "run" not in config
    metrics = records.read_jsonl(folder / "metrics.jsonl")
    assert [record["step"] for record in metrics] == [1, 2, 3, 4]
    report = records.read_json(folder / "report.json")
    assert report["outcome"] == "finished" and report["steps"] == 4 and report["parameters"] == 269_434
    assert report["test_accuracy"] == metrics[-1]["test_accuracy"]
    assert f"test accuracy {report['test_accuracy']:.2%}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "preact_resnet20", "--schedule", "multistep"],
        ["--model", "resnet18", "--epochs", "1"],
        ["--model", "wide_resnet", "--depth", "10", "--width", "1"],
        ["--model", "resnet20", "--skip", "off", "--norm", "none", "--init", "pytorch", "--activation", "elu"],
        ["--model", "resnet20", "--norm", "none", "--init", "fixup", "--lr", "0.01"],
        ["--model", "resnet20", "--block", "always_projected", "--kernels", "numpy"],
    ],
    ids=" ".join,
)
def test_any_model_of_the_family(quick, arguments):
    code, folder = quick(*arguments)
    assert code == 0 and records.read_json(folder / "report.json")["test_accuracy"] >= 0


def test_divergence_ends_with_1_and_is_recorded(quick, capsys):
    code, folder = quick("--norm", "none", "--lr", "1e9", "--epochs", "20")
    assert code == 1
    assert "the training has diverged" in capsys.readouterr().err
    report = records.read_json(folder / "report.json")
    assert "diverged" in report["outcome"] and report["steps"] < 40
    assert len(records.read_jsonl(folder / "metrics.jsonl")) == report["steps"]


def test_ctrl_c(quick, capsys, monkeypatch):
    train_step, calls = training.train_step, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train_step(*args)

    monkeypatch.setattr(training, "train_step", interrupted)
    code, folder = quick()
    assert code == 130
    report = records.read_json(folder / "report.json")
    assert report["outcome"] == "interrupted" and report["steps"] == 3 and report["test_accuracy"] is not None
    assert "minires train: interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "resnet21"], "unknown model 'resnet21'; known: resnet20"),
        (["--model", "wide_resnet"], "wide_resnet needs depth="),
        (["--init", "best"], "unknown init 'best'; known: pytorch"),
        (["--norm", "layer"], "unknown norm 'layer'; known: batch, none"),
        (["--shortcut", "D"], "unknown shortcut 'D'; known: A, B, C, always"),
        (["--block", "cube"], "unknown block 'cube'; known: basic"),
        (["--kernels", "fortran"], "unknown kernels 'fortran'; known: numpy, numba"),
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--batch-size", "0"], "batch_size 0 gives no batch"),
        (["--lr", "-1"], "lr must be at least 0"),
        (["--schedule", "linear"], "cosine"),
        (["--data", "cats"], "digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_leaves_no_folder(quick, capsys, arguments, message):
    code, folder = quick(*arguments)
    assert code == 2 and folder is None
    assert message in capsys.readouterr().err


def test_unknown_split(tmp_path, capsys):
    assert main(["train", "--split", "first", "--out", str(tmp_path)]) == 2
    assert "unknown split 'first'; known: random, last360" in capsys.readouterr().err


def test_unwritable_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["train", "--epochs", "1", "--out", str(tmp_path / "file")]) == 2
    assert "cannot write to the output folder" in capsys.readouterr().err
