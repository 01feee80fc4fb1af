r"""
5. A first network on the digits
================================

Sixty-four pixels in, one digit out. What is the smallest program that *learns* to read handwritten digits, with every
gradient written down by hand? And once it works: which lines of it does the engine take over, and does it get the same
numbers, step for step?

:Time: 20 minutes to read, a second or two to run
:Before it: chapters 1 to 4
:Afterwards: you can write a network that reads digits, with every gradient by hand, and train it
"""

# %%
# The digits
# ----------
# MiniRes comes with 1797 real handwritten digits of 8×8 pixels: four fifths to learn from, one fifth to be tested with,
# which training never sees. Images are arrays (N, 1, 8, 8): N images of one channel.

import math

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, nn, no_grad, ops, optim
from minires.data import load_digits
from minires.learn import quick

train_images, train_labels, test_images, test_labels = load_digits()
print(train_images.shape, train_images.dtype, test_images.shape)
assert len(train_images) + len(test_images) == 1797

figure, panels = plt.subplots(2, 8, figsize=(8, 2.3), layout="constrained")
for panel, image, label in zip(panels.flat, train_images, train_labels, strict=False):
    panel.imshow(image[0], cmap="gray_r")
    panel.set_title(label, fontsize=9)
    panel.axis("off")
plt.show()

# %%
# Two layers
# ----------
# A *linear layer* gives each of its :math:`F` outputs a weighted sum of all :math:`C` inputs, with a bias. For a batch,
# :math:`x` of shape :math:`(N, C)` and weights :math:`w` of shape :math:`(F, C)`, chapter 3's rule for products gives
# the gradients:
#
# .. math::
#
#    y = x\, w^\top + b \qquad
#    \frac{dL}{dx} = \frac{dL}{dy}\, w \qquad
#    \frac{dL}{dw} = \frac{dL}{dy}^\top x \qquad
#    \frac{dL}{db} = \sum_n \frac{dL}{dy_n}
#
# (In chapter 3 the weights stood on the right as they are. Here they are transposed, and so are the results.) The bias
# is added to every image's row: one value used :math:`N` times, and so its gradients are added up. Two linear layers in
# a row would be one again, with the weights :math:`w_2 w_1`. A relu in between makes more of them.
#
# How wrong?
# ----------
# The last layer has ten outputs, the *logits* :math:`z`, and softmax makes probabilities :math:`p` of them. The loss of
# an image with label :math:`t` is :math:`-\log p_t`: nothing when the network is certain and right, a lot when it is
# certain and wrong, and :math:`\log 10` for somebody who gives all ten digits the same chance. This is *cross-entropy*.
#
# Its gradient takes two steps of the chain rule. First the logarithm: only :math:`p_t` counts, and
# :math:`dL / dp_t = -1 / p_t`. Then softmax, whose table of slopes (the Jacobian of chapter 3) follows from
# :math:`p_t = e^{z_t} / \sum_j e^{z_j}`. Moving :math:`z_k` moves the sum below the line, and for :math:`k = t` also
# what stands above it:
#
# .. math::
#
#    \frac{\partial p_t}{\partial z_k} = p_t\, [k = t] - p_t\, p_k
#
# Here :math:`[k = t]` is 1 for the label and 0 for the other digits. Multiply, and :math:`p_t` cancels:
#
# .. math::
#
#    \frac{dL}{dz_k} = -\frac{1}{p_t} \big( p_t\, [k = t] - p_t\, p_k \big) = p_k - [k = t]
#
# It is the simplest gradient of all: what the network said minus what it should have said. For the mean over a batch it
# is divided by :math:`N`. All together, and backward line by line:


def softmax(z):
    exp = np.exp(z - z.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def forward(x, labels, w1, b1, w2, b2):
    h = x @ w1.T + b1
    r = np.maximum(h, 0)
    p = softmax(r @ w2.T + b2)
    loss = -np.log(p[np.arange(len(x)), labels]).mean()
    return loss, (x, r, p)


def backward(labels, x, r, p, w2):
    one_hot = np.zeros_like(p)
    one_hot[np.arange(len(x)), labels] = 1
    grad_logits = (p - one_hot) / len(x)
    grad_w2, grad_b2 = grad_logits.T @ r, grad_logits.sum(axis=0)
    grad_r = grad_logits @ w2
    grad_h = grad_r * (r > 0)
    grad_w1, grad_b1 = grad_h.T @ x, grad_h.sum(axis=0)
    return grad_w1, grad_b1, grad_w2, grad_b2


# %%
# The engine agrees
# -----------------
# The engine has the same as ops. For a person it is shorter still with *modules*, which hold their weights and call the
# ops; :class:`minires.nn.Sequential` runs one after another. This one starts with random weights, drawn with
# ``seed=0``, and we take copies of them for the network by hand.
#
# .. admonition:: Predict first
#
#    Such a network knows nothing. What will its loss be, about?

hidden = 32
model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10), seed=0)
weights = [parameter.data.copy() for parameter in model.parameters()]
print([weight.shape for weight in weights])
assert sum(weight.size for weight in weights) == (64 + 1) * hidden + (hidden + 1) * 10

