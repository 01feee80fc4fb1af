r"""
6. Convolution: loops, then one matrix product
==============================================

A linear layer has a weight of its own for every pixel. Move a digit by one pixel, and all that it has learned about the
old place is lost. What if one small filter looked at every place of the image in turn, with the same few weights?

And once that is written down as loops that nobody can misread: how does it become fast without becoming unreadable?

:Time: 20 minutes to read, a second or two to run
:Before it: chapter 5
:Afterwards: you can compute a convolution in three ways, and say what each costs
"""

# %%
# The formula
# -----------
# :math:`N` images of :math:`C` channels become :math:`N` images of :math:`F` channels. Filter :math:`f` has a
# :math:`K\times K` table of weights for each input channel; at output place :math:`(i, j)` it sees the patch whose
# upper left corner is at :math:`(i \cdot stride,\; j \cdot stride)` of the image, after the image was framed with
# *padding* zeros:
#
# .. math::
#
#    y_{n f i j} = b_f + \sum_{c=0}^{C-1} \sum_{u=0}^{K-1} \sum_{v=0}^{K-1}
#    w_{f c u v} \; x_{n,\, c,\; i \cdot stride + u - padding,\; j \cdot stride + v - padding}
#
# A filter fits at :math:`I = \lfloor (H + 2\, padding - K) / stride \rfloor + 1` places of an image of height
# :math:`H`, and likewise in the width. (Mathematics calls this cross-correlation: its convolution turns the filter
# round first. Chapter 7 meets the turned filter where it belongs, in the gradient.)
#
# In Python it is the formula itself. Four indices say which output, three say what is summed:

import time

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, nn, ops
from minires.data import load_digits


def output_size(size, kernel_size, stride, padding):
    return (size + 2 * padding - kernel_size) // stride + 1


def frame(x, padding):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def conv2d_loops(x, weight, stride=1, padding=0):
    N, C, H, W = x.shape
    F, _, KH, KW = weight.shape
    framed = frame(x, padding)
    y = np.zeros((N, F, output_size(H, KH, stride, padding), output_size(W, KW, stride, padding)))
    for n, f, i, j in np.ndindex(*y.shape):
        for c, u, v in np.ndindex(C, KH, KW):
            y[n, f, i, j] += weight[f, c, u, v] * framed[n, c, i * stride + u, j * stride + v]
    return y


# %%
# Small numbers can be counted by hand. The image below holds 0 to 15, row by row. The filter takes one pixel to the
# right minus one to the left, in three rows.
#
# .. admonition:: Predict first
#
#    Which four numbers come out?

numbers = np.arange(16.0).reshape(1, 1, 4, 4)
right_minus_left = np.array([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]]).reshape(1, 1, 3, 3)
print(conv2d_loops(numbers, right_minus_left))
assert (conv2d_loops(numbers, right_minus_left) == 6).all()

# %%
# Each of the three rows gives 2, so every output is 6.
#
# What a filter sees
# ------------------
# On a picture this filter answers where it gets lighter from left to right, and with the opposite sign where it gets
# darker; turned by 90°, it answers to horizontal edges. A digit that moves, moves its answer with it. A network will
# find filters like these by itself; here two are written down.

images, labels, _, _ = load_digits()
digit = images[[np.flatnonzero(labels == 7)[0]]].astype(float)
edges = np.concatenate([right_minus_left, right_minus_left.swapaxes(2, 3)])  # (2, 1, 3, 3)
answers = conv2d_loops(digit, edges, padding=1)

figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
panels[0].imshow(digit[0, 0], cmap="gray")
panels[0].set_title("a digit, 8×8")
for f, name in enumerate(["right − left", "below − above"]):
    shown = panels[f + 1].imshow(answers[0, f], cmap="RdBu_r", vmin=-9, vmax=9)
    panels[f + 1].set_title(name)
for panel in panels:
    panel.set(xlabel="column j", ylabel="row i", xticks=range(0, 8, 2), yticks=range(0, 8, 2))
figure.colorbar(shown, ax=panels, label="answer y")
plt.show()

shifted = np.roll(digit, 1, axis=3)  # one pixel to the right
moved = conv2d_loops(shifted, edges)  # without padding, so that the frame plays no part
np.testing.assert_allclose(moved[..., 1:], conv2d_loops(digit, edges)[..., :-1])

# %%
# The stripes along the borders are the frame's: the pixels were standardized, so that these digits' background is a
# number below zero, and a frame of zeros is lighter than it.

print(f"background {digit.min():.2f}, frame 0")
assert digit.min() < 0

# %%
# From loops to a matrix product
# ------------------------------
# The inner three loops are a dot product: the filter's :math:`C K K` weights with the patch's :math:`C K K` numbers.
# So write each patch as a column of a matrix, ``cols``, and each filter as a row of another: all dot products
# together are **one** matrix product, :math:`y = w \cdot cols`, and matrix products are what computers are best at.
# Copying the patches is called *im2col*, images to columns.


