r"""
2. A tensor that remembers
==========================

Chapter 1 wrote a derivative down backward, line by line, under the function that it belongs to. Nobody wants to do that
for a network of a hundred layers. If every number remembered which numbers it was made from, could a program walk back
by itself? In what order? And why does the obvious way of walking take 134 million paths through a residual network of
56 layers?
"""

# %%
# A number with a memory
# ----------------------
# A ``Node`` holds a value, the nodes that it was computed from, and how fast it changes with each of them. That is all:
# the nodes and the arrows between them are the **graph** of the computation, drawn while the computation runs.

import sys

import matplotlib.pyplot as plt
import numpy as np

from minires import Op, Tensor, backward_order, no_grad
from minires.plots import COLOURS


class Node:
    def __init__(self, value, inputs=(), slopes=()):
        self.value, self.inputs, self.slopes = value, inputs, slopes
        self.grad = 0.0

    def __add__(self, other):
        return Node(self.value + other.value, (self, other), (1.0, 1.0))

    def __mul__(self, number):
        return Node(self.value * number, (self,), (number,))


def block(x):
    return x + x * 0.5  # a skip, and a branch beside it


x = Node(4.0)
y = block(x)
assert y.inputs[0] is x and y.inputs[1].inputs[0] is x

# %%
# The value ``x`` is used twice, by the branch and by the sum. Such a *diamond* is what a residual network is made of,
# block upon block. Here are three, with the order that this chapter is looking for.

names = ["x", "½x", "a = x + ½x", "½a", "b = a + ½a", "½b", "y = b + ½b"]
places = [(0, 0), (1, -1), (2, 0), (3, -1), (4, 0), (5, -1), (6, 0)]
figure, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
for i in range(0, 6, 2):
    for start, end in [(i, i + 2), (i, i + 1), (i + 1, i + 2)]:
        colour = COLOURS["residual"] if end == start + 2 else "0.45"
        arrow = {"arrowstyle": "<-", "color": colour, "linewidth": 1.6, "shrinkA": 17, "shrinkB": 17}
        axes.annotate("", places[start], places[end], arrowprops=arrow)
for i, (name, place) in enumerate(zip(names, places, strict=True)):
    axes.scatter(*place, s=800, color="white", edgecolor="black")
    axes.annotate(f"{7 - i}", place, ha="center", va="center", fontsize=11)
    axes.annotate(name, place, (0, 19 if i % 2 == 0 else -27), textcoords="offset points", ha="center", fontsize=10)
axes.set(xlim=(-0.5, 6.6), ylim=(-1.6, 0.7), title="three diamonds; the numbers are the order of the way back")
axes.axis("off")
plt.show()

# %%
# Walking back: the obvious way
# -----------------------------
# A node that is handed a gradient adds it to its own, and hands each of its inputs that gradient times the slope.


def walk(node, grad):
    global visits
    visits += 1
    node.grad = node.grad + grad
    for source, slope in zip(node.inputs, node.slopes, strict=True):
        walk(source, grad * slope)


for blocks in (1, 2, 3, 5, 9, 12):
    x = y = Node(4.0)
    for _ in range(blocks):
        y = block(y)
    visits = 0
    walk(y, 1.0)
    print(f"{blocks:2} blocks, {2 * blocks + 1:2} nodes: dy/dx = {x.grad:9.4f} after {visits:6} visits")
    np.testing.assert_allclose(x.grad, 1.5**blocks)
    assert visits == 3 * 2**blocks - 2

# %%
# The derivative is right, but the walk takes every *path* from the end to the beginning, and at each block a path goes
# through the skip or through the branch: :math:`2^n` paths through :math:`n` blocks. A residual network of 56 layers
# has 27 blocks:

print(f"{2**27:,} paths")

# %%
# Once each, but when?
# --------------------
# A path arrives at a node with a part of its gradient, and walks on with that part alone. Why not wait until all parts
# have come, and walk on once with their sum? To wait means to know an **order**: each node after all the nodes that
# were computed from it. Visiting every node once in *some* order is not enough. Below, each node is handled when it is
# first met, and the sum's node is met through the skip before the branch's share has arrived:


def backward(order):
    order[0].grad = 1.0
    for node in order:
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            source.grad = source.grad + node.grad * slope


def as_first_met(loss):
    found, order = [loss], []
    while found:
        node = found.pop(0)
        if node not in order:
            order.append(node)
            found.extend(node.inputs)
    return order


def after_its_users(loss):
    order = []

    def finish(node):
        if node not in order:
            for source in node.inputs:
                finish(source)
            order.append(node)  # after everything it was computed from

    finish(loss)
    return order[::-1]  # and turned round: after everything computed from it


