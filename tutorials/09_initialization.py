r"""
9. Activations and initialization: where vanishing really comes from
====================================================================

"In deep networks gradients vanish." It is said of all of them, as if depth did it. Does it? What reaches the first
layer of a network of 100 layers, before it has learned anything, and what decides that?

:Time: 20 minutes to read, 3 seconds to run
:Before it: chapters 5 and 8
:Afterwards: you can predict the size of a gradient at the first layer before anything is trained
"""

# %%
# One layer, and one hundred
# --------------------------
# Take :math:`z = h W`, where each number of :math:`z` has :math:`C` inputs :math:`h` and :math:`C` weights :math:`w`,
# drawn independently with mean 0. Write :math:`\mathrm{E}` for a mean over many draws. Every :math:`z` is a sum of
# :math:`C` products. Since the weights have mean 0, the mixed terms of its square cancel on average, and the mean
# squares of the products add up. ReLU then throws the negative half away, and half of the mean square with it:
#
# .. math::
#
#    \mathrm{E}\, z^2 = C \,\mathrm{Var}(w)\; \mathrm{E}\, h^2 \qquad
#    \mathrm{E}\, \mathrm{relu}(z)^2 = \tfrac{1}{2} \mathrm{E}\, z^2 \qquad\Rightarrow\qquad
#    \text{each layer multiplies the size by } q = \sqrt{C \,\mathrm{Var}(w) / 2}
#
# Backward it is the same. :math:`dL/dh = (dL/dy \cdot [z > 0])\, W^\top`, where :math:`[z > 0]` is 1 or 0, loses half
# of its entries and sums :math:`C` products. So 100 layers multiply signal and gradient by about :math:`q^{100}`.
# **It is not the depth that makes a gradient vanish, but a** :math:`q` **below 1**. And :math:`q` is a choice, made
# when the weights are drawn.
#
# .. admonition:: Predict first
#
#    Three ways to draw are compared: with the variance :math:`1/(3C)`, which is PyTorch's default, with :math:`1/C`,
#    and with :math:`2/C`. What is :math:`q` for each, and what is left of a gradient after 100 layers?
#
# There is no engine in it yet:

import math

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, nn, ops, optim
from minires.data import load_digits
from minires.learn import quick

C = N = 128
LAYERS = 100
STD = {"pytorch": math.sqrt(1 / (3 * C)), "lecun": math.sqrt(1 / C), "he": math.sqrt(2 / C)}


def draw(std, layers, seed=0):
    rng = np.random.default_rng(seed)
    x, grad = rng.standard_normal((N, C)), rng.standard_normal((N, C))
    return x, [rng.normal(0, std, (C, C)) for _ in range(layers)], grad


def by_hand(x, weights, grad):
    """Return the signal before each layer and after the last, and the gradient at the same places."""
    signals, gradients = [x], [grad]
    for weight in weights:
        signals.append(np.maximum(signals[-1] @ weight, 0))
    for weight, h in zip(weights[::-1], signals[::-1], strict=False):
        gradients.append((gradients[-1] * (h > 0)) @ weight.T)
    return signals, gradients[::-1]


def sizes(arrays):
    return np.array([math.sqrt(np.mean(array * array)) for array in arrays])


figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
colours = {"pytorch": "#E69F00", "lecun": "#CC79A7", "he": "#009E73"}
for init, std in STD.items():
    signals, gradients = by_hand(*draw(std, LAYERS))
    q = math.sqrt(C * std**2 / 2)
    forward = (sizes(signals)[-1] / sizes(signals)[0]) ** (1 / LAYERS)
    backward = (sizes(gradients)[0] / sizes(gradients)[-1]) ** (1 / LAYERS)
    print(f"{init:8} q = {q:.3f}; measured {forward:.3f} forward, {backward:.3f} backward; q^100 = {q**LAYERS:.0e}")
    np.testing.assert_allclose([forward, backward], q, rtol=0.03)
    for panel, values in zip(panels, (signals, gradients), strict=True):
        panel.semilogy(sizes(values), color=colours[init], label=f"{init}, q = {q:.2f}")
