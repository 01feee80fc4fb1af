"""Hessian-vector products against known Hessians: of quadratics, of a linear layer, and by second differences."""

import numpy as np
import pytest

from minires import lab, models, nn, ops
from minires.engine import Tensor


def quadratic(n=6, seed=0):
    """½ xᵀAx + bᵀx, with A symmetric."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    A, b = A + A.T, rng.standard_normal(n)
    x = Tensor(rng.standard_normal(n), requires_grad=True)
    return (lambda: 0.5 * (x @ A @ x) + x @ b), x, A


def small_net(activation=ops.tanh, seed=0):
    """Two layers and a cross-entropy."""
    rng = np.random.default_rng(seed)
    first, second = nn.Linear(3, 4, seed=0).to("float64"), nn.Linear(4, 3, seed=1).to("float64")
    images, labels = Tensor(rng.standard_normal((5, 3))), np.array([0, 1, 2, 1, 0])
    parameters = [*first.parameters(), *second.parameters()]
    return (lambda: ops.cross_entropy(second(activation(first(images))), labels)), parameters


def hessian(loss, parameters):
    """The whole matrix, a column at a time."""
    sizes = [parameter.size for parameter in parameters]
    columns = []
    for unit in np.eye(sum(sizes)):
        parts = np.split(unit, np.cumsum(sizes)[:-1])
        vector = [part.reshape(p.shape) for part, p in zip(parts, parameters, strict=True)]
        columns.append(np.concatenate([array.ravel() for array in lab.hvp(loss, parameters, vector)]))
    return np.stack(columns, axis=1)


def by_second_differences(loss, parameters, h=1e-3):
    """The Hessian from values of the loss alone: no gradient has a part in it."""
    start = [p.data.copy() for p in parameters]
    sizes = [p.size for p in parameters]

    def value(offset):
        for p, array, part in zip(parameters, start, np.split(offset, np.cumsum(sizes)[:-1]), strict=True):
            p.data = array + part.reshape(p.shape)
        return loss().item()

    units = h * np.eye(sum(sizes))
    matrix = np.array([[value(a + b) - value(a - b) - value(b - a) + value(-a - b) for a in units] for b in units])
    value(np.zeros(sum(sizes)))
    return matrix / (4 * h * h)


def test_a_quadratic_has_its_matrix():
    loss, x, A = quadratic()
    rng = np.random.default_rng(1)
    for size in (1.0, 1e-6, 1e6):
        v = size * rng.standard_normal(x.shape)
        (product,) = lab.hvp(loss, [x], [v])
        np.testing.assert_allclose(product, A @ v, rtol=0, atol=1e-8 * np.abs(A @ v).max())


def test_a_linear_layer_has_the_matrix_of_its_inputs():
    """Of the mean squared error of x @ wᵀ it is 2/(N·F) · Σ x xᵀ for each row of w, and 0 between rows."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((7, 3)), Tensor(rng.standard_normal((7, 2)))
    weight = Tensor(rng.standard_normal((2, 3)), requires_grad=True)
    found = hessian(lambda: ops.mse_loss(ops.linear(Tensor(inputs), weight), targets), [weight])
    np.testing.assert_allclose(found, np.kron(np.eye(2), 2 / 14 * inputs.T @ inputs), atol=1e-8)


@pytest.mark.parametrize("activation", [ops.tanh, ops.gelu, ops.sigmoid])
def test_a_small_net_against_second_differences_of_its_loss(activation):
    loss, parameters = small_net(activation)
    found = hessian(loss, parameters)
    np.testing.assert_allclose(found, found.T, atol=1e-8)
    np.testing.assert_allclose(found, by_second_differences(loss, parameters), atol=1e-5)


def test_a_small_net_against_pytorch():
    torch = pytest.importorskip("torch")
    loss, parameters = small_net()
    rng = np.random.default_rng(0)
    images, labels = torch.tensor(rng.standard_normal((5, 3))), torch.tensor([0, 1, 2, 1, 0])

    def theirs(weight, bias, weight2, bias2):
        h = torch.tanh(torch.nn.functional.linear(images, weight, bias))
        return torch.nn.functional.cross_entropy(torch.nn.functional.linear(h, weight2, bias2), labels)

    vector = [rng.standard_normal(p.shape) for p in parameters]
    there = tuple(torch.tensor(p.data) for p in parameters)
    _, expected = torch.autograd.functional.hvp(theirs, there, tuple(torch.tensor(v) for v in vector))
    for found, other in zip(lab.hvp(loss, parameters, vector), expected, strict=True):
        np.testing.assert_allclose(found, other.numpy(), atol=1e-8)


