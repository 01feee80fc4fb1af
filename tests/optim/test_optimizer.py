"""What optimizers share: groups, skipping, state dicts, checks before anything is changed."""

import numpy as np
import pytest

from minires import kernels
from minires.engine import Tensor
from minires.gradient_check import updates
from minires.optim import SGD, Adam, AdamW, clip_grad_norm


@pytest.fixture(autouse=True, params=kernels.CPU_KERNELS)
def each_kernel_set(request):
    with kernels.use(request.param):
        yield


def parameter(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def test_two_steps_by_hand():
    w = parameter(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5, weight_decay=0.2)
    w.grad = np.array([3.0])
    optimizer.step()  # v = 3 + 0.2 · 1 = 3.2
    assert w.data == pytest.approx(1 - 0.32)
    optimizer.step()  # v = 1.6 + 3 + 0.2 · 0.68 = 4.736
    assert w.data == pytest.approx(0.68 - 0.4736)


def test_first_adam_step_has_the_size_of_lr():
    w = parameter(1.0, 1.0)
    w.grad = np.array([1e-3, -50.0])
    Adam([w], lr=0.01, eps=0.0).step()
    np.testing.assert_allclose(w.data, [0.99, 1.01])


def test_adamw_decays_without_a_gradient_signal_and_adam_in_the_direction_of_the_weight():
    plain, decoupled = parameter(2.0), parameter(2.0)
    plain.grad = decoupled.grad = np.zeros(1)
    Adam([plain], lr=0.1, weight_decay=0.5).step()
    AdamW([decoupled], lr=0.1, weight_decay=0.5).step()
    assert plain.data == pytest.approx(1.9)
    assert decoupled.data == pytest.approx(2 * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9, 0.1, True), lambda p: AdamW(p, 0.1)])
def test_gradients_may_share_memory_and_stay_as_they_are(make):
    a, b = parameter(1.0, 2.0), parameter(3.0, 4.0)
    a.grad = b.grad = shared = np.array([0.5, -0.25])
    optimizer = make([a, b])
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(shared, [0.5, -0.25])


@pytest.mark.parametrize("make", [lambda p, lr: SGD(p, lr, momentum=0.9), lambda p, lr: AdamW(p, lr)])
def test_numpy_numbers_as_options_leave_float32_alone(make):
    w = parameter(1.0, dtype=np.float32)
    w.grad = np.ones(1, np.float32)
    optimizer = make([w], np.float64(0.1))
    optimizer.step()
    assert w.data.dtype == np.float32
    assert all(kept.dtype == np.float32 for kept in optimizer.state[w].values() if isinstance(kept, np.ndarray))


STEPS = [*updates.sgd_steps(0), *updates.adam_steps(0), *updates.clippings(0)]


@pytest.mark.parametrize("update", STEPS, ids=lambda update: update.name)
def test_every_step_is_the_formulas(update):
    """Number by number in Python's own arithmetic: all options, several steps, with and without gradients between."""
    assert update.check()[0] == ""


@pytest.mark.parametrize("make", [Adam, AdamW])
def test_the_bias_correction_counts_on_past_a_hundred_steps(make):
    w = parameter(1.0)
    optimizer = make([w], lr=0.01, betas=(0.99, 0.999), eps=0.0, weight_decay=0.0)
    for step in range(1, 131):
        w.grad, before = np.array([1.0 if step < 100 else 3.0]), float(w.data[0])
        optimizer.step()
        m = 1 - 0.99**step + (2 * (1 - 0.99 ** (step - 99)) if step >= 100 else 0)
        s = 1 - 0.999**step + (8 * (1 - 0.999 ** (step - 99)) if step >= 100 else 0)
        moved = 0.01 * m / (1 - 0.99**step) / np.sqrt(s / (1 - 0.999**step))
        assert before - float(w.data[0]) == pytest.approx(moved, rel=1e-9)


def test_weight_decay_works_without_a_running_mean():
    plain, decoupled = parameter(2.0), parameter(2.0)
    plain.grad = decoupled.grad = np.array([0.5])
    Adam([plain], lr=0.1, betas=(0.0, 0.0), eps=1.0, weight_decay=0.5).step()  # g = 0.5 + 1
    AdamW([decoupled], lr=0.1, betas=(0.0, 0.0), eps=1.0, weight_decay=0.5).step()
    assert plain.data == pytest.approx(2 - 0.1 * 1.5 / 2.5)
    assert decoupled.data == pytest.approx(2 * 0.95 - 0.1 * 0.5 / 1.5)