panels[0].set(title="the signal, forward →", xlabel="layer", ylabel="root mean square")
panels[1].set(title="← the gradient, backward", xlabel="layer")
panels[0].legend()
for panel in panels:
    panel.grid(color="0.9")
plt.show()

# %%
# *pytorch* is the default of PyTorch's layers and, so that networks can be compared, of MiniRes' layers too. *lecun*
# (1998) is right for an activation that is the identity near zero. *he* (2015) is LeCun's times 2, for the half that
# ReLU takes away.
#
# Here every layer has as many inputs as outputs. In a convolution the two counts differ. A number of :math:`z` is a sum
# over :math:`C K K` numbers, the *fan-in*. A number of :math:`h` sends itself to :math:`F K K` numbers, the *fan-out*,
# and its gradient is a sum over those. One variance cannot keep both sums constant. He et al. show that either will do;
# MiniRes takes the fan-out for filters, so that it is the **gradient** whose size stays.
#
# With He's variance the gradient arrives through 100 layers as large as it set out, **with no skip connection and no
# batch norm anywhere**. With the default it is as good as gone: where a loss is a mean over :math:`N` images, float32
# has no full-length numbers that small.

x, weights, grad = draw(STD["pytorch"], LAYERS)
_, gradients = by_hand(x, weights, grad)
largest, smallest_normal = np.abs(gradients[0] / N).max(), np.finfo(np.float32).tiny
print(f"default, 100 layers: largest element {largest:.1e}; float32's smallest normal number {smallest_normal:.1e}")
assert largest < smallest_normal

# %%
# The engine agrees
# -----------------
# The same weights in the engine give the same gradients, at every layer: ``keep_grads=True`` leaves those of the
# tensors in between. And :func:`minires.nn.initialize`, which draws a model's weights, knows all three, and more.


def with_engine(x, weights, grad, activation=ops.relu, norm=False):
    h = [Tensor(x, requires_grad=True)]
    for weight in weights:
        z = h[-1] @ Tensor(weight)
        if norm:
            z, _, _ = ops.batch_norm(z, Tensor(np.ones(C)), Tensor(np.zeros(C)))
        h.append(activation(z))
    h[-1].backward(grad, keep_grads=True)
    return [tensor.data for tensor in h], [tensor.grad for tensor in h[:-1]] + [grad]


x, weights, grad = draw(STD["he"], LAYERS)
for mine, engines in zip(by_hand(x, weights, grad), with_engine(x, weights, grad), strict=True):
    np.testing.assert_allclose(np.array(mine), np.array(engines), rtol=1e-6, atol=1e-12)

for init, std in STD.items():
    layer = nn.Sequential(nn.Linear(C, C))
    nn.initialize(layer, init, seed=0)
    np.testing.assert_allclose(layer[0].weight.data.std(), std, rtol=0.03)

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/09_initialization.py
#    (Pdb) import minires
#    (Pdb) tbreak minires.nn.initialization.draw_weight
#    (Pdb) b minires.ops.activation.Sigmoid.backward
#    (Pdb) c
#    > initialization.py draw_weight()
#    (Pdb) p init, shape, fans(shape)
#    ('pytorch', (128, 128), (128, 128))
#    (Pdb) c
#    > activation.py backward()
#    (Pdb) p grad_y.shape, float((self.y * (1 - self.y)).max())
#    ((301,), 0.25)
#
# The first stop is where a weight is drawn: above are the schemes, as a table. The second is in the next block, where
# the slope of the sigmoid is plotted; the next fifty, one a ``c``, are the layers in which it meets the gradient.
#
# The activation's share
# ----------------------
# The 2 is ReLU's. Another activation :math:`a` passes another part of the signal on, and multiplies the gradient by
# its slope :math:`a'`. The sigmoid's is :math:`y (1 - y) \le \tfrac14`, everywhere: this is where the saying comes
# from, in the days before ReLU. Two that came after ReLU keep a slope on the negative side, too. ELU (Clevert and
# others, 2015) bends smoothly to −1. SELU (Klambauer and others, 2017) is ELU stretched, with two constants chosen such
# that a signal of mean 0 and variance 1 stays one from layer to layer:
#
# .. math::
#
#    \mathrm{elu}(z) = \begin{cases} z & z > 0 \\ e^z - 1 & z \le 0 \end{cases} \qquad
#    \mathrm{elu}'(z) = \begin{cases} 1 \\ e^z \end{cases} \qquad
#    \mathrm{selu}(z) = 1.0507 \begin{cases} z & z > 0 \\ 1.6733\, (e^z - 1) & z \le 0 \end{cases}
#
# .. admonition:: Predict first
#
#    Of five activations, which loses the most of a gradient in 50 layers, and about how much of it? (A quarter, fifty
#    times over.) Does any of them make it larger?
#
# Here are the slopes, and what is left after 50 layers:

