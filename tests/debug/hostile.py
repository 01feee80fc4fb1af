"""A pass whose op, modules and parameter are called like HTML that would run something, were it taken for HTML."""

import numpy as np

from minires import Op, Tensor, nn

CLASS = "<img src=x onerror=alert(1)>"
MODULE = "</script><script>alert(2)</script>"
PARAMETER = "</style><b onclick=alert(3)>"


def twice(self, array):
    return array * 2.0


def twice_backward(self, grad_y):
    return (2.0 * grad_y,)


Hostile = type(CLASS, (Op,), {"forward": twice, "backward": twice_backward})


class Part(nn.Module):
    def __init__(self):
        setattr(self, PARAMETER, nn.Parameter(np.ones(3, np.float32)))

    def forward(self, x):
        return Hostile()(x * getattr(self, PARAMETER))


class Whole(nn.Module):
    def __init__(self):
        setattr(self, MODULE, Part())

    def forward(self, x):
        return getattr(self, MODULE)(x)


def hostile_loss():
    """Return the model and its loss."""
    model = Whole()
    return model, model(Tensor(np.ones(3, np.float32))).sum()