def test_zero_grad_sets_none():
    w = parameter(1.0)
    w.grad = np.ones(1)
    SGD([w], 0.1).zero_grad()
    assert w.grad is None


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9), lambda p: Adam(p, 0.1)])
def test_state_dict_round_trip_goes_on_bit_for_bit(make):
    generator = np.random.default_rng(0)
    grads = generator.normal(size=(6, 3))

    def run(w, optimizer, steps):
        for grad in steps:
            w.grad = grad
            optimizer.step()

    straight = parameter(1.0, 2.0, 3.0)
    run(straight, make([straight]), grads)

    first = parameter(1.0, 2.0, 3.0)
    optimizer = make([first])
    run(first, optimizer, grads[:4])
    saved, weights = optimizer.state_dict(), first.data.copy()
    run(first, optimizer, grads[4:])  # what was saved is a copy: going on does not change it

    second = Tensor(weights, requires_grad=True)
    resumed = make([second])
    resumed.load_state_dict(saved)
    run(second, resumed, grads[4:])
    np.testing.assert_array_equal(second.data, straight.data)


def test_state_dict_holds_numbers_and_arrays_only():
    w = parameter(1.0)
    w.grad = np.ones(1)
    optimizer = Adam([w], 0.1)
    optimizer.step()
    saved = optimizer.state_dict()
    assert saved["param_groups"] == [
        {"params": [0], "lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    ]
    assert set(saved["state"]) == {0}
    assert set(saved["state"][0]) == {"exp_avg", "exp_avg_sq", "step"}
    assert saved["state"][0]["step"] == 1


def test_a_state_dict_that_does_not_fit_changes_nothing():
    w = parameter(1.0, 2.0)
    w.grad = np.ones(2)
    optimizer = SGD([w], 0.1, momentum=0.9)
    optimizer.step()
    before = optimizer.state_dict()

    def attempt(saved, match):
        with pytest.raises(ValueError, match=match):
            optimizer.load_state_dict(saved)
        after = optimizer.state_dict()
        assert after["param_groups"] == before["param_groups"]
        np.testing.assert_array_equal(after["state"][0]["momentum_buffer"], before["state"][0]["momentum_buffer"])

    attempt({"state": {}}, 'SGD.load_state_dict: expected a dict with "state" and "param_groups"')
    attempt(SGD([w, parameter(1.0)], 0.1).state_dict(), r"the saved groups have \[2\] parameters, this .* \[1\]")
    attempt(Adam([w], 0.1).state_dict(), "a saved group lacks momentum, nesterov: another optimizer's")
    other = parameter(1.0, 2.0, 3.0)
    other.grad = np.ones(3)
    another = SGD([other], 0.5, momentum=0.9)
    another.step()
    attempt(another.state_dict(), r"momentum_buffer of parameter 0 has shape \(3,\), the parameter \(2,\)")
    attempt({"state": {}, "param_groups": [before["param_groups"][0] | {"lr": -1.0}]}, "lr must be at least 0")


def test_a_gradient_that_does_not_fit_is_found_before_any_parameter_changes():
    a, b = parameter(1.0, 2.0), parameter(3.0, 4.0)
    optimizer = SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    a.grad = np.ones(2)
    for wrong in [np.ones(1), np.ones(2, np.float32), [1.0, 1.0]]:
        b.grad = wrong
        with pytest.raises(ValueError, match=r"SGD: parameter 1 is \(2,\) float64 on cpu and has as .grad"):
            optimizer.step()
    np.testing.assert_array_equal(a.data, [1.0, 2.0])


def test_a_parameter_converted_after_the_first_step_is_refused():
    w = parameter(1.0)
    w.grad = np.ones(1)
    optimizer = SGD([w], 0.1, momentum=0.9)
    optimizer.step()
    w.data, w.grad = w.data.astype(np.float32), w.grad.astype(np.float32)
    with pytest.raises(RuntimeError, match="its momentum_buffer .* moved, converted or replaced after the first step"):
        optimizer.step()


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1), lambda p: SGD(p, 0.1, 0.9), lambda p: AdamW(p, 0.1)])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.ones((3, 2)), RuntimeError, r"parameter 1 is \(3, 2\) float64 on cpu and its \w+ \(2,\) float64 .*new"),
        (np.ones(1), RuntimeError, r"parameter 1 is \(1,\) .* and its \w+ \(2,\)"),
        (np.ones(2, np.float32), RuntimeError, r"parameter 1 is \(2,\) float32 .* and its \w+ \(2,\) float64"),
        (read_only(np.ones(2)), ValueError, "parameter 1, .*, cannot be updated in place: .*copy"),
        (np.ones(2, int), ValueError, "parameter 1, .* int64 .*, cannot be .*: .data must be a plain float"),
        (np.ones(2, ">f8"), ValueError, "parameter 1, .*, cannot be updated in place"),
        (np.ma.ones(2), ValueError, "parameter 1, a MaskedArray .*, cannot be updated in place"),
        ([1.0, 2.0], ValueError, "parameter 1, a list, cannot be updated in place"),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'shape', '')}",
)
def test_data_that_was_replaced_is_refused_before_any_parameter_changes(make, data, error, message):
    a, b = parameter(1.0, 2.0), parameter(3.0, 4.0)
    a.grad = b.grad = np.ones(2)
    optimizer = make([a, b])
    optimizer.step()
    b.data = data
    b.grad = np.ones(np.shape(data), getattr(data, "dtype", float))
    before = a.data.copy()
    with pytest.raises(error, match=message):
        optimizer.step()
    np.testing.assert_array_equal(a.data, before)
    np.testing.assert_array_equal(b.data, np.asarray(data))
    if error is RuntimeError:
        with pytest.raises(RuntimeError, match="parameter 1 is"):
            optimizer.state_dict()  # nobody could load it


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), lambda p: AdamW(p, 0.1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_data_replaced_by_an_array_of_the_same_kind_is_updated(make, order):
    w = parameter([1.0, 2.0], [3.0, 4.0])
    w.grad = np.ones((2, 2))
    optimizer, expected = make([w]), w.data.copy()
    twin = Tensor(expected, requires_grad=True)
    twin.grad = w.grad
    other = make([twin])
    for step in range(3):
        optimizer.step()
        other.step()
        w.data = np.array(w.data, order=order) if step else w.data[::-1].copy()[::-1]
    np.testing.assert_allclose(w.data, twin.data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, lr=-0.1), "SGD: lr must be at least 0 and below inf, got -0.1"),
        (lambda p: SGD(p, lr=float("nan")), "SGD: lr must be at least 0 and below inf, got nan"),
        (lambda p: SGD(p, 0.1, momentum=-1), "SGD: momentum must be at least 0"),
        (lambda p: SGD(p, 0.1, weight_decay=-1), "SGD: weight_decay must be at least 0"),
        (lambda p: SGD(p, 0.1, nesterov=True), "SGD: nesterov needs momentum above 0"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"Adam: betas must be two numbers, .* got \(0.9, 1.0\)"),
        (lambda p: Adam(p, betas=(0.9,)), "Adam: betas must be two numbers"),
        (lambda p: AdamW(p, eps=-1e-8), "AdamW: eps must be at least 0"),
        (lambda p: SGD([]), "SGD: there are no parameters to optimize"),
        (lambda p: SGD([p[0], p[0]]), "SGD: the parameter .* is given twice"),
        (lambda p: SGD([{"params": p}, {"params": p}]), "SGD: the parameter .* is given twice"),
        (lambda p: SGD([{"params": p, "momentun": 0.9}]), "SGD: unknown option 'momentun'; known: lr, momentum"),
        (lambda p: SGD([p[0] * 2.0]), "SGD: .* was computed by an op; only leaves can be optimized"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make([parameter(1.0)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p[0]), "SGD: params must be a list of tensors or groups, got one Tensor"),
        (lambda p: SGD([p[0].data]), "SGD: parameters must be tensors, got ndarray"),
        (lambda p: SGD([("weight", p[0])]), "SGD: parameters must be tensors, got tuple"),
        (lambda p: SGD([{"weights": p}]), 'SGD: a parameter group must be a dict with "params"'),
        (lambda p: SGD(p, lr="0.1"), "SGD: lr must be a number, got str"),
    ],
)
def test_bad_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make([parameter(1.0)])


