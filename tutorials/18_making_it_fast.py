r"""
18. Making it fast
==================

The NumPy kernels can be read line by line. MiniRes has a second set of kernels, in Numba, which give the same numbers
in a fraction of the time. No formula was changed for them. Then what was? Where does the time of a network go, and how
does one find out which part of it is worth the trouble?

:Time: 35 minutes to read, 4 seconds to run
:Before it: chapters 6, 7 and 12
:Afterwards: you can say what a layer waits for, and make it wait less
"""

# %%
# Two kinds of work
# -----------------
# A computer that trains a network does two things. It *calculates*, and it *fetches* the numbers to calculate with.
# Both go on at the same time, and the slower one decides. So two speeds of the machine matter:
#
# - how many multiply-adds it makes in a second, at best;
# - how many bytes go between the memory and the processor in a second.
#
# A large product of matrices shows the first: each number that was fetched is used hundreds of times. A copy shows the
# second: it calculates nothing.

import importlib.util
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minires
from minires import Tensor, backward_order, kernels, models, ops
from minires.kernels import numpy_kernels
from minires.learn import quick
from minires.plots import COLOURS

kernels.use("numpy")  # those that are read; Numba's turn comes later
rng = np.random.default_rng(0)


def seconds(function, *arguments):
    """The shortest of five runs: whatever else the computer does can only make a run longer."""
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        function(*arguments)
        runs.append(time.perf_counter() - start)
    return min(runs)


n = 1024 if not quick() else 256
a, b = rng.standard_normal((2, n, n), np.float32)
big = rng.standard_normal(2**24 if not quick() else 2**20, np.float32)
copy = np.empty_like(big)
multiply_adds_a_second = n**3 / seconds(np.matmul, a, b)
bytes_a_second = 2 * big.nbytes / seconds(np.copyto, copy, big)  # each number is read and written
balance = multiply_adds_a_second / bytes_a_second
print(f"{multiply_adds_a_second / 1e9:.0f} thousand million multiply-adds a second at best")
print(f"{bytes_a_second / 1e9:.1f} thousand million bytes a second")
print(f"in the time in which one byte is moved: {balance:.1f} multiply-adds")

# %%
# These are figures of the machine that ran this chapter, and of that moment; another machine has others. What counts is
# their proportion. Usually several multiply-adds could be made in the time in which one byte comes from the memory.
#
# The roof
# --------
# A layer's **intensity** is how many multiply-adds it makes for each byte that it moves. A layer of low intensity waits
# for the memory, however clever its arithmetic is. One of high intensity waits for the arithmetic. Drawn on logarithmic
# axes, what can be reached is a sloping line and then a flat one, like a roof:
#
# .. math::
#
#    \text{speed} \le \min(\text{intensity} \cdot \text{bytes a second},\; \text{multiply-adds a second})
#
# Intensities are counted on paper. A ReLU reads four bytes and writes four, and makes one comparison. A 3×3 convolution
# from :math:`C` channels to :math:`C` reads and writes :math:`C` numbers for each pixel, and makes :math:`9 C^2`
# multiply-adds for it.
#
# .. admonition:: Predict first
#
#    Does a 3×3 convolution of 16 channels wait for the memory or for the arithmetic? And a 1×1 convolution of 16
#    channels?


def intensity_of_convolution(channels, kernel_size):
    multiply_adds = channels * channels * kernel_size**2  # for each pixel
    moved = 4 * (channels + channels)  # bytes: float32 in, float32 out
    return multiply_adds / moved


INTENSITY = {
    "ReLU": 1 / 8,
    "1×1, 16 channels": intensity_of_convolution(16, 1),
    "3×3, 16 channels": intensity_of_convolution(16, 3),
    "3×3, 64 channels": intensity_of_convolution(64, 3),
}
for name, intensity in INTENSITY.items():
    waits = "memory" if intensity < balance else "arithmetic"
    print(f"{name:18} {intensity:6.2f} multiply-adds a byte: here it waits for the {waits}")
assert INTENSITY["ReLU"] < INTENSITY["1×1, 16 channels"] == 2 < INTENSITY["3×3, 16 channels"] == 18

# %%
# Now what is really reached. The convolutions are the NumPy kernels'.

N = 64 if not quick() else 2


