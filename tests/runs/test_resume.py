"""Going on from a checkpoint ends in the same bytes as never having stopped: at any step, with every kind of state."""

import errno
import multiprocessing
import os
import re
import shutil
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires import kernels, models, nn, ops, runs
from minires.cli.main import main
from minires.data import Loader, load_digits, make_augmentation
from minires.optim import SGD, AdamW, CosineAnnealingLR, LinearWarmup
from minires.runs import checkpoint, records
from minires.runs.ema import EMA
from minires.runs.signals import SignalHandler, StoppableLoader
from minires.runs.state import TrainingState
from minires.training import Trainer

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = load_digits()
STEPS = 9  # more than two epochs of 40 images in batches of 12


class Dropping(nn.Module):
    """A network whose layers draw, keep statistics and are shared out to two parameter groups."""

    def __init__(self, seed):
        self.body = models.cifar_resnet(8, in_channels=1, width=4, num_classes=12, seed=seed)
        self.dropout = nn.Dropout(0.4, seed=seed + 1)
        self.fc = nn.Linear(12, 10, seed=seed + 2)

    def forward(self, x):
        y = self.body(x)
        y = ops.relu(y)
        y = self.dropout(y)
        return self.fc(y)


def make(seed=0, kind="adam", batch_size=12):
    model = Dropping(seed)
    if kind == "adam":
        groups = [{"params": model.body.parameters()}, {"params": model.fc.parameters(), "lr": 0.03}]
        optimizer = AdamW(groups, 0.01)
        schedule = LinearWarmup(optimizer, 4, schedule=CosineAnnealingLR(optimizer, STEPS))
    else:
        optimizer, schedule = SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True), None
    loader = Loader(IMAGES[:40], LABELS[:40], batch_size, seed=seed, augmentation=make_augmentation(["crop", "flip"]))
    test = Loader(TEST_IMAGES[:20], TEST_LABELS[:20], 20, shuffle=False)
    ema = EMA(model, 0.9) if kind == "adam" else None
    options = {"evaluation": ("test", test), "ema": ema, "accumulation": 2, "max_norm": 1.0}
    return TrainingState(Trainer(model, loader, optimizer, schedule, **options))


def logging(state, log, save=lambda: None):
    """Return what a run does with a record: keep it, note the best evaluation, and save."""

    def append(record):
        log.append(record)
        if "loss" not in record:
            state.note_evaluation(record)
        save()

    return append


@pytest.fixture(scope="module", params=["adam", "sgd"])
def uninterrupted(request, tmp_path_factory):
    """The kind, the folder of a training that wrote a checkpoint after every step, and its records."""
    folder, state, log = tmp_path_factory.mktemp("whole"), make(kind=request.param), []
    checkpoint.save(folder, 0, state.state_dict())

    def save():
        checkpoint.save(folder, state.trainer.step, state.state_dict())

    state.trainer.train(STEPS, logging(state, log, save))
    return request.param, folder, log


def without_speed(log):
    return [{name: value for name, value in record.items() if name != "images_per_second"} for record in log]


@given(st.integers(0, STEPS), st.integers(0, STEPS))
def test_same_bytes_from_any_steps(uninterrupted, tmp_path_factory, one, other):
    """Start where the checkpoint of one step was, stop before another, start again, and go to the end."""
    kind, folder, log = uninterrupted
    start, end = sorted([one, other])
    saved, again = tmp_path_factory.mktemp("resumed"), []

    class StopAtTheEnd(SignalHandler):
        def check(self):
            if trainer.step == end:  # also in the evaluation after that step
                raise InterruptedError

    path = checkpoint.path_of(folder, start)
    for stop in (True, False):
        state = make(seed=1, kind=kind)
        trainer = state.trainer
        trainer.loader.seed = 0  # all else that the other seed has made different must come from the checkpoint
        state.load_state_dict(checkpoint.load(path)[0])
        if stop:
            trainer.loader = StoppableLoader(trainer.loader, StopAtTheEnd())
            trainer.evaluation = ("test", StoppableLoader(trainer.evaluation[1], StopAtTheEnd()))
        with suppress(InterruptedError):
            trainer.train(STEPS, logging(state, again))
        path = checkpoint.save(saved, trainer.step, state.state_dict())
    assert path.read_bytes() == checkpoint.path_of(folder, STEPS).read_bytes()
    assert without_speed(again) == [record for record in without_speed(log) if record["step"] > start]