activations = {
    "sigmoid": (ops.sigmoid, "lecun", "#E69F00", ":"),
    "tanh": (ops.tanh, "lecun", "#56B4E9", "-."),
    "relu": (ops.relu, "he", "#009E73", "-"),
    "elu": (ops.elu, "lecun", "#CC79A7", "--"),
    "selu": (ops.selu, "lecun", "#000000", "-"),
}
figure, panels = plt.subplots(1, 3, figsize=(12, 3.9), width_ratios=[3, 3, 4], layout="constrained")
grid = np.linspace(-3, 3, 301)
after_50 = {}
for name, (activation, init, colour, dash) in activations.items():
    z = Tensor(grid, requires_grad=True)
    y = activation(z)
    y.backward(np.ones_like(grid))
    panels[0].plot(grid, y.data, dash, color=colour, label=name)
    panels[1].plot(grid, z.grad, dash, color=colour, label=name)
    _, gradients = with_engine(*draw(STD[init], 50), activation)
    panels[2].semilogy(sizes(gradients), dash, color=colour, label=f"{name}, {init}")
    after_50[name] = sizes(gradients)[0] / sizes(gradients)[-1]
    print(f"{name:8} with {init:6}: largest slope {z.grad.max():.2f}; of the gradient arrives {after_50[name]:9.2e}")
panels[0].set(title="activation", xlabel="z", ylabel="y")
panels[1].set(title="slope", xlabel="z", ylabel="dy/dz")
panels[2].set(title="gradient in 50 layers", xlabel="layer", ylabel="root mean square")
panels[0].legend(fontsize=8)
panels[2].legend(fontsize=8)
plt.show()
assert after_50["sigmoid"] < 1e-20 and 0.1 < after_50["relu"] < 10
assert 0.001 < after_50["tanh"] < 1 and 0.001 < after_50["elu"] < 1 < after_50["selu"] < 100

# %%
# Batch norm, and a surprise
# --------------------------
# Batch norm makes the size of the signal a constant by force, so the scale of the weights no longer matters. That the
# default is too small is cured. Is the gradient cured, too?
#
# .. admonition:: Predict first
#
#    Put a batch norm into each of 50 layers, and draw the weights with PyTorch's default or with He's variance. At the
#    first layer, is the gradient smaller than at the last, of its size, or larger? Does it matter how they are drawn?
#
# The factor per layer is measured between layers 10 and 40:

for init in ("pytorch", "he"):
    signals, gradients = with_engine(*draw(STD[init], 50), norm=True)
    factor = (sizes(gradients)[10] / sizes(gradients)[40]) ** (1 / 30)
    print(f"{init:8} + batch norm: ×{factor:.3f} per layer; at the first layer {sizes(gradients)[0]:.1e} of 1")
    np.testing.assert_allclose(factor, math.sqrt(math.pi / (math.pi - 1)), rtol=0.03)
    assert sizes(signals)[-1] > 0.5 and sizes(gradients)[0] > 1e3

