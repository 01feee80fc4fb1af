"""The table of all compiled kernels, and why each may trust the arrays that it is handed: it checks nothing itself.

made      by the function that calls it, from shapes that have been checked or from the array it stands beside
shape     compared in the same call with the others', by minires/kernels/checks.py
copy      copied in the same call, and the copy's numbers checked: they are used as indices
op        compared by the op, for kernels of whole chains that nothing else calls
"""

import inspect

import numpy as np
import pytest

from minires import kernels, ops
from minires.engine import Tensor

numba = pytest.importorskip("numba")
from numba.core import sigutils  # noqa: E402

from minires.kernels import numba_kernels  # noqa: E402
from minires.kernels.numba_kernels.machine import compilation  # noqa: E402

TRUSTED = {
    "rectify": "x shape, y made",
    "pass_where_positive": "grad_y shape, y shape, grad_x made",
    "maximum": "x shape, y made, winners made",
    "maximum_backward": "grad_y shape, winners shape, grad_x made",  # a winner is compared, never an index
    "average": "x shape, y made",
    "average_backward": "grad_y shape, grad_x made",
    "widen": "x shape, y made",
    "widen_backward": "grad_y shape, grad_x shape",
    "widen_by_16": "x shape, y made",
    "add_narrow_by_16": "grad_y shape, grad_x shape",
    "add_in_place": "x made, more made",
    "losses_of": "logits shape, probabilities made, labels copy, loss made",
    "gradient_of_logits": "probabilities shape, grad_logits made, labels copy",
    "sgd": "w shape, grad shape, v shape",
    "adam": "w shape, grad shape, m shape, s shape",
    "sum_channels": "x shape, shift made, sums made",
    "finish_statistics": "sums made, shift made, mean made, var made",
    "normalize": "x shape, shortcut shape, y made, mean shape, scale made, bias shape",
    "sum_gradients": "grad_y shape, y shape, x shape, masked made, mean made, sums made",
    "sum_gradients_by_16": "grad_y shape, y shape, x shape, masked made, mean made, scale made, bias made, sums made",
    "finish_gradients": "sums made, inv_std made, weight shape, factors made, grad_weight made, grad_bias made",
    "gradient_of_x": "g shape, x shape, grad_x made, mean made, factors made",
    "pack_filters": "weight shape, b made",
    "finish_group_statistics": "statistics made, mean made, var made",
    "direct_products": "x shape, b made, y made, shortcut op, bias shape, statistics made",
    "direct_weight_products": "x shape, grad_y shape, sums made, z made, constants made",
    "direct_weight_gradient": "sums made, grad_weight made",
    "grouped_products": "x shape, b made, y made",
    "grouped_grad_input": "grad_y shape, b made, grad_x made",
    "grouped_grad_weight": "x shape, grad_y shape, sums made",
    "winograd_filters": "weight shape, u made",
    "winograd_products": "x shape, weight shape, u made, y made, shortcut op, bias shape, statistics made",
    "winograd_weight_products": "x shape, grad_y shape, grad_shares made",
    "winograd_weight_gradient": "grad_shares made, grad_weight made",
    "winograd_layers_forward": (
        "x op, shortcut op, y made, "
        "first.filters op, first.u made, first.z made, first.statistics made, first.mean made, first.var made, "
        "first.weight op, first.bias op, "
        "second.filters op, second.u made, second.z made, second.statistics made, second.mean made, second.var made, "
        "second.weight op, second.bias op"
    ),
    "winograd_layers_backward": (
        "grad_y op, images.y op, images.masked made, images.x op, images.grad_x made, images.between made, "
        "first.z made, first.filters op, first.u made, first.weight op, first.bias op, first.mean made, "
        "first.var made, first.sums made, first.grad_shares made, first.grad_filters made, first.grad_norm made, "
        "second.z made, second.filters op, second.u made, second.weight op, second.bias op, second.mean made, "
        "second.var made, second.sums made, second.grad_shares made, second.grad_filters made, second.grad_norm made, "
        "before.z shape, before.mean made, before.sums made"
    ),
}


