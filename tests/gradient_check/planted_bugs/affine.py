"""Matrix products and the linear layer."""

from minires.ops.affine import Linear, MatMul
from planted_bugs.planting import planted


@planted(MatMul, "matmul, square", says="right with respect to: b")
def b_not_transposed(self, grad_y):
    return grad_y @ self.b, self.a.T @ grad_y


@planted(MatMul, "matmul, square", says="with respect to b.*\n.*transposed: axes 0 and 1 are exchanged")
def grad_b_transposed(self, grad_y):
    return grad_y @ self.b.T, grad_y.T @ self.a


@planted(MatMul, "matmul, batches, broadcast", says="must be summed over the repeated axes")
def batches_not_summed(self, grad_y):
    return grad_y @ self.b.swapaxes(-1, -2), self.a.swapaxes(-1, -2) @ grad_y


@planted(Linear, "linear, square", says="with respect to bias")
def bias_summed_over_the_wrong_axis(self, grad_y):
    return grad_y @ self.weight, grad_y.T @ self.x, grad_y.sum(axis=1)


@planted(Linear, "linear", says="with respect to bias.*\n.*a mean over the images, and should be a sum")
def bias_averaged(self, grad_y):
    return grad_y @ self.weight, grad_y.T @ self.x, grad_y.mean(axis=0)


@planted(Linear, "linear, square", says="with respect to weight.*\n.*transposed: axes 0 and 1 are exchanged")
def weight_transposed(self, grad_y):
    return grad_y @ self.weight, self.x.T @ grad_y, grad_y.sum(axis=0)


@planted(Linear, "linear", says=r"gradient of shape \(3, 2\) for input 1 of shape \(2, 3\): the gradient is transposed")
def weight_of_the_wrong_shape(self, grad_y):
    return grad_y @ self.weight, self.x.T @ grad_y, grad_y.sum(axis=0)


@planted(Linear, "linear, more axes", says=r"a mean over the images(.*\n)*.*with respect to bias")
def bias_averaged_over_all_rows(self, grad_y):
    return grad_y @ self.weight, grad_y.T @ self.x, grad_y.mean(axis=0)
