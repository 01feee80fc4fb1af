r"""
8. Batch norm, line by line
===========================

Batch norm gives every channel of a batch mean 0 and variance 1. The formula is one line. Its gradient is the one that
most people get wrong, because here **every number of the batch depends on every other**. What is it, where does it come
from, and what do *training* and *evaluation* do differently?

:Time: 20 minutes to read, a second or two to run
:Before it: chapter 5; chapter 7 for the pictures
:Afterwards: you can derive batch norm's gradient, and say what its two modes do
"""

# %%
# The formula
# -----------
# Each channel has its own mean and variance, over the :math:`M = N H W` numbers that it has in a batch, and two learned
# numbers, :math:`\gamma` (the layer's ``weight``) and :math:`\beta` (its ``bias``):
#
# .. math::
#
#    \mu = \frac{1}{M} \sum_m x_m \qquad \sigma^2 = \frac{1}{M} \sum_m (x_m - \mu)^2 \qquad
#    \hat x_m = \frac{x_m - \mu}{\sqrt{\sigma^2 + \varepsilon}} \qquad y_m = \gamma \hat x_m + \beta
#
# The small :math:`\varepsilon`, 0.00001, is there so that a channel of equal numbers is not divided by 0.
#
# One channel is enough to understand it, so ``x`` below is a plain list of :math:`M` numbers. Forward goes in small
# steps. Backward goes through the same steps in reverse: each line is the derivative of one line above it. Where a
# value is used twice, what comes back is added (chapter 7: copying forward is adding backward).

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, gradcheck, nn, ops
from minires.data import load_digits
from minires.learn import quick

EPS = 1e-5


def batch_norm(x, weight, bias):
    M = len(x)
    mean = x.sum() / M
    centred = x - mean
    square = centred * centred
    var = square.sum() / M
    inv_std = (var + EPS) ** -0.5
    x_hat = centred * inv_std
    y = weight * x_hat + bias

    def backward(grad_y):
        grad_bias = grad_y.sum()  # bias was copied to every y
        grad_weight = (grad_y * x_hat).sum()
        grad_x_hat = grad_y * weight
        grad_inv_std = (grad_x_hat * centred).sum()  # inv_std was copied to every x_hat
        grad_var = grad_inv_std * -0.5 * (var + EPS) ** -1.5
        grad_square = np.full(M, grad_var / M)  # a mean hands everyone the same share
        grad_centred = grad_x_hat * inv_std + grad_square * 2 * centred  # centred is used in two places
        grad_mean = -grad_centred.sum()
        grad_x = grad_centred + grad_mean / M  # x is used in centred and in mean
        return grad_x, grad_weight, grad_bias

    return y, backward


# %%
# Three ways lead from :math:`x` to :math:`y`: directly, through the variance, through the mean. Put the lines together,
# one at a time. Write :math:`s = (\sigma^2 + \varepsilon)^{-1/2}` for ``inv_std``, :math:`c_m = x_m - \mu` for
# ``centred``, so that :math:`\hat x_m = c_m s`, and :math:`dy_m` for what arrives.
#
# 1. *What reaches the variance.* ``grad_inv_std`` is :math:`\sum_k \gamma\, dy_k\, c_k`. Since :math:`ds / d\sigma^2 =
#    -\tfrac12 s^3`, ``grad_var`` is
#
#    .. math:: -\tfrac12 s^3 \gamma \sum_k dy_k\, c_k = -\tfrac12 s^2 \gamma \sum_k dy_k\, \hat x_k
#
# 2. *What reaches* ``centred``. Directly :math:`\gamma\, dy_m\, s`; and through its square a share :math:`1 / M` of
#    ``grad_var``, times :math:`2 c_m`. With :math:`c_m = \hat x_m / s` the two are
#
#    .. math::
#
#       \gamma s\, dy_m - \gamma s\, \hat x_m\, \frac1M \sum_k dy_k\, \hat x_k
#
#    The ½ and the 2 have cancelled, and so has one :math:`s`.
# 3. *What reaches the mean.* Minus the sum of line 2 over all :math:`m`. Its second part has the factor
#    :math:`\sum_m \hat x_m`, which is 0: the centred numbers sum to 0. So the way through the variance does not reach
#    the mean at all, and ``grad_mean`` is :math:`-\gamma s \sum_k dy_k`.
# 4. *What reaches* :math:`x_m`. Line 2, and a share :math:`1 / M` of line 3. Take :math:`\gamma s` out of all three:
#
# .. math::
#
#    \frac{dL}{dx_m} = \frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}} \Big( dy_m
#    - \frac{1}{M} \sum_k dy_k - \hat x_m \, \frac{1}{M} \sum_k dy_k\, \hat x_k \Big)
#
# The first term is the direct way, the second came through the mean, the third through the variance.
#
# .. admonition:: Predict first
#
#    The numbers drawn below have a mean of about 3 and a standard deviation of about 2. The weight is 1.5, the bias
#    0.5. What are the mean and the standard deviation of :math:`y`?


