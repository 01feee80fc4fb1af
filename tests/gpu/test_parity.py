"""One function, three times: NumPy's kernels, Numba's and the CUDA sources agree, and refuse the same."""

import inspect

import numpy as np
import pytest
from parity import IN_PLACE, Drawer, compare, kernel_names

from minires.kernels import numpy_kernels

numba_kernels = pytest.importorskip("minires.kernels.numba_kernels")

NAMES = kernel_names(numpy_kernels)
CHAINS = "chain_"  # compared in test_numba_chain.py and test_fused.py


@pytest.fixture(scope="module")
def others(gpu, cupy_kernels):
    return {
        "numba": (numba_kernels, np.asarray, np.asarray),
        "cuda": (cupy_kernels, gpu.asarray, lambda array: array.get()),
    }


def test_every_kernel_has_draws():
    kernels = [name for name in numba_kernels.__all__ if name not in ("configure", "xp")]
    assert [name for name in kernels if name not in NAMES and not name.startswith(CHAINS)] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_modules_agree(name, others):
    for number in range(8):  # 200 in all; tests/gpu/parity.py draws as many as it is told to
        draw, problems = compare(name, (0, number), numpy_kernels, others)
        assert not problems, (number, draw.dtype, problems)


def misfits(array):
    """The array's numbers in shapes that it has not."""
    made = [array[None], array.reshape(-1)[:1].reshape(()), array.reshape(-1)[:0]]
    made += [np.concatenate([array, array[:1]]), array[:0]] if array.ndim else []
    return [np.asarray(one) for one in made if one.shape != array.shape]


# Of these arrays the first axis, or any, may be as long as it likes: it says how many images there are.
FREE = {
    "x": "relu_forward conv2d_forward batch_norm max_pool2d_forward avg_pool2d_forward option_a_forward im2col "
    "grouped_conv2d_forward"
}


def is_free(name, parameter, array, misfit):
    if name == "relu_forward":
        return True
    return parameter == "x" and name.startswith(tuple(FREE["x"].split())) and misfit.ndim == array.ndim


def full(name):
    """A draw with all of its arrays, and numbers in each."""
    for number in range(100):
        draw = Drawer((1, number))
        arguments = getattr(draw, name)()
        arrays = [one for one in arguments if isinstance(one, np.ndarray)]
        lists = [one for each in arguments if isinstance(each, list) for one in each]
        complete = all([one is not None for one in arguments])
        if complete and min([one.size for one in arrays + lists]) > 0 and not draw.spoiling:
            return list(arguments)
    raise AssertionError(name)


def wrong_calls(name):
    """All calls of a kernel with one of its arrays in another shape."""
    arguments, parameters = full(name), list(inspect.signature(getattr(numpy_kernels, name)).parameters)
    for place, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True)):
        if isinstance(argument, np.ndarray):
            for misfit in misfits(argument):
                if not is_free(name, parameter, argument, misfit):
                    yield parameter, [*arguments[:place], misfit, *arguments[place + 1 :]]
        elif isinstance(argument, list):
            for misfit in misfits(argument[-1]):
                yield parameter, [*arguments[:place], [*argument[:-1], misfit], *arguments[place + 1 :]]


def copied(value, asarray):
    if isinstance(value, np.ndarray):
        return asarray(value.copy())
    return [copied(one, asarray) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_that_does_not_fit_is_refused_before_anything_is_written(name, others):
    for module, asarray, back in [(numpy_kernels, np.asarray, np.asarray), *others.values()]:
        for parameter, arguments in wrong_calls(name):
            given = [copied(one, asarray) for one in arguments]
            with pytest.raises((ValueError, TypeError)):
                getattr(module, name)(*given)
                pytest.fail(f"{module.__name__}.{name} took {parameter} of a wrong shape")
            for place in IN_PLACE.get(name, ()):
                before, after = arguments[place], given[place]
                pairs = zip(before, after, strict=True) if isinstance(before, list) else [(before, after)]
                for one, other in pairs:
                    np.testing.assert_array_equal(back(other), one)


@pytest.mark.parametrize("name", ["cross_entropy_forward", "cross_entropy_backward"])
@pytest.mark.parametrize("label", [-1, 3, 1 << 40, -(1 << 62)])
def test_a_label_that_is_no_class(name, label, others, gpu):
    """An error on the CPU, on a GPU NaN: to look would make the CPU wait."""
    p, labels = np.full((2, 3), 1 / 3, np.float32), np.array([0, label])
    arguments = [p, labels, 0.1, -100]
    if name == "cross_entropy_backward":
        arguments = [np.asarray(1, np.float32), *arguments]
    for module in (numpy_kernels, numba_kernels):
        with pytest.raises(ValueError, match=f"{name}: labels run from"):
            getattr(module, name)(*arguments)
    result = getattr(others["cuda"][0], name)(*[copied(one, gpu.asarray) for one in arguments])
    row = result.get()[1] if name == "cross_entropy_backward" else result[0].get()
    assert np.isnan(row).all()
