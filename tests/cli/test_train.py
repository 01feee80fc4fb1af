"""`minires train` and `minires evaluate` from the command line: recipes, records, how a run ends and goes on."""

import csv
import os
import re
import signal

import pytest

from minires import data, kernels, training
from minires.cli.main import main
from minires.runs import checkpoint, records
from minires.runs.settings import recipe_names


@pytest.fixture
def few(monkeypatch):
    """The digits data set, with few images."""
    whole = data.load("digits")
    parts = whole.train_images[:64], whole.train_labels[:64], whole.test_images[:32], whole.test_labels[:32]
    dataset = data.Dataset("digits", *parts)

    def load(name, data_dir=None, **options):
        assert name == "digits"
        return dataset

    monkeypatch.setattr(data, "load", load)


@pytest.fixture
def quick(few, tmp_path):
    """Run `minires train` on a few digits; return its exit code and its folder."""

    def run(*arguments, settings=()):
        settings = ["epochs=2", "batch_size=32", *settings]
        code = main(["train", "--out", str(tmp_path), *arguments, "--set", *settings])
        folders = list(tmp_path.iterdir())
        return code, folders[0] if folders else None

    return run


def test_train(quick, capsys):
    code, folder = quick("--seed", "1")
    assert code == 0 and folder.name.endswith("-train-resnet20")
    config = records.read_json(folder / "config.json")["arguments"]
    assert config["model"] == {"name": "resnet20", "fused": kernels.in_use() != "numpy"}
    assert config["seed"] == 1 and config["steps"] == 4
    assert config["optimizer"]["lr"] == 0.1 and config["dataset"]["train_images"] == 64
    metrics = records.read_jsonl(folder / "metrics.jsonl")
    assert [record["step"] for record in metrics] == [1, 2, 2, 3, 4, 4]
    report = records.read_json(folder / "report.json")
    assert report["outcome"] == "finished" and report["steps"] == 4 and report["parameters"] == 269_434
    assert report["test_accuracy"] == metrics[-1]["test_accuracy"]
    assert report["best_test_accuracy"] == max(metrics[2]["test_accuracy"], metrics[-1]["test_accuracy"])
    assert checkpoint.steps_in(folder / "checkpoints") == [0, 2, 4]
    output = capsys.readouterr()
    assert f"test accuracy {report['test_accuracy']:.2%}" in output.out
    assert "epoch 2: test accuracy" in output.err


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("preact_resnet20", ["schedule.name=multistep", "schedule.milestones=[1,3]"]),
        ("resnet18", ["epochs=1"]),
        ("wide_resnet", ["model.depth=10", "model.width=1", "ema_decay=0.9", "validation=16"]),
        ("resnet20", ["model.skip=false", "model.norm=none", "model.init=pytorch", "model.activation=elu"]),
        ("resnet20", ["model.norm=none", "model.init=fixup", "optimizer.name=adam", "accumulation=2"]),
        ("resnet20", ["model.block=always_projected", "warmup.steps=2", "augmentation=['crop','flip']"]),
        ("resnet20", ["label_smoothing=0.1", "max_norm=1", "optimizer.nesterov=true", "evaluate_every=3"]),
    ],
    ids=str,
)
def test_any_model_of_the_family(quick, model, settings):
    code, folder = quick("--model", model, settings=settings)
    report = records.read_json(folder / "report.json")
    part = "validation" if "validation=16" in settings else "test"
    assert code == 0 and report[f"{part}_accuracy"] >= 0
    assert main(["evaluate", str(folder)]) == 0


def test_divergence_ends_with_1_and_is_recorded(quick, capsys):
    code, folder = quick(settings=["model.norm=none", "optimizer.lr=1e9", "epochs=20"])
    assert code == 1
    message = capsys.readouterr().err
    assert "the training has diverged in step" in message and "Conv2d at" in message
    assert "The last checkpoint, from before, is step-0000" in message
    report = records.read_json(folder / "report.json")
    assert "diverged" in report["outcome"] and report["steps"] < 40
    assert [record["step"] for record in records.read_jsonl(folder / "metrics.jsonl") if "loss" in record] == list(
        range(1, report["steps"] + 1)
    )


@pytest.fixture
def signal_in_step(monkeypatch):
    """Let the process get a signal in the middle of the step after these many."""

    def arrange(number, after):
        def train_step(trainer, *batch):
            if trainer.step == after:
                os.kill(os.getpid(), number)
            return original(trainer, *batch)

        original = training.Trainer.train_step
        monkeypatch.setattr(training.Trainer, "train_step", train_step)
        return lambda: monkeypatch.setattr(training.Trainer, "train_step", original)

    return arrange


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals to speak of")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_write_a_checkpoint_and_say_how_to_resume(quick, capsys, signal_in_step, name):
    number = getattr(signal, name)
    undo = signal_in_step(number, after=2)
    before = signal.getsignal(number)
    code, folder = quick()
    undo()
    assert code == 128 + number
    assert signal.getsignal(number) is before
    message = capsys.readouterr().err
    assert f"stopped by {name} after step 3; go on with: minires train --resume {folder}" in message
    assert checkpoint.steps_in(folder / "checkpoints") == [0, 2, 3]  # the step was finished
    assert records.read_json(folder / "report.json")["steps"] == 3

    assert main(["train", "--resume", str(folder)]) == 0
    assert "goes on after step 3" in capsys.readouterr().err
    steps = [record["step"] for record in records.read_jsonl(folder / "metrics.jsonl")]
    assert steps == [1, 2, 2, 3, 4, 4]
    assert records.read_json(folder / "report.json")["outcome"] == "finished"