def batch_norm_grad_x(grad_y, x, weight):
    x_hat = (x - x.mean()) / np.sqrt(x.var() + EPS)
    return weight / np.sqrt(x.var() + EPS) * (grad_y - grad_y.mean() - x_hat * (grad_y * x_hat).mean())


rng = np.random.default_rng(0)
x = np.sort(rng.normal(3, 2, 60))
grad_y = 0.5 * x - 0.5 + rng.standard_normal(60)
y, backward = batch_norm(x, 1.5, 0.5)
grad_x, grad_weight, grad_bias = backward(grad_y)
np.testing.assert_allclose(batch_norm_grad_x(grad_y, x, 1.5), grad_x)
print(f"x: mean {x.mean():.2f}, std {x.std():.2f};  y: mean {y.mean():.2f}, std {y.std():.2f}")

# %%
# What the gradient means
# -----------------------
# Add 7 to every :math:`x`: :math:`y` stays what it was. Double all of them: it stays as well (exactly for
# :math:`\varepsilon = 0`, nearly otherwise). A gradient says in which direction the loss changes. Along "all up" and
# along "all further apart" it does not change, so the gradient can have no part along these two. The two subtractions
# take away just those. That is what fitting a straight line does, too: take away a height and a slope.
# **dL/dx is what a line through the points** :math:`(\hat x_m, dy_m)` **cannot explain**.

x_hat = (x - x.mean()) / np.sqrt(x.var() + EPS)
slope, height = np.polyfit(x_hat, grad_y, 1)
residual = grad_y - (slope * x_hat + height)
np.testing.assert_allclose(grad_x * np.sqrt(x.var() + EPS) / 1.5, residual, atol=1e-5)  # EPS is why not closer

figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
panels[0].plot(x_hat, grad_y, "o", color="#009E73")
panels[0].plot(x_hat, slope * x_hat + height, color="black", label=f"best line: {slope:.2f} x̂ + {height:.2f}")
panels[0].vlines(x_hat, slope * x_hat + height, grad_y, color="0.8", zorder=0)
panels[0].set(title="what arrives", xlabel="x̂", ylabel="gradient")
panels[1].plot(x_hat, residual, "o", color="#CC79A7")
panels[1].axhline(0, color="black", label="best line: 0")
panels[1].vlines(x_hat, 0, residual, color="0.8", zorder=0)
panels[1].set(title="what leaves, times √(var + ε) / γ", xlabel="x̂")
for panel in panels:
    panel.legend(loc="lower left", fontsize=8)
plt.show()
assert abs(grad_x.sum()) < 1e-12 and abs((grad_x * x_hat).sum()) < 1e-3

# %%
# This has two consequences.
#
# .. admonition:: Predict first
#
#    Let the loss be ``y.sum()``. Then every output has the same gradient, 1. What is the largest number in
#    :math:`dL/dx`? (Think of the figure: all the points on the left at one height.)

print("largest gradient of y.sum():", np.abs(backward(np.ones(60))[0]).max())
assert np.abs(backward(np.ones(60))[0]).max() < 1e-12

