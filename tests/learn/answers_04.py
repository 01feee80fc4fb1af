"""Chapter 4: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_04 import both, gradient_is_right


def with_ones(forward, backward, x):
    return np.allclose(*both(forward, backward, x, random=False), rtol=1e-6, atol=1e-8)


def loose(forward, backward, x):
    return np.allclose(*both(forward, backward, x), rtol=1e-2)


def absolute(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return np.abs(given - numeric).max() < 1e-8


def first_element(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return np.allclose(given.flat[0], numeric.flat[0], rtol=1e-6)


def one_sided(forward, backward, x):
    grad_y = np.random.default_rng(0).standard_normal(forward(x).shape)
    numeric = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = 1e-5
        numeric[index] = np.sum(grad_y * (forward(x + move) - forward(x))) / 1e-5
    return np.allclose(backward(grad_y, x), numeric, rtol=1e-6, atol=1e-8)


def credulous(forward, backward, x):
    return True


def suspicious(forward, backward, x):
    return False


def careless(forward, backward, x):
    x += 1e-5
    return gradient_is_right(forward, backward, x)


def two_axes(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return x.ndim == 2 and np.allclose(given, numeric, rtol=1e-6)


def error_for_verdict(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return np.abs(given - numeric).max()


def without_abs(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return bool(np.all(given - numeric < 1e-6 * np.maximum(np.abs(numeric), 1e-2)))


def without_abs_the_other_way(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return bool(np.all(numeric - given < 1e-6 * np.maximum(np.abs(numeric), 1e-2)))


def the_mean_decides(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return bool(np.mean(np.abs(given - numeric)) < 1e-6 * np.mean(np.abs(numeric)))


def one_sided_and_fine(forward, backward, x):
    grad_y = np.random.default_rng(0).standard_normal(forward(x).shape)
    numeric = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = 1e-7
        numeric[index] = np.sum(grad_y * (forward(x + move) - forward(x))) / 1e-7
    return np.allclose(backward(grad_y, x), numeric, rtol=1e-4, atol=1e-5)


def only_beyond(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return not bool((np.abs(given - numeric) > 1e-6 * np.maximum(np.abs(numeric), 1e-2)).any())


def divides_by_zero(forward, backward, x):
    given, numeric = both(forward, backward, x)
    with np.errstate(invalid="ignore"):
        return bool((np.abs(given - numeric) / np.abs(given + numeric)).max() < 1e-6)


def last_element(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return np.allclose(given.flat[-1], numeric.flat[-1], rtol=1e-6)


def only_the_sum(forward, backward, x):
    given, numeric = both(forward, backward, x)
    rows = np.allclose(given.sum(axis=0), numeric.sum(axis=0), rtol=1e-6, atol=1e-8)
    return bool(rows)


RIGHT = {"gradient_is_right": gradient_is_right}

WRONG = [
    ({"gradient_is_right": with_ones}, "123 times softmax's, a wrong gradient, passes: which output gradient"),
    ({"gradient_is_right": loose}, "passes: a thousandth too large"),
    ({"gradient_is_right": absolute}, "is refused: large numbers"),
    (
        {"gradient_is_right": first_element},
        "the last of 12 elements off, a wrong gradient, passes: look at every element",
    ),
    ({"gradient_is_right": one_sided}, "x², a right gradient, is refused: are your differences central"),
    ({"gradient_is_right": credulous}, "forward is never asked next to x"),
    ({"gradient_is_right": suspicious}, "is refused: even finite differences are exact"),
    ({"gradient_is_right": careless}, "x is not what it was"),
    ({"gradient_is_right": two_axes}, "is refused: x may have any shape"),
    ({"gradient_is_right": without_abs}, "all of it too small, a wrong gradient, passes: it is below"),
    ({"gradient_is_right": without_abs_the_other_way}, "all of it too large, a wrong gradient, passes: it is above"),
    ({"gradient_is_right": the_mean_decides}, "5 in 10,000, a wrong gradient, passes: the worst element decides"),
    ({"gradient_is_right": one_sided_and_fine}, "that is a one-sided difference, not a central one"),
    ({"gradient_is_right": only_beyond}, "one element not a number, a wrong gradient, passes"),
    ({"gradient_is_right": divides_by_zero}, "where the gradient is 0, two numbers near 0 are to agree"),
    ({"gradient_is_right": last_element}, "the first element is off alone"),
    ({"gradient_is_right": only_the_sum}, "the sum is right, the places are not"),
    ({"gradient_is_right": error_for_verdict}, "the verdict is a float64"),
]