x, labels = train_images[:50], train_labels[:50]
loss, kept = forward(x.reshape(50, 64), labels, *weights)
grads = backward(labels, *kept, weights[2])

w1, b1, w2, b2 = model.parameters()
as_ops = ops.linear(ops.relu(ops.linear(ops.flatten(Tensor(x)), w1, b1)), w2, b2)
logits = model(Tensor(x))
np.testing.assert_array_equal(logits.data, as_ops.data)
engine_loss = ops.cross_entropy(logits, labels)
np.testing.assert_allclose(engine_loss.item(), loss, rtol=1e-5)
print(f"loss before training {loss:.3f}; log 10 is {math.log(10):.3f}")
assert abs(loss - math.log(10)) < 0.3

engine_loss.backward()
for parameter, grad in zip(model.parameters(), grads, strict=True):
    np.testing.assert_allclose(parameter.grad, grad, atol=1e-6)

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/05_first_network.py
#    (Pdb) import minires
#    (Pdb) b minires.ops.loss.CrossEntropy.backward
#    (Pdb) b minires.ops.affine.Linear.backward
#    (Pdb) c
#    > loss.py backward()
#    (Pdb) p float(grad_loss), self.probabilities.shape, self.labels[:5].tolist()
#    (1.0, (50, 10), [0, 1, 2, 3, 4])
#    (Pdb) c
#    > affine.py backward()
#    (Pdb) p grad_y.shape, self.x.shape, self.weight.shape
#    ((50, 10), (50, 32), (10, 32))
#    (Pdb) p self.needs_grad
#    (True, True, True)
#    (Pdb) c
#    > affine.py backward()
#    (Pdb) p self.needs_grad
#    (False, True, True)
#
# In the first layer, which backward reaches last, nobody needs :math:`dL/dx`, since the images are not trained.
#
# Training
# --------
# Take a few images at random, a *batch*; go forward and backward; move every weight against its gradient, by a small
# step *lr*, the learning rate; again. This is stochastic gradient descent. By hand it is the last line of the first
# loop, in the engine it is an *optimizer*, :class:`minires.optim.SGD`. (``zero_grad`` forgets the last step's
# gradients, since ``backward`` adds.) The same batches and the same start: are these the same networks all the way?

steps, lr = 600 if not quick() else 5, 0.2
rng = np.random.default_rng(0)
batches = [rng.integers(0, len(train_images), 32) for _ in range(steps)]

losses_by_hand = []
for batch in batches:
    loss, kept = forward(train_images[batch].reshape(-1, 64), train_labels[batch], *weights)
    losses_by_hand.append(float(loss))
    grads = backward(train_labels[batch], *kept, weights[2])
    weights = [weight - lr * grad for weight, grad in zip(weights, grads, strict=True)]

losses = []
optimizer = optim.SGD(model.parameters(), lr=lr)
for batch in batches:
    loss = ops.cross_entropy(model(Tensor(train_images[batch])), train_labels[batch])
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

difference = np.abs(np.subtract(losses, losses_by_hand)).max()
print(f"loss {losses[0]:.3f} → {np.mean(losses[-20:]):.3f}; largest difference to the network by hand {difference:.0e}")
np.testing.assert_allclose(losses, losses_by_hand, rtol=1e-3, atol=1e-4)

# %%
# They are, to float32's rounding.
#
# Momentum
# --------
# A step against the gradient of 32 images is a step against a noisy arrow. The next batch has another one. What they
# agree in is worth keeping, and what they differ in should average out. So keep a running sum :math:`v` of the
# gradients, in which old ones fade by a factor :math:`\mu`, the *momentum*, and step against that:
#
# .. math::
#
#    v \leftarrow \mu\, v + \frac{dL}{dw} \qquad w \leftarrow w - \text{lr} \cdot v
#
# .. admonition:: Predict first
#
#    If the gradient is the same in every step, how large does :math:`v` become?
#
# The sum :math:`1 + \mu + \mu^2 + \dots` is :math:`1 / (1 - \mu)`. With :math:`\mu = 0.9` the steps become ten times as
# long, so ``lr`` is taken ten times smaller. Two lines by hand, one option of the optimizer:

toy = Tensor(np.array([5.0, 5.0]), requires_grad=True)
by_hand, v = toy.data.copy(), np.zeros(2)
slopes = np.array([1.0, 0.05])  # a long valley: steep across, nearly level along
sgd = optim.SGD([toy], lr=0.1, momentum=0.9)
ways = [by_hand]
for _ in range(60):
    loss = (toy * toy * slopes).sum() * 0.5
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    v = 0.9 * v + slopes * by_hand
    by_hand = by_hand - 0.1 * v
    ways.append(by_hand)