def im2col_by_places(x, kernel_size, stride=1, padding=0):
    N, C, H, W = x.shape
    I, J = output_size(H, kernel_size, stride, padding), output_size(W, kernel_size, stride, padding)
    framed = frame(x, padding)
    cols = np.zeros((N, C * kernel_size * kernel_size, I * J))
    for i, j in np.ndindex(I, J):
        top, left = i * stride, j * stride
        patch = framed[:, :, top : top + kernel_size, left : left + kernel_size]
        cols[:, :, i * J + j] = patch.reshape(N, -1)
    return cols


def conv2d_columns(x, weight, stride=1, padding=0):
    F, _, K, _ = weight.shape
    I, J = (output_size(size, K, stride, padding) for size in x.shape[2:])
    cols = im2col_by_places(x, K, stride, padding)  # (N, C·K·K, I·J)
    y = weight.reshape(F, -1) @ cols  # (F, C·K·K) @ (N, C·K·K, I·J) = (N, F, I·J)
    return y.reshape(len(x), F, I, J)


# %%
# For the 4×4 image of the numbers 0 to 15 and a 3×3 filter there are 2·2 patches of 9 numbers. In the picture's middle
# every pixel appears up to four times: 5, 6, 9 and 10, which all four patches contain. The third panel shows the
# same convolution as *one* matrix from the 16 pixels to the 4 outputs: column :math:`p` is what the filter answers to
# a picture that is 1 at pixel :math:`p` and 0 elsewhere. It is a linear layer, with zeros where the filter does not
# look and the same few weights in every row.

weight = np.arange(1.0, 10).reshape(1, 1, 3, 3)
cols = im2col_by_places(numbers, 3)[0]
unit_images = np.eye(16).reshape(16, 1, 4, 4)
matrix = conv2d_loops(unit_images, weight).reshape(16, 4).T

figure, panels = plt.subplots(1, 3, figsize=(11, 4), width_ratios=[4, 4, 8], layout="constrained")
for panel, values, title, colours in [
    (panels[0], numbers[0, 0], "image x", "Blues"),
    (panels[1], cols, "columns of patches", "Blues"),
    (panels[2], matrix, "the same as one matrix (blank: 0)", "Greens"),
]:
    panel.imshow(np.where(values == 0, np.nan, values) if values is matrix else values, cmap=colours, vmin=-4, vmax=20)
    for (row, column), value in np.ndenumerate(values):
        if values is not matrix or value:
            panel.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8)
    panel.set(title=title, xticks=range(values.shape[1]), yticks=range(values.shape[0]))
panels[0].set(xlabel="column", ylabel="row")
panels[1].set(xlabel="output place i·J + j", ylabel="tap u·K + v")
panels[2].set(xlabel="pixel of x", ylabel="output place")
plt.show()

np.testing.assert_allclose(matrix @ numbers.ravel(), conv2d_loops(numbers, weight).ravel())
np.testing.assert_array_equal(cols[:, 0], [0, 1, 2, 4, 5, 6, 8, 9, 10])

# %%
# The engine agrees
# -----------------
# Two images of three channels that are not square, five filters, every stride and padding: loops, columns and
# :func:`minires.ops.conv2d` give the same numbers.

rng = np.random.default_rng(0)
x = rng.standard_normal((2, 3, 7, 6))
weight = rng.standard_normal((5, 3, 3, 3))
for stride, padding in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)]:
    by_loops = conv2d_loops(x, weight, stride, padding)
    np.testing.assert_allclose(conv2d_columns(x, weight, stride, padding), by_loops)
    y = ops.conv2d(Tensor(x), Tensor(weight), stride=stride, padding=padding)
    np.testing.assert_allclose(y.data, by_loops)
    print(f"stride {stride}, padding {padding}: {x.shape[2:]} → {y.shape[2:]}")

# %%
# The engine's NumPy kernel builds the same columns the other way round: not a patch at a time but a *tap* at a time.
# Tap :math:`(u, v)` sees, for all places at once, a strided slice of the image, so its loop has :math:`K^2` steps
# instead of :math:`I \cdot J`. That is worth seeing from inside. The breakpoints stop in the first convolution above:
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/06_convolution_forward.py
#    (Pdb) import minires.kernels.numpy_kernels
#    (Pdb) b minires.ops.convolution.Conv2d.forward
#    (Pdb) b minires.kernels.numpy_kernels.im2col
#    (Pdb) c
#    > convolution.py forward()
#    (Pdb) p x.shape, weight.shape, self.stride, self.padding
#    ((2, 3, 7, 6), (5, 3, 3, 3), (1, 1), (0, 0))
#    (Pdb) c
#    > numpy_kernels.py im2col()
#    (Pdb) r
#    (Pdb) p __return__.shape
#    (2, 27, 20)
#
# 27 = 3·3·3 numbers in a patch, 20 = 5·4 places. ``u`` goes up one frame, to the product ``w @ cols``.
#
# What it costs
# -------------
# Every output takes :math:`C K^2` multiplications, so a layer takes :math:`N F I J \cdot C K^2` of them, however it is
# written. What differs is how long one takes, and how much memory: at stride 1 the columns are :math:`K^2` times as
# large as the image. (So the engine makes them for a few images at a time, and its compiled kernels do without.)
#
# .. admonition:: Predict first
#
#    All three ways below do the same 73,728 multiplications. How many times as fast as the loops is the one product?
#    Ten times, a hundred, a thousand?