def reached(channels, kernel_size):
    size = 512 // channels
    x = rng.standard_normal((N, channels, size, size), np.float32)
    weight = rng.standard_normal((channels, channels, kernel_size, kernel_size), np.float32)
    padding = kernel_size // 2
    needed = seconds(numpy_kernels.conv2d_forward, x, weight, None, (1, 1), (padding, padding))
    return x.size * channels * kernel_size**2 / needed


speed = {
    "ReLU": big.size / seconds(lambda: np.maximum(big, 0, out=copy)),
    "1×1, 16 channels": reached(16, 1),
    "3×3, 16 channels": reached(16, 3),
    "3×3, 64 channels": reached(64, 3),
}
figure, axes = plt.subplots(figsize=(7.5, 4.4), layout="constrained")
line = np.geomspace(0.05, 300, 200)
axes.loglog(line, np.minimum(line * bytes_a_second, multiply_adds_a_second), color="0.4", label="the roof")
for (name, intensity), marker in zip(INTENSITY.items(), "osD^", strict=True):
    axes.loglog(intensity, speed[name], marker, color=COLOURS["residual"], label=name)
    roof = min(intensity * bytes_a_second, multiply_adds_a_second)
    print(f"{name:18} reaches {speed[name] / roof:4.0%} of what the roof allows")
axes.set(xlabel="multiply-adds a byte", ylabel="multiply-adds a second", title="what NumPy's kernels reach")
axes.legend(fontsize=8)
plt.show()

# %%
# Where the ReLU comes near its roof, nothing can be gained by better arithmetic. The convolutions lie below theirs.
# Between a convolution and the roof stands what the formula does not mention: copies.
#
# The copies of im2col
# --------------------
# Chapter 6 made columns of patches, so that a convolution is one product of matrices. The columns of a 3×3 filter are
# nine times as large as the image. They are written, and read again: for each number of the image, nine go to the
# memory and nine come back. What was counted above as one read and one write, two, is really twenty.
#
# The arithmetic is the same if the sum is taken in another order. Tap :math:`(u, v)` sees a shifted image. So nine
# small products with shifted images, added up, are the convolution too, and no columns are made:


def convolve_by_taps(x, weight):
    """A 3×3 convolution with padding 1 and stride 1."""
    _, _, H, W = x.shape
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = 0
    for u, v in np.ndindex(3, 3):
        shifted = framed[:, :, u : u + H, v : v + W]
        y = y + np.einsum("fc,nchw->nfhw", weight[:, :, u, v], shifted, optimize=True)
    return y


x = rng.standard_normal((2, 3, 6, 8))
weight = rng.standard_normal((5, 3, 3, 3))
by_engine = ops.conv2d(Tensor(x), Tensor(weight), padding=1).data
np.testing.assert_allclose(convolve_by_taps(x, weight), by_engine)

# %%
# Another way out is the NumPy kernels' own: columns of a few images at a time. Processors keep what was used last in a
# small, fast memory of their own, the **cache**. Columns that fit into it never reach the slow memory at all.
#
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/18_making_it_fast.py
#    (Pdb) import minires.kernels.numpy_kernels
#    (Pdb) b minires.kernels.numpy_kernels.image_groups
#    (Pdb) c
#    > numpy_kernels.py image_groups()
#    (Pdb) p N, floats_per_image, COLUMN_FLOATS
#    (2, 16384, 1048576)
#    (Pdb) r
#    (Pdb) p __return__
#    [slice(0, 64, None)]
#    (Pdb) u
#    > numpy_kernels.py conv2d_forward()
#
# ``COLUMN_FLOATS`` are four megabytes. Two small images fit in one group; a batch of ResNet-20 takes many.
#
# Who lies beside whom
# --------------------
# Memory does not come in numbers. It comes in **lines** of 64 bytes, sixteen float32 that lie side by side. Who asks
# for one number gets its line. If the other fifteen are wanted next, they are there; if not, they were fetched for
# nothing.
#
# A convolution sums over the channels of a pixel, so it wants these side by side. In an array (N, C, H, W) they are
# not: from one channel to the next it is a whole image. An array has **strides**, how many bytes lie between neighbours
# along each axis, and they say who lies beside whom:


