r"""
3. Backward by hand: the diamond x + f(x)
=========================================

A residual block adds its input to what it computed from it: :math:`y = x + f(x)`. One plus sign is all that separates
it from a plain layer, :math:`y = f(x)`. What does the plus sign do to the gradient, on one block, and on forty of them
in a row? And which mistake in it gives a wrong gradient without a word of warning?

:Time: 20 minutes to read, a second or two to run
:Before it: chapters 1 and 2
:Afterwards: you can pass a gradient back through a block by hand, and say what a skip does to it
"""

# %%
# One block, forward and backward
# -------------------------------
# Let the branch be a ``tanh`` and a matrix product, :math:`f(x) = \tanh(x)\, w`, on rows of numbers: :math:`x` is
# :math:`(N, D)`, :math:`w` is :math:`(D, D)`. Every line forward gets a line backward, in the opposite order. Two rules
# of chapter 1 are enough: along a chain gradients are multiplied, and where a value is used twice they are added.
#
# For the product :math:`b = t\, w` the two gradients follow from one element, :math:`b_{nj} = \sum_i t_{ni} w_{ij}`.
# Here :math:`n` counts rows, :math:`i` and :math:`j` count columns, and :math:`L` is the one number at the end of it
# all. The number :math:`t_{ni}` is used in all :math:`b_{nj}` of its row, with the slopes :math:`w_{ij}`. Used several
# times means added: its gradient is :math:`\sum_j \frac{dL}{db_{nj}} w_{ij}`. In matrices this is
# :math:`\frac{dL}{dt} = \frac{dL}{db} w^\top`. The number :math:`w_{ij}` is used once in each row, with the slope
# :math:`t_{ni}`. Its gradient is :math:`\sum_n t_{ni} \frac{dL}{db_{nj}}`, in matrices
# :math:`\frac{dL}{dw} = t^\top \frac{dL}{db}`.

from math import comb

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, ops
from minires.learn import quick
from minires.plots import COLOURS, Animation


def forward(x, w):
    t = np.tanh(x)
    b = t @ w
    y = x + b
    return y, t


def backward(grad_y, t, w):
    grad_skip = grad_y  # y = x + b: both sides get
    grad_b = grad_y  #                what arrives, unchanged
    grad_t = grad_b @ w.T
    grad_w = t.T @ grad_b
    grad_branch = grad_t * (1 - t * t)  # the slope of tanh is 1 − tanh²
    grad_x = grad_skip + grad_branch  # x was used twice
    return grad_x, grad_w


rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 3)), rng.standard_normal((3, 3))
grad_y = rng.standard_normal((2, 3))
y, t = forward(x, w)
grad_x, grad_w = backward(grad_y, t, w)

# %%
# Here is the way back in slow motion, for the first row: its three gradients as they travel. At the plus the two ways
# part, each with all that arrived. At :math:`x` they meet again.
#
# .. admonition:: Predict first
#
#    Which of the two brings its numbers home unchanged?

grad_t = grad_y @ w.T
arrives, leaves_w, leaves_tanh = grad_y[0], grad_t[0], (grad_t * (1 - t * t))[0]
stops = np.array([(6.4, 0), (5, 0), (3.5, -1.3), (1.5, -1.3), (0, 0)])  # y, the plus, the product, tanh, x
moves = 3  # pictures between two stops


def three(values):
    return "(" + ", ".join([f"{value:.2f}" for value in values]).replace("-", "−") + ")"


