"""After chapter 3: a network of two layers learns two spirals of points. `python -m my_minires.points` draws it."""

import numpy as np

from .tensor import Tanh, Tensor

# Chapter 3: a first network
# --------------------------


def spirals(N=120):
    """Return 2 N points (2 N, 2), and what should come out for each: −1 on the first spiral, 1 on the second."""
    turn = np.linspace(0.2, 1, N)
    angle = 3.5 * turn
    arm = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1)
    return np.concatenate([arm, -arm]), np.repeat([[-1.0], [1.0]], N, axis=0)


def network(x, weights):
    w1, b1, w2, b2 = weights
    return Tanh()(Tensor(x) @ w1 + b1) @ w2 + b2


def train(steps=1500, lr=0.1, hidden=24):
    """Return the weights and the losses of a training by gradient descent."""
    rng = np.random.default_rng(0)
    shapes = [(2, hidden), (hidden,), (hidden, 1), (1,)]
    weights = [Tensor(rng.standard_normal(shape)) for shape in shapes]
    x, wanted = spirals()
    losses = []
    for _ in range(steps):
        error = network(x, weights) - wanted
        loss = (error * error).mean()
        loss.backward()
        losses.append(float(loss.data))
        weights = [Tensor(weight.data - lr * weight.grad) for weight in weights]
    return weights, losses


def draw(weights):
    """Print the plane as the network sees it: - and + for its two answers, o and x for the points."""
    x, wanted = spirals()
    rows = [list(" " * 57) for _ in range(25)]
    for i, row in enumerate(rows):
        plane = np.array([[1.2 * (j - 28) / 28, 1.2 * (12 - i) / 12] for j in range(57)])
        row[:] = np.where(network(plane, weights).data[:, 0] > 0, "+", "-").tolist()
    for (across, up), side in zip(x, wanted[:, 0], strict=True):
        rows[round(12 - 12 * up / 1.2)][round(28 + 28 * across / 1.2)] = "x" if side > 0 else "o"
    print("\n".join("".join(row) for row in rows))


def accuracy(weights):
    x, wanted = spirals()
    return np.mean((network(x, weights).data > 0) == (wanted > 0))


if __name__ == "__main__":
    weights, losses = train()
    draw(weights)
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; {accuracy(weights):.1%} of the points on the right side")