def lines_of(array):
    """How many lines of 64 bytes hold the numbers of an array that begins a line."""
    places = np.zeros((), int)
    for size, stride in zip(array.shape, array.strides, strict=True):
        places = np.add.outer(places, np.arange(size) * stride)
    return len(np.unique(places // 64))


x = rng.standard_normal((128, 64, 8, 8), np.float32)
channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
np.testing.assert_array_equal(channels_last, x)
print("the same shape, the same numbers; strides", x.strides, "and", channels_last.strides)

# %%
# .. admonition:: Predict first
#
#    The 64 channels of one pixel. In how many lines do they lie, in the one order and in the other?

in_lines = lines_of(x[0, :, 0, 0]), lines_of(channels_last[0, :, 0, 0])
print(f"{in_lines[0]} lines, and {in_lines[1]}")
assert in_lines == (64, 4)

# %%
# The Numba kernels keep every activation channels-last. Its shape stays (N, C, H, W), for whoever reads it; only the
# strides say that something has changed.
#
# From NumPy to Numba
# -------------------
# The end of a residual block is a batch norm, an addition, a ReLU. With the norm written as one factor and one offset
# for each channel:
#
# .. math::
#
#    y = \max(x \cdot scale + offset + shortcut,\; 0)
#
# NumPy computes this in four steps, and each reads and writes a whole array. Counted in arrays: ``x * scale`` reads one
# and writes one, ``+ offset`` the same, ``+ shortcut`` reads two and writes one, the maximum reads one and writes one.
# Nine in all. But three are enough: read :math:`x`, read the shortcut, write :math:`y`.
#
# Python could do that in a loop, number by number, if its loops were not so slow. **Numba** is a compiler for such
# loops: it takes a Python function, looks at the types it is called with, and makes machine code of it.


def norm_add_relu(x, scale, offset, shortcut):
    spread = (1, -1, 1)
    return np.maximum(x * scale.reshape(spread) + offset.reshape(spread) + shortcut, 0)


def norm_add_relu_in_loops(x, scale, offset, shortcut):
    y = np.empty_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for k in range(x.shape[2]):
                y[n, c, k] = max(x[n, c, k] * scale[c] + offset[c] + shortcut[n, c, k], np.float32(0))
    return y


x, shortcut = rng.standard_normal((2, 128 if not quick() else 2, 16, 1024), np.float32)
scale, offset = rng.standard_normal((2, 16), np.float32)
small = x[:1, :, :100], scale, offset, shortcut[:1, :, :100]
np.testing.assert_allclose(norm_add_relu_in_loops(*small), norm_add_relu(*small), atol=1e-6)

nanoseconds = {
    "Python's loops": 1e9 * seconds(norm_add_relu_in_loops, *small) / small[0].size,
    "NumPy, in four steps": 1e9 * seconds(norm_add_relu, x, scale, offset, shortcut) / x.size,
}
has_numba = importlib.util.find_spec("numba") is not None
if has_numba:
    import numba

    compiled = numba.njit(norm_add_relu_in_loops)  # the same lines; it is compiled when it is first called
    given = x, scale, offset, shortcut
    np.testing.assert_allclose(compiled(*given), norm_add_relu(*given), atol=1e-5)
    nanoseconds["the same loops, by Numba"] = 1e9 * seconds(compiled, *given) / x.size
else:
    print("Numba is not installed, so its row is missing; everything else of this chapter does without it")
for name, needed in nanoseconds.items():
    print(f"{name:26} {needed:8.2f} ns for each number")

# %%
# Fusion
# ------
# To do several layers' work while the numbers are at hand is called **fusion**. It was fusion, and not the compiler
# alone, that saved six of nine arrays. The engine has it as an option: with ``fused=True`` a whole residual block is
# one operation. Its parameters, its gradients and its state dict are the same; what becomes fewer is the operations,
# and the arrays between them.

images = rng.standard_normal((4, 3, 8, 8))
labels = np.arange(4)
found = {}
for fused in (False, True):
    network = models.cifar_resnet(20, width=4, fused=fused, seed=0).to("float64")
    loss = ops.cross_entropy(network(Tensor(images)), labels)
    operations = len(backward_order(loss))
    loss.backward()
    found[fused] = [parameter.grad for parameter in network.parameters()]
    print(f"fused={fused}: {operations} operations, loss {loss.item():.4f}")
for one, other in zip(found[False], found[True], strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)

# %%
# Why, then, do the chapters not use it? Because one operation is one step in the debugger, and one ``backward`` to
# read. Fusion hides exactly what this course is about.
#
# Fewer multiplications
# ---------------------
# So far the same multiply-adds were waited for in better ways. There can also be fewer of them. Take a filter of three
# taps on a line of four pixels. It has two outputs, of three multiplications each:
#
# .. math::
#
#    y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2 \qquad y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2
#
# Six multiplications. S. Winograd found that **four** are enough:
#
# .. math::
#
#    m_1 &= (d_0 - d_2)\, g_0 \\
#    m_2 &= (d_1 + d_2)\, (g_0 + g_1 + g_2) / 2 \\
#    m_3 &= (d_2 - d_1)\, (g_0 - g_1 + g_2) / 2 \\
#    m_4 &= (d_1 - d_3)\, g_2 \\
#    y_0 &= m_1 + m_2 + m_3 \qquad y_1 = m_2 - m_3 - m_4
#
# Multiply it out. In :math:`m_2 + m_3` the halves meet: :math:`d_1 g_1` and :math:`d_2 (g_0 + g_2)` are left. With
# :math:`m_1` the term :math:`d_2 g_0` goes away again, and what stays is :math:`y_0`. The sums with :math:`g` are made
# once for a filter, and the sums with :math:`d` are additions, which are cheap where one :math:`d` is used for many
# filters. With numbers:

d, g = np.array([1.0, 2, 3, 5]), np.array([1.0, 0, -1])
m1, m2 = (d[0] - d[2]) * g[0], (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
m3, m4 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2, (d[1] - d[3]) * g[2]
assert [m1 + m2 + m3, m2 - m3 - m4] == [d[:3] @ g, d[1:] @ g] == [-2, -3]

# %%
# The three kinds of sums are three small matrices, so that :math:`y = A^\top \big((G g) \odot (B^\top d)\big)`, where
# :math:`\odot` multiplies number by number. For an image the trick is played twice, along the rows and along the
# columns: a 2×2 tile of outputs sees a 4×4 patch :math:`d`, and
#
# .. math::
#
#    y = A^\top \big[ (G g G^\top) \odot (B^\top d B) \big] A
#
# takes 16 multiplications in place of 36. This is called F(2×2, 3×3). Over channels one sums before going back with
# :math:`A`: so each of the 16 positions is a product of matrices, and that is where the machine is fast.

BT = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
AT = np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])


def convolve_by_winograd(x, weight, transforms=(BT, G, AT)):
    """A 3×3 convolution with padding 1 and stride 1, by tiles of m×m outputs; H and W are multiples of m."""
    BT, G, AT = [matrix.astype(x.dtype) for matrix in transforms]
    m, patch = AT.shape
    N, _, H, W = x.shape
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    d = np.lib.stride_tricks.sliding_window_view(framed, (patch, patch), axis=(2, 3))[:, :, ::m, ::m]
    u = G @ weight @ G.T  # (F, C, patch, patch)
    v = BT @ d @ BT.T  # (N, C, H/m, W/m, patch, patch)
    products = np.einsum("fcpq,nchwpq->nfhwpq", u, v, optimize=True)
    y = AT @ products @ AT.T  # (N, F, H/m, W/m, m, m)
    return y.transpose(0, 1, 2, 4, 3, 5).reshape(N, -1, H, W)


x = rng.standard_normal((2, 3, 6, 8))
np.testing.assert_allclose(convolve_by_winograd(x, weight), ops.conv2d(Tensor(x), Tensor(weight), padding=1).data)

# %%
# Larger tiles
# ------------
# Where do such matrices come from? From school: a polynomial is known by its values. To multiply two polynomials,
# evaluate both at enough points, multiply the values one by one, and find the polynomial through the products. The last
# two steps are matrices of powers, and convolution is that multiplication read backwards (as in chapter 7, the
# transposed matrix). So any tile size has its transforms, one for each choice of points. "The value at infinity" is the
# highest coefficient.


def transforms_for(m, points):
    """The matrices of F(m×m, 3×3) for m + 1 points; the last one, infinity, is added."""
    patch = m + 2

    def powers(length):
        finite = np.array([[point**k for k in range(length)] for point in points])
        return np.vstack([finite, np.eye(1, length, length - 1)])

    return np.linalg.inv(powers(patch)).T, powers(3), powers(m).T


# %%
# .. admonition:: Predict first
#
#    A tile of 4×4 outputs sees a patch of 6×6. How many multiplications does each output take, and how many does the
#    plain sum take? And if that gets better and better with larger tiles, why not take 8×8?

tiles = {
    "F(2×2): 0, ±1": transforms_for(2, [0, 1, -1]),
    "F(4×4): 0, ±1, ±2": transforms_for(4, [0, 1, -1, 2, -2]),
    "F(4×4): 0, ±√½, ±√2": transforms_for(4, [0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)]),
    "F(6×6): 0, ±1, ±2, ±½": transforms_for(6, [0, 1, -1, 2, -2, 0.5, -0.5]),
    "F(8×8): 0, ±1, ±2, ±½, ±3": transforms_for(8, [0, 1, -1, 2, -2, 0.5, -0.5, 3, -3]),
}
x, weight = rng.standard_normal((2, 16, 24, 24)), rng.standard_normal((8, 16, 3, 3))
exact = convolve_by_taps(x, weight)
single = x.astype(np.float32), weight.astype(np.float32)
exact_of_single = convolve_by_taps(single[0].astype(float), single[1].astype(float))


