r"""
7. Convolution backward: the transpose of copying
=================================================

Chapter 6 made convolution of two steps: copy the patches into columns, multiply by the filters. The gradient of a
matrix product is known since chapter 5. But what is the gradient of *copying*?

:Time: 20 minutes to read, a second or two to run
:Before it: chapters 5 and 6
:Afterwards: you can pass a gradient back through a convolution, and train a convolutional network
"""

# %%
# A number that is used twice
# ---------------------------
# Copy :math:`x` to two places, :math:`a = x` and :math:`b = x`, and let the loss depend on both. By the chain rule
#
# .. math::
#
#    \frac{dL}{dx} = \frac{dL}{da} \frac{da}{dx} + \frac{dL}{db} \frac{db}{dx} = \frac{dL}{da} + \frac{dL}{db}
#
# **Copying forward is adding backward**, as in chapter 3's diamond. The same in matrices: copying is a matrix of zeros
# and ones, :math:`cols = P x`, with a single 1 in each row. Row :math:`r` has it in column :math:`p` if number
# :math:`r` was copied from place :math:`p`. All these rows send back what arrived at them, and place :math:`p` adds it
# up. In matrices that is the transpose, :math:`dL/dx = P^\top\, dL/dcols`. Here is :math:`P` for the five numbers of a
# row and a filter of three: nine numbers made from five.
#
# .. admonition:: Predict first
#
#    How many of the nine come from each of the five?

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, gradcheck, nn, ops, optim
from minires.data import load_digits
from minires.learn import quick
from minires.plots import COLOURS, Animation

P = np.zeros((9, 5))
P[range(9), [0, 1, 2, 1, 2, 3, 2, 3, 4]] = 1
print("copied: ", P @ [10, 20, 30, 40, 50], "  used: ", P.T @ np.ones(9), "times each")
np.testing.assert_array_equal(P.T @ np.ones(9), [1, 2, 3, 2, 1])

# %%
# The same seven loops, turned round
# ----------------------------------
# Chapter 6 summed ``weight[f,c,u,v] * x[n,c,i*stride+u,j*stride+v]`` into ``y[n,f,i,j]``. Every such product has two
# factors, and so two gradients: what arrives at ``y`` times the *other* factor. Same loops, same indices, two lines.


def frame(x, padding):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def unframe(framed, x_shape, padding):
    return framed[:, :, padding : padding + x_shape[2], padding : padding + x_shape[3]]  # nobody asks for the rest


def conv2d_backward_loops(grad_y, x, weight, stride=1, padding=0):
    framed = frame(x, padding)
    grad_framed, grad_weight = np.zeros_like(framed), np.zeros_like(weight)
    for n, f, i, j in np.ndindex(*grad_y.shape):
        for c, u, v in np.ndindex(*weight.shape[1:]):
            seen = n, c, i * stride + u, j * stride + v
            grad_framed[seen] += grad_y[n, f, i, j] * weight[f, c, u, v]
            grad_weight[f, c, u, v] += grad_y[n, f, i, j] * framed[seen]
    return unframe(grad_framed, x.shape, padding), grad_weight


# %%
# As matrix products
# ------------------
# With :math:`y_n = w \cdot cols_n`, the linear layer's two formulas give the two gradients of the product, and the
# transpose of copying, *col2im*, takes the one for the columns back to the image:
#
# .. math::
#
#    \frac{dL}{dw} = \sum_n \frac{dL}{dy_n}\, cols_n^\top \qquad
#    \frac{dL}{dcols_n} = w^\top\, \frac{dL}{dy_n} \qquad
#    \frac{dL}{dx_n} = \text{col2im}\Big(\frac{dL}{dcols_n}\Big)
#
# The first sum runs over the images and, inside the product, over all places: a filter is one set of weights used
# everywhere, so it collects a gradient from everywhere.
#
# Which pixel goes where is a table of pixel numbers, one column a patch: :math:`P`, without its zeros. Forward reads
# through that table, backward adds through it. (``flat[:, table] += cols`` would not do: where the table holds a pixel
# twice, NumPy keeps one of the two. ``np.add.at`` adds both.)


def table_of_patches(C, H, W, kernel_size, stride):
    pixels = np.arange(C * H * W).reshape(C, H, W)
    corners = [(i, j) for i in range(0, H - kernel_size + 1, stride) for j in range(0, W - kernel_size + 1, stride)]
    return np.stack([pixels[:, i : i + kernel_size, j : j + kernel_size].ravel() for i, j in corners], axis=1)


