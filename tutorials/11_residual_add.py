r"""
11. The residual add
====================

Chapter 10's deep network would have been saved by layers that change nothing, and could not learn them. So let a layer
change nothing *by itself*, and learn only what it changes: :math:`y = x + F(x)`. It is one addition. What does it do to
the gradient? And what, if :math:`x` and :math:`F(x)` do not have one shape?

:Time: 20 minutes to read, 8 seconds to run
:Before it: chapters 3 and 10
:Afterwards: you can build a residual block, say why its gradient arrives, and mend its shapes
"""

# %%
# One addition
# ------------
# Call the mapping that a few layers should learn :math:`H(x)`. Instead of :math:`H` they learn the *residual*
# :math:`F(x) = H(x) - x`. The **skip connection**, or *shortcut*, adds :math:`x` again: :math:`y = F(x) + x`. To change
# nothing, the *branch* :math:`F` has to be zero, which is easy: small weights are enough. The shortcut costs nothing.
#
# .. math::
#
#    \frac{dL}{dx} = \frac{dL}{dy} + \Big(\frac{\partial F}{\partial x}\Big)^\top \frac{dL}{dy}
#
# Of an addition both sides get the whole gradient. So :math:`dL/dy` arrives at :math:`x` **unchanged through the
# skip**. It arrives once more through the branch, multiplied by what the branch's layers do to it,
# :math:`(\partial F / \partial x)^\top`. The two are added: chapter 3's diamond.
#
# By hand, with two linear layers in the branch, and a ReLU after the addition, as in the original article:

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, nn, ops, optim
from minires.data import load_digits
from minires.learn import quick
from minires.plots import COLOURS


def block(x, w1, w2):
    a = np.maximum(x @ w1, 0)
    return np.maximum(x + a @ w2, 0)


def block_backward(grad_y, x, w1, w2):
    a = np.maximum(x @ w1, 0)
    grad_sum = through_skip = grad_y * (x + a @ w2 > 0)  # the ReLU after the addition
    grad_z = (grad_sum @ w2.T) * (a > 0)
    return through_skip, grad_z @ w1.T, x.T @ grad_z, a.T @ grad_sum  # the second: dL/dx through the branch


# %%
# The engine agrees
# -----------------
# :func:`minires.ops.residual_add` is that addition. Unlike ``+`` it broadcasts nothing: in a skip connection, a channel
# that is quietly added to all others is always a mistake.

rng = np.random.default_rng(0)
x, w1, w2 = rng.standard_normal((7, 5)), rng.standard_normal((5, 4)), rng.standard_normal((4, 5))


def block_in_engine(x, w1, w2):
    branch = ops.relu(x @ w1) @ w2
    return ops.relu(ops.residual_add(x, branch))


leaves = [Tensor(array, requires_grad=True) for array in (x, w1, w2)]
y = block_in_engine(*leaves)
np.testing.assert_allclose(y.data, block(x, w1, w2))
grad_y = rng.standard_normal(y.shape)
y.backward(grad_y)
through_skip, through_branch, *grad_weights = block_backward(grad_y, x, w1, w2)
for leaf, by_hand in zip(leaves, [through_skip + through_branch, *grad_weights], strict=True):
    np.testing.assert_allclose(leaf.grad, by_hand)

# %%
# Backward, the addition hands **the very same array** to both sides. So nobody may write into a gradient that he was
# handed: one ``grad *= 0.5`` somewhere in the branch, and the skip's is halved too.
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/11_residual_add.py
#    (Pdb) import minires.ops.shortcut
#    (Pdb) b minires.ops.shortcut.ResidualAdd.backward
#    (Pdb) c
#    > shortcut.py backward()
#    (Pdb) p grad_y.shape, self.needs_grad
#    ((7, 5), (True, True))
#    (Pdb) p [tensor.op is None for tensor in self.inputs]
#    [True, False]
#    (Pdb) import minires.engine
#    (Pdb) b minires.engine.accumulate
#    (Pdb) c
#    > engine.py accumulate()
#    (Pdb) u
#    > engine.py deliver()
#    (Pdb) p grads[0] is grad_y, grads[1] is grad_y
#    (True, True)
#
# One input is a leaf, :math:`x` itself; the other was made by an op, the branch's product. Both get the same array.
#
# Many blocks
# -----------
# Without the ReLU after the addition, block after block is :math:`x_{l+1} = x_l + F_l(x_l)`, so that
# :math:`x_L = x_l + \sum_k F_k(x_k)`, and
#
# .. math::
#
#    \frac{dL}{dx_l} = \Big(1 + \frac{\partial}{\partial x_l} \sum_{k=l}^{L-1} F_k(x_k)\Big)^\top \frac{dL}{dx_L}
#
# The 1 stands there whatever the depth: the last layer's gradient itself reaches *every* layer. This holds exactly
# with an identity on the skip and nothing after the addition. But nothing says that the sum stays *small*. The
# branches below are as loud as their input: what they add has its variance. In a second network a batch norm at the
# end of each branch makes that variance 1.
#
# .. admonition:: Predict first
#
#    The input has variance 1, and there are 30 blocks. What is the variance at the end, in the one network and in the
#    other? (Variances of independent things add up.)

