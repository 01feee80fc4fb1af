r"""
10. Going deeper: the degradation problem
=========================================

A network of 20 layers learns the digits. A network of 56 layers can do all that the one with 20 can, and more. So is it
better? If it is not, is that overfitting? Is it the gradient, vanishing on its long way back?

:Time: 20 minutes to read, 10 seconds to run
:Before it: chapters 7 to 9
:Afterwards: you know what degradation is, and two explanations that it is not
"""

# %%
# Deeper cannot be worse, on paper
# --------------------------------
# Take a trained network and insert a layer that changes nothing. The new network is deeper, and its loss is the same.
# So the *best* network of the larger depth is at least as good. A unit of convolution, batch norm and ReLU can change
# nothing:
#
# - the convolution copies, if filter :math:`f` is 1 at its middle for channel :math:`f`, and 0 elsewhere;
# - the batch norm (in evaluation) gives back its input, if its weight is :math:`\sqrt{\sigma^2 + \varepsilon}` and its
#   bias :math:`\mu`;
# - the ReLU lets through what is not negative, and what comes out of a ReLU is not.

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, nn, ops, optim
from minires.data import load_digits
from minires.learn import quick
from minires.plots import COLOURS


def unit(in_channels, out_channels, stride=1):
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


def identity_unit(channels):
    convolution, norm, relu = unit(channels, channels)
    convolution.weight.data[:] = 0
    convolution.weight.data[range(channels), range(channels), 1, 1] = 1
    norm.weight.data[:] = np.sqrt(norm.running_var + norm.eps)  # 1 and a bit: a new layer's statistics are 0 and 1
    return [convolution, norm, relu]


rng = np.random.default_rng(0)
h = np.maximum(rng.standard_normal((4, 8, 5, 6)), 0).astype(np.float32)
copied = nn.Sequential(*identity_unit(8)).eval()(Tensor(h))
np.testing.assert_allclose(copied.data, h, atol=1e-5)

# %%
# Plain networks of 6n + 2 layers
# -------------------------------
# A first convolution, three stages of :math:`2n` convolutions, and a linear layer. Each stage but the first halves the
# image and doubles the channels. The mean of each channel (*global average pooling*) goes into the linear layer.


def plain(depth, width=8):
    layers, channels = unit(1, width), width
    for stage in range(3):
        for i in range((depth - 2) // 3):
            out_channels = width * 2**stage
            layers += unit(channels, out_channels, stride=2 if stage > 0 and i == 0 else 1)
            channels = out_channels
    return [*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, 10)]


def build(depth):
    network = nn.Sequential(*plain(depth))
    nn.initialize(network, "he", seed=0)
    return network


# %%
# Trained side by side
# --------------------
# Same data, same batches, same optimizer. The curves are the loss on the **training** batches.
#
# .. admonition:: Predict first
#
#    Guessing gives :math:`\ln 10 \approx 2.3`. Where are the plain networks of 20 and of 56 layers after 120 steps? If
#    the deeper one is behind, will a smaller learning rate bring it forward?

images, labels, _, _ = load_digits()
steps = 120 if not quick() else 3


