r"""
1. Derivatives and finite differences
=====================================

Training a network means turning many knobs, a little at a time, so that an error gets smaller. For every knob there is
one question: **if I turn it a little, does the error go up or down, and how fast?** The answer is a derivative. How
does a computer find it? And how do we know that it is right?

:Time: 20 minutes to read, a second or two to run
:Before it: no chapter; a little Python and NumPy
:Afterwards: you can say what a gradient is, find one in two ways, and know how far to trust each
"""

# %%
# The slope of a curve
# --------------------
# Move :math:`x` by a small step :math:`h`, look how far :math:`f` moves, and divide. In the limit of ever smaller steps
# this quotient is the derivative:
#
# .. math::
#
#    f'(x) = \lim_{h \to 0} \frac{f(x + h) - f(x)}{h}
#
# A computer cannot take limits, but it can take small steps. Here is a function whose derivative is found on paper,
# with the product rule and the chain rule; through one of its points, lines with the quotients' slopes.

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, ops
from minires.learn import quick  # true in tests, where a training takes a few steps only


def f(x):
    return x * np.exp(-x * x)


def f_prime(x):
    return (1 - 2 * x * x) * np.exp(-x * x)


def one_sided(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


x0 = 0.3
grid = np.linspace(-0.6, 2, 200)
figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for panel, quotient, title in [(panels[0], one_sided, "one-sided"), (panels[1], central, "central")]:
    panel.plot(grid, f(grid), color="black", label="f(x)")
    for h, colour in [(0.8, "#CC79A7"), (0.4, "#E69F00"), (0.1, "#009E73")]:
        slope = quotient(f, x0, h)
        panel.plot(grid, f(x0) + slope * (grid - x0), color=colour, linewidth=1.2, label=f"h = {h}: slope {slope:.3f}")
    panel.plot(x0, f(x0), "o", color="black")
    panel.set(title=f"{title}; true slope {f_prime(x0):.3f}", xlabel="x", ylim=(-0.6, 0.9))
    panel.legend(loc="lower right", fontsize=8)
panels[0].set_ylabel("y")
plt.show()

# %%
# The left quotient looks ahead only; the right one, the *central difference*, steps to both sides and is nearer to the
# truth at every step size. Why, says Taylor's series:
#
# .. math::
#
#    f(x \pm h) = f(x) \pm h f'(x) + \tfrac{h^2}{2} f''(x) \pm \tfrac{h^3}{6} f'''(x) + \dots
#
# In the one-sided quotient the term with :math:`f''` remains, an error of about :math:`\tfrac{h}{2} f''`. In the
# central one it is on both sides and cancels; what remains is :math:`\tfrac{h^2}{6} f'''`.
#
# .. admonition:: Predict first
#
#    The step becomes ten times smaller. What becomes of the one error, and of the other?

for quotient, order in [(one_sided, 1), (central, 2)]:
    errors = [abs(quotient(f, x0, h) - f_prime(x0)) for h in (1e-2, 1e-3)]
    print(f"{quotient.__name__:9}: error {errors[0]:.1e} at h = 0.01, {errors[1]:.1e} at h = 0.001")
    np.testing.assert_allclose(errors[0] / errors[1], 10**order, rtol=0.05)

# %%
# A tenth of the step is a tenth of the one-sided error, and a hundredth of the central one.
#
# Why not the smallest step there is?
# -----------------------------------
# Because a computer's numbers have 16 digits (float64) or 7 (float32). :math:`f(x+h)` and :math:`f(x)` agree in more
# and more digits as :math:`h` shrinks, and the difference of two numbers that agree in their first 12 digits has 4
# digits left. Dividing by the tiny :math:`h` makes that rounding error large, about :math:`\varepsilon / h`, with
# :math:`\varepsilon` the distance from 1 to the next number.
#
# So there is a best step, not too large and not too small.
#
# .. admonition:: Predict first
#
#    float32 has 7 digits. How many of them will be right in the best difference that it can give?


def worst_error(quotient, h, dtype):
    points = np.linspace(0.1, 1, 50).astype(dtype)
    h = dtype(h)
    return np.abs(quotient(f, points, h).astype(np.float64) - f_prime(points.astype(np.float64))).max()


steps = 10.0 ** np.arange(-14, 0, 0.25)
curves = [
    (one_sided, np.float64, "one-sided, float64", "#009E73", "--"),
    (central, np.float64, "central, float64", "#009E73", "-"),
    (one_sided, np.float32, "one-sided, float32", "#CC79A7", "--"),
    (central, np.float32, "central, float32", "#CC79A7", "-"),
]
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
best = {}  # name: step, error
for quotient, dtype, name, colour, dash in curves:
    shown = steps[steps > np.finfo(dtype).eps * 4]
    errors = np.array([worst_error(quotient, h, dtype) for h in shown])
    best[name] = shown[errors.argmin()], errors.min()
    axes.loglog(shown, errors, dash, color=colour, label=name)
axes.set(xlabel="step h", ylabel="largest error at 50 points", title="too large a step, and too small a one")
axes.legend()
axes.grid(color="0.9")
plt.show()
for name, (h, error) in best.items():
    print(f"{name:18}: best step {h:.1e}, and then the error is {error:.1e}")

# %%
# To the right the curves follow the formula, with slopes 1 and 2; to the left is rounding noise. The best central step
# is where :math:`h^2` meets :math:`\varepsilon / h`, near :math:`\varepsilon^{1/3}`. **In float32 the best is poor**:
# five digits at most. And a step that suits float64 is a disaster in float32, even for :math:`x^2`, whose derivative at
# 1.5 is 3:

square_32 = one_sided(lambda x: x * x, np.float32(1.5), np.float32(1e-7))
print(f"slope of x² at 1.5 in float32, h = 1e-7: {square_32:.2f}")
assert abs(square_32 - 3) > 0.5
assert best["central, float64"][1] < 1e-9 < 1e-5 < best["central, float32"][1]
assert 1e-6 < best["central, float64"][0] < 1e-4  # ε^(1/3) is 6e-6

# %%
# Chains
# ------
# A network is a long chain of simple steps, and so is :math:`f`. Each step knows only its own derivative. Two rules put
# them together.
#
# **Along a chain, derivatives are multiplied.** If :math:`y` moves three times as fast as :math:`b`, and :math:`b`
# moves twice as fast as :math:`x`, then :math:`y` moves six times as fast as :math:`x`.
#
# **Where a value is used twice, what comes back along the two ways is added.** Say :math:`y = g(a, b)`, and both
# :math:`a` and :math:`b` are :math:`x`. Move :math:`x` by a small :math:`h`. Then both places move by :math:`h`:
#
# .. math::
#
#    g(x + h, x + h) - g(x, x)
#    = \underbrace{g(x + h, x + h) - g(x, x + h)}_{\text{the first place moved: } \approx h\, \partial g/\partial a}
#    + \underbrace{g(x, x + h) - g(x, x)}_{\text{the second place moved: } \approx h\, \partial g/\partial b}
#
# Divide by :math:`h`, and let it go to 0: the derivative is :math:`\partial g / \partial a + \partial g / \partial b`.
# For :math:`y = x \cdot x` each place gives :math:`x`, and the sum is :math:`2x`, as it should be.
#
# Here is :math:`f`, one step a line, forward; and then its derivative, one step a line, backward. In which two lines is
# ``x`` used? Look for the sum.


def f_and_derivative(x):
    square = x * x
    minus = -square
    bell = np.exp(minus)
    y = x * bell

    grad_y = 1.0  # how fast y changes with y
    grad_bell = grad_y * x  # y = x · bell
    grad_minus = grad_bell * bell  # the derivative of exp is exp
    grad_square = -grad_minus
    grad_x = grad_y * bell + grad_square * 2 * x  # x is used in y, and in square
    return y, grad_x


y, slope = f_and_derivative(x0)
np.testing.assert_allclose(slope, f_prime(x0))
np.testing.assert_allclose(slope, central(f, x0, 1e-5), rtol=1e-9)
print(f"by hand {slope:.12f}, central difference {central(f, x0, 1e-5):.12f}")

# %%
# No step size, no rounding trouble: this derivative is as exact as :math:`f` itself. That is the whole idea of MiniRes,
# and of every program that trains networks.
#
# The engine agrees
# -----------------
# A :class:`minires.Tensor` is an array that remembers how it was computed (chapter 2 builds one). Operators work on it
# as on arrays, ``ops`` has what is no operator. ``backward`` goes through the chain from its end, and leaves the
# derivative in ``grad``.
#
# Below, ``x`` holds seven points at once, so ``y`` holds seven numbers. ``backward`` needs to know which number is to
# be differentiated, and there is only one such number in the end. ``y.backward(np.ones(7))`` says: the sum of the
# seven, each counted once. Every :math:`y` hangs on its own :math:`x` alone. So what arrives at each point is its own
# slope.

x = Tensor(np.linspace(-1.5, 1.5, 7), requires_grad=True)
y = x * ops.exp(-(x * x))
y.backward(np.ones(7))
np.testing.assert_allclose(x.grad, f_prime(x.data), atol=1e-15)
np.testing.assert_allclose(x.grad, central(f, x.data, 1e-5), atol=1e-9)
print(x.grad)

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/01_derivatives.py
#    (Pdb) import minires
#    (Pdb) b minires.ops.arithmetic.Exp.backward
#    (Pdb) c
#    > arithmetic.py backward()
#    (Pdb) p grad_y.tolist()
#    [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
#    (Pdb) p self.y.round(3).tolist()
#    [0.105, 0.368, 0.779, 1.0, 0.779, 0.368, 0.105]
#
# What arrives is :math:`x`, as in the line with ``grad_bell``; the one line there is the line with ``grad_minus``.
#
# Many knobs, one number
# ----------------------
# Fit a line :math:`a x + b` to points; the error :math:`L(a, b)` is the mean squared distance. Each knob has its own
# derivative, found with the other held still. Together they are the **gradient**, the arrow in which :math:`L` climbs
# fastest. So step the other way, again and again. Each step is 0.2 times the gradient.
#
# .. admonition:: Predict first
#
#    Do the steps become longer or shorter on the way?

rng = np.random.default_rng(0)
points = rng.uniform(-1, 1, 40)
targets = 1.5 * points - 0.5 + 0.2 * rng.standard_normal(40)


def error(a, b):
    return np.mean((a * points + b - targets) ** 2)


def slopes(a, b):
    return central(lambda a: error(a, b), a, 1e-5), central(lambda b: error(a, b), b, 1e-5)


knobs = Tensor(np.array([-1.0, 1.0]), requires_grad=True)
path = []
for _ in range(60 if not quick() else 3):
    difference = knobs[0] * points + knobs[1] - targets
    loss = (difference * difference).mean()
    knobs.grad = None
    loss.backward()
    np.testing.assert_allclose(knobs.grad, slopes(*knobs.data), atol=1e-8)
    path.append((*knobs.data, loss.item()))
    knobs = Tensor(knobs.data - 0.2 * knobs.grad, requires_grad=True)

across, up = np.meshgrid(np.linspace(-1.5, 2.5, 60), np.linspace(-1.6, 1.6, 60))
figure, axes = plt.subplots(figsize=(6.5, 4.4), layout="constrained")
lines = axes.contour(across, up, np.vectorize(error)(across, up), levels=[0.05, 0.1, 0.25, 0.5, 1, 2, 3], colors="0.6")
axes.clabel(lines, fontsize=8)
axes.plot(*np.array(path).T[:2], ".-", color="#009E73", label=f"{len(path)} steps against the gradient")
axes.plot(*np.polyfit(points, targets, 1), "x", color="black", markersize=9, label="the best line, solved exactly")
axes.set(xlabel="a", ylabel="b", title="error L(a, b)")
axes.legend(loc="upper right", fontsize=8)
plt.show()
losses = [loss for _, _, loss in path]
assert all(np.diff(losses) < 0)
assert all(np.diff(np.linalg.norm(np.diff(path, axis=0)[:, :2], axis=1)) < 0)
assert quick() or np.allclose(knobs.data, np.polyfit(points, targets, 1), atol=0.01)

# %%
# They become shorter: near the lowest point the slope is small, and so is the step.
#
# The engine's gradient was compared with finite differences at every step. What would it have cost to use those
# alone? Two evaluations of the error for each knob. With two knobs that is nothing; with a network's hundreds of
# thousands it is hopeless, while ``backward`` costs a few forward passes, whatever the number of knobs. So:
# **hand-written derivatives to train, finite differences to check them**.
#
# In five lines
# -------------
# - A derivative says how fast a number moves when another one is moved a little.
# - A central difference finds it from two values, with an error of :math:`h^2` and of rounding, :math:`\varepsilon /
#   h`.
# - Along a chain derivatives are multiplied; where a value is used twice, they are added.
# - Written down backward, line under line, a derivative is as exact as the function itself.
# - Backward costs a few forward passes, whatever the number of knobs; differences cost two for each.
#
# Exercises
# ---------
# 1. On paper: the derivative of :math:`\tanh x = (e^x - e^{-x}) / (e^x + e^{-x})` in terms of :math:`\tanh x` itself.
#    Compare with the head of ``minires/ops/activation.py``.
# 2. On paper: add the central differences of steps :math:`h` and :math:`h/2` with weights such that their :math:`h^2`
#    terms cancel. (``minires/gradient_check/differences.py`` does it.) Which power of :math:`h` remains?
# 3. Replace 0.2 in the descent by 1.2, and run the chapter again. Which assertion fails, and what do the losses do?
# 4. **In code**, with an examiner: ``minires learn 1`` writes a file with a gap for the numeric gradient of a function
#    of any array. ``minires check 1`` looks at what you put there, and ``--hint`` gives away a little more each time.
# 5. **Your own engine**: the same command begins ``my_minires/tensor.py``. Three steps stand in it, a product,
#    :math:`e^x` and :math:`\tanh`, each with its forward. You write the three backwards.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* The quotient rule gives :math:`\frac{(e^x + e^{-x})^2 - (e^x - e^{-x})^2}{(e^x + e^{-x})^2} = 1 - \tanh^2
#      x`.
#    - *2.* Four thirds of the difference of step :math:`h/2` minus one third of that of step :math:`h`. The :math:`h^2`
#      terms cancel; :math:`h^4` remains.
#
# Read next
# ---------
# - Nocedal, Wright, *Numerical Optimization*, 2nd edition, 2006, chapter 8: finite differences and automatic
#   differentiation, side by side.
# - Baydin, Pearlmutter, Radul, Siskind, *Automatic differentiation in machine learning: a survey*, JMLR 18(153), 2018.
# - ``minires/ops/arithmetic.py``: the first derivatives of the engine, with their formulas at the head.
