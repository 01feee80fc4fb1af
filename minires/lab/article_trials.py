"""The small measurements that try the claims of `article_claims.py`, each in a second or a few.

A measurement gives words with its numbers, and whether they bear out the verdict that stands beside the claim.
"""

from typing import Any, NamedTuple

import numpy as np

from minires import models, nn, ops
from minires.engine import Tensor, backward_order
from minires.kernels.norms import norm
from minires.lab import mlp_twin
from minires.lab.experiments import activations, batch_norm, optimizers, preactivation
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import first_batch, train
from minires.models.schemes import residual_blocks
from minires.ops.shortcut import ResidualAdd

SEEDS = 3


class Tried(NamedTuple):
    words: str
    holds: bool | None  # None: nothing was tried


def untried(seed: int) -> Tried:
    return Tried("nothing to measure", None)


def ratio(row: str, layers: int, seed: int, which: int = 0) -> float:
    """Return log10 of a twin's gradient ratio (0) or growth of variance (1), the mean over a few seeds."""
    return float(np.mean([np.log10(mlp_twin.measure(row, layers, seed + k)[which]) for k in range(SEEDS)]))


def vanishing(seed: int) -> Tried:
    default, he, norm_, skips = (
        ratio(row, 50, seed) for row in ("plain_pytorch", "plain_he", "plain_norm", "residual_norm")
    )
    words = (
        f"50 layers, gradient at the input over the last: PyTorch's init 10^{default:.1f}, He's 10^{he:.1f}, with "
        f"batch norm 10^{norm_:.1f}, with skips too 10^{skips:.1f}"
    )
    return Tried(words, default < -15 and abs(he) < 1.5 and norm_ > 3 and skips < 2)


def stable(seed: int) -> Tried:
    before, after = ratio("pre_activation", 50, seed, 1), ratio("residual", 50, seed, 1)
    words = (
        f"variance of the signal over 25 blocks without norm: × 10^{before:.1f} pre-activation (2²⁵ is 10^7.5), × "
        f"10^{after:.1f} post"
    )
    return Tried(words, before > 6 and after > 7)


def limit(seed: int) -> Tried:
    alone, both, scaled = (ratio(row, 100, seed) for row in ("residual", "residual_norm", "skip_init"))
    words = (
        f"100 layers: skips alone 10^{alone:.1f}, with batch norm 10^{both:.1f}, with SkipInit's scale 10^{scaled:.1f}"
    )
    return Tried(words, alone > 7 and both < 2.5 and abs(scaled) < 1)


def overfitting(seed: int) -> Tried:
    images = load_images("digits")
    losses = []
    for depth in (8, 44):
        model = models.cifar_resnet(depth, in_channels=1, width=8, skip=False, seed=seed)
        losses.append(train(model, images, 50, 0.05, seed).loss)
    if losses[0] is None or losses[1] is None:
        return Tried("a training diverged", False)
    words = (
        f"plain networks, loss on the images trained with after 50 steps: 8 layers {losses[0]:.2f}, 44 layers "
        f"{losses[1]:.2f}"
    )
    return Tried(words, losses[1] > losses[0] + 0.2)


def parameters_of(depth: int = 20, **options: Any) -> int:
    model = models.cifar_resnet(depth, init=None, **options)
    return int(sum([parameter.size for parameter in model.parameters()]))


def fewer_parameters(seed: int) -> Tried:
    plain, identity, option_b = parameters_of(skip=False), parameters_of(), parameters_of(shortcut="B")
    words = f"ResNet-20: plain {plain:,}, identity shortcuts {identity:,}, option B {option_b:,}"
    return Tried(words, plain == identity and option_b - identity == 2752)


def less_work(seed: int) -> Tried:
    plain, residual = (nn.totals(models.resnet20(skip=skip, init=None)).multiply_adds for skip in (False, True))
    return Tried(f"ResNet-20, multiply-adds: plain {plain:,}, residual {residual:,}", plain == residual)


def every_two_layers(seed: int) -> Tried:
    model = models.resnet20(in_channels=1, seed=seed)
    order = backward_order(model(Tensor(np.zeros((2, 1, 8, 8), np.float32))))
    adds = len([tensor for tensor in order if isinstance(tensor.op, ResidualAdd)])
    blocks = len(residual_blocks(model))
    return Tried(f"ResNet-20 has {adds} additions, one for each of {blocks} blocks of two layers", adds == blocks == 9)


def bends(seed: int) -> Tried:
    """Whether f(a + b) = f(a) + f(b) for ten blocks x + branch(x), without and with ReLU."""
    generator = np.random.default_rng(seed)
    weights = [Tensor(generator.standard_normal((32, 32)) / 8) for _ in range(20)]
    a, b = generator.standard_normal((2, 4, 32))

    def network(x: np.ndarray, relu: bool) -> np.ndarray:
        h = Tensor(x)
        for first, second in zip(weights[::2], weights[1::2], strict=True):
            inner = h @ first
            h = ops.residual_add(h, (ops.relu(inner) if relu else inner) @ second)
        return h.data

    off = [
        norm(network(a + b, relu) - network(a, relu) - network(b, relu)) / norm(network(a + b, relu))
        for relu in (False, True)
    ]
    words = f"distance of f(a+b) from f(a)+f(b): {off[0]:.0e} with skips and no ReLU, {off[1]:.2f} with ReLU"
    return Tried(words, off[0] < 1e-9 and off[1] > 0.01)


