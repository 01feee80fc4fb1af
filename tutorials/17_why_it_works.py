r"""
17. Why it works
================

With skips deep networks learn. Chapter 14 has shown that, and that the usual reason, "they cure vanishing gradients",
is not it. So what is? Four explanations are in the literature. Each comes with an experiment. Which of them can be seen
on a laptop, and what do they leave open?

:Time: 30 minutes to read, 35 seconds to run
:Before it: chapters 10, 11 and 14
:Afterwards: you know four explanations, how each is measured, and which part of each is shown and which is not
"""

# %%
# How to read this chapter
# ------------------------
# An explanation is more than an observation. "Residual networks have property P, and they train well" does not say that
# they train well *because* of P. For each of the four there is a claim, a measurement in the lab, a verdict that is
# computed, and what stays open. The networks are small, and trained for seconds. Where a small one does not show what
# the paper's large one shows, the verdict says so.

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, lab, models, ops
from minires.data import load_digits
from minires.lab.experiments import shattered_gradients
from minires.learn import quick
from minires.plots import COLOURS

reports = {}


def say(report):
    """Keep a report for the end, and print its verdict."""
    reports[report["experiment"]] = report
    print(f"Claim: {report['claim']}\n{report['answer'].upper()}. {report['verdict']}")


# %%
# One: gradients that shatter
# ---------------------------
# Take a network of a *single* number :math:`x` with a single output :math:`y`. Then its gradient :math:`dy/dx` can be
# drawn as a curve over :math:`x`. Training takes steps along such gradients, and hopes that a gradient says something
# about the points nearby, too.
#
# .. admonition:: Predict first
#
#    24 layers with batch norm, 200 units each. What does the curve look like, without skips, and with them?
#
# By hand. As in the paper, the norm's mean and variance count as constants, so that each gradient is that of its own
# :math:`x` alone:


def slopes(layers, skip, points=256, width=200):
    """dy/dx at points from -2 to 2; He's weights, drawn in the order of the lab."""
    rng = np.random.default_rng(0)
    x = np.linspace(-2, 2, points)[:, np.newaxis]
    first, bias = rng.standard_normal((1, width)), rng.standard_normal(width)
    h, saved = np.maximum(x @ first + bias, 0), []
    first_mask = h > 0
    for _ in range(layers):
        weight = rng.standard_normal((width, width)) * np.sqrt(2 / width)
        z = h if skip else h @ weight
        inv_std = 1 / np.sqrt(z.var(axis=0) + 1e-10)
        a = np.maximum((z - z.mean(axis=0)) * inv_std, 0)
        h = h + a @ weight if skip else a
        saved.append((weight, inv_std, a > 0))
    grad = np.ones((points, 1)) @ (rng.standard_normal((width, 1)) / np.sqrt(width)).T
    for weight, inv_std, mask in reversed(saved):
        if skip:
            grad = grad + (grad @ weight.T) * mask * inv_std
        else:
            grad = (grad * mask * inv_std) @ weight.T
    return ((grad * first_mask) @ first.T)[:, 0]


nets = {"one layer": (0, False), "plain-24, batch norm": (24, False), "residual-50, batch norm": (50, True)}
curves = {name: slopes(*net) for name, net in nets.items()}
for name, curve in curves.items():
    _, from_lab = shattered_gradients.gradients(shattered_gradients.NETS[name], 256, 200, seed=0)
    np.testing.assert_allclose(curve, from_lab, rtol=1e-6, atol=1e-6 * np.abs(curve).max())  # the engine agrees

figure, panels = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for panel, (name, curve) in zip(panels, curves.items(), strict=True):
    colour = COLOURS["residual" if "residual" in name else "plain"]
    panel.plot(np.linspace(-2, 2, 256), curve, color=colour, linewidth=1)
    panel.set(title=name, xlabel="x", ylabel="dy/dx")
plt.show()

# %%
# With one layer, neighbours have nearly the same gradient. In the plain network of 24 layers, two neighbours have
# nothing to do with each other: white noise. With skips something is left. A number says how much: the
# *autocorrelation*. Take the mean away from the curve. Then multiply it with itself, moved by one place, add up, and
# divide by its own square.