# %%
# It **explodes**, in the same way for both. A mean-field theory (Greg Yang and others, 2019), which lets the width
# grow without end, says that ReLU after batch norm multiplies the gradient by :math:`\sqrt{\pi / (\pi - 1)}`, about
# 1.21, per layer.
#
# So neither word describes "deep networks". With a small init gradients vanish, with He's they do neither, with batch
# norm they explode. Initialization and norm are two choices, and two switches in MiniRes. What they do must not be put
# down to depth, nor be claimed for anything else that was changed at the same time.
#
# Does it matter?
# ---------------
# Twenty layers, on the digits, with the same learning rate: the drawing of the weights alone decides whether the
# network learns. The loss of guessing is :math:`\ln 10`.

images, labels, _, _ = load_digits()
pixels = images.reshape(-1, 64)
steps = 200 if not quick() else 3
curves = {}
for init in ("pytorch", "lecun", "he"):
    hidden = [layer for _ in range(19) for layer in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    nn.initialize(model, init, seed=0)
    optimizer, rng, curves[init] = optim.SGD(model.parameters(), lr=0.005, momentum=0.9), np.random.default_rng(0), []
    for _ in range(steps):
        chosen = rng.integers(0, len(pixels), 64)
        loss = ops.cross_entropy(model(Tensor(pixels[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves[init].append(loss.item())
    print(f"{init:8} loss {np.mean(curves[init][-20:]):.3f} over the last steps")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for init, losses in curves.items():
    axes.plot(losses, color=colours[init], label=init)
axes.axhline(math.log(10), color="0.5", linestyle="--", label="guessing: ln 10")
axes.set(xlabel="step", ylabel="training loss", title="a plain network of 20 layers")
axes.legend()
plt.show()
if not quick():
    assert abs(np.mean(curves["pytorch"][-20:]) - math.log(10)) < 0.05 and np.mean(curves["he"][-20:]) < 1

# %%
# In five lines
# -------------
# - Each layer multiplies signal and gradient by about :math:`q`, so depth makes :math:`q^{100}` of it.
# - He's variance makes :math:`q = 1` for ReLU; PyTorch's default has :math:`q = 0.41`, and all is gone.
# - The sigmoid's slope is at most a quarter: there the old saying comes from.
# - With batch norm the gradient of a plain ReLU network explodes, by 1.21 per layer.
# - Initialization, norm and depth are three things; say which one you changed.
#
# Exercises
# ---------
# 1. On paper: a leaky ReLU of slope :math:`a` keeps :math:`(1 + a^2)/2` of the mean square. Which
#    :math:`\mathrm{Var}(w)` makes :math:`q = 1`? Put :math:`a = \sqrt 5` in: whose variance is that?
# 2. Set ``C = N = 16``, seeds 0 to 9. What does a narrow network do to the He curve, and why does the formula not say?
# 3. Can the sigmoid be saved by larger weights? Which :math:`\mathrm{Var}(w)` does its slope ask for? Try it.
# 4. **In code**, with an examiner: ``minires learn 9``. Your own engine gets ``init.py``, with a gap for He's draw. The
#    exercise asks for an activation that learns its slopes, and for weights that are scaled by measuring in place of
#    calculating. ``minires check 9`` examines them.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* It is :math:`2 / ((1 + a^2) C)`. For :math:`a = \sqrt 5` that is :math:`1 / (3 C)`: PyTorch's default.
#
# Read next
# ---------
# - Glorot, Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010.
# - He and others, *Delving deep into rectifiers*, arXiv 1502.01852, section 2.2: the factor 2.
# - Hanin, *Which neural net architectures give rise to exploding and vanishing gradients?*, arXiv 1801.03744.
# - Yang and others, *A mean field theory of batch normalization*, arXiv 1902.08129: the factor 1.21.
# - He and others, *Deep residual learning*, arXiv 1512.03385, section 4.1: they report healthy gradients in
#   the plain networks that were hard to train.