def test_the_training_did_something(uninterrupted):
    kind, folder, log = uninterrupted
    first, last = (checkpoint.load(checkpoint.path_of(folder, step))[0] for step in (1, STEPS))
    assert all(not np.array_equal(first["model"][name], last["model"][name]) for name in first["model"])
    assert first["generators"] != last["generators"]
    assert (kind == "adam") == bool(last["ema"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 10}, "the place in the data was .*'batch_size': 12"),
        ({"kind": "sgd"}, "the saved groups have .* parameters, this optimizer's"),
    ],
)
def test_another_training_is_refused_and_nothing_changes(tmp_path, change, message):
    state = make().state_dict()
    state["step"] = 3
    other = make(seed=2, **change)
    before = checkpoint.save(tmp_path / "a", 0, other.state_dict()).read_bytes()
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(checkpoint.load(checkpoint.save(tmp_path, 3, state))[0])
    assert checkpoint.save(tmp_path / "b", 0, other.state_dict()).read_bytes() == before


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("ema", {}, "saved without ema, loaded with"),
        ("schedule", {}, "saved without schedule, loaded with"),
        ("generators", {}, "saved random generators are none, the model's dropout.generator"),
    ],
)
def test_missing_parts_are_refused(part, value, message):
    state = make()
    with pytest.raises(ValueError, match=message):
        state.load_state_dict({**state.state_dict(), part: value})


def test_another_model_lists_both_shapes():
    def state(width):
        model = models.cifar_resnet(8, in_channels=1, width=width, seed=0)
        return TrainingState(Trainer(model, Loader(IMAGES[:8], LABELS[:8], 8), SGD(model.parameters(), 0.1)))

    with pytest.raises(ValueError, match=r"conv1.weight has shape \(8, 1, 3, 3\) where the model has \(4, 1, 3, 3\)"):
        state(4).load_state_dict(state(8).state_dict())


# The same through a run's folder.