def autocorrelation(curve):
    centred = curve - curve.mean()
    return np.sum(centred[:-1] * centred[1:]) / np.sum(centred**2)


for name, curve in curves.items():
    print(f"{name:24} {autocorrelation(curve):.2f}")
assert autocorrelation(curves["one layer"]) > 0.9 > 0.3 > abs(autocorrelation(curves["plain-24, batch norm"]))

say(lab.shattered_gradients(seeds=3) if not quick() else lab.shattered_gradients(seeds=1, points=64, width=50))

# %%
# **The caution**: all of this is before training, and it needs the batch norm. Without norm, and with all biases at 0,
# the plain network's gradients do not shatter at all. Yet such a network is no easier to train for that. So shattering
# goes along with what makes training hard, in one kind of network. That it is the cause has not been shown.
#
# Two: many paths
# ---------------
# Multiply out. With branches that are matrices, three blocks are
#
# .. math::
#
#    (I + A)(I + B)(I + C) = I + A + B + C + AB + AC + BC + ABC
#
# A signal has eight ways through them: in each block the skip or the branch. The gradient comes back on the same eight,
# and what arrives is their sum:

rng = np.random.default_rng(0)
A, B, C = rng.standard_normal((3, 5, 5)) * 0.3
x, grad_y = Tensor(rng.standard_normal((4, 5)), requires_grad=True), rng.standard_normal((4, 5))
h = x
for matrix in (A, B, C):
    h = ops.residual_add(h, h @ Tensor(matrix))
h.backward(grad_y)
on_paths = {}
for taken in itertools.product((False, True), repeat=3):
    grad = grad_y
    for branch, matrix in zip(taken, (C, B, A), strict=True):
        grad = grad @ matrix.T if branch else grad
    on_paths.setdefault(sum(taken), []).append(grad)
np.testing.assert_allclose(x.grad, sum([sum(paths) for paths in on_paths.values()]))  # the engine agrees
print("paths with 0, 1, 2 and 3 branches:", [len(paths) for paths in on_paths.values()])

# %%
# ResNet-110 has 54 blocks, and :math:`2^{54}` paths. How many branches are on a path? That is a question about coins.

paths = [math.comb(54, length) for length in range(55)]
middle = sum(paths[19:36]) / 2**54
print(f"{2**54:,} paths; {middle:.1%} of them have 19 to 35 branches")
assert 0.979 < middle < 0.981

# %%
# Most paths are long.
#
# .. admonition:: Predict first
#
#    Does most of the *gradient* come on long paths, too?
#
# With branches that are nonlinear nothing changes: once the forward pass is done, the backward pass is linear. The lab
# adds up the gradients of all paths of one length, and also looks at single ones.

small = {"depth": 8, "steps": 2, "samples": 2}
say(lab.paths() if not quick() else lab.paths(**small))
rows = reports["paths"]["tables"]["lengths"]
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for moment, dash in zip(dict.fromkeys(row["moment"] for row in rows), ("--", "-"), strict=True):
    here = [row for row in rows if row["moment"] == moment]
    lengths = [row["length"] for row in here]
    panels[0].semilogy(lengths, [row["mean_norm"] for row in here], dash, color=COLOURS["residual"], label=moment)
    weights = np.array([row["paths"] * row["mean_norm"] for row in here])
    panels[1].plot(lengths, weights / weights.sum(), dash, color=COLOURS["residual"], label=f"gradient, {moment}")
counts = np.array([row["paths"] for row in here])
panels[1].plot(lengths, counts / counts.sum(), ":", color="black", label="number of paths")
panels[0].set(xlabel="branches on the path", ylabel="‖gradient‖ of one path", title="a single path")
panels[1].set(xlabel="branches on the path", ylabel="share", title="all paths of a length")
for panel in panels:
    panel.legend(fontsize=8)
