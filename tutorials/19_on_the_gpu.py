r"""
19. On the GPU with CuPy
========================

A processor has a few cores, and each of them is quick. A graphics card has thousands, and each of them is slow. What
does a program look like that keeps thousands busy? And when they all add to one number, what comes out?

:Time: 30 minutes to read, a second or two to run
:Before it: chapters 7, 8 and 18
:Afterwards: you can read a CUDA kernel, and say which mistakes it must not make
"""

# %%
# What is true here, and what is not
# ----------------------------------
# MiniRes computes on NVIDIA's cards with kernels in CUDA C++, which **CuPy** compiles and starts. Most readers have no
# such card at hand. So this chapter runs the same sources on the processor: ``minires.kernels.emulation`` has g++
# compile them, and plays the card: blocks, threads, barriers. What it shows is what a kernel *computes*. How *fast* a
# card is, it cannot show. **No number of this chapter was measured on a card.**
#
# What there is of such measurements stands on the page *On a GPU*. Where there is no g++ the results are shown as they
# were recorded.

import itertools

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, models, ops
from minires.kernels import cuda, emulation, numpy_kernels
from minires.kernels.emulation import fake_cupy
from minires.learn.recorded import Recorded
from minires.plots import COLOURS

shown = Recorded(19, emulation.problem())
print(emulation.problem() or "g++ is here: everything is computed now")

# %%
# A kernel, a thread, a block
# ---------------------------
# A **kernel** is a function that is run by many **threads** at once. All run the same lines. What differs is a number:
# each thread knows who it is, and takes its share of the work by that. Threads come in **blocks**, here of four; the
# threads of one block can wait for each other and share a little memory. Blocks know nothing of each other, and nobody
# says in which order they run.
#
# Here is a whole kernel of MiniRes, and the two lines that it shares with all others:


def print_source(file, begin, lines):
    """Print some lines of a CUDA source, from the first one that has `begin` in it."""
    source = (cuda.FOLDER / file).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(source) if begin in line)
    print("\n".join(source[start : start + lines]), end="\n\n")


print_source("common.cuh", "first_number()", 2)
print_source("activation.cu", "relu_forward", 3)

# %%
# Line by line:
#
# - ``extern "C" __global__ void`` says that this is a kernel, and that its name stays as it is, so that Python finds
#   it.
# - ``const real *x`` is an address: where the numbers begin. An array comes without its shape, so ``size`` has to be
#   handed over. ``real`` is ``float`` or ``double``; the source is compiled once for each.
# - ``first_number()`` is this thread's number among all threads: the block's number times the threads of a block, plus
#   the thread's number in its block. ``next_number()`` is how many threads there are.
# - The loop: take the number that is yours, then go on by as many as there are threads. So any number of threads can do
#   any number of numbers.
#
# .. admonition:: Predict first
#
#    2 blocks of 4 threads, 20 numbers. Which numbers does thread 3 of block 1 take?
#
# In Python:


def numbers_of(block, thread, blocks, threads, size):
    return list(range(block * threads + thread, size, blocks * threads))


BLOCKS, THREADS, SIZE = 2, 4, 20
for block, thread in itertools.product(range(BLOCKS), range(THREADS)):
    print(f"block {block}, thread {thread}: {numbers_of(block, thread, BLOCKS, THREADS, SIZE)}")
assert numbers_of(1, 3, BLOCKS, THREADS, SIZE) == [7, 15]

# %%
# And the real source, by a launch. ``RawModule`` compiles it; a kernel is called with how many blocks there are, how
# many threads each has, and the arguments. Arrays are CuPy's: they lie in the card's memory (here, behind a wall), and
# ``get()`` fetches a copy.

OPTIONS = ("--std=c++17", "-DREAL=float", f"-DTHREADS={THREADS}")
numbers = np.linspace(-2, 2, SIZE, dtype=np.float32)


