"""`--json`, in every command that prints figures: one value on the standard output, which is JSON, and nothing else."""

import json
import shutil

import numpy as np
import pytest

from minires import models
from minires.cli.main import COMMANDS, main
from minires.lab.experiment import Experiment, Finding, Verdict
from minires.learn import chapters

WITHOUT = {"playground"}  # what it prints is where its page is


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder, evaluated; tests have copies of it."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", "--out", str(out), "--kernels", "numpy", "--set", "steps=2", "model.width=2"]) == 0
    (folder,) = out.iterdir()
    assert main(["evaluate", str(folder), "--kernels", "numpy"]) == 0
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A folder to work in, which holds the run, a picture, and an answer to chapter 1."""
    from PIL import Image

    shutil.copytree(trained, tmp_path / "run")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "1"]) == 0
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "data"))
    return tmp_path


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def printed(capsys, *words):
    """Return the exit code, and the one value on the standard output."""
    capsys.readouterr()
    code = main([*words])
    return code, json.loads(capsys.readouterr().out, parse_constant=no_constant)


NUMPY = ["--kernels", "numpy"]  # nothing is compiled
SMALL = [*NUMPY, "--rounds", "1", "--batch-size", "2", "--size", "8"]

CASES = {
    "learn": [["learn"]],
    "check": [["check", "1"], ["check", "--all"]],
    "compare": [["compare", "--depths", "8", "--steps", "1", "--seeds", "1", "--batch-size", "4", *NUMPY]],
    "lab": [["lab", "list"], ["lab", "twin", "--depths", "4", "--seeds", "1", *NUMPY]],
    "train": [["train", *NUMPY, "--set", "steps=1", "model.width=2"],
              ["train", *NUMPY, "--resume", "run", "--set", "steps=3"]],
    "evaluate": [["evaluate", "run", *NUMPY],
                 ["evaluate", "--weights", "w.safetensors", "--data", "digits", "--normalize", "data"]],
    "finetune": [["finetune", "run", *NUMPY, "--data", "digits", "--classes", "1", "7", "--set", "steps=1"]],
    "predict": [["predict", "run", "picture.png"], ["predict", "run", "picture.png", "--explain", "--top", "2"]],
    "pretrained": [["pretrained", "list"], ["pretrained", "info", "resnet20-cifar10"]],
    "export": [["export", "run", "out.safetensors"]],
    "plot": [["plot", "run"], ["plot", "run", "other"]],
    "debug": [["debug", "--batch-size", "2", "--draw", "graph.svg"]],
    "data": [["data", "list"], ["data", "info", "digits"], ["data", "fetch", "digits"]],
    "gradcheck": [["gradcheck", "--op", "linear", *NUMPY], ["gradcheck", "--updates", *NUMPY]],
    "bench": [["bench", *SMALL],
              ["bench", *SMALL, "--profile"]],
    "doctor": [["doctor"]],
}  # fmt: skip


@pytest.mark.parametrize("words", [words for one in CASES.values() for words in one], ids=" ".join)
def test_one_value_and_nothing_else(place, capsys, words):
    if "w.safetensors" in words:
        from minires import interop

        interop.save_weights(models.make("resnet20", in_channels=1), "w.safetensors")
        words = [*words, "--model", "resnet20"]
    if "other" in words:
        shutil.copytree("run", "other")
    code, value = printed(capsys, *words, "--json")
    assert code == (1 if words[0] == "check" else 0) and value  # the answer to chapter 1 is still a gap


def test_every_command_is_here():
    assert set(CASES) == set(COMMANDS) - WITHOUT


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT))
def test_the_help_names_it(name, capsys):
    assert main([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_the_chapters(place, capsys):
    _, listed = printed(capsys, "learn", "--json")
    assert [one["chapter"] for one in listed] == list(chapters.CHAPTERS)
    assert [one["progress"] for one in listed[:2]] == ["begun", "not begun"] and listed[0]["hints"] == 0
    assert main(["learn", "2", "--json"]) == 2
    assert "leave out all but --folder" in capsys.readouterr().err


def test_a_training_is_its_report(place, capsys):
    _, report = printed(capsys, "train", "--resume", "run", "--kernels", "numpy", "--set", "steps=3", "--json")
    assert report.pop("folder") == "run" and report["steps"] == 3 and 0 <= report["test_accuracy"] <= 1
    assert report == json.loads((place / "run" / "report.json").read_text())


def test_an_evaluation_and_the_answers(place, capsys):
    _, result = printed(capsys, "evaluate", "run", "--kernels", "numpy", "--json")
    assert result.pop("folder") == "run" and result == json.loads((place / "run" / "evaluation.json").read_text())
    _, answer = printed(capsys, "predict", "run", "picture.png", "--json", "--explain")
    (picture,) = answer["pictures"]
    shares = [one["probability"] for one in picture["classes"]]
    assert picture["path"] == "picture.png" and len(shares) == 10 and shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4) and (place / answer["figure"]).exists()


def test_the_files_that_were_written(place, capsys):
    assert [(place / path).exists() for path in printed(capsys, "plot", "run", "--json")[1]["figures"]] == [True] * 4
    _, facts = printed(capsys, "export", "run", "out.safetensors", "--json")
    assert facts["bytes"] == (place / "out.safetensors").stat().st_size and facts["classes"] == list("0123456789")


def test_a_comparison_is_its_report(place, capsys):
    words = ["compare", "--depths", "8", "--steps", "0", "--seeds", "1", "--html", "page.html"]
    _, report = printed(capsys, *words, "--json")
    figures = report.pop("figures")
    assert all((place / path).exists() for path in figures) and figures[-1] == "page.html"
    assert report == json.loads((place / report["folder"] / "report.json").read_text())
    assert "--json" not in (place / "page.html").read_text(encoding="utf-8")  # not in the command that does it again


def experiment(name, value):
    def run(settings, progress):
        progress.start(1)
        yield "numbers", {"number": value}
        progress.advance()

    def judge(tables, settings):
        if value < 0:
            raise ValueError("no such number")
        return Verdict("right", "So it is.", [Finding("the number", value, low=0)])

    words = dict(claim="It is one.", source="here", expected="one", would_change="nothing")
    return Experiment(name=name, **words, settings={}, run=run, judge=judge)


def test_all_experiments(place, capsys, monkeypatch):
    monkeypatch.setattr("minires.lab.experiments.all_of", lambda: [experiment("one", 1.0), experiment("two", -1.0)])
    monkeypatch.setattr("minires.plots.experiment", lambda folder: [])
    code, value = printed(capsys, "lab", "all", "--json")
    assert code == 1 and value["failed"] == ["two"]
    assert [(one["experiment"], one["answer"]) for one in value["verdicts"]] == [("one", "right")]


@pytest.mark.parametrize("name", ["lab", "data", "pretrained"])
def test_before_or_behind_the_action(capsys, name):
    value = printed(capsys, name, "--json", "list")[1]
    assert value == printed(capsys, name, "list", "--json")[1] and all("name" in one for one in value)


def test_a_pass(place, capsys):
    words = ["debug", "--batch-size", "2"]
    _, value = printed(capsys, *words, "--json")
    first, last = value["ops"][0], value["ops"][-1]
    assert first["op"] == "CrossEntropy" and first["grad"]["norm"] == 1 and value["loss"] > 0
    assert last["module"] == "conv1" and [one["parameter"] for one in last["inputs"]] == [None, "conv1.weight"]
    assert last["inputs"][0]["grad"] is None and last["inputs"][1]["grad"]["norm"] > 0  # images need no gradient
    assert [one["module"] for one in value["forks"]] == [f"layer{stage}.{n}" for stage in (3, 2, 1) for n in (2, 1, 0)]
    assert main([*words, "--json", "--layer", "layer2"]) == 2 and "leave out" in capsys.readouterr().err


def test_a_wrong_gradient(capsys, monkeypatch):
    from minires.ops.affine import Linear

    right = Linear.backward
    monkeypatch.setattr(Linear, "backward", lambda op, grad_y: tuple([2 * grad for grad in right(op, grad_y)]))
    code, rows = printed(capsys, "gradcheck", "--op", "linear", "--kernels", "numpy", "--json")
    wrong = [row for row in rows if row["verdict"] == "WRONG"]
    assert code == 1 and wrong and wrong[0]["message"] and wrong[0]["op"] == "linear"


@pytest.mark.parametrize("words", [["evaluate", "nowhere"], ["export", "nowhere", "a.onnx"], ["predict", "nowhere"]])
def test_what_fails_prints_nothing(capsys, words):
    assert main([*words, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "nowhere" in captured.err
