"""The gradients of several processes are those of one that has the whole batch."""

import json

import numpy as np
import pytest

SCRIPT = """
import json, sys
import numpy as np
from minires import models, nn, ops
from minires.data import Loader
from minires.optim import SGD
from minires.training import Trainer
from minires.parallel.processes import all_processes, started_by_mpiexec
from minires.parallel.trainer import in_parallel

out, options = sys.argv[1], json.loads(sys.argv[2])
rng = np.random.default_rng(0)
images, labels = rng.standard_normal((options.pop("images"), 1, 8, 8)), rng.integers(0, 10, 1000)
labels = labels[: len(images)]
training = {name: options.pop(name) for name in ("accumulation", "label_smoothing", "max_norm") if name in options}
frozen = options.pop("frozen", False)
steps, batch_size = options.pop("steps", 1), options.pop("batch_size")
model = models.network_of(models.BasicBlock, (1, 1, 1), (4, 6, 8), in_channels=1, seed=0, **options).to("float64")
if frozen:
    model.conv1.weight.requires_grad = False
    for _, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean += 1 / 3
            module.freeze()
trainer = Trainer(model, Loader(images, labels, batch_size, seed=3), SGD(model.parameters(), 0.05, momentum=0.9),
                  evaluation=("test", Loader(images[:7], labels[:7], 4, shuffle=False)), **training)
rank = 0
if started_by_mpiexec():
    processes = all_processes()
    rank, trainer = processes.rank, in_parallel(trainer, processes)
records = []
trainer.train(steps, records.append)
grads = {f"grad {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
np.savez(f"{out}-{rank}.npz", **grads, **model.state_dict())
for record in records:
    record.pop("images_per_second", None)
print(json.dumps(records)) if rank == 0 else None
"""

NO_NORM = {"norm": "none", "images": 24, "batch_size": 24}


def results(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def both(mpiexec, tmp_path):
    """Train on so many processes and on one; return the arrays and records of one, and those of each process."""

    def run(number, **options):
        found = []
        for count in (1, number):
            code, output, errors = mpiexec(count, str(tmp_path / str(count)), json.dumps(options), script=SCRIPT)
            assert code == 0, errors
            found.append(([results(tmp_path / f"{count}-{rank}.npz") for rank in range(count)], json.loads(output)))
        return found

    return run


def close(arrays, expected, tolerance):
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(arrays[name], array, rtol=0, atol=tolerance * max(1, np.abs(array).max()))


def same_records(records, expected):
    for record, other in zip(records, expected, strict=True):
        assert record == pytest.approx(other, rel=1e-11)


@pytest.mark.parametrize(
    "number, options",
    [
        (2, {}),
        (3, {"images": 23, "batch_size": 23}),  # shares of 7, 8 and 8 images
        (2, {"accumulation": 3, "label_smoothing": 0.1, "max_norm": 0.01, "init": "skipinit"}),
    ],
    ids=str,
)
def test_the_first_step_without_batch_norm_is_that_of_one_process(both, number, options):
    (one, records), (several, records_of_several) = both(number, **{**NO_NORM, **options})
    for arrays in several:
        close(arrays, one[0], 1e-12)
    same_records(records_of_several, records)


def test_several_steps_and_a_last_batch_smaller_than_the_processes(both):
    """25 images in batches of 8 leave 1: two of three processes have none."""
    (one, records), (several, records_of_several) = both(3, norm="none", images=25, batch_size=8, steps=9)
    for arrays in several:
        close(arrays, one[0], 1e-10)
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, several[0][name])  # all hold the same bits
    same_records(records_of_several, records)


def test_batch_norm_takes_its_own_share_and_all_keep_one_average(both):
    (one, _), (several, _) = both(2, images=24, batch_size=24)
    for name, array in several[0].items():
        np.testing.assert_array_equal(array, several[1][name])
    mean = "bn1.running_mean"  # of the first norm: its input is the same, and a mean of means is the mean
    np.testing.assert_allclose(several[0][mean], one[0][mean], rtol=1e-12)
    assert np.abs(several[0]["grad conv1.weight"] - one[0]["grad conv1.weight"]).max() > 1e-6


def test_what_is_frozen_stays_exactly_as_it_is(both):
    (one, _), (several, _) = both(3, images=23, batch_size=23, frozen=True)
    close(several[0], one[0], 1e-12)
    for name in ("bn1.running_mean", "bn1.running_var", "conv1.weight"):
        np.testing.assert_array_equal(several[0][name], one[0][name])
    assert "grad conv1.weight" not in several[0]