# %%
# First, nothing is left of equal gradients: that of ``y.sum()`` is zero but for rounding, whatever :math:`x`. So a
# check of batch norm with ones as output gradient passes anything (chapter 4).
#
# Second, the weight of a convolution before a batch norm may be ten times as large. The output is the same, and the
# gradient of that weight is a *tenth*. The larger a weight has grown, the smaller its steps. And a bias before a batch
# norm does nothing at all: its gradient is zero. That is why the convolutions of residual networks have none.

images, _, _, _ = load_digits()
pictures = Tensor(images[:32].astype(float))
filters, gamma, beta = rng.standard_normal((4, 1, 3, 3)), Tensor(np.ones(4)), Tensor(np.zeros(4))
output_grad = rng.standard_normal((32, 4, 6, 6))
results = []
for scale in (1, 10):
    weight, bias = Tensor(scale * filters, requires_grad=True), Tensor(np.ones(4), requires_grad=True)
    y, mean, var = ops.batch_norm(ops.conv2d(pictures, weight, bias), gamma, beta, eps=0.0)
    y.backward(output_grad)
    results.append((y.data, weight.grad))
    assert np.abs(bias.grad).max() < 1e-10
np.testing.assert_allclose(results[0][0], results[1][0])
np.testing.assert_allclose(results[0][1], 10 * results[1][1])

# %%
# The engine agrees
# -----------------
# :func:`minires.ops.batch_norm` does this for every channel of :math:`(N, C, H, W)`. It gives back the mean and the
# variance beside :math:`y`: it keeps no state, and the layer below needs them.

x4, weight, bias = rng.normal(1, 3, (4, 2, 3, 5)), rng.standard_normal(2), rng.standard_normal(2)
leaves = [Tensor(array, requires_grad=True) for array in (x4, weight, bias)]
y, mean, var = ops.batch_norm(*leaves)
grad_y = rng.standard_normal(y.shape)
y.backward(grad_y)
for c in range(2):
    y_c, backward = batch_norm(x4[:, c].ravel(), weight[c], bias[c])
    grad_x, grad_weight, grad_bias = backward(grad_y[:, c].ravel())
    np.testing.assert_allclose(y.data[:, c].ravel(), y_c)
    np.testing.assert_allclose(leaves[0].grad[:, c].ravel(), grad_x, atol=1e-12)
    np.testing.assert_allclose([leaves[1].grad[c], leaves[2].grad[c]], [grad_weight, grad_bias])
print(gradcheck(ops.batch_norm, x4, weight, bias, names=["x", "weight", "bias"]))

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/08_batch_norm.py
#    (Pdb) import minires.kernels.numpy_kernels
#    (Pdb) b minires.kernels.numpy_kernels.batch_norm_backward
#    (Pdb) c
#    > numpy_kernels.py batch_norm_backward()
#    (Pdb) p x.shape, grad_y.shape, eps
#    ((32, 4, 6, 6), (32, 4, 6, 6), 0.0)
#    (Pdb) r
#    (Pdb) p M
#    1152
#    (Pdb) p bool(abs(grad_x.sum(axis=axes)).max() < 1e-9)
#    True
#
# The first stop is the convolution with scale 1. The kernel is the one-line formula, one product or sum at a time.
#
# Training and evaluation
# -----------------------
# In training an image's output depends on its companions in the batch. A trained network must answer for one image
# alone, and always the same. So the layer :class:`minires.nn.BatchNorm2d` keeps *running statistics*, a mean and a
# variance of its own. After each batch they move a tenth of the way towards the batch's. (The batch's variance is first
# multiplied by :math:`M/(M-1)`, since the one above, divided by :math:`M`, comes out a little too small on average.)
# ``eval()`` switches to them. They are constants then, and the gradient is the first term alone. Whoever forgets
# ``eval()`` gets answers that depend on what else is in the batch.
#
# .. admonition:: Predict first
#
#    One digit is put into batches of 2 to 128 images, again and again, and its companions are drawn anew each time. Its
#    output wavers. From 8 images to 128, sixteen times as many: is it sixteen times as steady, four times, or no more
#    than before?

layer = nn.BatchNorm2d(1)
for _ in range(200 if not quick() else 20):
    layer(Tensor(images[rng.integers(0, len(images), 64)]))