def train(network, lr):
    optimizer = optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    batches = np.random.default_rng(1)
    losses = []
    for _ in range(steps):
        chosen = batches.integers(0, len(images), 64)
        loss = ops.cross_entropy(network(Tensor(images[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


plain20 = build(20)
runs = {"plain-20, lr 0.05": train(plain20, 0.05)}
for lr in (0.05, 0.01):
    runs[f"plain-56, lr {lr}"] = train(build(56), lr)

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
window = np.ones(min(10, steps)) / min(10, steps)
for (name, losses), style in zip(runs.items(), ("--", "-", "-."), strict=True):
    axes.plot(np.convolve(losses, window, "valid"), style, color=COLOURS["plain"], label=name)
axes.axhline(np.log(10), color="0.6", linestyle=":", label="guessing, ln 10")
axes.set(xlabel="step", ylabel="training loss, mean of 10 steps", title="the deeper network fits its data worse")
axes.set_ylim(bottom=0)
axes.legend(fontsize=8)
plt.show()

last = {name: np.mean(losses[-20:]) for name, losses in runs.items()}
print("\n".join(f"{name}: {loss:.2f} over the last 20 steps" for name, loss in last.items()))
assert quick() or min(last["plain-56, lr 0.05"], last["plain-56, lr 0.01"]) > 3 * last["plain-20, lr 0.05"]

# %%
# The deeper network fits its data **worse**. It is **not overfitting**: that would be a low loss in training, and a
# high one on new digits. A smaller learning rate does not mend it. And yet the better network of 56 layers exists.
# Here it is, built from the trained one of 20: its units, and twelve identities more in every stage.

deeper = []
for i, layer in enumerate(plain20):
    deeper.append(layer)
    if i in (20, 38, 56):  # the ReLU at the end of a stage
        for _ in range(12):
            deeper += identity_unit(channels=deeper[-2].weight.size)
plain56 = nn.Sequential(*deeper)
assert [sum(hasattr(layer, "stride") for layer in network) + 1 for network in (plain20, plain56)] == [20, 56]
shallow, deep = plain20.eval()(Tensor(images)), plain56.eval()(Tensor(images))
np.testing.assert_allclose(deep.data, shallow.data, rtol=1e-3, atol=1e-3)
losses = [ops.cross_entropy(logits, labels).item() for logits in (shallow, deep)]
print("loss on all training digits: 20 layers {:.4f}, built of 56 layers {:.4f}".format(*losses))

# %%
# So the problem is not what a deep network can be. It is what training finds: 36 layers that ought to do nothing have
# to *learn* that. K. He and others called this **degradation**, and measured it on CIFAR-10 with these depths.
#
# Does the gradient vanish?
# -------------------------
# So it is often said. A network of linear layer, batch norm and ReLU is enough to see how a gradient changes on its
# way. (Two short words are close here. A batch *norm* is a layer; the *norm* of an array, :math:`\lVert dL/dh
# \rVert`, is the root of the sum of its squares, and says how large it is.)
#
# .. admonition:: Predict first
#
#    A gradient is handed to the last of 54 layers, with weights of He's variance. At the first, is it smaller, as
#    large, or larger, and about how many times? Without batch norm, and with it? (Chapter 9 has all that this needs.)
#
# By hand, with chapter 8's formula, the norms of dL/dh of each layer from the input on, and dL/dx:


def batch_norm(x):
    inv_std = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    return (x - x.mean(axis=0)) * inv_std, inv_std


def backward_by_hand(x, weights, grad_h, norm):
    saved, h = [], x
    for weight in weights:
        x_hat, inv_std = batch_norm(h @ weight) if norm else (h @ weight, 1)
        h = np.maximum(x_hat, 0)
        saved.append((x_hat, inv_std))
    norms = [np.linalg.norm(grad_h)]
    for weight, (x_hat, inv_std) in zip(weights[::-1], saved[::-1], strict=True):
        grad_h = grad_h * (x_hat > 0)
        if norm:
            grad_h = inv_std * (grad_h - grad_h.mean(axis=0) - x_hat * (grad_h * x_hat).mean(axis=0))
        grad_h = grad_h @ weight.T
        norms.append(np.linalg.norm(grad_h))
    return np.array(norms[::-1]), grad_h


x, grad_h = rng.standard_normal((2, 128, 128))
weights = rng.standard_normal((54, 128, 128)) * np.sqrt(2 / 128)
ones, zeros = Tensor(np.ones(128)), Tensor(np.zeros(128))
by_hand = {}
for norm in (False, True):
    by_hand[norm], grad_x = backward_by_hand(x, weights, grad_h, norm)
    h = leaf = Tensor(x, requires_grad=True)
    for weight in weights:
        y = h @ Tensor(weight)
        h = ops.relu(ops.batch_norm(y, ones, zeros)[0] if norm else y)
    h.backward(grad_h)
    np.testing.assert_allclose(leaf.grad, grad_x, rtol=1e-6, atol=1e-9 * np.abs(grad_x).max())  # the engine agrees

growth = (by_hand[True][0] / by_hand[True][-1]) ** (1 / 54)
flat = by_hand[False][0] / by_hand[False][-1]
print(f"first over last: without norm {flat:.2g}; with batch norm a factor {growth:.3f} in each of 54 layers")
assert 0.1 < flat < 10 and 1.15 < growth < 1.25

# %%
# With the right initialization the gradient of 54 layers neither grows nor shrinks (chapter 9). With batch norm it
# **explodes**, towards the input, by a constant factor per layer: for wide layers the theory has
# :math:`\sqrt{\pi / (\pi - 1)} \approx 1.21`. Batch norm keeps the forward pass in bounds. That is paid for on the way
# back: each batch norm divides by a standard deviation, after a ReLU has thrown part of the variance away.
#
# And in the networks above? One batch, before training, and the gradient behind every ReLU:


def profile(network):
    h, outputs = Tensor(images[:64]), []
    for layer in network:
        h = layer(h)
        if isinstance(layer, nn.ReLU):
            outputs.append(h)
    ops.cross_entropy(h, labels[:64]).backward(keep_grads=True)
    return np.array([np.linalg.norm(output.grad) for output in outputs])


profiles = {depth: profile(build(depth)) for depth in (20, 56)}
figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
panels[0].semilogy(by_hand[False] / by_hand[False][-1], color="0.5", label="He initialization")
panels[0].semilogy(by_hand[True] / by_hand[True][-1], color=COLOURS["plain"], label="the same with batch norm")
panels[0].set(title="54 linear layers", xlabel="layer", ylabel="‖dL/dh‖, the last layer's is 1")
panels[1].semilogy(profiles[20], "--", color=COLOURS["plain"], label="plain-20")
panels[1].semilogy(profiles[56], color=COLOURS["plain"], label="plain-56")
panels[1].set(title="the convolutional networks, before training", xlabel="layer", ylabel="‖dL/dh‖")
for panel in panels:
    panel.legend(fontsize=8)
plt.show()
ratios = {depth: norms[0] / norms[-1] for depth, norms in profiles.items()}
print(f"first over last: plain-20 {ratios[20]:.3g}, plain-56 {ratios[56]:.3g}")
assert ratios[56] > 100 > ratios[20] > 1

# %%
# So in the network that will not learn, no gradient vanishes before training. The first layers' is the *largest*. What
# becomes of it in the first steps is another question, and chapter 14 follows it.
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/10_going_deeper.py
#    (Pdb) import minires.ops.normalization
#    (Pdb) b minires.ops.normalization.BatchNorm.backward
#    (Pdb) c
#    > normalization.py backward()
#    (Pdb) p self.module_path, grad_y.shape
#    ('55', (64, 32, 2, 2))
#    (Pdb) p f"{(grad_y**2).sum() ** 0.5:.1g}"
#    '0.06'
#    (Pdb) condition 1 self.module_path == "1"
#    New condition set for breakpoint 1.
#    (Pdb) c
#    > normalization.py backward()
#    (Pdb) p grad_y.shape
#    (64, 8, 8, 8)
#    (Pdb) p f"{(grad_y**2).sum() ** 0.5:.1g}"
#    '1'
#
# The last batch norm of plain-20 comes first. At the first one, the norm of what arrives has grown.
#
# In five lines
# -------------
# - A deeper network can do all that a shallower one can: a layer can be the identity.
# - Trained, the plain network of 56 layers fits its *training* data worse than that of 20.
# - So it is not overfitting. It is what training finds, and not what there is to be found.
# - Before training the gradient of the first layers is the largest: with batch norm it explodes.
# - What happens in the first steps is measured by ``minires lab gradient-flow`` and ``aftermath``.
#
# Exercises
# ---------
# 1. Leave the batch norms out of ``unit``. What does the right panel of the last figure become? Which depths train now?
# 2. On paper: what does ``identity_unit`` do to negative inputs? What would it do with tanh in place of the ReLU?
# 3. **In code**, with an examiner: ``minires learn 10``. This chapter made a network deeper without changing what it
#    computes. Make one *wider*, and take the batch norms out of another; ``minires check 10`` looks for a number that
#    differs. Your own engine gets nothing new: it has all that a plain network is made of.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *2.* It cuts them to 0, as a ReLU does; behind a ReLU there are none. With tanh no unit is an identity:
#      :math:`\tanh h < h` for every :math:`h > 0`.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Deep residual learning for image recognition*, arXiv 1512.03385: section 1 and figure 1 are
#   this chapter; section 4.1 says why its authors do not believe that gradients vanish here.
# - Yang and others, *A mean field theory of batch normalization*, arXiv 1902.08129: the factor 1.21.