def rounding(y):
    return np.sqrt(np.mean((y - exact_of_single) ** 2)) / exact_of_single.std()


rows = {"the sum": (9.0, rounding(convolve_by_taps(*single)))}
for name, transforms in tiles.items():
    np.testing.assert_allclose(convolve_by_winograd(x, weight, transforms), exact, atol=1e-9)
    m, patch = transforms[2].shape
    rows[name] = patch**2 / m**2, rounding(convolve_by_winograd(*single, transforms))
for name, (multiplications, error) in rows.items():
    print(f"{name:27} {multiplications:5.2f} multiplications an output, rounding {error:.1e}")
assert rows["F(2×2): 0, ±1"][0] == 4 and rows["F(4×4): 0, ±1, ±2"][0] == 2.25
assert rows["F(4×4): 0, ±√½, ±√2"][1] < rows["F(4×4): 0, ±1, ±2"][1] < rows["F(8×8): 0, ±1, ±2, ±½, ±3"][1] / 10

figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
for (name, (multiplications, error)), marker in zip(rows.items(), "osD*^v", strict=True):
    axes.semilogy(multiplications, error, marker, color=COLOURS["residual"], markersize=9, label=name)
axes.set(xlabel="multiplications for each output", ylabel="rounding error in float32", title="fewer, and less exact")
axes.legend(fontsize=8)
plt.show()