def im2col(x, kernel_size, stride=1, padding=0):
    framed = frame(x, padding)
    table = table_of_patches(*framed.shape[1:], kernel_size, stride)  # (C·K·K, I·J)
    return framed.reshape(len(x), -1)[:, table]


def col2im(cols, x_shape, kernel_size, stride=1, padding=0):
    framed = frame(np.zeros(x_shape), padding)
    table = table_of_patches(*framed.shape[1:], kernel_size, stride)
    np.add.at(framed.reshape(x_shape[0], -1), (slice(None), table), cols)
    return unframe(framed, x_shape, padding)


def conv2d_backward_columns(grad_y, x, weight, stride=1, padding=0):
    N, F, I, J = grad_y.shape
    K = weight.shape[2]
    dy, w = grad_y.reshape(N, F, I * J), weight.reshape(F, -1)
    grad_w = (dy @ im2col(x, K, stride, padding).swapaxes(1, 2)).sum(axis=0)  # (F, C·K·K)
    grad_x = col2im(w.T @ dy, x.shape, K, stride, padding)  # from (N, C·K·K, I·J)
    return grad_x, grad_w.reshape(weight.shape)


# %%
# That *col2im* is the transpose of *im2col* can be checked without ever writing the matrix down: :math:`P^\top` is the
# one matrix with :math:`\langle P x, c \rangle = \langle x, P^\top c \rangle` for all :math:`x` and :math:`c`.

rng = np.random.default_rng(0)
x = rng.standard_normal((2, 3, 6, 5))
for stride, padding in [(1, 0), (1, 1), (2, 1), (3, 2)]:
    c = rng.standard_normal(im2col(x, 3, stride, padding).shape)
    adjoint = np.sum(x * col2im(c, x.shape, 3, stride, padding))
    np.testing.assert_allclose(np.sum(im2col(x, 3, stride, padding) * c), adjoint)

# %%
# Here is *col2im* in slow motion: a 4×4 image, a 3×3 filter, four windows that overlap. Each column on the left goes
# back to the window that it was copied from. For each of its nine pixels the first window brings 1, the second 2, the
# third 3 and the fourth 4.
#
# .. admonition:: Predict first
#
#    Which number will stand at the four pixels in the middle?

columns = np.ones((1, 9, 4)) * [1, 2, 3, 4]


def draw_windows_going_back(figure, step):
    window, is_added = divmod(step, 2)
    so_far = np.where(np.arange(4) < window + is_added, columns, 0)
    image = col2im(so_far, (1, 1, 4, 4), 3)[0, 0]
    left, right = figure.subplots(1, 2, width_ratios=[3, 5])
    left.imshow(columns[0], cmap="Blues", vmin=0, vmax=18, aspect="auto")
    right.imshow(image, cmap="Blues", vmin=0, vmax=18)
    for (tap, place), value in np.ndenumerate(columns[0]):
        left.text(place, tap, f"{value:.0f}", ha="center", va="center", fontsize=11)
    top, across = divmod(window, 2)
    for (i, j), value in np.ndenumerate(image):
        more = f" + {window + 1}" if not is_added and 0 <= i - top < 3 and 0 <= j - across < 3 else ""
        right.text(j, i, f"{value:.0f}{more}", ha="center", va="center", fontsize=12)
    frame = {"fill": False, "edgecolor": COLOURS["plain"], "linewidth": 3}
    left.add_patch(plt.Rectangle((window - 0.5, -0.5), 1, 9, **frame))
    right.add_patch(plt.Rectangle((across - 0.5, top - 0.5), 3, 3, **frame))
    left.set(title="columns", xlabel="window", ylabel="tap", xticks=range(4), yticks=range(9))
    right.set(title="image", xlabel="column", ylabel="row", xticks=range(4), yticks=range(4))


assert (col2im(columns, (1, 1, 4, 4), 3)[0, 0, 1:3, 1:3] == 1 + 2 + 3 + 4).all()
Animation(
    draw_windows_going_back, 8, size=(6.4, 3.8), seconds=1.2, hold=3,
    says="column after column is added back to the window of the image that it was copied from",
)  # fmt: skip