for norm in (False, True):
    h = rng.standard_normal((128, 128))
    for _ in range(30):
        w1, w2 = rng.standard_normal((2, 128, 128)) / np.sqrt(128)
        branch = np.sqrt(2) * np.maximum(h @ w1, 0) @ w2
        h = h + ((branch - branch.mean(axis=0)) / branch.std(axis=0) if norm else branch)
    print(f"30 blocks {'with' if norm else 'without'} batch norm: the variance becomes {h.var():.3g}")
    assert 25 < h.var() < 40 if norm else 2**28 < h.var() < 2**32

# %%
# Without a norm the variance doubles in each block. So skips alone are not enough; something has to keep the branches
# quiet. Batch norm does: it adds 1, block after block, to what has become more and more. Each block changes a smaller
# share of its input than the one before.
#
# When the shapes differ
# ----------------------
# The first block of a stage halves the image and doubles the channels, so :math:`x` cannot be added as it is. The
# article has three options for the shortcut:
#
# - **A**: every second pixel of :math:`x`, and zeros in the new channels. No parameters.
# - **B**: a 1×1 convolution with stride 2 where shapes change (and a batch norm); the identity everywhere else.
# - **C**: such a convolution in *every* block. No identity is left.
#
# Option A by hand, half of the zeros in front of the channels and half behind. Backward is again the transpose of
# copying: what was copied gets its gradient back, what was left out gets 0.