plt.show()

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/17_why_it_works.py
#    (Pdb) import minires.lab.path_gradients
#    (Pdb) b minires.lab.path_gradients.put
#    (Pdb) condition 1 length == 3
#    New condition set for breakpoint 1.
#    (Pdb) c
#    > path_gradients.py put()
#    (Pdb) p sorted(sums), grad.shape
#    ([], (32, 8, 8, 8))
#
# Three blocks, and the first gradient that has come through all three branches. Below it, ``sums`` keeps one gradient
# for each number of branches so far.
#
# If short paths matter most, then one block more or less should not. So take a trained network and delete a block:
# leave only its skip. Nothing is trained afterwards. The plain network loses a layer in the same way.

small = {"depth": 8, "steps": 2, "draws": 1, "deleted": 2, "images": 64}
say(lab.lesion() if not quick() else lab.lesion(**small))
rows = reports["lesion"]["tables"]["lesions"]
figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for kind, skip in (("plain", False), ("residual", True)):
    whole = [row["accuracy"] for row in rows if row["skip"] == skip and row["kind"] == "whole"]
    cut = [(row["block"] + 1, row["accuracy"]) for row in rows if row["skip"] == skip and row["kind"] == "deleted"]
    axes.plot(*np.transpose(cut), "o-", color=COLOURS[kind], label=f"{kind}, one block deleted")
    axes.axhline(np.mean(whole), color=COLOURS[kind], linestyle=":", label=f"{kind}, whole")
axes.set(xlabel="block that is deleted", ylabel="accuracy on test digits", ylim=(0, 1.02), title="lesions")
axes.legend(fontsize=8)
plt.show()

# %%
# **The caution**: the paper concludes that a residual network *behaves like an ensemble*, many shallow networks that
# vote. That is a manner of speaking. The paths share their weights, and were trained together. Not every block can be
# spared, either: most missed are those that change shapes. And that blocks can be deleted after training does not say
# why they could be trained.
#
# Three: a smoother landscape
# ---------------------------
# The loss is a function of all the weights: a landscape, over a plane of very many dimensions. Choose two random
# directions through the trained weights, and draw the slice. A famous picture shows a smooth bowl with skips, and wild
# mountains without.
#
# There is a trap in it. Chapter 16 has shown that filters in front of a norm can be ten times as large, and the network
# is the same function.
#
# .. admonition:: Predict first
#
#    What happens to the *curvature* of the loss then?
#
# Curvature is a second derivative, :math:`v^\top H v / v^\top v` along a direction :math:`v`. MiniRes does not
# differentiate its backward passes once more. Its ops give back arrays, and no tensors that could be differentiated
# again. That is the price for a ``backward`` that can be read and stepped through line by line. Engines that can do it
# record the backward pass as they record the forward pass. But a Hessian *times a vector* is a derivative of the
# gradient in one direction, and a difference of two gradients is enough for that: ``lab.hvp``.

images, labels, _, _ = load_digits()
batch = Tensor(images[:32].astype(np.float64))


def curvature(model, direction):
    filters = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    product = lab.hvp(lambda: ops.cross_entropy(model(batch), labels[:32]), filters, direction)
    up = sum([np.sum(one * other) for one, other in zip(direction, product, strict=True)])
    return up / sum([np.sum(one**2) for one in direction])


model = models.cifar_resnet(8, in_channels=1, width=8, activation="elu", seed=0).to("float64")
filters = [parameter for parameter in model.parameters() if parameter.ndim == 4]
direction = [rng.standard_normal(parameter.shape) for parameter in filters]
before = curvature(model, direction)
for parameter in filters:
    parameter.data *= 10
after = curvature(model, direction)
print(f"curvature along one direction: {before:.3g}; the same network with larger filters: {after:.3g}")
assert 0.005 < after / before < 0.02

# %%
# (This network has ELUs in the place of its ReLUs, which have no second derivative where they bend.)
#
# A hundredth, and not one answer of the network has changed. So curvature by itself says nothing: it depends on how
# large the filters happen to be. What helps is to take steps in the filters' own size. Each filter of a random
# direction is scaled to the length of the trained filter in its place:


def normalized(direction, weight):
    axes = (1, 2, 3)
    length = np.sqrt((weight**2).sum(axis=axes, keepdims=True) / (direction**2).sum(axis=axes, keepdims=True))
    return direction * length