assert abs(layer.running_mean[0] - images.mean()) < 0.1 or quick()
layer.eval()
evaluated = layer(Tensor(images[:1])).data
np.testing.assert_allclose(evaluated, layer(Tensor(images[:64])).data[:1], rtol=1e-6)

sizes, spreads = [2, 4, 8, 16, 32, 64, 128], []
layer.train()
for size in sizes:
    outputs = []
    for _ in range(300 if not quick() else 20):
        companions = rng.integers(1, len(images), size - 1)
        outputs.append(layer(Tensor(images[[0, *companions]])).data[0])
    spreads.append(float(np.std(outputs, axis=0).mean()))

figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
axes.loglog(sizes, spreads, "o-", color="#009E73", label="training mode")
axes.loglog(sizes, spreads[-1] * np.sqrt(sizes[-1] / np.array(sizes)), "--", color="0.5", label="∝ 1 / √(batch size)")
axes.set(
    xlabel="images in the batch",
    ylabel="standard deviation of a pixel's output",
    title="one image, changing companions",
)
axes.set_xticks(sizes, sizes)
axes.set_yticks([0.01, 0.02, 0.05], ["0.01", "0.02", "0.05"])
axes.minorticks_off()
axes.legend()
plt.show()
print("\n".join(f"batch of {size:3}: ±{spread:.4f}" for size, spread in zip(sizes, spreads, strict=True)))
assert abs(np.polyfit(np.log(sizes), np.log(spreads), 1)[0] + 0.5) < 0.15

# %%
# Four times: the dependence dies out as slowly as an average over :math:`N` images settles, with the root of
# :math:`N`. In evaluation mode there is none, and the gradient is a mere factor:

x1 = Tensor(images[:8], requires_grad=True)
y = layer.eval()(x1)
grad_y = rng.standard_normal(y.shape).astype(np.float32)
y.backward(grad_y)
np.testing.assert_allclose(x1.grad, grad_y / np.sqrt(layer.running_var[0] + layer.eps), rtol=1e-5)

# %%
# In five lines
# -------------
# - Batch norm gives each channel of a batch mean 0 and variance 1, then a learned scale and shift.
# - Its gradient has three parts: the direct way, the way through the mean, the way through the variance.
# - What is left is what a straight line through :math:`(\hat x, dy)` cannot explain.
# - So the gradient of the outputs' sum is zero, and a check with ones passes anything.
# - In evaluation running statistics stand for the batch's, and the gradient is a mere factor.
#
# Exercises
# ---------
# 1. On paper: in evaluation mode mean and variance are constants. Which of the four lines of the derivation are left,
#    and what is :math:`dL/dx`?
# 2. On paper: a batch of two images with one number per channel. What is :math:`\hat x`? What is :math:`dL/dx`? And why
#    does the layer refuse a batch of one such image?
# 3. Leave out the term with :math:`\hat x` in ``batch_norm_grad_x``. What does the first figure's right panel become?
# 4. **In code**, with an examiner: ``minires learn 8``. Your own engine gets ``norm.py``: batch norm, of which you
#    write the backward pass and the running averages. The exercise beside it asks for two norms that do not look at
#    the batch, layer norm and group norm. Their gradients are not printed here, and pasting the formula above will not
#    do. ``minires check 8`` names the term that is wrong.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* Mean and variance are constants there. The direct way is all that is left: :math:`\gamma\, dy_m /
#      \sqrt{\sigma^2 + \varepsilon}`.
#    - *2.* The two are +1 and −1, whatever they were (but for :math:`\varepsilon`), so :math:`dL/dx` is 0. With a
#      single image the variance is 0, and the output is the bias, whatever the image: there is nothing to learn from.
#
# Read next
# ---------
# - Ioffe, Szegedy, *Batch normalization: accelerating deep network training by reducing internal covariate shift*,
#   arXiv 1502.03167: section 3 has the gradient, section 3.1 the evaluation.
# - Santurkar, Tsipras, Ilyas, Madry, *How does batch normalization help optimization?*, arXiv 1805.11604: it does help,
#   but not for the reason in the title above.
# - ``minires/ops/normalization.py`` and ``minires/nn/normalization.py``: the op without state, the layer with it.
