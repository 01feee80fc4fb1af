"""ResNet-20, 56, 110 with option A in DeZero 0.0.13, for the benchmarks. Weights are those of a MiniRes state dict."""

import numpy as np

setattr(np, "int", int)  # noqa: B010  DeZero was written for NumPy 1
import dezero  # noqa: E402
import dezero.functions as F  # noqa: E402
from dezero import Function, Parameter, as_variable  # noqa: E402


class OptionA(Function):
    """Every second pixel, between zero channels."""

    def forward(self, x):
        self.x_shape = x.shape
        front = x.shape[1] // 2
        y = np.zeros((x.shape[0], 2 * x.shape[1], x.shape[2] // 2, x.shape[3] // 2), x.dtype)
        y[:, front : front + x.shape[1]] = x[:, :, ::2, ::2]
        return y

    def backward(self, grad_y):
        C = self.x_shape[1]
        grad_x = np.zeros(self.x_shape, grad_y.dtype)
        grad_x[:, :, ::2, ::2] = grad_y.data[:, C // 2 : C // 2 + C]
        return as_variable(grad_x)


class ResNet(dezero.Layer):
    def __init__(self, depth, state):
        super().__init__()
        self.blocks_per_stage = (depth - 2) // 6
        self.weights = {}
        self.statistics = {}
        for name, array in state.items():
            if "running" in name:
                self.statistics[name] = array.copy()
            else:
                array = array.T if name == "fc.weight" else array
                parameter = Parameter(np.ascontiguousarray(array))
                self.weights[name] = parameter
                setattr(self, name.replace(".", "_"), parameter)

    def norm(self, name, x):
        statistics = self.statistics[f"{name}.running_mean"], self.statistics[f"{name}.running_var"]
        return F.batch_nrom(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], *statistics, eps=1e-5)

    def forward(self, x):
        x = F.relu(self.norm("bn1", F.conv2d(x, self.weights["conv1.weight"], None, 1, 1)))
        for stage in range(1, 4):
            for i in range(self.blocks_per_stage):
                stride = 2 if stage > 1 and i == 0 else 1
                block = f"layer{stage}.{i}"
                y = F.conv2d(x, self.weights[f"{block}.conv1.weight"], None, stride, 1)
                y = F.relu(self.norm(f"{block}.bn1", y))
                y = self.norm(f"{block}.bn2", F.conv2d(y, self.weights[f"{block}.conv2.weight"], None, 1, 1))
                x = F.relu(y + (OptionA()(x) if stride == 2 else x))
        N, C, H, W = x.shape
        x = F.sum(F.reshape(x, (N, C, H * W)), axis=2) / np.float32(H * W)
        return F.linear(x, self.weights["fc.weight"], self.weights["fc.bias"])


def make(name, state):
    return ResNet(int(name.removeprefix("resnet")), state)


def training_step(model, images, labels, lr, momentum, weight_decay):
    """Return a function that does one step and returns the loss."""
    sgd = dezero.optimizers.MomentumSGD(lr, momentum).setup(model)
    sgd.add_hook(dezero.optimizers.WeightDecay(weight_decay))

    def train():
        loss = F.softmax_cross_entropy(model(images), labels)
        model.cleargrads()
        loss.backward()
        sgd.update()
        return float(loss.data)

    return train