step = normalized(direction[1], filters[1].data)
np.testing.assert_allclose(np.linalg.norm(step[0]), np.linalg.norm(filters[1].data[0]))
np.testing.assert_allclose(normalized(direction[1], 10 * filters[1].data), 10 * step)  # grows with the filter

small = {"points": 3, "seeds": 1, "depth": 8, "steps": 2, "images": 64}
say(lab.landscape(points=11, seeds=1) if not quick() else lab.landscape(**small))
rows = reports["landscape"]["tables"]["slice"]
figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for panel, skip in zip(panels, (False, True), strict=True):
    here = [row for row in rows if row["skip"] == skip]
    places = sorted({row["a"] for row in here})
    losses = np.array([np.inf if row["loss"] is None else row["loss"] for row in here]).reshape(len(places), -1)
    heights = np.log10(np.clip(losses, 1e-3, 1e2)).T
    shown = panel.contourf(places, places, heights, np.linspace(-3, 2, 21), cmap="viridis")
    panel.set(title=here[0]["network"], xlabel="first direction, in filter norms", ylabel="second direction")
figure.colorbar(shown, ax=panels, label="log10 of the training loss", ticks=range(-3, 3))
plt.show()

# %%
# **The caution**: these are two directions of thousands, at one place, at the *end* of a training. Where training had
# to pass on its way there, no such picture shows. And part of the difference is that the plain network has learned
# less. A landscape is a good picture of *that* something is different. It is a weak argument for *why*.
#
# Four: branches that begin in silence
# ------------------------------------
# Chapter 11 has shown what a batch norm at the end of each branch does. What is added has variance 1, and what it is
# added to has more and more. So deep in the network a block changes little, at the start: nearly the identity. S. De
# and S. Smith ask: is *that* all that the norm is needed for? Then take the norms out, and begin with branches that are
# silent.
#
# .. math::
#
#    y = x + \alpha\, F(x), \qquad \alpha = 0
#
# They call it **SkipInit**: one number :math:`\alpha` a block, which is trained.
#
# .. admonition:: Predict first
#
#    While :math:`\alpha = 0`, which parameters of the block get a gradient?

x = Tensor(rng.standard_normal((16, 8)), requires_grad=True)
w1, w2 = (Tensor(rng.standard_normal((8, 8)) / 2, requires_grad=True) for _ in range(2))
alpha = Tensor(np.zeros(1), requires_grad=True)
y = ops.residual_add(x, alpha * (ops.relu(x @ w1) @ w2))
y.backward(rng.standard_normal(y.shape))
print({name: bool(leaf.grad.any()) for name, leaf in (("w1", w1), ("w2", w2), ("alpha", alpha), ("x", x))})
assert alpha.grad.any() and x.grad.any() and not w1.grad.any() and not w2.grad.any()

# %%
# Only :math:`\alpha` does. The first step opens the branch by a little, and from the second step on its weights learn,
# too. How loud the signal is after many blocks can be computed: with :math:`\alpha = 1` the variance doubles in each
# block, with :math:`\alpha = 1/\sqrt L` in :math:`L` blocks it grows by :math:`(1 + 1/L)^L`, which stays below
# :math:`e`.

L = 40
for name, factor in (("1", 1.0), ("1/√L", 1 / math.sqrt(L)), ("0", 0.0)):
    h = np.random.default_rng(1).standard_normal((256, 128))
    for block in range(L):
        w1, w2 = np.random.default_rng(block).standard_normal((2, 128, 128)) / np.sqrt(128)
        h = h + factor * np.sqrt(2) * np.maximum(h @ w1, 0) @ w2
    print(f"{L} blocks, alpha {name:4}: variance {h.var():.3g}, on paper {(1 + factor**2) ** L:.3g}")
    assert abs(np.log(h.var()) - L * np.log(1 + factor**2)) < 0.5