# %%
# How many gradients does each pixel add up? *col2im* of ones counts them: 9 in the middle, fewer along the border. With
# stride 2 the windows overlap less.
#
# .. admonition:: Predict first
#
#    Which counts are left then, and in which pattern?

figure, panels = plt.subplots(1, 3, figsize=(10, 4.1), layout="constrained")
for panel, (stride, padding) in zip(panels, [(1, 0), (1, 1), (2, 1)], strict=True):
    ones = np.ones_like(im2col(np.zeros((1, 1, 8, 8)), 3, stride, padding))
    copies = col2im(ones, (1, 1, 8, 8), 3, stride, padding)[0, 0]
    shown = panel.imshow(copies, cmap="Blues", vmin=0, vmax=13)
    for (i, j), value in np.ndenumerate(copies):
        panel.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=9)
    panel.set(title=f"stride {stride}, padding {padding}", xlabel="column", ylabel="row")
figure.suptitle("copies of each pixel of an 8×8 image among the columns of a 3×3 filter")
plt.show()
assert set(copies.ravel()) == {1, 2, 4}  # the last panel's

# %%
# With stride 2 the counts alternate between 1, 2 and 4. So a gradient that comes back through a strided convolution has
# a checkerboard in it, and so have many images that networks make by running one backwards.
#
# The engine agrees
# -----------------
# Handed a random gradient for its output, as chapter 4 demands, :func:`minires.ops.conv2d` gives the gradients that the
# loops and the products give; and the gradient checker finds nothing to say.

weight = rng.standard_normal((4, 3, 3, 3))
for stride, padding in [(1, 0), (1, 1), (2, 1), (3, 2)]:
    leaf_x, leaf_weight = Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)
    y = ops.conv2d(leaf_x, leaf_weight, stride=stride, padding=padding)
    grad_y = rng.standard_normal(y.shape)
    y.backward(grad_y)
    for backward in (conv2d_backward_loops, conv2d_backward_columns):
        for by_hand, leaf in zip(backward(grad_y, x, weight, stride, padding), (leaf_x, leaf_weight), strict=True):
            np.testing.assert_allclose(leaf.grad, by_hand)

print(gradcheck(lambda x, weight: ops.conv2d(x, weight, stride=2, padding=1), x, weight, names=["x", "weight"]))

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/07_convolution_backward.py
#    (Pdb) import minires.kernels.numpy_kernels
#    (Pdb) b minires.ops.convolution.Conv2d.backward
#    (Pdb) b minires.kernels.numpy_kernels.col2im
#    (Pdb) c
#    > convolution.py backward()
#    (Pdb) p grad_y.shape, self.x.shape, self.weight.shape
#    ((2, 4, 4, 3), (2, 3, 6, 5), (4, 3, 3, 3))
#    (Pdb) p self.needs_grad
#    (True, True)
#    (Pdb) c
#    > numpy_kernels.py col2im()
#    (Pdb) p cols.shape, x_shape
#    ((2, 27, 12), (2, 3, 6, 5))
#
# Go on with ``n``, and watch the line with ``+=`` run nine times, once for each tap.
#
# The turned filter
# -----------------
# There is a second way to say it. At stride 1 and without padding, which outputs did pixel :math:`(h, w)` flow into?
# Output :math:`(i, j)` looks through tap :math:`(u, v)` at pixel :math:`(i + u, j + v)`. So the pixel flowed through
# tap :math:`(u, v)` into output :math:`(h - u, w - v)`, and what comes back is
#
# .. math::
#
#    \frac{dL}{dx_{n c h w}} = \sum_f \sum_{u, v} w_{f c u v}\, \frac{dL}{dy_{n f,\, h - u,\, w - v}}
#
# This is the sum of a convolution, with the taps counted backwards. So **the gradient of a convolution is a
# convolution**, of :math:`dL/dy`. Its filters are turned by 180°, and in- and output channels exchange their roles. Its
# frame is :math:`K - 1 - padding` zeros, so that the first tap can look beyond the border. This is where the flip has
# gone that chapter 6 did without.

leaf_x.grad, y = None, ops.conv2d(leaf_x, leaf_weight, padding=1)
grad_y = rng.standard_normal(y.shape)
y.backward(grad_y)
turned = Tensor(weight[:, :, ::-1, ::-1].swapaxes(0, 1).copy())  # (C, F, K, K)
np.testing.assert_allclose(ops.conv2d(Tensor(grad_y), turned, padding=3 - 1 - 1).data, leaf_x.grad)