# %%
# Larger tiles have larger numbers in their matrices, which cancel in the end and leave their rounding behind. Where the
# points lie matters as well. The Numba kernels take 4×4 tiles with the points :math:`0, \pm\sqrt{1/2}, \pm\sqrt 2` and
# infinity: a quarter of the multiplications, and still most digits. What float32 rounds away can be counted, and is
# held to a bound by tests.
#
# Against PyTorch
# ---------------
# Absolute times say much about a machine and little about a program. So the project measures **ratios**: the same step
# of the same network in MiniRes and in PyTorch, in one process, in turns. These are the records in
# ``benchmarks/results``, of a training step with two threads; the point is the median of a few processes, the line's
# end the worst one. Below 1 MiniRes is faster.

NETWORKS = ("resnet20", "resnet56", "resnet110", "resnet18-cifar", "resnet18", "resnet50")
records = Path(minires.__file__).parents[1] / "benchmarks" / "results" / "cpu"  # in a checkout
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for number, folder in enumerate(sorted(records.glob("*"))):
    paths = {name: folder / f"{name}-training-2.json" for name in NETWORKS}
    ratios = {name: json.loads(path.read_text())["ratios"] for name, path in paths.items() if path.exists()}
    places = np.array([NETWORKS.index(name) for name in ratios]) + 0.2 * number
    middle, worst = [np.median(values) for values in ratios.values()], [max(values) for values in ratios.values()]
    axes.hlines(places, middle, worst, color="0.6")
    processor = folder.name.removeprefix("authenticamd-").replace("-", " ")
    axes.plot(middle, places, "osD^v"[number], color=COLOURS["residual"], alpha=1 / (1 + number), label=processor)
    for name, values in ratios.items():
        print(f"{processor:27} {name:15} {np.median(values):.2f} of PyTorch's time, worst {max(values):.2f}")
    assert np.median(ratios["resnet20"]) < np.median(ratios["resnet50"])