say(lab.no_norm(steps=100) if not quick() else lab.no_norm(depth=8, steps=2))
rows = reports["no-norm"]["tables"]["losses"]
figure, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for start, dash in zip(dict.fromkeys(row["start"] for row in rows), (":", "-", "--", "-.", (0, (5, 1)), (0, (1, 1))),
                       strict=True):  # fmt: skip
    losses = [row["loss"] if row["loss"] is not None else np.nan for row in rows if row["start"] == start]
    colour = "black" if start == "nothing" else COLOURS["plain" if "batch norm" in start else "residual"]
    axes.plot(np.arange(len(losses)) + 1, losses, linestyle=dash, color=colour, label=start)
axes.axhline(math.log(10), color="0.7", linewidth=0.8, label="guessing")
axes.set(xlabel="step", ylabel="training loss", ylim=(0, 5), title="a residual network, with these in place of norms")
axes.legend(fontsize=8)
plt.show()

# %%
# With nothing in place of the norms the training diverges in its first steps, and leaves no curve.
#
# Of the four this is the only one that *changes* something and looks at what comes of it: no norm, quiet branches, and
# it trains. That is a stronger kind of evidence. **The caution**: it says what is enough to begin. Batch norm does
# other things, too: it allows larger learning rates, and its noise acts against overfitting. In the end networks with
# it are still a little ahead, in the papers.
#
# What is shown, and what is not
# ------------------------------

for report in reports.values():
    print(f"{report['experiment']}: {report['answer'].upper()}\n   claim: {report['claim']}\n   open: {report['open']}")
assert len(reports) == 5

# %%
# The four do not exclude each other. All of them say, in other words, that a block of a residual network is *close to
# the identity*: so its gradient resembles that of its neighbour, short paths carry the most, a deleted block is hardly
# missed, and the landscape bends less. Why being close to the identity makes training easy is the part that nobody has
# proved for networks like these.
#
# In five lines
# -------------
# - Gradients of deep plain networks with batch norm are white noise over their input; with skips they are not.
# - A network of :math:`L` blocks is :math:`2^L` paths; after some training the gradient comes on the shorter ones.
# - Slices of the loss are wider with skips; curvature means nothing before filters are measured in their own size.
# - Branches that begin in silence train without any norm: that is a change made, and not only a thing seen.
# - A property that good networks have is not yet the reason why they are good.
#
# Exercises
# ---------
# 1. On paper: each branch multiplies a path's gradient by :math:`f`. Show that all paths of a network of :math:`L`
#    blocks together weigh :math:`(1 + f)^L`. How many branches has the average path, weighed by its gradient?
# 2. On paper: why does curvature become a *hundredth*, where the gradient becomes a tenth?
# 3. Give ``lab.shattered_gradients`` other widths and depths. At which depth does a plain network's autocorrelation
#    fall below one half?
# 4. **In code**, with an examiner: ``minires learn 17``. The shares of the paths, for two thousand blocks; all
#    gradients of a SkipInit block; a curvature out of two gradients. ``minires check 17`` says what is wrong with them.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* There are :math:`\binom{L}{l}` paths with :math:`l` branches, each of weight :math:`f^l`, and :math:`\sum_l
#      \binom{L}{l} f^l = (1 + f)^L`. Each block is taken by its branch with the share :math:`f / (1 + f)`. So the
#      average is :math:`L f / (1 + f)`: half of :math:`L` for :math:`f = 1`, less for quieter branches.
#    - *2.* :math:`L(cw) = L(w)` for all :math:`w`. Differentiate by :math:`w` once, and :math:`c` comes out once on the
#      left; differentiate twice, and it comes out twice: :math:`c^2 H(cw) = H(w)`.
#
# Read next
# ---------
# - Balduzzi and others, *The shattered gradients problem*, arXiv 1702.08591.
# - Veit, Wilber, Belongie, *Residual networks behave like ensembles of relatively shallow networks*, arXiv 1605.06431.
# - Li and others, *Visualizing the loss landscape of neural nets*, arXiv 1712.09913.
# - De, Smith, *Batch normalization biases residual blocks towards the identity function in deep networks*, arXiv
#   2002.10444.
# - ``minires lab list``: more claims, tried in the same way.
