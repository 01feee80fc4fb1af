r"""
4. Checking gradients so that a wrong one cannot pass
=====================================================

A wrong backward pass raises no error. The network trains a little worse, or on another day not at all, and nobody knows
why. Finite differences can tell, says chapter 1. But a check that says "fine" to everything is worse than none: **what
must a check be like, so that a wrong gradient cannot pass?**

:Time: 20 minutes to read, a second or two to run
:Before it: chapters 1 to 3
:Afterwards: you can check any gradient, and know what a check must be like so that none slips through
"""

# %%
# A patient: softmax
# ------------------
# Softmax turns a row of numbers into a row of probabilities: positive, and 1 together.
#
# .. math::
#
#    y_k = \frac{e^{x_k}}{\sum_j e^{x_j}} \qquad
#    \frac{dL}{dx_k} = y_k \Big( \frac{dL}{dy_k} - \sum_j \frac{dL}{dy_j}\, y_j \Big)
#
# The sum in the gradient is there because every :math:`x_k` changes *all* probabilities, through what they are divided
# by. (Chapter 5 derives it. Here it is enough that one formula is right.) Below are the right backward, and four that
# somebody may have written on a Friday.

import matplotlib.pyplot as plt
import numpy as np

from minires import gradcheck, ops
from minires.gradient_check import GradientError


def softmax(x):
    exp = np.exp(x - x.max(axis=1, keepdims=True))  # the largest exponent is 0, so that nothing overflows
    return exp / exp.sum(axis=1, keepdims=True)


def right(grad_y, y):
    return y * (grad_y - (grad_y * y).sum(axis=1, keepdims=True))


def times_123(grad_y, y):
    return 123 * right(grad_y, y)


def mean_for_sum(grad_y, y):
    return y * (grad_y - grad_y.mean(axis=1, keepdims=True))


def sum_dropped(grad_y, y):
    return y * grad_y


def own_slope(grad_y, y):
    return y * (1 - y) * grad_y  # as if each output hung on its own input alone


backwards = [right, times_123, mean_for_sum, sum_dropped, own_slope]

# %%
# A check that looks at nothing
# -----------------------------
# Finite differences need one number to differentiate, and the simplest way to make one of an array is its sum; the
# gradient of a sum is all ones. Many checkers do exactly this.
#
# .. admonition:: Predict first
#
#    One of the five backwards is right. How many will pass such a check?


