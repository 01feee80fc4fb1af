"""Steps that know their own slopes, and tensors that remember the steps: the engine of chapters 1 to 3."""

import numpy as np

# Chapter 1: a step and its slope
# -------------------------------
# A step of a computation is an `Op`, a class with two methods. `forward` takes arrays, computes an array, and keeps
# what backward will need, under a word. `backward` is handed grad_y: how fast the end of the chain changes with what
# this step gave. It returns how fast the end changes with each of the step's inputs: one array per input, in a tuple.


class Op:
    def __call__(self, *inputs):
        """Do the step, and let what comes out remember it. Chapter 2 explains this method."""
        dtype = next((x.data.dtype for x in inputs if isinstance(x, Tensor)), None)
        self.inputs = [x if isinstance(x, Tensor) else Tensor(np.asarray(x, dtype)) for x in inputs]
        y = Tensor(self.forward(*[x.data for x in self.inputs]))
        y.op = self
        return y


class Multiply(Op):
    """y = a · b, element by element."""

    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, grad_y):
        # gap: the two gradients, dL/da and dL/db
        return grad_y * self.b, grad_y * self.a
        # end of gap


class Exp(Op):
    """y = eˣ"""

    def forward(self, x):
        self.y = np.exp(x)
        return self.y

    def backward(self, grad_y):
        # gap: dL/dx, a tuple of one; forward has kept y
        return (grad_y * self.y,)
        # end of gap


class Tanh(Op):
    """y = tanh x"""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, grad_y):
        # gap: dL/dx, a tuple of one; the slope of tanh is 1 − tanh²
        return (grad_y * (1 - self.y * self.y),)
        # end of gap


# Chapter 2: a tensor that remembers
# ----------------------------------
# A tensor holds an array, the op that made it (None for a tensor that was there from the start), and, after a backward
# pass, dL/d(array) in `grad`. The op holds its inputs, which are tensors. So one can walk from the loss to everything
# that it was computed from.


class Tensor:
    __array_ufunc__ = None  # array + tensor is the tensor's business, not the array's

    def __init__(self, data):
        self.data = np.asarray(data)
        self.op = None
        self.grad = None

    @property
    def shape(self):
        return self.data.shape

    def __repr__(self):
        made_by = f", {type(self.op).__name__}" if self.op else ""
        return f"Tensor({self.shape}, {self.data.dtype}{made_by})"

    def backward(self, grad=None):
        """Put dL/dx into the grad of every tensor x that this one, L, was computed from."""
        self.grad = np.ones_like(self.data) if grad is None else grad
        for tensor in backward_order(self):
            for x, grad_x in zip(tensor.op.inputs, tensor.op.backward(tensor.grad), strict=True):
                grad_x = summed_to(grad_x, x.shape)
                # gap: put grad_x into x.grad. Used twice means added. Make a new array: others may hold the old one
                x.grad = grad_x if x.grad is None else x.grad + grad_x
                # end of gap


def backward_order(loss):
    """List the tensors that an op made, from the loss on, each after all that were computed from it.

    No recursion: a network may be thousands of layers deep.
    """
    # gap: count how often each tensor is used as an input; then list a tensor once its last use has been listed
    uses, found = {loss: 0}, [loss]
    for tensor in found:  # it grows while it is walked
        for x in tensor.op.inputs if tensor.op else []:
            if x not in uses:
                uses[x] = 0
                found.append(x)
            uses[x] += 1
    order = []
    ready = [loss]
    while ready:
        tensor = ready.pop()
        if tensor.op is None:
            continue
        order.append(tensor)
        for x in tensor.op.inputs:
            uses[x] -= 1
            if uses[x] == 0:
                ready.append(x)
    return order
    # end of gap


def summed_to(grad, shape):
    """Return the gradient of an array of this shape that was stretched by broadcasting: its uses are added up.

    (3,) stretched to (2, 3) was used twice, and so was (3, 1) stretched to (3, 2).
    """
    if grad.shape == shape:
        return grad
    # gap: sum over the axes that were put in front, then over those that were 1 long, keeping these
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return grad.sum(axis=stretched, keepdims=True)
    # end of gap


# Chapter 3: the diamond, and what a network is made of
# -----------------------------------------------------


class Add(Op):
    """y = a + b, the diamond's lower end."""

    def forward(self, a, b):
        return a + b

    def backward(self, grad_y):
        # gap: what arrives goes to both sides
        return grad_y, grad_y
        # end of gap


class MatMul(Op):
    """y = a @ b for a (N, C) and b (C, F)."""

    def forward(self, a, b):
        self.a, self.b = a, b
        return a @ b

    def backward(self, grad_y):
        # gap: dL/da (N, C) and dL/db (C, F)
        return grad_y @ self.b.T, self.a.T @ grad_y
        # end of gap


class ReLU(Op):
    """y = max(x, 0)"""

    def forward(self, x):
        self.y = np.maximum(x, 0)
        return self.y

    def backward(self, grad_y):
        # gap: dL/dx, a tuple of one: what arrives where y is above 0, and 0 elsewhere
        return (np.where(self.y > 0, grad_y, 0),)
        # end of gap


class Sum(Op):
    """y = the sum of all elements of x."""

    def forward(self, x):
        self.x = x
        return x.sum()

    def backward(self, grad_y):
        # gap: dL/dx, a tuple of one, of the shape and dtype of x
        return (np.full_like(self.x, grad_y),)
        # end of gap


class Reshape(Op):
    """y = x in another shape."""

    def __init__(self, *shape):
        self.shape = shape

    def forward(self, x):
        self.old_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, grad_y):
        return (grad_y.reshape(self.old_shape),)


# What one writes: `a + b`, `a * b`, `a - b`, `a @ b`.
Tensor.__add__ = Tensor.__radd__ = lambda a, b: Add()(a, b)
Tensor.__mul__ = Tensor.__rmul__ = lambda a, b: Multiply()(a, b)
Tensor.__sub__ = lambda a, b: Add()(a, -1.0 * b)
Tensor.__matmul__ = lambda a, b: MatMul()(a, b)
Tensor.sum = lambda x: Sum()(x)
Tensor.mean = lambda x: Sum()(x) * (1 / x.data.size)