def option_a(x, out_channels, stride):
    N, C, H, W = x.shape
    front = (out_channels - C) // 2
    y = np.zeros((N, out_channels, -(-H // stride), -(-W // stride)), x.dtype)
    y[:, front : front + C] = x[:, :, ::stride, ::stride]
    return y


def option_a_backward(grad_y, x_shape, stride):
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, front : front + C]
    return grad_x


leaf = Tensor(rng.standard_normal((2, 4, 5, 6)), requires_grad=True)
y = ops.option_a(leaf, out_channels=8, stride=2)
np.testing.assert_array_equal(y.data, option_a(leaf.data, 8, 2))
grad_y = rng.standard_normal(y.shape)
y.backward(grad_y)
np.testing.assert_array_equal(leaf.grad, option_a_backward(grad_y, leaf.shape, 2))

# %%
# 56 layers, with and without
# ---------------------------
# Chapter 10's network once more, as 27 blocks of two convolutions. The twins start with the very same weights.
#
# .. admonition:: Predict first
#
#    Before training, does more arrive at a block's :math:`x` through its skip or through its branch? In the plain
#    network the gradient grew thousands of times towards the input; how much does it grow here? And where are the two
#    losses after 100 steps?


class Block(nn.Module):
    def __init__(self, C, F, stride, skip):
        conv1, conv2 = nn.Conv2d(C, F, 3, stride, padding=1, bias=False), nn.Conv2d(F, F, 3, padding=1, bias=False)
        self.layers = nn.Sequential(conv1, nn.BatchNorm2d(F), nn.ReLU(), conv2, nn.BatchNorm2d(F))
        self.stride, self.skip = stride, skip

    def forward(self, x):
        y = self.layers(x)
        if self.skip:
            shortcut = ops.option_a(x, y.shape[1], self.stride) if self.stride > 1 else x
            y = ops.residual_add(shortcut, y)
        self.x, self.sum = x, y  # to look at afterwards
        return ops.relu(y)


def build(skip, width=8):
    channels = [width] * 10 + [2 * width] * 9 + [4 * width] * 9
    blocks = [Block(C, F, F // C, skip) for C, F in zip(channels, channels[1:], strict=False)]
    stem = [nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    network = nn.Sequential(*stem, *blocks, nn.GlobalAvgPool2d(), nn.Linear(4 * width, 10))
    nn.initialize(network, "he", seed=0)
    return network


images, labels, _, _ = load_digits()
networks = {"plain": build(skip=False), "residual": build(skip=True)}
for one, other in zip(*[network.parameters() for network in networks.values()], strict=True):
    np.testing.assert_array_equal(one.data, other.data)

ops.cross_entropy(networks["residual"](Tensor(images[:64])), labels[:64]).backward(keep_grads=True)
shares = []
for b in networks["residual"].layers[3:30]:
    through_skip = option_a_backward(b.sum.grad, b.x.shape, b.stride)  # with stride 1: b.sum.grad itself
    shares.append([np.linalg.norm(through_skip), np.linalg.norm(b.x.grad - through_skip)])
skip, branch = np.transpose(shares)

steps = 100 if not quick() else 3
losses = {}
for name, network in networks.items():
    optimizer = optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    batches = np.random.default_rng(1)
    losses[name] = []
    for _ in range(steps):
        chosen = batches.integers(0, len(images), 64)
        loss = ops.cross_entropy(network(Tensor(images[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[name].append(loss.item())

figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
panels[0].semilogy(skip, "o-", color=COLOURS["residual"], markersize=4, label="through the skip")
panels[0].semilogy(branch, "x--", color="0.4", markersize=4, label="through the branch")
panels[0].set(title="residual-56, before training", xlabel="block", ylabel="norm of what arrives at x")
for name, values in losses.items():
    panels[1].plot(values, color=COLOURS[name], label=f"{name}-56")
panels[1].set(title="56 layers on the digits", xlabel="step", ylabel="training loss")
for panel in panels:
    panel.legend(fontsize=8)
plt.show()
last = {name: np.mean(values[-20:]) for name, values in losses.items()}
print(f"loss over the last 20 steps: plain {last['plain']:.2f}, residual {last['residual']:.2f}")
print(f"in {np.sum(skip > branch)} of 27 blocks more arrives through the skip than through the branch")
assert quick() or last["residual"] < last["plain"] / 3
assert np.sum(skip > branch) > 20 and 5 < skip[0] / skip[-1] < 30

# %%
# More arrives through the skip. Towards the input the gradient grows here too, but some ten times, where plain-56's
# grew thousands of times.
#
# In five lines
# -------------
# - A residual block learns what it changes, and the skip adds its input again.
# - Backward, what arrives goes through the skip unchanged, and once more through the branch.
# - Where shapes differ, option A copies every second pixel and pads channels with zeros; option B projects.
# - The addition hands one array to both sides, so nobody may write into it.
# - With the same weights at the start, the residual network of 56 layers learns where the plain one does not.
#
# Exercises
# ---------
# 1. On paper: multiply out the gradient of two blocks :math:`x + F(x)`. How many ways lead from the loss to :math:`x`
#    through :math:`L` blocks, and how many of them take no branch at all?
# 2. Replace ``ops.residual_add(shortcut, y)`` by ``ops.residual_add(shortcut, 0.1 * y)``. Which of the left panel's
#    curves falls? Does the network still learn?
# 3. **In code**, with an examiner: ``minires learn 11``. Your own engine gets ``residual.py``, the addition and option
#    A. The exercise asks for the backward passes of two other skips: one with a gate, which decides how much of
#    :math:`x` goes through, and one that halves an image by taking means. ``minires check 11`` says which way back is
#    missing.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* :math:`(1 + a)(1 + b) = 1 + a + b + ab`. There are :math:`2^L` ways, and one of them takes no branch at all.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Deep residual learning for image recognition*, arXiv 1512.03385: section 3.
# - He, Zhang, Ren, Sun, *Identity mappings in deep residual networks*, arXiv 1603.05027: the formula with the 1, and
#   what becomes of it when the skip is no identity.
# - De, Smith, *Batch normalization biases residual blocks towards the identity function in deep networks*, arXiv
#   2002.10444: quiet branches.
# - ``minires/ops/shortcut.py``: the addition and option A.
