r"""
12. The family
==============

One addition made networks of 18 to 1001 layers possible. Which are there, what are they built of, and what do they
cost? And if a network's listing has a mistake, but runs, and its loss falls: who would notice?

:Time: 20 minutes to read, 2 seconds to run
:Before it: chapter 11
:Afterwards: you can build any network of the family, count what it costs, and find a wrong listing
"""

# %%
# Three blocks
# ------------
# - The **basic** block: two 3×3 convolutions, each with a batch norm, a ReLU between them and one after the addition.
# - The **bottleneck**: a 1×1 convolution to a quarter of the channels, a 3×3 one there, a 1×1 one back. Three batch
#   norms, three ReLUs, the last after the addition.
# - The **pre-activation** block: batch norm and ReLU *before* each convolution and nothing after the addition, so that
#   the identity runs through from block to block (chapter 11's formula with the 1).
#
# Their ``forward``, in ``minires/models/blocks.py``, is the picture in the articles from top to bottom. A picture can
# also be had from what a block *does*: :func:`minires.backward_order` lists the tensors that were computed. The
# function below reads the names of their ops from the block's input to its output. It leaves the shortcut's own ops
# out, and says whether the shortcut is :math:`x` itself.

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, backward_order, models, nn, ops
from minires.data import load_digits
from minires.plots import COLOURS


def structure(block, channels):
    """The ops on the way from x to y, in order, without the shortcut's; whether the shortcut is x itself."""
    x = Tensor(np.random.default_rng(0).standard_normal((2, channels, 4, 4)).astype(np.float32), requires_grad=True)
    made = backward_order(block(x))[::-1]
    [addition] = [tensor for tensor in made if type(tensor.op).__name__ == "ResidualAdd"]
    shortcut, _ = addition.op.inputs
    aside = backward_order(shortcut) if shortcut.op is not None else []
    names = [type(tensor.op).__name__ for tensor in made if tensor not in aside]
    return " ".join(names), shortcut is x


BASIC = "Conv2d BatchNorm ReLU Conv2d BatchNorm ResidualAdd ReLU"
BOTTLENECK = "Conv2d BatchNorm ReLU Conv2d BatchNorm ReLU Conv2d BatchNorm ResidualAdd ReLU"
PREACT = "BatchNorm ReLU Conv2d BatchNorm ReLU Conv2d ResidualAdd"
assert structure(models.BasicBlock(16, 16, seed=0), 16) == (BASIC, True)
assert structure(models.Bottleneck(64, 16, seed=0), 64) == (BOTTLENECK, True)
assert structure(models.PreActBlock(16, 16, seed=0), 16) == (PREACT, True)

# %%
# What they cost
# --------------
# A :math:`K\times K` convolution from :math:`C` to :math:`F` channels has :math:`F C K^2` weights. It uses each once
# at every one of its :math:`I J` output places, which makes :math:`F C K^2 I J` *multiply-adds*. Batch norm has two
# numbers a channel. The linear layer has :math:`F C + F`. That is all there is to count.
#
# The networks for CIFAR have :math:`6n + 2` layers: a 3×3 convolution, three stages of :math:`n` basic blocks, a mean
# of each channel, a linear layer. The stages have 16, 32 and 64 channels, on 32×32, 16×16 and 8×8 pixels. Shortcuts
# are identities and option A.
#
# .. admonition:: Predict first
#
#    A block of the second stage has twice the channels of one in the first, and a quarter of the pixels. How many times
#    its parameters has it, and how many times its multiply-adds? So in which stage are the parameters of a ResNet, and
#    in which is the time?


def count_cifar(depth):
    n = (depth - 2) // 6
    parameters, multiply_adds = 16 * 3 * 9 + 2 * 16, 16 * 3 * 9 * 32 * 32
    C = 16
    for F, size in ((16, 32), (32, 16), (64, 8)):
        for _ in range(2 * n):
            parameters += F * C * 9 + 2 * F
            multiply_adds += F * C * 9 * size * size
            C = F
    return parameters + 10 * C + 10, multiply_adds + 10 * C


published = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}  # million parameters, table 6 of the article
for depth, millions in published.items():
    total = nn.totals(models.cifar_resnet(depth, init=None))
    assert total == count_cifar(depth), depth  # the engine agrees
    assert abs(total.parameters / 1e6 - millions) < 0.05
    print(f"ResNet-{depth}: {total.parameters:,} parameters, {total.multiply_adds / 1e6:.1f} million multiply-adds")