def elu_and_selu(seed: int) -> Tried:
    def log10(name: str, skip: bool, norm_: bool) -> float:
        return activations.log10_ratio(activations.ACTIVATIONS[name], skip, norm_, 100, seed)

    plain = [log10(name, False, True) for name in ("relu", "elu", "selu")]
    skips = [log10(name, True, True) for name in ("relu", "elu", "selu")]
    said = [
        f"{name} 10^{a:.1f} plain, 10^{b:.1f} residual"
        for name, a, b in zip(("ReLU", "ELU", "SELU"), plain, skips, strict=True)
    ]
    return Tried(
        f"100 layers with batch norm: {'; '.join(said)}", plain[0] - min(plain) > 3 and max(skips) - min(skips) < 2
    )


def depths(seed: int) -> Tried:
    counts = {depth: parameters_of(depth) for depth in (20, 56, 110)}
    words = "6n+2 layers: " + ", ".join([f"{depth} has {count:,} parameters" for depth, count in counts.items()])
    return Tried(words, list(counts.values()) == [269_722, 853_018, 1_727_962])


def norms_promise(seed: int) -> Tried:
    at_50, at_100 = ratio("plain_norm", 50, seed), ratio("plain_norm", 100, seed)
    factor = 10 ** ((at_100 - at_50) / 50)
    words = (
        f"in plain networks batch norm makes the gradient grow by ×{factor:.3f} a layer (theory: √(π/(π−1)) = 1.211)"
    )
    return Tried(words, 1.17 < factor < 1.25)


def penalties(seed: int) -> Tried:
    found = batch_norm.identities(seed)
    change = found["change of the output where W is ten times as large"][0]
    rate = found["‖dL/dW‖ there, times ten, over ‖dL/dW‖"][0]
    words = (
        f"before a batch norm, filters ten times as large change the output by {change:.0e}, their gradient by "
        f"1/{10 / rate:.0f}"
    )
    return Tried(words, change < 1e-6 and abs(rate - 1) < 1e-6)


def trained_by(name: str, seed: int, steps: int = 60) -> float:
    """Return the loss of ResNet-8 after some steps on the digits, by a way of `optimizers`."""
    model = models.cifar_resnet(8, in_channels=1, width=8, seed=seed)
    way = optimizers.WAYS[name]
    losses = optimizers.train(model, load_images("digits"), way, steps, 64, seed, Progress().advance)
    return float(np.mean(losses[-10:]))


def adam(seed: int) -> Tried:
    adams, sgd = trained_by("Adam 0.001", seed), trained_by("SGD 0.05, momentum", seed)
    return Tried(f"ResNet-8, loss after 60 steps: Adam {adams:.2f}, SGD with momentum {sgd:.2f}", adams < 1.2)


def plain_sgd(seed: int) -> Tried:
    alone, momentum = trained_by("SGD 0.01, alone", seed), trained_by("SGD 0.05, momentum", seed)
    words = f"ResNet-8, loss after 60 steps: SGD at 0.01 alone {alone:.2f}, at 0.05 with momentum {momentum:.2f}"
    return Tried(words, momentum < alone)


def loop(seed: int) -> Tried:
    generator = np.random.default_rng(seed)
    layer = nn.Linear(5, 3, seed=seed)
    x, labels = generator.standard_normal((4, 5)).astype(np.float32), np.array([0, 1, 2, 0])
    sizes = []
    for _ in range(2):  # and no zero_grad between
        ops.cross_entropy(layer(Tensor(x)), labels).backward()
        assert layer.weight.grad is not None
        sizes.append(norm(layer.weight.grad))
    return Tried(
        f"without zero_grad the second gradient is {sizes[1] / sizes[0]:.2f} times the first",
        abs(sizes[1] / sizes[0] - 2) < 1e-3,
    )


def straight_line(seed: int) -> Tried:
    batch = first_batch(load_images("digits"), 16, seed)
    kept = []
    for block in (models.BasicBlock, models.PreActBlock):
        model = models.cifar_resnet(56, block=block, in_channels=1, width=4, seed=seed)
        kept.append(preactivation.arriving(model, *batch))
    words = (
        f"gradient that the identity shortcuts of a stage hand on: {kept[0]:.2f} of it with ReLU after the "
        f"addition, {kept[1]:.4f} without"
    )
    return Tried(words, kept[0] < 0.95 and abs(kept[1] - 1) < 1e-6)


def start(seed: int) -> Tried:
    default, he = ratio("plain_pytorch", 20, seed), ratio("plain_he", 20, seed)
    return Tried(
        f"plain, 20 layers: PyTorch's default 10^{default:.1f}, He's 10^{he:.1f}", default < -6 and abs(he) < 1
    )