def numeric_gradient(function, x, grad_y, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = h
        grad[index] = np.sum(grad_y * (function(x + move) - function(x - move))) / (2 * h)
    return grad


def largest_error(backward, x, grad_y):
    numeric = numeric_gradient(softmax, x, grad_y)
    given = backward(grad_y, softmax(x))
    return np.abs(given - numeric).max() / max(np.abs(given).max(), np.abs(numeric).max(), 1e-3)


rng = np.random.default_rng(0)
x = rng.standard_normal((3, 4))
ones, random = np.ones((3, 4)), rng.standard_normal((3, 4))
errors = {
    backward.__name__: [largest_error(backward, x, grad_y) for grad_y in (ones, random)] for backward in backwards
}
for name, (with_ones, with_random) in errors.items():
    print(f"{name:12}: error {with_ones:.0e} with ones, {with_random:.0e} with a random gradient")

# %%
# With ones, the right backward passes, and so do the one that is 123 times too large and the one with a mean in place
# of the sum! The probabilities of a row sum to 1 whatever :math:`x` is, so the gradient of their sum is **zero**, and
# 123 times zero is zero. Batch norm (chapter 8) has the same blind spot: its outputs' mean is constant. The cure is one
# word: hand in a **random** output gradient. Then no sum is constant by accident.

blind = {name for name, (with_ones, _) in errors.items() if with_ones < 1e-6}
passed = {name for name, (_, with_random) in errors.items() if with_random < 1e-6}
assert blind == {"right", "times_123", "mean_for_sum"} and passed == {"right"}

figure, axes = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
rows = np.arange(len(errors))
for offset, column, colour, label in [(-0.2, 0, "0.65", "with ones"), (0.2, 1, "#009E73", "with a random gradient")]:
    axes.barh(rows + offset, [max(error[column], 1e-12) for error in errors.values()], 0.38, color=colour, label=label)
axes.axvline(1e-6, color="black", linewidth=1)
axes.set(xscale="log", xlim=(1e-12, 10), yticks=rows, yticklabels=list(errors), ylabel="backward")
axes.set(xlabel="largest error (left of the line: passes)", title="what an output gradient of ones lets through")
axes.invert_yaxis()
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# Kinks
# -----
# The other way round, a check must not accuse the innocent. At a kink, such as that of :math:`\max(x, 0)` at 0, there
# is no derivative; a central difference across it averages the slopes of both sides. So near a kink, and with a random
# point sooner or later one is near, a right backward looks wrong. Smaller steps make it rarer, and never end it.

h = 1e-2
points = np.linspace(-0.03, 0.03, 301)
across = (np.maximum(points + h, 0) - np.maximum(points - h, 0)) / (2 * h)
bend = (np.maximum(points + h, 0) - 2 * np.maximum(points, 0) + np.maximum(points - h, 0)) / h
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.plot(points, points > 0, color="black", label="slope of max(x, 0)")
axes.plot(points, across, color="#009E73", label=f"central difference, h = {h}")
axes.plot(points, bend, "--", color="#CC79A7", label="bend (f(x+h) − 2f(x) + f(x−h)) / h")
axes.set(xlabel="x", ylabel="slope", title="a difference across a kink")
axes.legend()
plt.show()
assert np.allclose(across[np.abs(points) > h], points[np.abs(points) > h] > 0)

# %%
# The dashed line is the way out. For a smooth function the bend over :math:`h` shrinks with :math:`h`; at a kink it
# does not. It is found from the function *alone*, without a look at the backward, so that no mistake can pass for a
# kink.
#
# The engine agrees
# -----------------
# :func:`minires.gradcheck` does all of this: float64, a random output gradient, every element, steps at two sizes,
# kinks left out and counted. It also looks whether a backward writes into what it was handed, and whether it gives the
# same when asked twice.
#
# Below it checks softmax, and then a relu at −1, 0 and 1. Beside the single elements it moves all of them together,
# once.
#
# .. admonition:: Predict first
#
#    Of the relu's four comparisons, how many must be left out?

report = gradcheck(ops.softmax, x, names=["x"])
print(report)
assert report.ok and report.checked == 13  # twelve elements, and all together

kinked = np.array([-1.0, 0.0, 1.0])
report = gradcheck(ops.relu, kinked)
print(report)
assert report.kinks == 2  # the element at 0, and all together, which moves it too

# %%
# And the Friday's backwards? Each is put in the place of the backward of the engine's own op, the class
# ``ops.activation.Softmax``, and checked. The checker says not only that a gradient is wrong. It knows the terms of the
# right one, runs the backward once more on fresh inputs, and names the mistake that gives what came back on all of
# them. (Of an op of your own it does not know the terms; there it names a sign, a factor, an axis. What fits nothing
# gets no name, and the wrong places are drawn.)


class Softmax(ops.activation.Softmax):
    def __init__(self, backward):
        super().__init__(axis=(1,))
        self.its_backward = backward

    def backward(self, grad_y):
        return (self.its_backward(grad_y, self.y),)


def softmax_with(backward):
    return lambda x: Softmax(backward)(x)  # a new op each time: it holds what one forward has kept


gradcheck(softmax_with(right), x)
for backward in backwards[1:]:
    try:
        gradcheck(softmax_with(backward), x)
        raise RuntimeError(f"{backward.__name__} passed")
    except GradientError as error:
        print(f"{backward.__name__}: {error.report.arguments[0].diagnosis}")

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/04_gradient_check.py
#    (Pdb) import minires
#    (Pdb) b minires.ops.activation.Softmax.backward
#    (Pdb) c
#    > activation.py backward()
#    (Pdb) p grad_y.round(2).tolist()[0]
#    [1.11, 1.23, 1.04, -1.44]
#    (Pdb) n
#    (Pdb) n
#    (Pdb) n
#    (Pdb) p along.shape
#    (3, 1)
#
# The random gradient has signs at random and sizes between ½ and 1½, so that no element is too small to matter.
# ``along`` is the sum that ``sum_dropped`` dropped, one for each row. The lines before it take one number from a whole
# row, which changes nothing, as you have just seen with ones: rounding then leaves more digits.
#
# How sure is sure?
# -----------------
# How many wrong gradients would such a check let through? Backward multiplies what it is handed, :math:`g`, by the
# table of slopes :math:`J` of chapter 3. A wrong backward has another table, :math:`J + E`, and the check sees the
# difference, :math:`E g`. So only an error with :math:`E g = 0` escapes. A random :math:`g` hits that with probability
# zero, up to the tolerance. For large arrays every element is too dear; then moving :math:`x` along a random
# *direction* tests all elements at once, with the same argument. Below, each of 200 gradients is wrong in one element
# of twelve, by about a thousandth.
#
# .. admonition:: Predict first
#
#    How many of them will a single direction find?

found = 0
for _ in range(200):
    error = rng.standard_normal() * 1e-3
    index = tuple(rng.integers(0, size) for size in x.shape)
    grad = right(random, softmax(x))
    grad[index] += error  # one element of twelve is off by about a thousandth
    direction = rng.standard_normal(x.shape)
    h = 1e-5
    along = np.sum(random * (softmax(x + h * direction) - softmax(x - h * direction))) / (2 * h)
    found += abs(np.sum(grad * direction) - along) > 1e-8
print(f"{found} of 200 errors in a single element found by a single direction")
assert found >= 195

# %%
# In five lines
# -------------
# - A wrong gradient raises no error; only a comparison with finite differences finds it.
# - With an output gradient of ones, softmax and batch norm pass whatever their backward does.
# - With a random one, only a gradient that is right passes.
# - At a kink there is no derivative: the check leaves it out, and finds it without a look at backward.
# - One random direction tests all elements at once.
#
# Exercises
# ---------
# 1. On paper: why is the gradient zero when softmax is handed ones? And when it is handed any constant?
# 2. The slope of :math:`e^x` at 20 by a central difference, all numbers float32: which step is best, and how many
#    digits agree? Would a tolerance of 1e-6 let the right gradient pass? (Chapter 1's second figure.)
# 3. ``gradcheck`` the block of chapter 3 with the hasty ``+=`` in it, as an op. What does it say?
# 4. **In code**, with an examiner: ``minires learn 4`` writes a file with a gap for a checker that knows kinks, which
#    this chapter's ``largest_error`` does not. ``minires check 4`` shows it right gradients, some of them taken on a
#    kink, and wrong ones. It must pass all of those, and none of these.
# 5. **Your own engine**: the same command adds ``my_minires/gradcheck.py``, with which you can check your own ops from
#    now on. You write the differences, the output gradient, and the error.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* Softmax's gradient is :math:`y_k (c - \sum_j c\, y_j)` for a constant :math:`c`. The :math:`y_j` sum to 1,
#      so the two cancel. Any constant gives 0.
#
# Read next
# ---------
# - Bishop, *Pattern recognition and machine learning*, 2006, section 5.3.3: numerical differentiation, as a check.
# - Bridle, *Probabilistic interpretation of feedforward classification network outputs*, 1990: softmax, named.
# - ``minires/gradient_check/differences.py``: steps and kinks, on one page; ``diagnosis.py``: how a mistake is named.