def test_the_largest_eigenvalue_with_its_sign_and_vector():
    loss, x, A = quadratic(seed=3)
    values, vectors = np.linalg.eigh(A)
    for sign in (1, -1):
        found = lab.top_eigenvalue(lambda sign=sign: sign * loss(), [x], steps=500, tolerance=1e-9)
        place = np.abs(values).argmax()
        assert found.value == pytest.approx(sign * values[place], rel=1e-7)
        assert found.residual <= 1e-9 * abs(found.value) and found.steps < 500
        assert abs(found.vector[0] @ vectors[:, place]) == pytest.approx(1, abs=1e-7)


def test_the_residual_bounds_the_distance_to_an_eigenvalue_also_when_steps_run_out():
    loss, x, A = quadratic(n=20, seed=1)
    found = lab.top_eigenvalue(loss, [x], steps=3)
    assert found.steps == 3 and found.residual > 0
    assert np.abs(np.linalg.eigvalsh(A) - found.value).min() <= found.residual


def test_a_loss_without_curvature():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    (product,) = lab.hvp(lambda: x @ np.array([3.0, -1.0]), [x], [np.ones(2)])
    np.testing.assert_allclose(product, 0, atol=1e-8)
    np.testing.assert_array_equal(lab.hvp(lambda: (x * x).sum(), [x], [np.zeros(2)]), [[0, 0]])


def test_a_parameter_that_the_loss_does_not_use():
    loss, x, A = quadratic()
    other = Tensor(np.ones((2, 3)), requires_grad=True)
    product, nothing = lab.hvp(loss, [x, other], [np.ones(6), np.ones((2, 3))])
    np.testing.assert_allclose(product, A @ np.ones(6), atol=1e-8 * np.abs(A).max())
    np.testing.assert_array_equal(nothing, np.zeros((2, 3)))


def test_parameters_and_gradients_stay_as_they_were_also_after_an_error():
    loss, x, _ = quadratic()
    loss().backward()
    data, grad = x.data, x.grad
    values = data.copy()
    lab.hvp(loss, [x], [np.ones(6)])

    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.hvp(fails, [x], [np.ones(6)])
    assert x.data is data and x.grad is grad
    np.testing.assert_array_equal(x.data, values)


def test_a_residual_network_curves():
    model = models.cifar_resnet(8, in_channels=1, width=4, norm="group", activation="gelu", seed=0)
    model.to("float64")
    rng = np.random.default_rng(0)
    images, labels = Tensor(rng.standard_normal((4, 1, 8, 8))), np.array([0, 1, 2, 3])
    parameters = model.parameters()
    a, b = ([rng.standard_normal(p.shape) for p in parameters] for _ in range(2))

    def loss():
        return ops.cross_entropy(model(images), labels)

    left, right = (
        sum(float(np.vdot(one, other)) for one, other in zip(u, lab.hvp(loss, parameters, v), strict=True))
        for u, v in ((a, b), (b, a))
    )
    assert left == pytest.approx(right, rel=1e-4)  # the Hessian is symmetric, whatever computes it


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"vector": [np.ones(5)]}, ValueError, r"hvp: vector has shapes \(5,\), the parameters \(6,\)"),
        ({"vector": []}, ValueError, r"vector has shapes none, the parameters \(6,\)"),
        ({"parameters": [], "vector": []}, ValueError, "the parameters at least one parameter"),
        ({"parameters": [Tensor(np.ones(6, "f"), requires_grad=True)]}, TypeError, r"float64 tensor .* copy.deepcopy"),
        ({"parameters": [Tensor(np.ones(6))]}, TypeError, "that requires grad"),
        ({"loss": lambda: Tensor(np.ones(2))}, ValueError, "loss must give one float64 number"),
        ({"loss": lambda: 1.0}, ValueError, "loss must give one float64 number, as a Tensor, got 1.0"),
        ({"step": 0.0}, ValueError, "step must be above 0, got 0.0"),
    ],
)
def test_bad_input(change, error, message):
    loss, x, _ = quadratic()
    with pytest.raises(error, match=message):
        lab.hvp(**{"loss": loss, "parameters": [x], "vector": [np.ones(6)], **change})


def test_no_steps():
    loss, x, _ = quadratic()
    with pytest.raises(ValueError, match="top_eigenvalue: steps must be at least 1, got 0"):
        lab.top_eigenvalue(loss, [x], steps=0)