TINY = ["model.depth=10", "model.width=1", "batch_size=64", "steps=8", "checkpoint_every=1", "keep_checkpoints=100"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    arguments = ["train", "--model", "wide_resnet", "--out", str(out), "--set", *TINY]
    assert main(arguments) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.fixture
def stopped_run(whole_run, tmp_path):
    """A copy of the run as it was after step 5, but for metric lines that came later and a line cut off."""
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    for step in (6, 7, 8):
        checkpoint.path_of(folder / "checkpoints", step).unlink()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')
    return folder


def test_a_run_goes_on_to_the_same_bytes(whole_run, stopped_run, capsys):
    (stopped_run / "checkpoints" / ".step-000006.safetensors.123").write_bytes(b"killed here")
    assert main(["train", "--resume", str(stopped_run)]) == 0
    for step in (6, 7, 8):
        one, other = (checkpoint.path_of(folder / "checkpoints", step) for folder in (whole_run, stopped_run))
        assert one.read_bytes() == other.read_bytes()
    one, other = (records.read_jsonl(folder / "metrics.jsonl") for folder in (whole_run, stopped_run))
    assert without_speed(one) == without_speed(other)
    assert not list((stopped_run / "checkpoints").glob(".*"))
    assert "not bit for bit" not in capsys.readouterr().err


def test_a_run_that_was_killed_before_it_deleted_old_checkpoints_deletes_them(whole_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    best = records.read_json(folder / "report.json")["best_step"]
    assert main(["train", "--resume", str(folder), "--set", "keep_checkpoints=2"]) == 0
    assert checkpoint.steps_in(folder / "checkpoints") == sorted({7, 8, best})


def test_other_kernels_versions_and_threads_are_said(stopped_run, capsys, monkeypatch):
    now = checkpoint.environment()
    monkeypatch.setattr(checkpoint, "environment", lambda array=None: {**now, "threads": 99, "numpy": "1.0"})
    assert main(["train", "--resume", str(stopped_run)]) == 0
    message = capsys.readouterr().err
    assert f"resumed, but not bit for bit as it was: threads: {now['threads']} then, 99 now" in message
    assert f"numpy: {np.__version__} then, 1.0 now" in message


def test_a_damaged_last_checkpoint(stopped_run, capsys):
    path = checkpoint.newest(stopped_run / "checkpoints")
    path.write_bytes(path.read_bytes()[:-100])
    metrics = (stopped_run / "metrics.jsonl").read_bytes()
    assert main(["train", "--resume", str(stopped_run)]) == 2
    message = capsys.readouterr().err
    assert f"{path.name} is damaged" in message
    assert "Delete it; the checkpoints of steps 0, 1, 2, 3, 4 are left" in message
    assert (stopped_run / "metrics.jsonl").read_bytes() == metrics
    path.unlink()
    assert main(["train", "--resume", str(stopped_run)]) == 0
    assert "goes on after step 4" in capsys.readouterr().err


def test_another_models_run(stopped_run, capsys):
    config = records.read_json(stopped_run / "config.json")
    config["arguments"]["model"]["width"] = 2
    records.write_json(stopped_run / "config.json", config)
    metrics = (stopped_run / "metrics.jsonl").read_bytes()
    assert main(["train", "--resume", str(stopped_run)]) == 2
    message = capsys.readouterr().err
    assert re.search(r"config.json has model.width = 2, .* step-000005.* with model.width = 1; put back", message)
    assert (stopped_run / "metrics.jsonl").read_bytes() == metrics


def test_other_data(stopped_run, capsys):
    config = records.read_json(stopped_run / "config.json")
    config["arguments"]["data"]["split"] = "last360"
    records.write_json(stopped_run / "config.json", config)
    assert main(["train", "--resume", str(stopped_run)]) == 2
    assert "the data set digits is not the one this run was trained on: other" in capsys.readouterr().err


def test_a_full_disk_loses_nothing(stopped_run, capsys, monkeypatch):
    def full_disk(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        fsync, calls = os.fsync, []

        def full_after_some(number):
            calls.append(number)
            return fsync(number) if len(calls) < 8 else full_disk()

        patch.setattr(records.os, "fsync", full_after_some)
        assert main(["train", "--resume", str(stopped_run)]) == 1  # a failure of the machine, not of the call
    message = capsys.readouterr().err
    assert "No space left on device" in message and f"go on with: minires train --resume {stopped_run}" in message
    newest = checkpoint.newest(stopped_run / "checkpoints")
    assert checkpoint.load(newest)[0]["step"] >= 5
    assert main(["train", "--resume", str(stopped_run)]) == 0
    assert checkpoint.steps_in(stopped_run / "checkpoints")[-1] == 8


def hold(folder, ready, leave):
    with runs.lock(folder):
        ready.set()
        leave.wait(60)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such lock")
def test_two_processes_in_one_folder(stopped_run, capsys):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=hold, args=(stopped_run, ready, leave))
    process.start()
    try:
        assert ready.wait(60)
        metrics = (stopped_run / "metrics.jsonl").read_bytes()
        assert main(["train", "--resume", str(stopped_run)]) == 2
        assert f"another process (pid {process.pid}) is writing to {stopped_run}" in capsys.readouterr().err
        assert (stopped_run / "metrics.jsonl").read_bytes() == metrics
    finally:
        process.kill()  # the lock dies with it
        process.join()
    assert main(["train", "--resume", str(stopped_run)]) == 0


def test_load_model(whole_run):
    model, recipe, step = runs.load_model(whole_run, "last")
    assert step == 8 and not model.training and recipe.steps == 8
    best = records.read_json(whole_run / "report.json")["best_step"]
    assert runs.load_model(whole_run)[2] == best
    assert runs.load_model(whole_run, "3")[2] == 3


@pytest.mark.parametrize("cpu_kernels", kernels.CPU_KERNELS)
def test_a_recipe_with_everything(tmp_path, require, cpu_kernels):
    """k steps, stop, k steps: the same bytes as 2k, with all that a recipe can ask for, on each CPU backend."""
    settings = ["validation=300", "steps=6", "ema_decay=0.9", "max_norm=1", "accumulation=2", "label_smoothing=0.1",
                "augmentation=['crop','flip','resized_crop']", "batch_size=300", "model.depth=10", "model.width=1",
                "warmup.steps=3", "checkpoint_every=1"]  # fmt: skip
    require(cpu_kernels)
    with kernels.use(cpu_kernels):
        paths = []
        for part, stops in (("one", [6]), ("two", [3, 6])):
            for _ in stops:
                trainer = runs.build(runs.resolve("digits", settings, model="wide_resnet"))
                state = TrainingState(trainer)
                if checkpoint.steps_in(tmp_path / part):
                    state.load_state_dict(checkpoint.load(checkpoint.newest(tmp_path / part))[0])
                trainer.evaluation = None
                trainer.train(stops[0] if trainer.step == 0 else 6, lambda record: None)
                paths.append(checkpoint.save(tmp_path / part, trainer.step, state.state_dict()))
    assert paths[0].name == paths[-1].name and paths[0].read_bytes() == paths[-1].read_bytes()