# %%
# From stage to stage a block has four times the parameters, and the same multiply-adds. Most parameters are in
# the last stage, and the work is shared out evenly.
#
# Without skips the numbers are the same: an identity costs nothing, and saves nothing. Option B adds the little that
# two 1×1 convolutions and their batch norms have.
#
# .. admonition:: Predict first
#
#    At 256 channels a basic block has two 3×3 convolutions. A bottleneck has 1×1, 3×3 and 1×1, the middle one with 64
#    channels. How many times more parameters has the basic block?

plain, option_b = nn.totals(models.resnet20(skip=False)), nn.totals(models.resnet20(shortcut="B"))
assert plain == count_cifar(20)
assert option_b.parameters - plain.parameters == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
wide = models.BasicBlock(256, 256), models.Bottleneck(256, 64)
ratio = [sum(parameter.size for parameter in block.parameters()) for block in wide]
print(f"option B has {option_b.parameters - plain.parameters:,} parameters more")
print(f"256 channels: basic block {ratio[0]:,}, bottleneck {ratio[1]:,} parameters")
assert 16 < ratio[0] / ratio[1] < 18

# %%
# Two stems
# ---------
# The networks for ImageNet have four stages, and in front of them a 7×7 convolution with stride 2 and a max pool: 224
# pixels become 56. On the 32 pixels of CIFAR that leaves 8, and the last stage looks at a single pixel. With the 3×3
# stem, the same network is fifteen times as expensive, since it looks at so many more places.

stems = {}
for stem in ("imagenet", "cifar"):
    resnet18 = models.resnet18(10, stem, init=None).eval()
    stems[stem] = nn.totals(resnet18, (3, 32, 32))
    h, sizes = Tensor(np.zeros((1, 3, 32, 32), np.float32)), []
    for layer in (resnet18.conv1, resnet18.maxpool, resnet18.layer1, resnet18.layer2, resnet18.layer3, resnet18.layer4):
        h = layer(h)
        sizes.append(h.shape[2])
    assert sizes[-1] == (1 if stem == "imagenet" else 4)
    print(f"{stem} stem: 32 → {' → '.join(map(str, sizes))} pixels, {stems[stem].multiply_adds / 1e6:.1f} million")
assert 14.5 < stems["cifar"].multiply_adds / stems["imagenet"].multiply_adds < 15.5

