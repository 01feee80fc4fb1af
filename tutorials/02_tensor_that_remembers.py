r"""
2. A tensor that remembers
==========================

Chapter 1 wrote a derivative down backward, line by line, under the function that it belongs to. Nobody wants to do that
for a network of a hundred layers. If every number remembered which numbers it was made from, could a program walk back
by itself? In what order? And why does the obvious way of walking take 134 million paths through a residual network of
56 layers?

:Time: 30 minutes to read, a second or two to run
:Before it: chapter 1
:Afterwards: you have an engine of your own, on single numbers, and have trained a network with it
"""

# %%
# A number with a memory
# ----------------------
# A ``Node`` holds a value, the nodes that it was computed from, and how fast it changes with each of them: its
# *slopes*. The slopes are known as soon as the value is. The product :math:`a b`, for example, changes :math:`b` times
# as fast as :math:`a`, and :math:`a` times as fast as :math:`b`.
#
# The nodes and the arrows between them are the **graph** of the computation. It is drawn while the computation runs.
# Here is all the arithmetic that a small network needs, a line or two for each operation.

import math
import sys

import matplotlib.pyplot as plt
import numpy as np

from minires import Op, Tensor, backward_order, no_grad
from minires.learn import quick
from minires.plots import COLOURS


class Node:
    def __init__(self, value, inputs=(), slopes=(), name=""):
        self.value, self.inputs, self.slopes, self.name = value, inputs, slopes, name
        self.grad = 0.0

    def __add__(self, other):
        other = node(other)
        return Node(self.value + other.value, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = node(other)
        return Node(self.value * other.value, (self, other), (other.value, self.value), "×")

    def __pow__(self, number):
        slope = number * self.value ** (number - 1)
        return Node(self.value**number, (self,), (slope,), f"power {number}")

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -node(other)

    def __truediv__(self, other):
        return self * node(other) ** -1.0

    def exp(self):
        y = math.exp(self.value)
        return Node(y, (self,), (y,), "exp")

    def log(self):
        return Node(math.log(self.value), (self,), (1 / self.value,), "log")

    def tanh(self):
        y = math.tanh(self.value)
        return Node(y, (self,), (1 - y * y,), "tanh")

    def relu(self):
        return Node(max(self.value, 0.0), (self,), (1.0 if self.value > 0 else 0.0,), "relu")

    __radd__, __rmul__ = __add__, __mul__  # so that 2 * x and sum([...]) work, too


def node(value):
    """Return a plain number as a node that was there from the start."""
    return value if isinstance(value, Node) else Node(float(value))


# %%
# One neuron: two inputs, each times a weight, a bias, and a ``tanh``. Follow the arrows from the right: they lead from
# the result to everything that it was computed from.


def draw(last, axes):
    """Draw the graph behind a node: each column is one step further from it."""
    columns = {last: 0}
    found = [last]
    for one in found:  # the list grows while it is walked
        for source in one.inputs:
            columns[source] = max(columns.get(source, 0), columns[one] + 1)
            found.append(source)
    places, rows = {}, {}
    for one, column in columns.items():
        rows[column] = rows.get(column, -1) + 1
        places[one] = (-column, -rows[column] - 0.25 * (column % 2))
    for one, (across, up) in places.items():
        for source in one.inputs:
            arrow = {"arrowstyle": "->", "color": "0.5", "shrinkA": 18, "shrinkB": 18}
            axes.annotate("", (across, up), places[source], arrowprops=arrow)
        axes.scatter(across, up, s=1100, color="white", edgecolor="black", zorder=2)
        axes.annotate(f"{one.name}\n{one.value:.2f}", (across, up), ha="center", va="center", fontsize=8)
    axes.set(xlim=(-max(columns.values()) - 0.5, 0.5), ylim=(-max(rows.values()) - 0.8, 0.5))
    axes.axis("off")


inputs = [Node(0.5, name="x1"), Node(-1.0, name="x2")]
weights = [Node(2.0, name="w1"), Node(0.4, name="w2"), Node(-0.3, name="bias")]
neuron = (weights[0] * inputs[0] + weights[1] * inputs[1] + weights[2]).tanh()
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
draw(neuron, axes)
axes.set_title("one neuron, as it remembers itself")
plt.show()


# %%
# The value that this chapter is about is used **twice**: by a branch, and by the sum beside it.


def block(x):
    return x + x * 0.5  # a skip, and a branch


x = Node(4.0)
y = block(x)
assert y.inputs[0] is x and y.inputs[1].inputs[0] is x

# %%
# Such a *diamond* is what a residual network is made of, block upon block. Here are three. The numbers are the order
# that this chapter is looking for.

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
#
# .. admonition:: Predict first
#
#    Three blocks have ten nodes. How many visits will the walk through them make?


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
    print(f"{blocks:2} blocks, {3 * blocks + 1:2} nodes: dy/dx = {x.grad:9.4f} after {visits:6} visits")
    np.testing.assert_allclose(x.grad, 1.5**blocks)
    assert visits == 4 * 2**blocks - 3

# %%
# The derivative is right. (Each block has one node more than the picture: the plain number 0.5 is a node, too.) But the
# walk takes every *path* from the end to the beginning. At each block a path goes through the skip or through the
# branch, which doubles their number: there are :math:`2^n` paths through :math:`n` blocks. A residual network of 56
# layers has 27 blocks:

print(f"{2**27:,} paths")

# %%
# Once each, but when?
# --------------------
# A path arrives at a node with a part of its gradient, and walks on with that part alone. Why not wait until all parts
# have come, and walk on once with their sum? To wait means to know an **order**: each node after all the nodes that
# were computed from it. Visiting every node once in *some* order is not enough. In the first order below, each node is
# handled when it is first met, and the sum's node is met through the skip before the branch's share has arrived.
#
# .. admonition:: Predict first
#
#    The derivative should be :math:`1.5^3`. Will this order give too much, or too little?


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
    order, seen = [], set()

    def finish(node):
        if node not in seen:
            seen.add(node)
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
    assert x.grad == 1.5**3 if make_order is after_its_users else x.grad < 1.5**3

# %%
# Too little: what arrives late is not passed on. The second order is called a *topological order*. It makes the visits
# linear in the graph: one for each node.

counts = np.arange(1, 28)
figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
axes.semilogy(counts, 4 * 2.0**counts - 3, "o-", color=COLOURS["residual"], label="every path, with skips")
axes.semilogy(counts, 3 * counts + 1, "o-", color="black", markersize=3, label="every node once, with skips")
axes.semilogy(counts, 2 * counts + 1, "o-", color=COLOURS["plain"], markersize=3, label="every path, without skips")
axes.set(xlabel="blocks", ylabel="visits", title="the cost of one walk back")
axes.legend()
plt.show()

# %%
# A network that learns
# ---------------------
# That is an engine: it computes, it remembers, it walks back. What can it do? Below are two spirals of points. A
# network of eight neurons gets a point's two numbers, and shall answer −1 on one spiral and 1 on the other. Its error
# is the mean of the squared differences.
#
# .. admonition:: Predict first
#
#    33 numbers are trained, and 40 points go through. How many nodes will one step make?


def spirals(count):
    points = []
    for i in range(count):
        turn = 0.2 + 0.8 * i / (count - 1)
        across, up = turn * math.cos(4 * turn), turn * math.sin(4 * turn)
        points += [(across, up, -1.0), (-across, -up, 1.0)]
    return points


def network(across, up, weights):
    answer = weights[-1]
    for i in range(8):
        w1, w2, bias, w3 = weights[4 * i : 4 * i + 4]
        answer = answer + w3 * (w1 * across + w2 * up + bias).tanh()
    return answer


points = spirals(20)
rng = np.random.default_rng(0)
weights = [Node(value) for value in 1.5 * rng.standard_normal(33)]
losses = []
for _ in range(150 if not quick() else 3):  # quick() is true in tests, which take a few steps only
    loss = sum([(network(across, up, weights) - wanted) ** 2 for across, up, wanted in points]) * (1 / len(points))
    order = after_its_users(loss)
    backward(order)
    losses.append(loss.value)
    weights = [Node(weight.value - 0.2 * weight.grad) for weight in weights]

right = sum([(network(across, up, weights).value > 0) == (wanted > 0) for across, up, wanted in points])
print(f"{len(order):,} nodes in a step; error {losses[0]:.2f} → {losses[-1]:.3f}; {right} of {len(points)} right")
assert quick() or right >= 38

grid = np.linspace(-1.2, 1.2, 30)
answers = [[network(float(across), float(up), weights).value for across in grid] for up in grid]
figure, axes = plt.subplots(figsize=(5, 4.4), layout="constrained")
axes.contourf(grid, grid, answers, levels=[-9, 0, 9], colors=["#CFE8F3", "#FBE3D0"])
for side, mark in [(-1.0, "o"), (1.0, "x")]:
    axes.plot(*np.array([point[:2] for point in points if point[2] == side]).T, mark, color="black")
axes.set(title="what the network answers, everywhere", xlabel="first number", ylabel="second number")
plt.show()

# %%
# It learns. It is also slow: every number is an object, every multiplication a call. A network for pictures has
# millions of multiplications in a step. So the engine of MiniRes remembers **arrays**, and its nodes are few.
#
# The engine agrees
# -----------------
# :func:`minires.backward_order` gives such an order as a plain list. The same ``block`` works on tensors. Where a node
# held slopes, a tensor holds an ``op``, and the op its ``inputs``. Between two arrays of a thousand numbers there are a
# million slopes, one for each pair. So an op does not keep them. It has a method that multiplies what arrives by them.

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
# In five lines
# -------------
# - A node holds a value, what it was computed from, and its slopes; the nodes are the graph.
# - Walking back along every path is right, and takes :math:`2^n` paths through :math:`n` skips.
# - Wait until all shares have arrived, and walk on once with their sum: that needs an order.
# - In a topological order every node comes after all that were computed from it.
# - An op does the same with arrays: forward keeps what backward will need.
#
# Exercises
# ---------
# 1. On paper: number the nodes of ``x * 2 + x * 3 + x`` in a right order, leaving out the plain numbers. How many right
#    orders are there?
# 2. Add ``sin`` to ``Node``, and compare with a central difference. Then replace ``tanh`` by ``relu`` in the network of
#    this chapter: what does the boundary between the two answers look like now?
# 3. **In code**, with an examiner: ``minires learn 2`` writes a file with a gap for an order that is right *and* needs
#    no recursion. Once ``minires check 2`` is content, train the digits with it: ``minires check 2 --train``.
# 4. **Your own engine**: the same command adds ``Tensor`` to ``my_minires/tensor.py``, a node that holds an array. You
#    write its order, the line that adds up gradients, and what an array gets back that was stretched to fit another.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* Without the plain numbers 2 and 3: the last sum, the first sum, then the two products in either order, then
#      ``x``. So there are two right orders.
#
# Read next
# ---------
# - Kahn, *Topological sorting of large networks*, Communications of the ACM 5(11), 1962: no recursion there.
# - Rumelhart, Hinton, Williams, *Learning representations by back-propagating errors*, Nature 323, 1986.
# - ``minires/engine.py``: ``backward_order``, ``Tensor.backward`` and ``Op.__call__`` are the whole of it.