for make_order in (as_first_met, after_its_users):
    x = Node(4.0)
    y = block(block(block(x)))
    order = make_order(y)
    backward(order)
    print(f"{make_order.__name__:16}: {len(order)} visits, dy/dx = {x.grad}")
    assert (x.grad == 1.5**3) == (make_order is after_its_users)

# %%
# The second is called a *topological order*, and it makes the visits linear in the graph: one for each node.

counts = np.arange(1, 28)
figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
axes.semilogy(counts, 3 * 2.0**counts - 2, "o-", color=COLOURS["residual"], label="every path, with skips")
axes.semilogy(counts, 2 * counts + 1, "o-", color="black", markersize=3, label="every node once, with skips")
axes.semilogy(counts, counts + 1, "o-", color=COLOURS["plain"], markersize=3, label="every path, without skips")
axes.set(xlabel="blocks", ylabel="visits", title="the cost of one walk back")
axes.legend()
plt.show()

# %%
# The engine agrees
# -----------------
# :func:`minires.backward_order` gives such an order as a plain list. The same ``block`` works on tensors. Where a node
# held slopes, a tensor holds an ``op``, and the op its ``inputs``: slopes between arrays would be huge matrices, so
# an op has a method that *multiplies by* them.

x = Tensor(np.array(4.0), requires_grad=True)
y = block(block(block(x)))
order = backward_order(y)
for tensor in order:
    print(tensor)
assert len(order) == 6  # the seven nodes of the picture, without x: there is nothing behind it
y.backward()
np.testing.assert_allclose(x.grad, 1.5**3)

# %%
# One trouble is left with ``after_its_users``: it calls itself once for each node of a chain, and Python stops a
# recursion that is too deep. The engine's order comes without recursion. It first counts how often each tensor is
# used, then lists a tensor when its last use has been listed.

deep = Node(4.0)
for _ in range(sys.getrecursionlimit()):
    deep = deep * 1.0
try:
    after_its_users(deep)
    raise AssertionError("a recursion of that depth should not work")
except RecursionError as error:
    print("RecursionError:", error)

x = y = Tensor(np.array(1.0), requires_grad=True)
for _ in range(2000):
    y = y + y * 0.001
assert len(backward_order(y)) == 4000
y.backward()
np.testing.assert_allclose(x.grad, 1.001**2000)

# %%
# An op is a class with two methods on arrays, :class:`minires.Op`. Forward keeps what backward will need, under a word.
# Here is one of our own:


class Square(Op):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad_y):
        return (grad_y * 2 * self.x,)  # one gradient for each input


x = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
y = Square()(x) + x
print(y.op, "from", y.op.inputs)
y.backward(np.array([1.0, 1.0, 10.0]))
np.testing.assert_allclose(x.grad, [3, 5, 70])  # (2x + 1) times what was handed in

# %%
# Remembering costs memory: what forward kept stays until backward has used it, and is let go then. Where no gradient is
# wanted, inside ``no_grad``, nothing is remembered to begin with.

with no_grad():
    forgetful = block(x)
assert forgetful.op is None and y.op.released

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/02_tensor_that_remembers.py
#    (Pdb) import minires
#    (Pdb) b minires.engine.Tensor.backward
#    (Pdb) b minires.ops.arithmetic.Multiply.backward
#    (Pdb) c
#    > engine.py backward()
#    (Pdb) n
#    (Pdb) p [type(tensor.op).__name__ for tensor in order]
#    ['Add', 'Multiply', 'Add', 'Multiply', 'Add', 'Multiply']
#    (Pdb) c
#    > arithmetic.py backward()
#    (Pdb) p float(grad_y), float(self.a), float(self.b)
#    (1.0, 9.0, 0.5)
#
# Exercises
# ---------
# 1. On paper: number the nodes of ``x * 2 + x * 3 + x`` in a right order. How many right orders are there?
# 2. Add ``tanh`` to ``Node`` (chapter 1 has its slope, exercise 1), and compare with a central difference.
# 3. **In code**, with an examiner: ``minires learn 2`` writes a file with a gap for an order that is right *and* needs
#    no recursion. Once ``minires check 2`` is content, train the digits with it: ``minires check 2 --train``.
#
# Read next
# ---------
# - Arthur B. Kahn, *Topological sorting of large networks*, Communications of the ACM 5(11), 1962: no recursion there.
# - D. Rumelhart, G. Hinton, R. Williams, *Learning representations by back-propagating errors*, Nature 323, 1986.
# - ``minires/engine.py``: ``backward_order``, ``Tensor.backward`` and ``Op.__call__`` are the whole of it.