def draw_the_way_back(figure, step):
    axes, hour = figure.subplots(), min(step / moves, 4)  # the hours 0 to 4 are the stops
    for start, end in [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)]:
        axes.plot(*stops[[start, end]].T, color="0.75", linewidth=2, zorder=0)
    for name, place in zip(["y", "+", "@ w", "tanh", "x"], stops, strict=True):
        axes.text(*place, name, ha="center", va="center", fontsize=13, bbox={"boxstyle": "round", "facecolor": "white"})
    said = [
        (0, 5.7, 0.42, three(arrives), "black"),
        (1, 3.2, 0.25, three(arrives), COLOURS["residual"]),
        (1, 5.3, -0.8, three(arrives), COLOURS["plain"]),
        (2, 2.5, -0.95, three(leaves_w), COLOURS["plain"]),
        (3, -0.35, -0.8, three(leaves_tanh), COLOURS["plain"]),
        (4, 0.2, 0.62, f"added: {three(grad_x[0])}", "black"),
    ]
    for since, across, up, words, colour in said:
        if hour >= since:
            axes.text(across, up, words, ha="center", va="center", fontsize=10, color=colour)
    before, share = divmod(min(hour, 3.999), 1)
    along = stops[int(before)] + share * (stops[int(before) + 1] - stops[int(before)])
    if hour < 1:
        axes.plot(*along, "o", color="black", markersize=13, zorder=4)
    else:
        skip = stops[1] + (hour - 1) / 3 * (stops[4] - stops[1])
        axes.plot(*skip, "o", color=COLOURS["residual"], markersize=13, zorder=4)
        axes.plot(*along, "o", color=COLOURS["plain"], markersize=13, zorder=4)
    axes.set(xlim=(-1.3, 7.2), ylim=(-1.7, 0.95), title="one row's gradient on its way back")
    axes.axis("off")


np.testing.assert_allclose(arrives + leaves_tanh, grad_x[0])
Animation(
    draw_the_way_back, 4 * moves + 1, size=(6.4, 2.9), seconds=0.45, hold=8,
    says="the gradient that arrives at a sum goes on along both of its sides, and what comes back is added at x",
)  # fmt: skip

# %%
# The engine agrees
# -----------------
# The same block in one line of tensors. ``keep_grads`` leaves the gradients of the values in between in place, so that
# every line can be compared.

leaf_x, leaf_w = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
branch = ops.tanh(leaf_x) @ leaf_w
out = leaf_x + branch
out.backward(grad_y, keep_grads=True)
np.testing.assert_allclose(out.data, y)
np.testing.assert_allclose(branch.grad, grad_y)
np.testing.assert_allclose(leaf_x.grad, grad_x)
np.testing.assert_allclose(leaf_w.grad, grad_w)

# %%
# And so does the formula. Write all slopes of one row of :math:`y` in a table, :math:`J_{ij} = \partial y_j / \partial
# x_i`: a row for each input, a column for each output. It is called the *Jacobian*. (Many books write it the other way
# round, a row for each output. In our order the gradient is :math:`J` times what arrives, without a transpose: row
# :math:`i` holds the slopes of everything that :math:`x_i` moves, and they are weighed and added.) The skip contributes
# the identity matrix, the branch its own table:
#
# .. math::
#
#    \frac{dL}{dx} = (I + J_f)\, \frac{dL}{dy} = \frac{dL}{dy} + J_f\, \frac{dL}{dy}
#
# **The gradient arrives at** :math:`x` **whole, and the branch adds to it.** In a plain layer, what the branch lets
# through is all there is. Central differences fill the tables, one row of :math:`J` for each :math:`x_i`:


def jacobian(function, x, h=1e-6):
    moves = h * np.eye(x.size)
    return np.array([(function(x + move) - function(x - move)) / (2 * h) for move in moves])


table = jacobian(lambda row: forward(row, w)[0], x[0])
branch_table = jacobian(lambda row: np.tanh(row) @ w, x[0])
np.testing.assert_allclose(table, np.eye(3) + branch_table, atol=1e-8)
np.testing.assert_allclose(table @ grad_y[0], grad_x[0], atol=1e-8)
print(table.round(3))

# %%
# One array in two hands
# ----------------------
# ``grad_skip`` and ``grad_b`` are not equal arrays, they are **the same** array: copying would be a waste. So nobody
# may write into it. A hasty ``+=`` saves a line, and ruins the gradient of whoever reads it later:


def hasty_backward(grad_y, t, w):
    grad_skip = grad_b = grad_y
    grad_skip += (grad_b @ w.T) * (1 - t * t)  # writes into grad_b, too
    return grad_skip, t.T @ grad_b


hasty_x, hasty_w = hasty_backward(grad_y.copy(), t, w)
np.testing.assert_allclose(hasty_x, grad_x)  # looks fine
print("wrong weights' gradient, off by up to", np.abs(hasty_w - grad_w).max().round(2))
assert not np.allclose(hasty_w, grad_w)

# %%
# The engine therefore never adds into a gradient: ``accumulate`` in ``minires/engine.py`` makes a new array. See for
# yourself that the sum's backward hands out one array twice:
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/03_diamond.py
#    (Pdb) import minires
#    (Pdb) b minires.ops.arithmetic.Add.backward
#    (Pdb) c
#    > arithmetic.py backward()
#    (Pdb) p grad_y.shape
#    (2, 3)
#    (Pdb) r
#    (Pdb) p __return__[0] is __return__[1], __return__[0] is grad_y
#    (True, True)
#
# Blocks in a row
# ---------------
# For numbers in place of arrays, let block :math:`l` have a branch of slope :math:`a_l`. A plain chain multiplies the
# slopes, a chain of diamonds multiplies :math:`1 + a_l`, and multiplying out gives one term for every path of chapter
# 2: a path through :math:`k` branches contributes the product of their :math:`k` slopes, and the path along all skips
# contributes 1.
#
# .. math::
#
#    \prod_{l=1}^{n} (1 + a_l) = 1 + \sum_l a_l + \sum_{l<m} a_l a_m + \dots + a_1 a_2 \cdots a_n
#
# The last term, one path of :math:`2^n`, is all that a plain chain has. Below there are twenty blocks, and each branch
# has the slope ½. Half of the branches are on a path, on average.
#
# .. admonition:: Predict first
#
#    On the paths that carry most of the gradient, are there ten branches, more, or fewer?

n, a = 20, 0.5
lengths = np.arange(n + 1)
paths = np.array([comb(n, k) for k in lengths], float)
carried = paths * a**lengths
np.testing.assert_allclose(carried.sum(), (1 + a) ** n)
print(f"of {paths.sum():,.0f} paths the longest carries {carried[-1]:.1e}, all together {carried.sum():.1f}")

figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
axes.bar(lengths - 0.2, paths / paths.sum(), 0.4, color="0.7", label="share of the paths")
axes.bar(lengths + 0.2, carried / carried.sum(), 0.4, color=COLOURS["residual"], label="share of the gradient, a = 0.5")
axes.set(xlabel="branches on the path", ylabel="share", title=f"{n} blocks with skips", xticks=lengths[::2])
axes.legend()
plt.show()
mean_length, mean_carrier = (np.sum(lengths * share) / share.sum() for share in (paths, carried))
assert mean_carrier < mean_length  # short paths carry more than their share

# %%
# Fewer. Each branch on a path halves what the path carries.
#
# Back to arrays: forty blocks, and forty plain layers with the same weights. Weights drawn with variance :math:`g^2 /
# D` stretch a vector by about :math:`g` each time. How large is the gradient at every layer, against the one at the
# end?
#
# .. admonition:: Predict first
#
#    For the gains ½, 1 and 2: where does it vanish without skips, and where with them?


depth, D = 40 if not quick() else 8, 64


def gradient_norms(gain, skip):
    rng = np.random.default_rng(0)
    h = Tensor(rng.standard_normal((16, D)), requires_grad=True)
    states = [h]
    for _ in range(depth):
        branch = ops.tanh(h) @ Tensor(rng.standard_normal((D, D)) * gain / D**0.5)
        h = h + branch if skip else branch
        states.append(h)
    h.backward(rng.standard_normal(h.shape), keep_grads=True)
    norms = np.array([np.linalg.norm(state.grad) for state in states])
    return norms / norms[-1]