axes.axvline(1, color="black", linewidth=0.8)
axes.set(yticks=range(len(NETWORKS)), yticklabels=NETWORKS, xlim=(0, 1.2), ylabel="network", title="a training step")
axes.set_xlabel("time over PyTorch's")
if records.exists():
    axes.legend(fontsize=8)
else:
    print("this copy of MiniRes came without benchmarks/results; a checkout has them")
plt.show()

# %%
# The networks for CIFAR with their few channels gain most. ResNet-50 gains least: its convolutions have many channels,
# so a plain product is near the roof already, and most of them are 1×1, where Winograd has nothing to save.
#
# What can be measured here and now is one convolution: 3×3, 16 channels, 32×32 pixels, forward. (Compiling the Numba
# kernels takes a while, once; in quick mode this is left out.)

if not quick():
    x = rng.standard_normal((128, 16, 32, 32), np.float32)
    weight = rng.standard_normal((16, 16, 3, 3), np.float32)
    times = {"NumPy": seconds(numpy_kernels.conv2d_forward, x, weight, None, (1, 1), (1, 1))}
    if has_numba:
        with kernels.use("numba") as fast:
            x_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            y = fast.conv2d_forward(x_last, weight, None, (1, 1), (1, 1))
            np.testing.assert_allclose(y, numpy_kernels.conv2d_forward(x, weight, None, (1, 1), (1, 1)), atol=1e-3)
            times["Numba"] = seconds(fast.conv2d_forward, x_last, weight, None, (1, 1), (1, 1))
    if importlib.util.find_spec("torch") is not None:
        import torch

        given = torch.from_numpy(x).contiguous(memory_format=torch.channels_last), torch.from_numpy(weight)
        with torch.no_grad():
            times["PyTorch"] = seconds(lambda: torch.nn.functional.conv2d(*given, padding=1))
    else:
        print("PyTorch is not installed; the records above have its times")
    for name, needed in times.items():
        print(f"{name:8} {needed / times['NumPy']:6.2f} of NumPy's time")

# %%
# How to go about it
# ------------------
# All of this was found by measuring, in a fixed order: which operation takes the time (``minires bench --profile``);
# how far it is from its roof; and if it is far, what is moved that need not be. What is fast in theory and not on the
# clock is not kept.
#
# In five lines
# -------------
# - A layer waits for the memory or for the arithmetic; its intensity says for which.
# - Copies are what a formula does not mention: im2col's columns, an array after each step.
# - Lines of 64 bytes come as a whole, so it matters who lies beside whom; strides say it.
# - Fusion does the work of several layers while the numbers are at hand.
# - Winograd's tiles need fewer multiplications and round more.
#
# Exercises
# ---------
# 1. On paper: how many arrays does batch norm in training read and write, if mean, variance and result are each
#    computed in a pass of their own? Which of the passes can go together with the convolution before it?
# 2. On paper: F(4, 3) on a line. How many multiplications do four outputs of a filter with three taps take, and how
#    many does the plain sum take? And what becomes of that proportion in two directions?
# 3. Draw ``INTENSITY`` once more for float64. Which layers change sides?
# 4. **In code**, with an examiner: ``minires learn 18``: the gradients of Winograd's tiles, by hand, and the batch norm
#    that disappears in the filters before it.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* The mean reads one array, the variance reads it again, the result reads it a third time and writes one:
#      four. The sums for mean and variance can be taken while the convolution still holds its output.
#    - *2.* As many as there are points, 6, in place of 12: half. In two directions it is half of the half, 36 in place
#      of 144.
#
# Read next
# ---------
# - Williams, Waterman, Patterson, *Roofline: an insightful visual performance model for multicore architectures*,
#   Communications of the ACM 52(4), 2009.
# - Lavin, Gray, *Fast algorithms for convolutional neural networks*, arXiv 1509.09308: Winograd's tiles.
# - Winograd, *Arithmetic complexity of computations*, 1980: why it cannot be done with fewer.
# - ``minires/kernels/numba_kernels/winograd.py`` and ``machine/tile.py`` beside it; the page *The CPU kernels*.