def test_clipping_rebinds_and_never_writes():
    a, b = parameter(0.0, 0.0), parameter(0.0, 0.0)
    a.grad = b.grad = shared = np.array([3.0, 4.0])
    norm = clip_grad_norm([a, b, parameter(1.0)], max_norm=1.0)
    assert norm == pytest.approx(50**0.5)
    np.testing.assert_array_equal(shared, [3.0, 4.0])
    assert np.sqrt((a.grad**2).sum() + (b.grad**2).sum()) == pytest.approx(1.0, abs=1e-5)


def test_clipping_large_float32_gradients_does_not_overflow():
    w = parameter(0.0, 0.0, dtype=np.float32)
    w.grad = np.array([3e30, 4e30], np.float32)
    assert clip_grad_norm([w], 1.0) == pytest.approx(5e30)
    np.testing.assert_allclose(w.grad, [0.6, 0.8], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_clipping_reports_a_norm_that_is_not_finite(bad):
    w = parameter(0.0, 0.0)
    w.grad = grad = np.array([1.0, bad])
    np.testing.assert_equal(clip_grad_norm([w], 1.0), bad)
    assert w.grad is grad


def test_clipping_refuses_bad_input():
    with pytest.raises(ValueError, match="clip_grad_norm: max_norm must be above 0, got 0"):
        clip_grad_norm([parameter(1.0)], 0)
    with pytest.raises(TypeError, match="clip_grad_norm: params must be a list of tensors, got one Tensor"):
        clip_grad_norm(parameter(1.0), 1.0)