figure, panels = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True, layout="constrained")
for panel, gain in zip(panels, (0.5, 1.0, 2.0), strict=True):
    for name, skip in [("plain", False), ("residual", True)]:
        norms = gradient_norms(gain, skip)
        panel.semilogy(norms, color=COLOURS[name], label=name)
        print(f"gain {gain}, {name:8}: the gradient at the beginning is {norms[0]:.1e} times the one at the end")
        assert norms[0] > 1 if skip else norms[0] < 1 or gain > 1
    panel.set(title=f"weights' gain {gain}", xlabel="layer")
    panel.grid(color="0.9")
panels[0].set_ylabel("gradient's norm / the last one's")
panels[0].legend()
plt.show()

# %%
# With skips the gradient does not vanish at any of these gains: it arrives whole, and something is added. (Only a
# branch that takes away exactly what the skip brings, :math:`a_l = -1`, could stop it.) It does not follow that it
# *stays the same*: what is added at every block piles up, and with large branches that is a lot. Nor does every plain
# chain let it vanish; that is a matter of the weights' gain. How real networks keep the branches small, what batch norm
# has to do with it, and whether vanishing gradients were ever the problem, are questions for the chapters 8 to 11 and
# 14.
#
# What is exact is this: between any two layers, the gradient is the later one plus what all branches in between have
# added, a sum and not a product (He et al. 2016, equation 5). Chapter 11 takes it apart.
#
# In five lines
# -------------
# - Backward, a sum hands what arrives to both of its sides, unchanged.
# - So through :math:`x + f(x)` the gradient arrives whole, and the branch adds its share.
# - Both sides hold the same array: whoever writes into it ruins the other's.
# - A plain chain multiplies slopes; a chain of skips multiplies :math:`1 + a`, one term for every path.
# - With skips the gradient is a sum over paths. That keeps it from vanishing, and not from growing.
#
# Exercises
# ---------
# 1. On paper: :math:`y = x + x + f(x)`, and :math:`y = \tfrac12 x + f(x)`. What arrives at :math:`x`? What after 40 of
#    the second kind, if the branches add nothing?
# 2. On paper: the mean number of branches on a path, weighed by what it carries, for any :math:`a`. (It is a coin's:
#    heads with which probability?)
# 3. Put a ``tanh`` *after* the sum, :math:`y = \tanh(x + f(x))`, in ``gradient_norms``. Does the gradient still arrive
#    whole? The first residual networks had a relu there.
# 4. **In code**, with an examiner: ``minires learn 3`` writes a file with a block of two matrices and a relu for you to
#    pass backward by hand. When ``minires check 3`` is content, ``minires check 3 --train`` trains with your relu.
# 5. **Your own engine**: the same command adds four ops to ``my_minires/tensor.py``, a sum of two arrays, a product of
#    matrices, a relu and a sum of all elements. You write their backwards. Then it has all that a network on points
#    needs: ``python -m my_minires.points`` trains one, and draws what it answers.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* Twice what arrived, and the branch's share; half of what arrived, and the branch's share. After 40 of the
#      second kind :math:`2^{-40}`, about :math:`10^{-12}`, is left: a skip that is no identity lets the gradient
#      vanish, too.
#    - *2.* Each branch is on the path like a coin's heads, with the probability :math:`a / (1 + a)`. The mean is
#      :math:`n\, a / (1 + a)`.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Identity mappings in deep residual networks*, arXiv 1603.05027, 2016, section 2.
# - Veit, Wilber, Belongie, *Residual networks behave like ensembles of relatively shallow networks*, arXiv 1605.06431,
#   2016: paths, counted and cut.
# - ``minires/ops/arithmetic.py``, ``Add`` and ``Multiply``; ``minires/engine.py``, ``accumulate``.
