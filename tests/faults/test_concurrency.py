"""Several threads, several processes, and an end in the middle of it: the same numbers as alone, and no crash."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from run_processes import environment

from minires import Tensor, debug, kernels, models, no_grad, ops
from minires.data import Loader, load_digits, make_augmentation
from minires.observe.watching import WatchError

IMAGES, LABELS, _, _ = load_digits()
THREADS = 8


@pytest.fixture(params=kernels.CPU_KERNELS)
def kernel_set(request, require):
    require(request.param)
    with kernels.use(request.param):
        yield request.param


def network(seed=0, fused=False):
    return models.cifar_resnet(8, in_channels=1, width=8, seed=seed, fused=fused)


def gradients(model, part=0):
    """Return the gradients of a batch, as bytes."""
    chosen = slice(32 * part, 32 * part + 32)
    model.zero_grad()
    ops.cross_entropy(model(Tensor(IMAGES[chosen])), LABELS[chosen]).backward()
    return [parameter.grad.tobytes() for parameter in model.parameters()]


def at_once(work):
    """Call work(0) to work(7) in threads that begin together; return what they gave, or raise what one raised."""
    together, found, errors = threading.Barrier(THREADS), [None] * THREADS, []

    def run(number):
        together.wait(60)
        try:
            found[number] = work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return found


@pytest.mark.parametrize("fused", [False, True])
def test_eight_backward_passes_at_once(fused, kernel_set):
    expected = [gradients(network(number, fused), number) for number in range(THREADS)]

    def work(number):
        model = network(number, fused)
        return [gradients(model, number) == expected[number] for _ in range(4)]

    assert at_once(work) == [[True] * 4] * THREADS


def test_a_model_shared_for_inference(kernel_set):
    model = network().eval()
    with no_grad():
        expected = [model(Tensor(IMAGES[number : number + 16])).data.tobytes() for number in range(THREADS)]

    def work(number):
        with no_grad():
            return [model(Tensor(IMAGES[number : number + 16])).data.tobytes() == expected[number] for _ in range(10)]

    assert at_once(work) == [[True] * 10] * THREADS


def test_what_is_said_in_one_thread_is_not_said_in_the_others():
    """Whether a graph is recorded, the name of the module, and who looks on."""

    def work(number):
        model = network(number)
        if number % 2:
            with no_grad():
                return [model(Tensor(IMAGES[:8])).op for _ in range(5)] == [None] * 5
        images = np.full_like(IMAGES[:8], np.nan) if number % 4 else IMAGES[:8]
        paths = set()
        for _ in range(5):
            with debug.watch(action="raise"):
                try:
                    logits = model(Tensor(images))
                except WatchError as error:
                    paths.add(error.finding.module_path)
                else:
                    paths.add(logits.op.module_path)
        return paths == ({"conv1"} if number % 4 else {"fc"})

    assert at_once(work) == [True] * THREADS


def test_kernels_may_be_chosen_while_others_compute(kernel_set):
    expected = gradients(network())

    def work(number):
        for _ in range(3):
            if number == 0:
                kernels.use("numpy")
                kernels.use(kernel_set)
            found = gradients(network())
        return len(found) == len(expected)

    assert at_once(work) == [True] * THREADS
    assert gradients(network()) == expected


def send_gradients(name, queue):
    with kernels.use(name):
        queue.put(gradients(network()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_backward_pass_in_another_process(method, kernel_set):
    expected = gradients(network())
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=send_gradients, args=(kernel_set, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=240) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert found == [expected] * 2
    assert gradients(network()) == expected


def batches(number):
    """What one of four workers makes of an epoch: its share of the batches."""
    loader = Loader(IMAGES[:100], LABELS[:100], 10, seed=0, augmentation=make_augmentation(["crop", "flip"]))
    return [(images.tobytes(), labels.tobytes()) for images, labels in list(loader.epoch(1))[number::4]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_batches_made_by_several_processes(method):
    expected = [batches(number) for number in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(batches, range(4)).get(240) == expected


BUSY = """
import sys, threading, time
import numpy as np
from minires import Tensor, kernels, models, ops
from minires.data import Loader
if sys.argv[1] == "numba":
    kernels.set_num_threads(2)
model = models.cifar_resnet(8, in_channels=3, width=16, seed=0)
images = np.zeros((32, 3, 32, 32), np.float32)
labels = np.zeros(32, int)
begun = threading.Event()
def work():
    batches = Loader(images, labels, 32, seed=0).stream()
    for images_, labels_ in batches:
        begun.set()
        ops.cross_entropy(model(Tensor(images_)), labels_).backward()
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
assert begun.wait(240)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_the_interpreter_may_end_while_threads_compute(kernel_set, seconds):
    command = [sys.executable, "-c", BUSY, kernel_set, str(seconds)]
    done = subprocess.run(
        command, env={**environment(), "MINIRES_KERNELS": kernel_set}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal Python error" not in done.stderr, done.stderr  # a thread may say that Python is closing
