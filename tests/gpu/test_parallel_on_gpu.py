"""A trainer that averages over processes, on the GPU: gradients go through the CPU's memory where NCCL is not there."""

import types

import numpy as np
import pytest

from minires import models
from minires.data import Loader
from minires.engine import Tensor
from minires.optim import SGD
from minires.parallel.processes import Processes
from minires.parallel.trainer import in_parallel
from minires.training import Trainer

IMAGES = np.random.default_rng(0).standard_normal((6, 3, 6, 5))
LABELS = np.random.default_rng(1).integers(0, 10, 6)


def processes(monkeypatch):
    """One process; its sums are what they are, and pass through the CPU."""
    passed = []
    made = Processes(types.SimpleNamespace(rank=0, size=1), types.SimpleNamespace(rank=0, size=1))
    monkeypatch.setattr(made, "sum_on_cpu", lambda array: passed.append(type(array)))
    monkeypatch.setattr(made, "has_nccl", lambda: False)
    return made, passed


def trainer_on(device):
    model = models.network_of(models.BasicBlock, (1, 1, 1), (4, 6, 8), seed=0).to("float64").to(device)
    images, labels = (Tensor(array).to(device).data for array in (IMAGES, LABELS))
    test = Loader(images, labels, 4, shuffle=False)
    return Trainer(model, Loader(images, labels, 4, seed=5), SGD(model.parameters(), 0.05), evaluation=("test", test))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_records_are_those_of_the_trainer_that_it_was(device, gpu, monkeypatch):
    together, passed = processes(monkeypatch)
    records, expected = [], []
    in_parallel(trainer_on(device), together).train(4, records.append)
    trainer_on(device).train(4, expected.append)
    for record in (*records, *expected):
        record.pop("images_per_second", None)
    for record, other in zip(records, expected, strict=True):
        assert record == pytest.approx(other, rel=1e-12)
    assert passed and set(passed) == {np.ndarray}