batch, filters = images[:8].astype(float), rng.standard_normal((16, 1, 3, 3))
multiplications = len(batch) * 16 * 8 * 8 * 9
assert multiplications == 73_728
for name, convolve in [
    ("loops", lambda: conv2d_loops(batch, filters, padding=1)),
    ("columns", lambda: conv2d_columns(batch, filters, padding=1)),
    ("engine", lambda: ops.conv2d(Tensor(batch), Tensor(filters), padding=1)),
]:
    start = time.perf_counter()
    convolve()
    seconds = time.perf_counter() - start
    print(f"{name:8} {1e3 * seconds:8.2f} ms, {1e9 * seconds / multiplications:8.2f} ns for each multiplication")
print(f"columns: {im2col_by_places(batch, 3, padding=1).size} numbers made from {batch.size}")
assert im2col_by_places(batch, 3, padding=1).size == 9 * batch.size

# %%
# And the weights that it saves, as a layer object, from one 8×8 picture to sixteen.
#
# .. admonition:: Predict first
#
#    Sixteen 3×3 filters have 144 weights. How many has a linear layer with an output of the same size?

conv = nn.Conv2d(1, 16, kernel_size=3, padding=1, bias=False, seed=0)
linear = nn.Linear(1 * 8 * 8, 16 * 8 * 8, bias=False, seed=0)
assert conv(Tensor(images[:8])).size == linear(ops.flatten(Tensor(images[:8]))).size
print(f"{conv.weight.size} weights for the convolution, {linear.weight.size} for the linear layer of the same output")
assert (conv.weight.size, linear.weight.size) == (144, 65536)

# %%
# In five lines
# -------------
# - A filter looks at every place of an image with the same few weights.
# - As loops a convolution is its formula: four indices for an output, three for its sum.
# - Patches as columns make it one matrix product; that is *im2col*.
# - The columns are :math:`K^2` times as large as the image.
# - A convolution is a linear layer with shared weights, and zeros where it does not look.
#
# Exercises
# ---------
# 1. On paper: which padding keeps an image's size with a 3×3 filter at stride 1? With 5×5? Which :math:`I` has an image
#    of 32 rows after a 3×3 filter with stride 2 and padding 1? Ask ``output_size``.
# 2. On paper: two 3×3 convolutions, one after the other. How many pixels of the image can change one number of the
#    second output? How many weights is that against one filter that sees as much? (VGG's argument for small filters.)
# 3. A 1×1 convolution has patches of one pixel. What is ``cols`` then, and which layer of chapter 5 works at every
#    pixel?
# 4. **In code**, with an examiner: ``minires learn 6`` writes a file with gaps for two windows of another kind. One is
#    a filter with holes between its taps (a *dilated* convolution), which sees further with as many weights. The other
#    has no weights at all, and takes the largest number of each window (*max pooling*). ``minires check 6`` looks at
#    what you put there.
# 5. **Your own engine**: the same command adds ``my_minires/conv.py``. You write *im2col* a tap at a time, as the
#    engine does, and the product behind it.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* 1 for a 3×3 filter, 2 for a 5×5 filter. :math:`I = \lfloor (32 + 2 - 3) / 2 \rfloor + 1 = 16`.
#    - *2.* 5·5 = 25 pixels. For each pair of channels two 3×3 filters have 18 weights, and one 5×5 filter has 25.
#    - *3.* ``cols`` is the image itself, its pixels in a row, and the layer is a linear one at every pixel.
#
# Read next
# ---------
# - LeCun and others, *Backpropagation applied to handwritten zip code recognition*, Neural Computation 1(4), 1989:
#   shared weights, on digits.
# - Chellapilla, Puri, Simard, *High performance convolutional neural networks for document processing*, 2006:
#   convolution unrolled into a matrix product.
# - Dumoulin, Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, chapters 1 and 2: strides
#   and paddings, drawn.
# - ``minires/kernels/numpy_kernels.py``: ``im2col`` and ``conv2d_forward``, together thirty lines.
