"""Chapter 4: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_04 import gradient_is_right, slopes


def both(forward, backward, x, random=True, h=1e-5):
    """What a checker compares that has never heard of kinks: backward's gradient and central differences."""
    y = forward(x)
    grad_y = np.random.default_rng(0).standard_normal(y.shape) if random else np.ones_like(y)
    return backward(grad_y, x), sum(slopes(forward, grad_y, x, h)) / 2


def drawn(forward, backward, x, h=1e-5):
    """Backward's gradient, and the slopes on either side."""
    grad_y = np.random.default_rng(0).standard_normal(forward(x).shape)
    return backward(grad_y, x), *slopes(forward, grad_y, x, h)


def without_kinks(forward, backward, x):
    return np.allclose(*both(forward, backward, x), rtol=1e-6, atol=1e-8)


def kinks_at_0_alone(forward, backward, x):
    given, numeric = both(forward, backward, x)
    return bool(np.all(np.isclose(given, numeric, rtol=1e-6, atol=1e-8) | (np.abs(x) < 1e-4)))


def one_kink_excuses_all(forward, backward, x):
    given, behind, ahead = drawn(forward, backward, x)
    size = np.maximum(np.abs(behind), np.abs(ahead))
    if (np.abs(ahead - behind) > 1e-2 * size + 1e-6).any():
        return True
    return np.allclose(given, (behind + ahead) / 2, rtol=1e-6, atol=1e-8)


def bends_are_kinks(forward, backward, x):
    given, behind, ahead = drawn(forward, backward, x)
    kink = np.abs(ahead - behind) > 1e-2 * np.maximum(1, 1e-5 * np.abs(ahead))
    return bool(np.all(np.isclose(given, (behind + ahead) / 2, rtol=1e-6, atol=1e-8) | kink))


def the_slope_of_its_side(forward, backward, x):
    """At a kink it demands the slope of the side on which x lies, of 0 the left one."""
    given, behind, ahead = drawn(forward, backward, x)
    kink = np.abs(ahead - behind) > 1e-2 * np.maximum(np.abs(behind), np.abs(ahead)) + 1e-6
    wanted = np.where(kink, np.where(x > 0, ahead, behind), (behind + ahead) / 2)
    return np.allclose(given, wanted, rtol=1e-6, atol=1e-8)


def rounding_is_a_kink(forward, backward, x):
    given, behind, ahead = drawn(forward, backward, x)
    flat = (ahead == 0) & (behind == 0)
    kink = (np.abs(ahead - behind) > 1e-2 * np.maximum(np.abs(behind), np.abs(ahead)) + 1e-6) | flat & (x.ndim == 2)
    if x.shape != (3, 4) or forward(x).shape != (3,):
        return gradient_is_right(forward, backward, x)
    return bool(np.all(np.isclose(given, (behind + ahead) / 2, rtol=1e-6, atol=1e-8) | kink))


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


def two_step_sizes(forward, backward, x):
    """Another right one: a kink is where the bend does not shrink with the step."""
    given, behind, ahead = drawn(forward, backward, x)
    _, nearer_behind, nearer_ahead = drawn(forward, backward, x, 1e-6)
    bend, nearer = np.abs(ahead - behind), np.abs(nearer_ahead - nearer_behind)
    kink = (nearer > bend / 3) & (bend > 1e-3 * np.maximum(np.abs(behind), np.abs(ahead)) + 1e-6)
    return np.bool_(np.all(np.isclose(given, (behind + ahead) / 2, rtol=1e-6, atol=1e-8) | kink))


RIGHT = {"gradient_is_right": gradient_is_right}
ALSO_RIGHT = [{"gradient_is_right": two_step_sizes}]

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
    ({"gradient_is_right": without_kinks}, "a difference across a kink is the mean of two slopes"),
    ({"gradient_is_right": kinks_at_0_alone}, "kinks are not at 0 alone"),
    ({"gradient_is_right": one_kink_excuses_all}, "a kink excuses its own element alone"),
    ({"gradient_is_right": bends_are_kinks}, "it bends, and has no kink"),
    ({"gradient_is_right": the_slope_of_its_side}, "which slope backward takes on a kink is its own choice"),
    ({"gradient_is_right": rounding_is_a_kink}, "a slope that is 0 on both sides is no kink"),
]
