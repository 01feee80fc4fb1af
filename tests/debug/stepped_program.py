"""What the debuggers in the tests are pointed at: the backward pass of one residual block."""

import numpy as np

from minires import Tensor, kernels
from minires.models import BasicBlock

block = BasicBlock(4, 4, seed=0)
x = Tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 5)).astype(np.float32), requires_grad=True)
y = block(x)
loss = y.sum()
loss.backward()
print(f"kernels {kernels.in_use()}, |grad_x| {np.linalg.norm(x.grad):.3f}")