# %%
# A convolutional network on the digits
# -------------------------------------
# Two convolutions, the second with stride 2, and a linear layer: the weights are fewer than those of one linear layer
# from 64 pixels to 64 units and a second from there to 10 digits.

train_images, train_labels, test_images, test_labels = load_digits()
conv1, conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
model = nn.Sequential(conv1, nn.ReLU(), conv2, nn.ReLU(), nn.Flatten(), nn.Linear(16 * 4 * 4, 10), seed=0)
weights = sum(parameter.size for parameter in model.parameters())
assert weights < (64 * 64 + 64) + (64 * 10 + 10)

steps = 300 if not quick() else 3
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for _ in range(steps):
    chosen = rng.integers(0, len(train_images), 64)
    loss = ops.cross_entropy(model(Tensor(train_images[chosen])), train_labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
accuracy = np.mean(model(Tensor(test_images)).data.argmax(axis=1) == test_labels)
print(f"{weights} weights, {steps} steps: {accuracy:.1%} of the test digits right")
assert quick() or accuracy > 0.94

# %%
# In training the first layer does not compute :math:`dL/dx`: nobody changes the images. Ask for it, and it shows which
# pixels the answer hangs on: where it is red, a lighter pixel would make the network surer of the right digit.

chosen = [int(np.flatnonzero(test_labels == d)[0]) for d in (0, 3, 4, 8)]
pictures = Tensor(test_images[chosen], requires_grad=True)
loss = ops.cross_entropy(model(pictures), test_labels[chosen])
loss.backward()

figure, panels = plt.subplots(2, 4, figsize=(9, 4.8), layout="constrained")
for n, (above, below) in enumerate(panels.T):
    slope = -pictures.grad[n, 0] / np.abs(pictures.grad[n, 0]).max()  # minus: the loss is −log p
    above.imshow(test_images[chosen[n], 0], cmap="gray")
    shown = below.imshow(slope, cmap="RdBu_r", vmin=-1, vmax=1)
    above.set(title=f"digit {test_labels[chosen[n]]}", ylabel="row", xticks=[0, 7], yticks=[0, 7])
    below.set(xlabel="column", ylabel="row", xticks=[0, 7], yticks=[0, 7])
figure.colorbar(shown, ax=panels[1], label="slope of log p\n(each picture's largest is ±1)")
plt.show()

# %%
# In five lines
# -------------
# - Copying forward is adding backward; so *im2col* goes back as *col2im*.
# - The gradient of a filter is collected from every place at which it was used.
# - Where windows overlap, a pixel adds up what comes back from all of them.
# - At stride 1 the gradient of the image is a convolution with the filters turned by half a turn.
# - A step of training costs about three forward passes.
#
# Exercises
# ---------
# 1. Write ``framed.reshape(x_shape[0], -1)[:, table] += cols`` in place of ``np.add.at``. Which assertion fails first?
#    Which pixels keep the right gradient? (The first figure knows.)
# 2. On paper: the gradient of the bias. Which axes of :math:`dL/dy` are summed, and why? And how many multiplications
#    do both gradients take, counted as in chapter 6? A training step costs how many forward passes?
# 3. **In code**, with an examiner: ``minires learn 7`` writes a file with gaps for the way back through both windows of
#    chapter 6's exercise: the two gradients of a filter with holes, and the one of the largest number.
#    ``minires check 7`` compares them with finite differences. ``minires check 7 --train`` trains the digits with them.
# 4. **Your own engine**: the same command adds the way back to ``my_minires/conv.py``. You write *col2im*, both
#    products, and the gradient of the mean over all pixels. Then ``python -m my_minires.train`` trains a convolutional
#    network.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *2.* The images and the two axes of places, 0, 2 and 3: the bias is used once at each. Each of the two gradients
#      takes :math:`N F I J \cdot C K^2` multiplications, as forward does. So a step costs three forward passes.
#
# Read next
# ---------
# - Dumoulin, Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, chapter 4: the transposed
#   convolution.
# - Odena, Dumoulin, Olah, *Deconvolution and checkerboard artifacts*, Distill 2016, doi 10.23915/distill.00003: what
#   the third panel of the first figure does to pictures.
# - Simonyan, Vedaldi, Zisserman, *Deep inside convolutional networks*, arXiv 1312.6034.
# - ``minires/ops/convolution.py``: the whole file, with the formulas at the head.