def arrays_of(kernel):
    """Return the names of a kernel's arrays, "record.field" of those in records. The counter is its own."""
    types, _ = sigutils.normalize_signature(next(iter(kernel.signatures.values())))
    parameters = list(inspect.signature(getattr(kernel.compiled, "py_func", kernel.compiled)).parameters)
    names = []
    for name, kind in zip(parameters, types, strict=True):
        if isinstance(kind, numba.types.NamedTuple | numba.types.NamedUniTuple):
            kinds = zip(kind.instance_class._fields, kind.types, strict=True)
            names += [f"{name}.{field}" for field, one in kinds if isinstance(one, numba.types.Array)]
        elif isinstance(kind, numba.types.Array) and name != "counter":
            names.append(name)
    return names


def test_every_array_of_every_compiled_kernel_stands_in_the_table():
    known = {kernel.name: arrays_of(kernel) for kernel in compilation.all_kernels}
    listed = {name: [entry.split()[0] for entry in text.split(", ")] for name, text in TRUSTED.items()}
    assert listed == known
    reasons = {entry.split()[1] for text in TRUSTED.values() for entry in text.split(", ")}
    assert reasons == {"made", "shape", "copy", "op"}


@pytest.fixture(params=["numpy", "numba"])
def module(request):
    with kernels.use(request.param) as module:
        yield module


def test_labels_may_be_changed_after_the_forward_pass(module):
    logits = np.random.default_rng(0).standard_normal((3, 4)).astype("f")
    labels, buffer = np.array([1, 0, 3]), np.array([1, 0, 3])
    grads = []
    for given, later in ((labels, labels), (buffer, [1 << 40, -9, 77])):
        x = Tensor(logits, requires_grad=True)
        loss = ops.cross_entropy(x, given)
        given[:] = later
        loss.backward()
        grads.append(x.grad)
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("change", ["shape", "resize"])
def test_an_array_of_another_shape_in_the_backward_pass_is_refused(module, change):
    """Of the same memory: both are done to the array itself, which the op has."""

    def changed(array):
        if change == "resize":
            array.resize((array.shape[0] - 1, *array.shape[1:]), refcheck=False)
        else:
            array.shape = (array.shape[0], array.shape[1] * array.shape[2], *array.shape[3:], 1)

    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 8, 6, 5)).astype("f"), rng.standard_normal((8, 8, 3, 3)).astype("f")
    per_channel = [np.ones(8, "f"), np.zeros(8, "f")]
    for op, arrays in (
        (lambda x, w: ops.conv2d(x, w, padding=1), [x, weight]),
        (lambda x, *rest: ops.batch_norm(x, *rest)[0], [x, *per_channel]),
    ):
        tensors = [Tensor(array.copy(), requires_grad=True) for array in arrays]
        y = op(*tensors)
        changed(tensors[0].data)
        with pytest.raises(ValueError):
            y.backward(np.ones_like(y.data))


def test_strides_beyond_all_bounds(module):
    x, weight = np.arange(60, dtype="f").reshape(1, 2, 6, 5), np.ones((3, 2, 3, 3), "f")
    for stride in ((1 << 40, 1), (1, 1 << 40), (1 << 62, 1 << 62), (1 << 70, 1 << 70)):
        expected_stride = tuple([min(one, 50) for one in stride])
        for op in (
            lambda x, s: ops.conv2d(x, Tensor(weight), None, s, 1),
            lambda x, s: ops.conv2d(x, Tensor(weight[:2, :1]), None, s, 1, 2, 2),
            lambda x, s: ops.max_pool2d(x, 2, s, 1),
            lambda x, s: ops.max_pool2d(x, 2, s, 1, ceil_mode=True),
            lambda x, s: ops.avg_pool2d(x, 2, s, 1, True, False),
        ):
            found = []
            for given in (stride, expected_stride):
                tensor = Tensor(x, requires_grad=True)
                y = op(tensor, given)
                y.backward(np.ones_like(y.data))
                found.append((y.data, tensor.grad))
            for one, other in zip(*found, strict=True):
                np.testing.assert_array_equal(one, other)
    tensor = Tensor(x, requires_grad=True)
    y = ops.option_a(tensor, 4, 1 << 70)
    y.backward(np.ones_like(y.data))
    assert y.data[0, 1, 0, 0] == x[0, 0, 0, 0] and tensor.grad.sum() == 2


