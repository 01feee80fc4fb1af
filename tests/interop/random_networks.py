"""Small networks drawn from a seed: layers, blocks of the family, and plain calls of ops, in any order that fits."""

import math

import numpy as np

from minires import Tensor, models, nn, ops
from minires.models.fused import FUSED

BLOCKS = [models.BasicBlock, models.Bottleneck, models.PreActBlock, models.PreActBottleneck]


class Call(nn.Module):
    """A plain function as a layer; its arrays are parameters."""

    def __init__(self, function, **parameters):
        self.function = function
        self.names = list(parameters)
        for name, array in parameters.items():
            setattr(self, name, nn.Parameter(array.astype(np.float32)))

    def forward(self, x):
        return self.function(x, *[getattr(self, name) for name in self.names])


def random_network(seed):
    """Return a network and the shape of the images it takes."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(6, 14)), int(rng.integers(6, 14)))
    layers, C, H, W = [], *shape
    for _ in range(int(rng.integers(3, 9))):
        layer = rng.choice([convolution, norm, activation, pool, block, arithmetic, moves])(rng, C, H, W)
        layers.append(layer)
        C, H, W = shape_after(layers, shape)
    layers += head(rng, C, H, W)
    network = nn.Sequential(*layers)
    for _, module in network.named_modules():  # as if trained: batch norms whose statistics are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean[...] = rng.standard_normal(module.running_mean.shape)
            module.running_var[...] = rng.uniform(0.5, 2, module.running_var.shape)
            module.weight.data[...] = rng.uniform(0.5, 2, module.weight.shape)
            module.bias.data[...] = rng.standard_normal(module.bias.shape)
    return network, shape


def shape_after(layers, shape):
    x = Tensor(np.zeros((2, *shape), np.float32))
    for layer in layers:
        x = layer.eval()(x)
    return x.shape[1:]


def convolution(rng, C, H, W):
    size, padding = tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(0, 2, 2).tolist())
    size = tuple(min(k, n + 2 * p) for k, n, p in zip(size, (H, W), padding, strict=True))
    stride = tuple(rng.integers(1, 3, 2).tolist())
    F = int(rng.integers(1, 9))
    made = {"bias": bool(rng.integers(2)), "seed": int(rng.integers(1000))}
    if made["seed"] % 3 == 0:  # by a number that is drawn anyhow: the others stay as they were
        made["groups"] = math.gcd(C, F)
        room = [(n + 2 * p - 1) // (k - 1) if k > 1 else 2 for k, n, p in zip(size, (H, W), padding, strict=True)]
        made["dilation"] = tuple(min(2, one) for one in room)
    return nn.Conv2d(C, F, size, stride, padding, **made)


def norm(rng, C, H, W):
    return nn.BatchNorm2d(C, eps=float(rng.choice([1e-5, 1e-3])))


def activation(rng, C, H, W):
    made = [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.Tanh(), nn.Sigmoid(), nn.Dropout(0.3, seed=0)]
    return made[rng.integers(len(made))]


def pool(rng, C, H, W):
    if min(H, W) < 2:
        return nn.Identity()
    made = [
        nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2), nn.MaxPool2d((2, 1), (1, 2), (1, 0)), nn.AvgPool2d(2, 1, 1),
        nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((2, 1)), nn.AdaptiveAvgPool2d((3, 4)),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 3, 1, True), nn.AvgPool2d(3, 2, 1, False, False),
    ]  # fmt: skip
    return made[rng.integers(len(made))]


def block(rng, C, H, W):
    kind = BLOCKS[rng.integers(len(BLOCKS))]
    fused, stride = bool(rng.integers(2)), int(rng.integers(1, 3))
    options = {"skip": bool(rng.integers(4)), "seed": int(rng.integers(1000))}
    channels = int(rng.integers(1, 5)) * (1 if kind.expansion == 4 else 2)
    shortcut = str(rng.choice(["A", "B", "C", "always"]))
    if shortcut == "A" and channels * kind.expansion < C:
        shortcut = "B"
    if not fused:
        options["norm"] = str(rng.choice(["batch", "none", "skipinit", "fixup"]))
        options["activation"] = str(rng.choice(["relu", "elu", "tanh"]))
    return (FUSED[kind] if fused else kind)(C, channels, stride, shortcut=shortcut, **options)


def arithmetic(rng, C, H, W):
    numbers = rng.standard_normal((C, 1, 1))
    mask = rng.random((H, W)) > 0.5
    made = [
        Call(lambda x, scale: x * scale + 0.5, scale=numbers),
        Call(lambda x, scale: 2 - x / (ops.abs(scale) + 1), scale=numbers),
        Call(lambda x: x - 0.5 * x.mean(axis=(2, 3), keepdims=True)),  # not all of it: a mean of that is rounding alone
        Call(lambda x: ops.where(mask, x, ops.tanh(x))),
        Call(lambda x: ops.sqrt(ops.abs(x) + 1) * ops.exp(-ops.abs(x))),
        Call(lambda x: (x * x + 1) ** 0.5 + ops.log(ops.abs(x) + 1)),
        Call(lambda x: x / ops.sqrt(ops.var(x, axis=1, keepdims=True) + 1)),
        Call(lambda x: ops.softmax(x, axis=1)),
        Call(lambda x: ops.softmax(x, axis=3) - ops.max(x, axis=(1, 2), keepdims=True)),
        Call(lambda x, weight: ops.matmul(x, weight), weight=rng.standard_normal((W, W)) / W),
    ]
    return made[rng.integers(len(made))]


def moves(rng, C, H, W):
    order = rng.permutation(C)
    made = [
        Call(lambda x: ops.pad(x, ((0, 0), (0, 1), (1, 0), (2, 1)))),
        Call(lambda x: ops.concatenate((x, ops.tanh(x)), axis=1)),
        Call(lambda x: x.transpose(0, 1, 3, 2)),
        Call(lambda x: x[:, ::-1, :, ::2]),
        Call(lambda x: x[:, order]),
        Call(lambda x: x[..., 0, :][:, :, None]),
        Call(lambda x: x.reshape(len(x), C, 1, H * W)),
        Call(lambda x: x.reshape(-1, C, W, H)),
    ]
    return made[rng.integers(len(made))]


def head(rng, C, H, W):
    classes = int(rng.integers(2, 8))
    start, size = [([nn.GlobalAvgPool2d()], C), ([nn.Flatten()], C * H * W), ([Call(lambda x: x.sum(axis=(2, 3)))], C)][
        rng.integers(3)
    ]
    end = [[], [nn.BatchNorm1d(classes)], [Call(lambda x: ops.log_softmax(x))]][rng.integers(3)]
    return [*start, nn.Linear(size, classes, bias=bool(rng.integers(2)), seed=1), *end]