np.testing.assert_allclose(toy.data, by_hand)

plain_way = [np.array([5.0, 5.0])]
for _ in range(60):
    plain_way.append(plain_way[-1] - 0.1 * slopes * plain_way[-1])
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.plot(*np.array(plain_way).T, ".-", color="0.6", label="without momentum")
axes.plot(*np.array(ways).T, ".-", color="#009E73", label="with momentum 0.9")
axes.plot(0, 0, "x", color="black", markersize=9, label="the lowest point")
axes.set(xlabel="the steep direction", ylabel="the level direction", title="sixty steps in a long valley")
axes.legend(fontsize=8)
plt.show()
assert np.linalg.norm(ways[-1]) < np.linalg.norm(plain_way[-1])

# %%
# With momentum it swings across the valley, and gets along it.
#
# How well does the network read? Here nothing needs to be remembered, so ``no_grad``.
#
# .. admonition:: Predict first
#
#    A guess is right one time in ten. How often is this network, after 600 batches of 32, on digits that it has
#    never seen? And which digits will it take for each other?

with no_grad():
    test_logits = model(Tensor(test_images)).data
guesses = test_logits.argmax(axis=1)
accuracy = np.mean(guesses == test_labels)
print(f"{accuracy:.1%} of {len(test_labels)} digits that it has never seen")
assert quick() or accuracy > 0.94

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(losses_by_hand, color="0.7", linewidth=3, label="by hand")
left.plot(losses, color="#009E73", linewidth=0.8, label="engine")
left.axhline(math.log(10), color="black", linestyle=":", label="log 10, a pure guess")
left.set(xlabel="step", ylabel="loss of the batch", title="training")
left.legend()
counts = np.zeros((10, 10), int)
np.add.at(counts, (test_labels, guesses), 1)
right.imshow(np.sqrt(counts), cmap="Greens")
for (label, guess), count in np.ndenumerate(counts):
    if count:
        right.text(guess, label, count, ha="center", va="center", color="white" if label == guess else "black")
right.set(xlabel="read as", ylabel="digit", title="test digits", xticks=range(10), yticks=range(10))
plt.show()

# %%
# What does a hidden unit look for? Its 64 weights are a picture: red where it wants ink, blue where it wants none.

figure, panels = plt.subplots(2, 8, figsize=(9, 2.9), layout="constrained")
largest = np.abs(weights[0][:16]).max()
for panel, weight in zip(panels.flat, weights[0], strict=False):
    shown = panel.imshow(weight.reshape(8, 8), cmap="RdBu_r", vmin=-largest, vmax=largest)
    panel.axis("off")
figure.colorbar(shown, ax=panels, label="weight")
figure.suptitle("what sixteen hidden units look for")
plt.show()

# %%
# In five lines
# -------------
# - A linear layer's three gradients are two matrix products and a sum over the images.
# - Cross-entropy after softmax has the simplest gradient: what was said minus what should have been said.
# - A step moves every weight against its gradient, by the learning rate.
# - Momentum keeps a fading sum of the gradients: noise averages out, what batches agree in adds up.
# - The engine does the same as the lines by hand, to the last digits of float32.
#
# Exercises
# ---------
# 1. On paper: the rows of :math:`p - [k = t]` sum to 0. Which term of softmax's gradient (chapter 4) sees to that?
# 2. Leave the relu out, by hand and in the model. How many test digits are lost? Then let all weights and biases start
#    at 0: which one of the four arrays moves at all, and why only that one?
# 3. Give the network's ``optim.SGD`` the option ``momentum=0.9``. What must ``lr`` be for steps of the same length?
#    Write the two lines of momentum into the loop by hand, and let the chapter compare the losses again.
# 4. **In code**, with an examiner: ``minires learn 5`` writes a file with two gaps. One is for cross-entropy's gradient
#    where the label is not the whole truth (label smoothing), and one for a momentum that looks a step ahead
#    (Nesterov's). ``minires check 5 --train`` trains a residual network with your gradient.
# 5. **Your own engine**: the same command adds ``layers.py``, ``optim.py`` and ``train.py`` to ``my_minires/``. You
#    write the linear layer, cross-entropy, a step with momentum, and the training loop. Then ``python -m
#    my_minires.train`` reads digits.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* The probabilities of a row sum to 1, and so does the one-hot row. It is the subtracted sum in softmax's
#      gradient that sees to it: adding a constant to all logits changes nothing.
#
# Read next
# ---------
# - Rumelhart, Hinton, Williams, *Learning representations by back-propagating errors*, Nature 323, 1986.
# - Szegedy and others, *Rethinking the Inception architecture for computer vision*, arXiv 1512.00567, section 7: label
#   smoothing.
# - Alpaydin, Kaynak, *Optical recognition of handwritten digits*, UCI Machine Learning Repository, 1998, doi
#   10.24432/C50P49: the digits.
# - ``minires/ops/affine.py`` and ``minires/ops/loss.py``, formulas at their heads.