names = ["resnet20", "resnet56", "resnet110", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
costs = [nn.totals(getattr(models, name)(init=None)) for name in names]
figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
for name, cost in zip(names, costs, strict=True):
    axes.loglog(cost.parameters, cost.multiply_adds, "o", color=COLOURS["residual"])
    axes.annotate(
        name,
        (cost.parameters, cost.multiply_adds),
        (6, -9 if name == "resnet34" else 0),
        textcoords="offset points",
        fontsize=8,
    )
axes.set(xlabel="parameters", ylabel="multiply-adds for one image", title="left: 32×32 pixels; right: 224×224")
axes.set_xlim(right=2e8)
plt.show()

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/12_the_family.py
#    (Pdb) import minires.models.blocks
#    (Pdb) b minires.models.blocks.Bottleneck.forward
#    (Pdb) c
#    > blocks.py forward()
#    (Pdb) p x.shape
#    (2, 64, 4, 4)
#    (Pdb) n
#    > blocks.py forward()
#    (Pdb) p y.shape
#    (2, 16, 4, 4)
#    (Pdb) b ops.residual_add
#    (Pdb) c
#    > shortcut.py residual_add()
#    (Pdb) p shortcut.op is None, branch.shape
#    (True, (2, 64, 4, 4))
#
# ``shortcut.op is None``: what comes over the skip was made by nothing. It is the block's input itself.
#
# Listings that are wrong
# -----------------------
# Residual networks are explained in many places, and many of the listings there are wrong. Some do not run: a function
# that was never imported, an ``expansion`` that the block does not have. Those are harmless. The others run, shapes
# fit, losses fall. Three mistakes are met again and again. Here they are, in listings of our own:


class SecondNormTooEarly(models.BasicBlock):
    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.conv2(self.bn2(y))
        return ops.relu(ops.residual_add(x, y))


class NoIdentity(models.BasicBlock):
    def forward(self, x):
        y = self.bn2(self.conv2(ops.relu(self.bn1(self.conv1(x)))))
        return ops.relu(ops.residual_add(self.projection(x), y))


class BottleneckInNameOnly(nn.Module):
    def __init__(self, channels):
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return ops.relu(ops.residual_add(x, self.bn(self.conv2(ops.relu(self.conv1(x))))))


no_identity = NoIdentity(64, 64)
no_identity.projection = nn.Conv2d(64, 64, 1)
for block, wanted in (
    (SecondNormTooEarly(64, 64), BASIC),
    (no_identity, BASIC),
    (BottleneckInNameOnly(64), BOTTLENECK),
):
    assert block(Tensor(np.ones((2, 64, 4, 4), np.float32))).shape == (2, 64, 4, 4)  # a test of shapes finds nothing
    found, identity = structure(block, 64)
    assert (found, identity) != (wanted, True)  # a test of structure does
    print(f"{type(block).__name__}: {found}, shortcut {'x itself' if identity else 'computed'}")

# %%
# What does it matter? Here are networks of 110 layers before training, of the right block and of two wrong ones that
# MiniRes keeps for comparison: the first two mistakes from above.
#
# .. admonition:: Predict first
#
#    With the right block the gradient grows a little from the last block to the first. Which of the two mistakes makes
#    it grow far more: the norm that comes too early, or the convolution on every shortcut?

images, labels, _, _ = load_digits()


def profile(block):
    network = models.cifar_resnet(110, block=block, width=8, in_channels=1, seed=0)
    h, outputs = network.relu(network.bn1(network.conv1(Tensor(images[:64])))), []
    for stage in (network.layer1, network.layer2, network.layer3):
        for residual in stage:
            h = residual(h)
            outputs.append(h)
    ops.cross_entropy(network.fc(network.avgpool(h)), labels[:64]).backward(keep_grads=True)
    norms = np.array([np.linalg.norm(output.grad) for output in outputs])
    return norms / norms[-1]


profiles = {block.__name__: profile(block) for block in
            (models.BasicBlock, models.MisplacedNormBlock, models.AlwaysProjectedBlock)}  # fmt: skip
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, norms), style in zip(profiles.items(), ("-", "--", ":"), strict=True):
    axes.semilogy(norms, style, color=COLOURS["residual"] if name == "BasicBlock" else "black", label=name)
    print(f"{name}: the first block's gradient is {norms[0]:.3g} times the last one's")
axes.set(xlabel="block", ylabel="‖dL/dh‖, the last block's is 1", title="110 layers, before training")
axes.legend()
plt.show()
basic, misplaced, projected = [norms[0] for norms in profiles.values()]
assert 0.5 < misplaced / basic < 2 and projected / basic > 4

# %%
# The misplaced norm lets the branch be louder, and does the gradient little harm at the start. The convolution on every
# shortcut does: without an identity path, a skip connection is one more layer to get through.
#
# In five lines
# -------------
# - There are three blocks: basic, bottleneck, pre-activation.
# - Parameters and multiply-adds can be counted on paper, and agree with the published ones.
# - An identity shortcut costs nothing, and saves nothing.
# - Wrong listings run, and their losses fall: only a test of *structure* finds them.
# - A convolution on every shortcut is one more layer to get through.
#
# Exercises
# ---------
# 1. On paper: the parameters of ResNet-110 from those of ResNet-56 and ResNet-20, without counting layers. (How does
#    the number grow with :math:`n`?) Check with ``count_cifar``.
# 2. What does ``structure`` say of a ``PreActBlock`` whose input and output have different channels? Why?
# 3. **In code**, with an examiner: ``minires learn 12``. Your own engine gets ``resnet.py``, the block and the network;
#    with it ``python -m my_minires.train`` trains a ResNet-20 that nobody but you has written. The exercise is a file
#    with three listings that are wrong. ``minires check 12`` looks at their structure, and not only at their shapes.
#    Mend them.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* The number grows by the same amount with each :math:`n`. From 20 to 56 layers :math:`n` grows by 6, from 56
#      to 110 by 9: so add one and a half times the difference of the first two, and 1,727,962 comes out.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Deep residual learning for image recognition*, arXiv 1512.03385: table 1 and figure 5
#   (ImageNet), section 4.2 and table 6 (CIFAR-10).
# - He, Zhang, Ren, Sun, *Identity mappings in deep residual networks*, arXiv 1603.05027: pre-activation, and table 1,
#   where a 1×1 convolution on every shortcut of 110 layers costs dearly.
# - Zagoruyko, Komodakis, *Wide residual networks*, arXiv 1605.07146: the other way to grow.
# - ``minires/models/blocks.py``, and ``minires/models/broken.py`` beside it.