def relu_on_the_card():
    with emulation.gpu() as cupy:
        kernel = cupy.RawModule(code=cuda.source("activation"), options=OPTIONS).get_function("relu_forward")
        x, y = cupy.asarray(numbers), cupy.empty(SIZE, np.float32)
        kernel((BLOCKS,), (THREADS,), (x, y, np.int64(SIZE)))
        return y.get().tolist()


y = shown("relu", relu_on_the_card)
np.testing.assert_array_equal(np.float32(y), numpy_kernels.relu_forward(numbers))

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/19_on_the_gpu.py
#    (Pdb) import minires.kernels.emulation.cuda_on_cpu
#    (Pdb) b minires.kernels.emulation.cuda_on_cpu.Kernel.__call__
#    (Pdb) c
#    > cuda_on_cpu.py __call__()
#    (Pdb) p self.name, grid, block
#    ('relu_forward', (2,), (4,))
#    (Pdb) p self.parameters
#    ['float32*', 'float32*', 'int64']
#    (Pdb) p arguments[0].shape, arguments[2]
#    ((20,), np.int64(20))
#
# Here Python ends. No debugger for Python goes further: what comes next is machine code. On a card ``self`` would be
# CuPy's own object; the arguments would be the same.
#
# Side by side
# ------------
# Why does a thread not take numbers that lie together, the first one 0 to 4, the next one 5 to 9? Because of how a card
# reads. Its threads go in step, 32 at a time, which is called a **warp**. What the 32 ask for at one moment is fetched
# together, in lines of 128 bytes: 32 float32. If they want neighbours, that is one line. That is called **coalescing**.
# One can count the lines:


def lines_fetched(places):
    """How many lines of 128 bytes hold the float32 numbers at these places."""
    return len(np.unique(np.asarray(places) * 4 // 128))


# %%
# .. admonition:: Predict first
#
#    How many lines does a warp fetch at one moment, if thread :math:`t` reads number :math:`t`? If it reads the first
#    of its own stretch of 100 numbers? If it reads every second number, as a stride of 2 does?

t = np.arange(32)  # the threads of a warp
fetched = {
    "side by side: t": lines_fetched(t),
    "every second: 2t": lines_fetched(2 * t),
    "every third, shifted: 3t + 5": lines_fetched(3 * t + 5),
    "a stretch of its own: 100t": lines_fetched(100 * t),
}
for how, lines in fetched.items():
    print(f"{how:30} {lines:3} lines for 32 numbers, {32 * 4 / (128 * lines):4.0%} of what is fetched is used")
assert list(fetched.values()) == [1, 2, 4, 32]

# %%
# So the loop of ``relu_forward`` goes on by the number of all threads: at any moment neighbours read neighbours. What a
# line costs is a matter of the card, and was not measured here; how many there are is not.
#
# One number, many threads
# ------------------------
# A batch norm needs sums. Let every thread add its number to one total: ``total += x``. That is three steps: **read**
# the total, **add**, **write** it back. Between the steps of one thread there may be steps of others. Here eight
# threads add 1 each, their steps shuffled in a thousand ways:


def add_in_any_order(rng, threads=8):
    total, read = 0, {}
    for thread in rng.permutation(np.repeat(np.arange(threads), 2)):  # each comes twice: it reads, later it writes
        if thread in read:
            total = read[thread] + 1
        else:
            read[thread] = total
    return total


# %%
# .. admonition:: Predict first
#
#    Which totals can come out, besides 8? What is the smallest?

rng = np.random.default_rng(0)
totals = np.bincount([add_in_any_order(rng) for _ in range(1000)], minlength=9)
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.bar(range(9), totals, color=COLOURS["plain"])
axes.set(xlabel="total of eight threads that add 1", ylabel="how often, of 1000", title="a race", xticks=range(9))
plt.show()
print(f"right: {totals[8]} of 1000; the smallest total is {np.flatnonzero(totals)[0]}")
assert totals[0] == 0 and totals[8] < 100

# %%
# That is a **race**. Nothing warns of it, and on a lucky day the total is right.
#
# A sum in steps
# --------------
# The threads of a block can share memory and wait for each other, at a **barrier**, ``__syncthreads()``. So a block
# adds up in pairs: half of the threads each add one number of the other half to their own, then half of those, and so
# on.

print_source("common.cuh", "inline real block_sum", 12)

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for step, half in enumerate((4, 2, 1)):
    for t in range(half):
        axes.annotate("", (t, -step - 1), (t, -step), arrowprops={"arrowstyle": "->", "color": COLOURS["residual"]})
        axes.annotate("", (t, -step - 1), (t + half, -step), arrowprops={"arrowstyle": "->", "color": "0.5"})
    axes.axhline(-step - 0.5, color="0.8", linestyle=":", zorder=0)
for step, count in enumerate((8, 4, 2, 1)):
    axes.plot(range(count), [-step] * count, "o", markersize=15, color="white", markeredgecolor="black", zorder=3)
    for t in range(count):
        axes.text(t, -step, f"{2**step}", ha="center", va="center", fontsize=8, zorder=4)
axes.set(xlabel="thread", ylabel="steps, a barrier between them", yticks=[0, -1, -2, -3], yticklabels="0123")
axes.set(ylim=(-3.5, 0.5), title="a sum of eight numbers; inside, how many each has in it")
plt.show()

# %%
# A barrier that is missing is as bad as a race. The emulation runs one thread after another up to the next barrier,
# first to last, or last to first. A right kernel cannot tell the difference. This one, with its barriers and without:

SUMS = """
extern "C" __global__ void NAME(const float *x, float *total) {
    __shared__ float numbers[THREADS];
    const int t = threadIdx.x;
    numbers[t] = x[t];
    BARRIER
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) numbers[t] += numbers[t + half];
        BARRIER
    }
    if (t == 0) *total = numbers[0];
}
"""
code = SUMS.replace("NAME", "with_barriers").replace("BARRIER", "__syncthreads();")
code += SUMS.replace("NAME", "without").replace("BARRIER", "")
x = rng.standard_normal(256).astype(np.float32)


def sums_on_the_card():
    found = {}
    for name, order in itertools.product(("with_barriers", "without"), ("forward", "backward")):
        with emulation.gpu(order) as cupy:
            kernel = cupy.RawModule(code=code, options=("--std=c++17", "-DTHREADS=256")).get_function(name)
            total = cupy.empty(1, np.float32)
            kernel((1,), (256,), (cupy.asarray(x), total))
            found[f"{name}, {order}"] = float(total.get()[0])
    return found


sums = shown("barriers", sums_on_the_card)
for how, total in sums.items():
    print(f"{how:24} {total:12.6f}")
assert sums["with_barriers, forward"] == sums["with_barriers, backward"]
assert sums["without, forward"] != sums["with_barriers, forward"]

# %%
# Atomics, and why results repeat
# -------------------------------
# A card has a remedy for races: an **atomic** addition, whose three steps nobody can come between. With it no number is
# lost. But the order in which the numbers are added is still nobody's, and in floating point the order matters:


def one_after_the_other(x):
    return np.add.accumulate(x)[-1]  # in float32, from the first to the last


def in_pairs(x):
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


orders = [one_after_the_other(rng.permutation(x)) for _ in range(200)]
print(f"200 orders of the same 256 numbers give {len(set(orders))} different sums")
print(f"in pairs {in_pairs(x):.9g}, the kernel above {np.float32(sums['with_barriers, forward']):.9g}")
assert len(set(orders)) > 10
assert in_pairs(x) == np.float32(sums["with_barriers, forward"])  # the very same bits

# %%
# So MiniRes adds nothing with atomics. Each of its sums has an order that follows from the shapes alone, and two runs
# give the same bits. A training that goes wrong can then be repeated and looked at. That is worth more here than
# speed.
#
# The sums of a batch norm
# ------------------------
# A channel of a batch norm has :math:`M = N H W` numbers, far more than a block has threads. So the channel is cut into
# parts, one for each block, and a second kernel combines the parts. Variance has a trap of its own. It is the mean of
# the squares minus the square of the mean, on paper; in float32, for numbers far from zero, two large numbers cancel
# and little is left that is right. The kernel takes each part's mean first, and sums the squares around that:

print_source("normalization.cu", "void batch_norm_statistics", 14)

# %%
# Parts with their own means can be put together exactly (T. Chan, G. Golub, R. LeVeque). With part :math:`p` of
# :math:`M_p` numbers, mean :math:`\mu_p` and squares :math:`Q_p` around it:
#
# .. math::
#
#    \mu = \frac{1}{M} \sum_p M_p\, \mu_p \qquad \sigma^2 = \frac{1}{M} \sum_p \big(Q_p + M_p (\mu_p - \mu)^2\big)

N, C, H, W, PARTS = 4, 2, 10, 9, 3
M = N * H * W
far = (rng.standard_normal((N, C, H, W)) + 3000).astype(np.float32)


def statistics_on_the_card():
    with emulation.gpu() as cupy:
        module = cupy.RawModule(code=cuda.source("normalization"), options=cuda.options("float32"))
        partial = cupy.empty((C, PARTS, 2), np.float32)
        sizes = [np.int32(number) for number in (M, C, H * W)]
        module.get_function("batch_norm_statistics")((PARTS, C), (cuda.THREADS,), (cupy.asarray(far), partial, *sizes))
        return partial.get().tolist()


means, squares = np.moveaxis(np.float32(shown("batch norm", statistics_on_the_card)), 2, 0)
counts = np.float32([M // PARTS] * PARTS)
mean = (counts * means).sum(axis=1) / M
var = (squares + counts * (means - mean[:, None]) ** 2).sum(axis=1) / M

right = far.astype(float).var(axis=(0, 2, 3))
short = (far * far).mean(axis=(0, 2, 3)) - far.mean(axis=(0, 2, 3)) ** 2  # in float32, as on paper
print("variance, right:", right.round(4), " in parts:", var.round(4), " by the short formula:", short.round(4))
np.testing.assert_allclose(var, right, rtol=1e-3)
assert np.abs(short - right).max() > 0.05

# %%
# Scatter or gather
# -----------------
# Chapter 7 adds columns back into an image: each number of a column goes to the pixel that it was copied from. If there
# is a thread for each number of the columns, up to :math:`K^2` of them add to one pixel: the race again. That is called
# to **scatter**. So turn the question round. Let there be a thread for each *pixel*, which goes and fetches all that
# belongs to it: it **gathers**, and nobody else writes there.

print_source("columns.cu", "__global__ void col2im", 19)

# %%
# The thread for pixel :math:`(h, w)` asks, for each tap :math:`(u, v)`: which place would have seen me through it? That
# place :math:`i` has :math:`i \cdot stride + u - padding = h`. So :math:`h + padding - u` must be divisible by the
# stride, and the place must exist. Two ``continue``, one ``+=``, into a number of the thread's own.

kernel_size, stride, padding, shape = (3, 3), (2, 2), (1, 1), (2, 3, 5, 6)
I, J = numpy_kernels.output_size(shape, kernel_size, stride, padding)
cols = rng.standard_normal((2, 3 * 9, I * J)).astype(np.float32)


def col2im_on_the_card():
    with emulation.gpu() as cupy:
        from minires.kernels import cupy_kernels  # the functions that choose a grid and launch

        return cupy_kernels.col2im(cupy.asarray(cols), shape, kernel_size, stride, padding).get().tolist()


by_gathering = np.float32(shown("col2im", col2im_on_the_card))
np.testing.assert_allclose(by_gathering, numpy_kernels.col2im(cols, shape, kernel_size, stride, padding), atol=1e-6)

# %%
# The engine agrees
# -----------------
# A whole network. ``to("cuda")`` moves the parameters; after that the same lines run as everywhere. What comes out is
# compared with the processor's own kernels. On the way it is noted which kernels were started, and how often the
# program had to **wait** for the card. That is costly: a processor only puts kernels into a queue and goes on, until it
# wants to see a number.

images, labels = rng.standard_normal((3, 3, 8, 8)).astype(np.float32), np.array([0, 1, 2])


def network():
    return models.cifar_resnet(8, width=4, seed=0)


def on_the_card():
    on_cpu = network()
    ops.cross_entropy(on_cpu(Tensor(images)), labels).backward()
    with emulation.gpu() as cupy:
        from minires.kernels.cupy_kernels.launching import launches

        on_card = network().to("cuda")
        x, wanted = Tensor(images).to("cuda"), cupy.asarray(labels)
        launches.clear(), fake_cupy.waits.clear()
        loss = ops.cross_entropy(on_card(x), wanted)
        loss.backward()
        waits = len(fake_cupy.waits)
        differences = []
        for one, other in zip(on_cpu.parameters(), on_card.parameters(), strict=True):
            differences.append(float(np.abs(one.grad - other.grad.get()).max() / np.abs(one.grad).max()))
        return {"loss": loss.item(), "differ by": max(differences), "waits": waits, "launches": dict(launches)}


found = shown("network", on_the_card)
loss = ops.cross_entropy(network()(Tensor(images)), labels).item()
print(f"loss {found['loss']:.6f}, on the processor {loss:.6f}; gradients differ by {found['differ by']:.0e} at most")
print(f"waited for the card {found['waits']} times during forward and backward")
for name, times in sorted(found["launches"].items(), key=lambda pair: -pair[1]):
    print(f"   {times:3} × {name}")
assert abs(found["loss"] - loss) < 1e-4 and found["differ by"] < 1e-2 and found["waits"] == 0

# %%
# On a real card the same lines run with ``pip install -e '.[cuda13]'`` and without ``emulation``. ``minires doctor``
# says what is missing. ``python benchmarks/gpu_run.py`` measures there what no emulation can: times.
#
# In five lines
# -------------
# - A kernel is run by many threads at once; each finds its share by its number.
# - Neighbours read neighbours, so that one line of memory serves a whole warp.
# - Two threads that write one number are a race: gather, do not scatter.
# - Threads of a block add in pairs, with a barrier after each step.
# - A sum with a fixed order has the same bits each time; one with atomics has not.
#
# Exercises
# ---------
# 1. On paper: a kernel has 3 blocks of 256 threads and 1000 numbers. How many numbers does thread 0 of block 0 take?
#    And the last thread of the last block?
# 2. On paper: ``option_a_backward`` copies numbers into an image of zeros. Is it a scatter with a race? Why not? How is
#    it written in ``shortcut.cu``, and why so?
# 3. Take one ``__syncthreads();`` out of ``SUMS`` and leave the other. In which order of threads does it show?
# 4. **In code**, with an examiner: ``minires learn 19``: two parts of a variance, one of which may be empty, and the
#    thread that gathers the gradient of one pixel through a max pool.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* There are 768 threads. Thread 0 takes the numbers 0 and 768. The last one takes number 767 alone, since 767
#      + 768 is beyond the end.
#    - *2.* Every pixel is written at most once, so there would be no race. It is a gather all the same: each pixel must
#      also get its 0, and a thread for each pixel does both in one pass.
#
# Read next
# ---------
# - NVIDIA, *CUDA C++ programming guide*: programming model, and memory hierarchy.
# - Harris, *Optimizing parallel reduction in CUDA*, 2007: the sum in pairs, made fast in seven steps.
# - Chan, Golub, LeVeque, *Algorithms for computing the sample variance: analysis and recommendations*, The American
#   Statistician 37(3), 1983.
# - The page *On a GPU*; ``minires/kernels/cuda/implicit_gemm.cuh``, which opens with a picture; and
#   ``minires/kernels/emulation/cuda_cpu.h``, the whole of the card that was played here.
