"""The tests of engine, ops and kernels, the same bodies as on the CPU, on a GPU and on the CPU behind the fake CuPy."""

import bodies
import pytest

from minires.gradient_check import cases

pytestmark = pytest.mark.usefixtures("on_this_gpu")


@pytest.fixture(scope="module")
def on_this_gpu(gpu):
    bodies.place.gpu = gpu


finite_differences = bodies.on_gpu(
    "ops/test_finite_differences.py", gradcheck=bodies.same_as_on_the_cpu, ops=bodies.OpsOnGpu()
)
naive_loops = bodies.on_gpu("ops/test_naive_loops.py", kernels=bodies.KernelsOnGpu())
engine = bodies.on_gpu(
    "engine/test_backward.py",
    Tensor=bodies.tensor_on_gpu,
    np=bodies.NumpyOnGpu(),
    without=["test_an_error_in_backward_names_the_op_and_the_line_that_called_it"],  # an op of its own on NumPy arrays
)
values = bodies.on_gpu(
    "ops/test_op_values.py",
    Tensor=bodies.tensor_on_gpu,
    np=bodies.NumpyOnGpu(),
    without=[  # these compare with NumPy's own arrays and functions
        "test_elu_keeps_its_digits_near_zero",
        "test_pad_and_transpose_as_numpy",
        "test_arrays_and_lists_are_constants_on_either_side",
        "test_dropout_keeps_the_mean_and_its_generator_decides",
        "test_the_first_layer_does_not_compute_the_gradient_of_the_image",
    ],
)
globals().update({f"{name}_in_the_engine": test for name, test in engine.items()})
globals().update({f"{name}_as_values": test for name, test in values.items()})
globals().update({f"{name}_as_on_the_cpu": test for name, test in finite_differences.items()})
globals().update({f"{name}_against_loops": test for name, test in naive_loops.items()})
try:
    against_torch = bodies.on_gpu("ops/test_ops_against_torch.py", compare=bodies.same_as_torch, ops=bodies.OpsOnGpu())
    globals().update({f"{name}_against_torch": test for name, test in against_torch.items()})
except pytest.skip.Exception:  # no PyTorch here

    def test_against_torch():
        pytest.importorskip("torch")


@pytest.mark.parametrize("case", cases.named_cases(), ids=lambda case: case.name)
def test_every_case_of_the_gradient_check(case, monkeypatch):
    for file in cases.FILES:
        monkeypatch.setattr(file, "ops", bodies.OpsOnGpu())
    bodies.same_as_on_the_cpu(case.fn, *case.arguments.values())