def test_zero_images(module):
    """Empty in, empty out; only a mean over images has none."""
    images = np.zeros((0, 8, 6, 6), "f")
    per_channel = [Tensor(np.ones(8, "f")) for _ in range(2)]
    for op in (
        lambda x: ops.conv2d(x, Tensor(np.ones((8, 8, 3, 3), "f"))),
        lambda x: ops.conv2d(x, Tensor(np.ones((6, 4, 3, 3), "f")), dilation=2, groups=2),
        lambda x: ops.batch_norm(x, *per_channel, np.zeros(8, "f"), np.ones(8, "f"))[0],
        ops.relu,
        lambda x: ops.max_pool2d(x, 2),
        lambda x: ops.avg_pool2d(x, 3, 2, 1),
        lambda x: ops.max_pool2d(x, 4, 4, ceil_mode=True),
        lambda x: ops.avg_pool2d(x, 4, 4, 1, True, False),
        ops.global_avg_pool2d,
        lambda x: ops.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: ops.option_a(x, 16, 2),
        lambda x: ops.residual_add(x, x),
        lambda x: ops.linear(ops.flatten(x), Tensor(np.ones((5, 288), "f"))),
        lambda x: ops.softmax(ops.flatten(x)),
        lambda x: ops.log_softmax(ops.flatten(x)),
        lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)),
        ops.sigmoid,
        ops.elu,
        lambda x: ops.sum(x, (1, 2, 3)),
    ):
        x = Tensor(images, requires_grad=True)
        y = op(x)
        assert y.shape[0] == 0
        y.backward(np.ones_like(y.data))
        assert x.grad.shape == images.shape
    x, none = Tensor(images), np.zeros(0, int)
    for refused, why in (
        (lambda: ops.batch_norm(x, *per_channel), "no batch variance; use a larger batch"),
        (lambda: ops.cross_entropy(Tensor(np.zeros((0, 3), "f")), none), "of no image, and the loss is a mean"),
        (lambda: ops.mse_loss(x, images), "has no numbers, and the loss is a mean"),
        (lambda: ops.mean(x), "has no numbers"),
        (lambda: ops.max(x), "has no numbers"),
        (lambda: module.batch_norm_forward(images, *[one.data for one in per_channel], 1e-5), "no mean and variance"),
    ):
        with pytest.raises(ValueError, match=why):
            refused()


def test_arrays_that_overlap_or_cannot_be_written(module):
    buffer = np.arange(1.0, 7.0, dtype="f")
    for step in ("sgd_step", "adam_step"):
        found = []
        for grad in (buffer[1:6].copy(), None):
            memory = buffer.copy()
            w = memory[:5]
            state = [[np.ones(5, "f")] for _ in range(1 if step == "sgd_step" else 2)]
            options = (0.1, 0.9, 0.1, True) if step == "sgd_step" else (1, 0.1, 0.9, 0.99, 1e-8, 0.1, True)
            getattr(module, step)([w], [memory[1:6] if grad is None else grad], *state, *options)
            found.append([w.copy(), *[one[0] for one in state]])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)
        w, state = buffer.copy(), [[np.ones(6, "f")] for _ in state]
        w.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            getattr(module, step)([w], [np.ones(6, "f")], *state, *options)
        assert all((one[0] == 1).all() for one in state)


def test_every_function_asks_before_it_calls_a_kernel():
    for name in numba_kernels.__all__:
        function = getattr(numba_kernels, name)
        if not inspect.isfunction(function) or function.__module__.endswith((".fused", ".chain", ".numpy_kernels")):
            continue  # what a chain's op asks; and NumPy's, which ask themselves
        if name not in ("configure", "relu_forward", "batch_norm_inference_backward"):  # any shape; all left to NumPy's
            assert "checks." in inspect.getsource(function), name