def test_a_signal_during_the_evaluation(quick, monkeypatch):
    evaluate = training.evaluate

    def interrupted(model, loader):
        os.kill(os.getpid(), signal.SIGINT)
        evaluate(model, loader)
        pytest.fail("still there")

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", interrupted)
        code, folder = quick()
    assert code == 130
    assert [record["step"] for record in records.read_jsonl(folder / "metrics.jsonl")] == [1, 2]
    assert main(["train", "--resume", str(folder)]) == 0  # begins with that evaluation
    assert [record["step"] for record in records.read_jsonl(folder / "metrics.jsonl")] == [1, 2, 2, 3, 4, 4]


def test_a_second_ctrl_c_stops_at_once(quick, monkeypatch, capsys):
    def train_step(trainer, *_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("still there")

    monkeypatch.setattr(training.Trainer, "train_step", train_step)
    assert quick()[0] == 130
    assert "minires train: interrupted" in capsys.readouterr().err


def test_resume_trains_longer(quick, capsys):
    _, folder = quick()
    assert main(["train", "--resume", str(folder), "--set", "epochs=3", "checkpoint_every=1"]) == 0
    assert checkpoint.steps_in(folder / "checkpoints")[-2:] == [5, 6]
    config = records.read_json(folder / "config.json")["arguments"]
    assert config["epochs"] == 3 and config["steps"] == 6
    assert main(["train", "--resume", str(folder), "--set", "steps=5"]) == 2
    assert "has done 6 steps already, more than 5" in capsys.readouterr().err


def test_resume_takes_nothing_that_makes_it_another_training(quick, capsys, tmp_path):
    _, folder = quick()
    for arguments, message in [
        (["--model", "resnet20"], "--resume goes on as the run began: leave out --model"),
        (["--set", "optimizer.lr=1"], "--resume can change epochs, steps, .* only, not optimizer.lr"),
        (["--set", "steps=-1"], "steps must be at least 0, got -1"),
    ]:
        assert main(["train", "--resume", str(folder), *arguments]) == 2
        assert re.search(message, capsys.readouterr().err)
    assert main(["train", "--resume", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["--model", "resnet21"], [], "unknown model 'resnet21'; known: resnet20"),
        (["--model", "wide_resnet"], [], "add --set model.depth=16 model.width=4"),
        ([], ["model.init=best"], "unknown init 'best'; known: pytorch"),
        ([], ["model.shortcut=D"], "unknown shortcut 'D'; known: A, B, C, always"),
        ([], ["model.block=cube"], "unknown block 'cube'; known: basic"),
        ([], ["model.colour=red"], "resnet20 has no option 'colour'"),
        (["--kernels", "fortran"], [], "unknown kernels 'fortran'; known: numpy, numba"),
        ([], ["epochs=0"], "epochs must be at least 1, got 0"),
        ([], ["batch_size=0"], "batch_size must be at least 1, got 0"),
        ([], ["optimizer.lr=-1"], "lr must be at least 0"),
        ([], ["schedule.name=linear"], "unknown schedule 'linear'; known: constant, multistep, cosine"),
        ([], ["augmentation=['blur']"], "unknown blur; known: crop"),
        ([], ["validation=64"], "count must be between 1 and 63, got 64"),
        (["--recipe", "she2015"], [], "unknown recipe 'she2015'; known: adam, cifar10-coffee"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_leaves_no_folder(quick, capsys, arguments, settings, message):
    code, folder = quick(*arguments, settings=settings)
    assert code == 2 and folder is None
    assert message in capsys.readouterr().err


def test_help_names_every_recipe(capsys):
    assert main(["train", "--help"]) == 0
    printed = "".join(capsys.readouterr().out.split())  # names with a hyphen may be broken there
    assert all(name in printed for name in recipe_names())


def test_unknown_data(tmp_path, capsys):
    assert main(["train", "--data", "cats", "--out", str(tmp_path)]) == 2
    assert "unknown data set 'cats'" in capsys.readouterr().err
    assert main(["train", "--set", "data.split=first", "--out", str(tmp_path)]) == 2
    assert "unknown split 'first'; known: random, last360" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unwritable_folder(few, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["train", "--set", "epochs=1", "--out", str(tmp_path / "file")]) == 2
    assert "cannot write to the output folder" in capsys.readouterr().err


@pytest.mark.parametrize("settings", [["epochs=3"], ["epochs=3", "ema_decay=0.9"]], ids=str)
def test_evaluate(quick, capsys, settings):
    _, folder = quick(settings=settings)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--checkpoint", "last"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "class  accuracy" and "test accuracy" in lines[-2]
    result = records.read_json(folder / "evaluation.json")
    report = records.read_json(folder / "report.json")
    assert result["accuracy"] == report["test_accuracy"] and result["loss"] == pytest.approx(report["test_loss"])
    assert result["step"] == 6 and result["images"] == 32
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum([row["label"] == row["prediction"] for row in rows]) == round(32 * result["accuracy"])

    assert main(["evaluate", str(folder)]) == 0  # the best
    result = records.read_json(folder / "evaluation.json")
    assert result["accuracy"] == report["best_test_accuracy"] and result["step"] == report["best_step"]
    for which, message in [("77", "holds none of step 77; there are: "), ("worst", "which must be best, last or")]:
        assert main(["evaluate", str(folder), "--checkpoint", which]) == 2
        assert message in capsys.readouterr().err


def test_evaluate_another_folder(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "holds no config.json" in capsys.readouterr().err
    records.write_json(tmp_path / "config.json", {"command": "compare", "arguments": {"depths": [20]}})
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is a run of `minires compare`, not of a training" in capsys.readouterr().err
