"""The optimizers' tests against PyTorch, the same bodies as on the CPU, with parameters and gradients on the GPU."""

import bodies
import pytest

pytestmark = pytest.mark.usefixtures("on_this_gpu")


@pytest.fixture(scope="module")
def on_this_gpu(gpu):
    bodies.place.gpu = gpu


pytest.importorskip("torch")
FILE = "optim/test_optimizers_against_torch.py"
here = bodies.load(FILE)


def twins(dtype):
    ours, theirs, new_grads = here.twins(dtype)
    for param in ours:
        param.data = bodies.moved(param.data)

    def new_grads_there(leave_out=()):
        new_grads(leave_out)
        for param in ours:
            param.grad = bodies.moved(param.grad)

    return ours, theirs, new_grads_there


def assert_equal(ours, theirs, dtype):
    here.assert_equal([param.to("cpu") for param in ours], theirs, dtype)


globals().update(bodies.on_gpu(FILE, twins=twins, assert_equal=assert_equal, np=bodies.NumpyOnGpu()))
