r"""
15. Repairing five published listings
=====================================

Residual networks are explained in many articles, and most of them print code. Five such listings were collected for
this chapter. None of them is right. Some stop at once. The others run, their shapes fit, and their losses fall. How
does one find what is wrong with code that runs?

:Time: 35 minutes to read, 4 seconds to run
:Before it: chapters 8, 11 and 12
:Afterwards: you can write tests that a wrong residual block does not pass, and mend what they find
"""

# %%
# A bench of tests
# ----------------
# Chapter 12 looked at which operations a block carries out, and in which order. That is one way. This chapter takes
# another: it does something to a block, and looks at how the block answers. For that, nobody has to read the code.
#
# There are five tests. The listings are in code of our own, but the mistakes in them are those of the articles. A
# listing is a function of :math:`C` channels coming in, :math:`F` going out, and a stride; it returns a block.

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, gradcheck, models, nn, ops, optim
from minires.data import load_digits
from minires.gradient_check import GradientError
from minires.learn import quick
from minires.plots import COLOURS


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def made(listing, *sizes):
    """The listing's block, with weights that are the same each time."""
    block = listing(*sizes)
    nn.initialize(block, "he", seed=0)
    return block


def test_shapes(listing):
    """What comes out has the right shape, whether the block changes shapes or not."""
    for C, F, stride in ((8, 8, 1), (8, 16, 2)):
        y = made(listing, C, F, stride)(Tensor(drawn(2, C, 6, 6)))
        assert y.shape == (2, F, 6 // stride, 6 // stride), f"{y.shape} comes out"


# %%
# **Is there a norm behind every convolution?** A batch norm takes the size out of what it gets. So make one filter
# eight times as large. If a norm stands behind it, nothing changes. (Nearly nothing: :math:`\varepsilon` is not made
# larger.)


def test_norms(listing):
    """A convolution that is eight times as loud makes no difference."""
    block, x = made(listing, 8, 16, 2), Tensor(drawn(4, 8, 6, 6))
    y = block(x).data
    for name, layer in block.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data *= 8
            change = np.abs(block(x).data - y).max()
            assert change < 0.01, f"{name} eight times as loud changes y by {change:.1f}"
            layer.weight.data /= 8


# %%
# **Is there an identity path?** Switch the branch off: give every number that is trained the value 0. A branch of zeros
# adds nothing. What is left must be :math:`x`. (Here :math:`x` is positive, so that a ReLU after the addition leaves it
# alone.)


def test_skip(listing):
    """With every parameter at 0, the block gives back what it was given."""
    block, x = made(listing, 8, 8, 1), np.abs(drawn(2, 8, 6, 6))
    for parameter in block.parameters():
        parameter.data[...] = 0
    y = block(Tensor(x)).data
    assert np.array_equal(y, x), f"with the branch switched off, {np.mean(y == x):.0%} of x arrives unchanged"


# %%
# **Is the gradient right?** Chapter 4 has the tool. Blocks are small enough to be compared whole.


def test_gradient(listing):
    """The gradient at x agrees with finite differences."""
    block = made(listing, 4, 4, 1).to("float64")
    try:
        gradcheck(lambda x: block(x), drawn(2, 4, 3, 3).astype(np.float64))
    except GradientError as error:
        raise AssertionError("the gradient of x is not that of finite differences") from error


# %%
# **Has it as many parameters as it should have?** On paper, a basic block has two 3×3 convolutions without bias and two
# norms. Where shapes change there are a 1×1 convolution and a norm on the shortcut.


def basic_on_paper(C, F, stride):
    return 9 * C * F + 9 * F * F + 2 * 2 * F + (C * F + 2 * F if (C, stride) != (F, 1) else 0)


def bottleneck_on_paper(C, F, stride):
    M = F // 4  # the narrow middle
    return C * M + 9 * M * M + M * F + 2 * (M + M + F) + (C * F + 2 * F if (C, stride) != (F, 1) else 0)


def test_count(listing, on_paper=basic_on_paper):
    """It has as many parameters as the formula says."""
    for sizes in ((8, 8, 1), (8, 16, 2)):
        has, wanted = sum(parameter.size for parameter in made(listing, *sizes).parameters()), on_paper(*sizes)
        assert has == wanted, f"{has} parameters, and {wanted} on paper, for {sizes}"


TESTS = (test_shapes, test_norms, test_skip, test_gradient, test_count)


def examine(name, listing, **options):
    """Carry out all tests; print what they say, and return which of them pass."""
    passed = []
    for test in TESTS:
        said = "passes"
        try:
            test(listing, **options if test is test_count else {})
        except (AssertionError, AttributeError, NameError) as error:
            said = str(error).splitlines()[0] or "fails"
        passed.append(said == "passes")
        print(f"{name:22} {test.__name__:14} {said}")
    return passed


# %%
# A test that refuses what is right is worth nothing. So first of all the engine's own block has to pass. And a test
# that refuses nothing is worth nothing, either. So the plain block, without its skip, has to fail one of them.


def own(C, F, stride):
    return models.BasicBlock(C, F, stride, seed=0)


def plain(C, F, stride):
    return models.BasicBlock(C, F, stride, skip=False, seed=0)


assert all(examine("the engine's block", own))
assert examine("the same, no skip", plain) == [True, True, False, True, False]

# %%
# Look at the last line. Where shapes change, the plain block also lacks the projection, and the count says so.
#
# What the listings have in common
# --------------------------------
# Four of the five define the same layers. Only then do they differ.


class Layers(nn.Module):
    def __init__(self, C, F, stride):
        self.conv1, self.bn1 = nn.Conv2d(C, F, 3, stride, padding=1, bias=False), nn.BatchNorm2d(F)
        self.conv2, self.bn2 = nn.Conv2d(F, F, 3, padding=1, bias=False), nn.BatchNorm2d(F)
        projection = [nn.Conv2d(C, F, 1, stride, bias=False), nn.BatchNorm2d(F)]
        self.downsample = nn.Sequential(*projection if (C, stride) != (F, 1) else [])


# %%
# Listing one
# -----------
# The first listing calls a function of a library that it never imports.


class One(Layers):
    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))  # noqa: F821
        y = self.conv2(self.bn2(y))
        return functional.relu(ops.residual_add(self.downsample(x), y))  # noqa: F821


examine("listing one", One)

# %%
# Every test that runs the block says the same. That is the harmless kind of mistake: nobody can miss it. With the name
# put right, the block runs.
#
# .. admonition:: Predict first
#
#    Look at ``forward`` again. Which of the five tests does it fail now?


class OneThatRuns(Layers):
    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.conv2(self.bn2(y))
        return ops.relu(ops.residual_add(self.downsample(x), y))


table = {"one": examine("one, with the import", OneThatRuns)}
assert table["one"] == [True, False, True, True, True]

# %%
# Shapes, parameters, gradient, skip: all of them fit. ``bn2`` stands in front of ``conv2``, where it happens to fit. So
# the first convolution has two norms, and the second has none. What the branch adds has whatever size its filters give
# it, and nothing keeps the branch quiet (chapter 11). To mend it, two names change places.


class OneMended(Layers):
    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return ops.relu(ops.residual_add(self.downsample(x), y))


assert all(examine("one, mended", OneMended))
mended = OneMended(8, 16, 2)
mended.load_state_dict(own(8, 16, 2).state_dict())
x = Tensor(drawn(2, 8, 6, 6))
np.testing.assert_array_equal(mended(x).data, own(8, 16, 2)(x).data)  # the engine agrees, to the bit

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/15_repairing_listings.py
#    (Pdb) import minires.ops.shortcut
#    (Pdb) b minires.ops.shortcut.ResidualAdd.forward
#    (Pdb) condition 1 branch.var() > 1.1
#    New condition set for breakpoint 1.
#    (Pdb) c
#    > shortcut.py forward()
#    (Pdb) p f"{shortcut.var():.1f} {branch.var():.1f}"
#    '1.0 1.9'
#    (Pdb) u
#    > engine.py __call__()
#    (Pdb) u
#    > shortcut.py residual_add()
#    (Pdb) u
#    > 15_repairing_listings.py forward()
#    (Pdb) p type(self).__name__
#    'OneThatRuns'
#
# A norm with the weight 1 gives back a variance of 1 or less. So the breakpoint waits for a branch that is louder than
# that. It lets all the right blocks pass, and stops in the listing.
#
# Listing two
# -----------
# The second one has a class whose body is a comment, and a function that calls the class. Python wants at least one
# statement in a body. So the file cannot even be read.

TWO = """
class ResNet:
    # stem, four stages, head

def resnet18():
    return ResNet([2, 2, 2, 2])
"""
try:
    compile(TWO, "listing two", "exec")
except SyntaxError as error:
    print(f"{type(error).__name__}, line {error.lineno}: {error.msg}")

# %%
# The same article explains the *bottleneck*: 1×1 down to a quarter of the channels, 3×3 there, 1×1 up again, so that
# wide blocks stay cheap. Below it stands this listing.


class Two(nn.Module):
    def __init__(self, C, F, stride):
        self.conv1, self.conv2 = nn.Conv2d(C, F, 3, stride, padding=1), nn.Conv2d(F, F, 3, padding=1)
        self.bn = nn.BatchNorm2d(F)
        projection = [nn.Conv2d(C, F, 1, stride, bias=False), nn.BatchNorm2d(F)]
        self.downsample = nn.Sequential(*projection if (C, stride) != (F, 1) else [])

    def forward(self, x):
        y = self.bn(self.conv2(ops.relu(self.conv1(x))))
        return ops.relu(ops.residual_add(self.downsample(x), y))


table["two"] = examine("two", Two, on_paper=bottleneck_on_paper)
assert table["two"] == [True, True, True, True, False]

# %%
# Only the count finds it. Nothing is narrow in this bottleneck: it is a basic block that has lost a norm. And why does
# ``test_norms`` find nothing, where a norm is missing? A filter that is eight times as loud goes through the ReLU eight
# times as loud, and the one norm that is left takes the eight away behind ``conv2``. So one test is not enough. The
# biases do nothing good here, either: that of ``conv2`` is taken away by the norm behind it (chapter 8).


class TwoMended(nn.Module):
    def __init__(self, C, F, stride):
        M = F // 4
        self.conv1, self.bn1 = nn.Conv2d(C, M, 1, bias=False), nn.BatchNorm2d(M)
        self.conv2, self.bn2 = nn.Conv2d(M, M, 3, stride, padding=1, bias=False), nn.BatchNorm2d(M)
        self.conv3, self.bn3 = nn.Conv2d(M, F, 1, bias=False), nn.BatchNorm2d(F)
        projection = [nn.Conv2d(C, F, 1, stride, bias=False), nn.BatchNorm2d(F)]
        self.downsample = nn.Sequential(*projection if (C, stride) != (F, 1) else [])

    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        return ops.relu(ops.residual_add(self.downsample(x), self.bn3(self.conv3(y))))


assert all(examine("two, mended", TwoMended, on_paper=bottleneck_on_paper))
sizes = {block.__name__: sum(p.size for p in block(256, 256, 1).parameters()) for block in (Two, TwoMended)}
print(f"256 channels: {sizes['Two']:,} parameters as printed, {sizes['TwoMended']:,} mended")
assert sizes["Two"] > 15 * sizes["TwoMended"]

# %%
# Listing three
# -------------
# The third listing is nearly right. To save memory, it lets its ReLU write into the array that it was given.


def relu_in_place(x):
    np.maximum(x.data, 0, out=x.data)
    return x


class Three(Layers):
    def forward(self, x):
        y = relu_in_place(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return relu_in_place(ops.residual_add(self.downsample(x), y))


table["three"] = examine("three", Three)
assert table["three"] == [True, True, True, False, True]

# %%
# The forward pass is right, to the bit. The backward pass never hears of the ReLU: an engine that records operations
# can only record what is an operation. PyTorch has an in-place ReLU that *is* one. It is recorded, and the gradient
# comes out right. Still, whoever looks at the array later, a debugger or another branch of the network, finds it
# changed. In MiniRes there are no operations in place, and the mend is ``ops.relu``: then this listing is
# ``OneMended``.
#
# Below the block the article trains: batches of 128, SGD with ``lr=0.01``, a hundred epochs. Its loop takes the batches
# from a name that is never defined, and there is no word of testing. Readers who add the missing lines tend to add
# these:


def accuracy_as_added(network, images, labels):
    correct = 0
    for start in range(0, len(images), 100):
        logits = network(Tensor(images[start : start + 100])).data
        correct += np.sum(logits.argmax(axis=1) == labels[start : start + 100])
    return correct / len(images)


def accuracy(network, images, labels):
    network.eval()
    result = accuracy_as_added(network, images, labels)
    network.train()
    return result


# %%
# The network stays in training mode. So each batch norm takes mean and variance from the batch it sees, and an image's
# answer depends on its neighbours. In a batch of mixed images, that is hardly noticed.
#
# .. admonition:: Predict first
#
#    Now the test images come in the order of their classes, all zeros, then all ones. What becomes of the accuracy?

images, labels, test_images, test_labels = load_digits()
network = models.cifar_resnet(8, in_channels=1, width=8, seed=0)
optimizer, batches = optim.SGD(network.parameters(), lr=0.05, momentum=0.9), np.random.default_rng(1)
for _ in range(150 if not quick() else 20):
    chosen = batches.integers(0, len(images), 64)
    loss = ops.cross_entropy(network(Tensor(images[chosen])), labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

state = network.state_dict()
by_class = np.argsort(test_labels, kind="stable")
mixed = np.random.default_rng(0).permutation(len(test_labels))
found = {}
for order, name in ((mixed, "mixed"), (by_class, "by class")):
    for measure, mode in ((accuracy, "evaluation"), (accuracy_as_added, "training")):
        network.load_state_dict(state)
        found[name, mode] = measure(network, test_images[order], test_labels[order])
        print(f"test images {name:8}, {mode:10} mode: {found[name, mode]:.1%}")
assert np.isclose(found["mixed", "evaluation"], found["by class", "evaluation"])
assert quick() or found["by class", "training"] < found["by class", "evaluation"] - 0.03

# %%
# In evaluation mode the order makes no difference: every image is judged by itself. In training mode a batch of zeros
# has the mean of a zero taken out of every channel, and with it just what made the image a zero. There is one more
# harm: in training mode the network *learns* from the test images. Its running statistics move with every batch.
#
# This gives a sixth test, for whole networks: an image alone has to get the answer that it gets in company.


def test_alone(network, images):
    network.eval()
    together, alone = network(Tensor(images)).data, network(Tensor(images[:1])).data
    network.train()
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-3, atol=1e-4)


test_alone(network, test_images[:20])

# %%
# Listing four
# ------------
# The fourth article is about another library. Translated, its block puts a 1×1 convolution on *every* shortcut. It has
# a bias, and no norm.


class Four(Layers):
    def __init__(self, C, F, stride):
        super().__init__(C, F, stride)
        self.downsample = nn.Conv2d(C, F, 1, stride)

    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return ops.relu(ops.residual_add(self.downsample(x), y))


table["four"] = examine("four", Four)
assert table["four"] == [True, False, False, True, False]

# %%
# With its branch switched off the block gives 0: there is no identity path. Each skip is one more layer to get through.
# Chapter 12 has shown what that does to the gradient of 110 layers. The mend is, again, the three lines of
# ``OneMended`` and the ``downsample`` of ``Layers``.
#
# Behind its blocks the article goes straight to a linear layer. The global average pooling is missing.

stages = [nn.Conv2d(1, 8, 3, padding=1, bias=False), OneMended(8, 8, 1), OneMended(8, 16, 2)]
as_printed = nn.Sequential(*stages, nn.Flatten(), nn.Linear(16 * 4 * 4, 10))
pooled = nn.Sequential(*stages, nn.GlobalAvgPool2d(), nn.Linear(16, 10))
for name, head in (("as printed", as_printed), ("with the mean", pooled)):
    for size in (8, 12):
        try:
            said = head(Tensor(drawn(2, 1, size, size))).shape
        except ValueError as error:
            said = str(error)
        print(f"{name}, {size}×{size} pixels: {said}")
weights = [head.layers[-1].weight.size for head in (as_printed, pooled)]
print(f"weights of the linear layer: {weights[0]} as printed, {weights[1]} with the mean")
assert weights[0] == 16 * weights[1]

# %%
# So a seventh test is to hand a network images of another size. One that flattens its maps knows a single size, and has
# a weight for every pixel.
#
# Listing five
# ------------
# The last listing builds a network out of its blocks, and asks each block how much it widens. The block does not know.


class Five(OneThatRuns):  # with the misplaced norm of listing one
    pass


def widths(block, width):
    """The channels that the four stages give."""
    return [width * 2**i * block.expansion for i in range(4)]


try:
    widths(Five, 64)
except AttributeError as error:
    print(error)
table["five"] = examine("five", Five)
assert table["five"] == table["one"]

# %%
# One line mends it, ``expansion = 1`` in the class: what a block gives, in multiples of its width. A basic block gives
# its width, a bottleneck four times that. Whoever writes 4 there, since another article does, gets an error about
# shapes, and has been lucky.


class FiveMended(OneMended):
    expansion = 1


print(f"a network of these ends with {widths(FiveMended, 64)[-1]} channels")
assert widths(FiveMended, 64)[-1] == widths(models.BasicBlock, 64)[-1] == widths(models.Bottleneck, 64)[-1] // 4

# %%
# Its network has the stem for large images, a 7×7 convolution and a max pool. Chapter 12 has shown what that leaves of
# 32×32 pixels.
#
# .. admonition:: Predict first
#
#    How many pixels has the last stage, and how many of its 3×3 filters' weights can ever meet a pixel that is not
#    padding?

resnet18 = models.resnet18(10, "imagenet", seed=0)
h = Tensor(drawn(4, 3, 32, 32))
for layer in (resnet18.conv1, resnet18.bn1, ops.relu, resnet18.maxpool, resnet18.layer1, resnet18.layer2,
              resnet18.layer3, resnet18.layer4):  # fmt: skip
    h = layer(h)
h.backward(np.ones_like(h.data) + drawn(*h.shape))
last = resnet18.layer4[1].conv2.weight
used = np.mean(last.grad != 0)
print(f"the last stage sees {h.shape[2]}×{h.shape[3]} pixels; {used:.0%} of its weights get a gradient")
assert h.shape[2:] == (1, 1) and used < 0.12

# %%
# Of nine weights eight stand on padding. They are counted, stored and multiplied, and no gradient ever reaches them. A
# gradient that is exactly 0 is always worth a question.
#
# All of it at a glance
# ---------------------

mended = {"one": OneMended, "two": TwoMended, "three": OneMended, "four": OneMended, "five": FiveMended}
after = {name: examine(f"{name}, mended", block, on_paper=bottleneck_on_paper if name == "two" else basic_on_paper)
         for name, block in mended.items()}  # fmt: skip
assert all(all(passed) for passed in after.values())

figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", gridspec_kw={"width_ratios": [3, 2]})
passes = np.array(list(table.values()))
panels[0].imshow(~passes, cmap="Reds", vmin=0, vmax=1.6, aspect="auto")
for (row, column), passed in np.ndenumerate(passes):
    panels[0].text(column, row, "passes" if passed else "FAILS", ha="center", va="center", fontsize=9)
panels[0].set_xticks(range(5), [test.__name__.removeprefix("test_") for test in TESTS])
panels[0].set_yticks(range(5), [f"listing {name}" for name in table])
panels[0].set(title="once they run", xlabel="test", ylabel="block, as printed")
places = np.arange(2)
for shift, mode in ((-0.2, "evaluation"), (0.2, "training")):
    heights = [100 * found[order, mode] for order in ("mixed", "by class")]
    bars = panels[1].bar(places + shift, heights, 0.38, color=COLOURS["residual" if mode == "evaluation" else "plain"])
    panels[1].bar_label(bars, [f"{height:.0f} %\n{mode}" for height in heights], fontsize=8, padding=2)
panels[1].set_xticks(places, ["test images mixed", "in order of classes"])
panels[1].set(title="listing three: measured in which mode?", xlabel="order", ylabel="accuracy, %", ylim=(0, 125))
plt.show()

# %%
# Every listing fails a test, and none of them fails the test of shapes. Who tests shapes alone finds nothing.
#
# What no such test finds is whether the network is any *good*. All of this is about blocks that are what they say they
# are. For the rest one has to train, which is the next chapter.
#
# In five lines
# -------------
# - A listing that stops is harmless; one that runs has to be asked.
# - A filter made louder shows a norm that stands in the wrong place.
# - A branch switched off shows whether there is an identity path.
# - Finite differences find what was written in place, and a count on paper what is missing or of the wrong kind.
# - An image alone must get the answer that it gets in company: test in evaluation mode.
#
# Exercises
# ---------
# 1. On paper: which of the five tests would a block pass whose shortcut is ``0.5 * x``? And one without its inner ReLU?
# 2. Write the test that the second of them does not pass.
# 3. In ``test_skip`` all parameters are 0. Why is it not enough to set the convolutions to 0? Try it with the listings.
# 4. **In code**, with an examiner: ``minires learn 15`` writes a file with three more pieces of a network, with
#    mistakes that are not in this chapter: a pre-activation block, a stage, a head. ``minires check 15`` says which
#    test fails.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* The first fails ``test_skip`` alone: half of :math:`x` comes out. The second passes all five. Without the
#      ReLU the branch is two convolutions and two norms; its norms, its skip, its gradient and its count are as they
#      should be.
#    - *2.* A branch without a ReLU is affine in evaluation mode. So compare the sum in front of the last ReLU, or the
#      block with its last ReLU left out, at :math:`x`, at :math:`2x` and at 0: an affine function has its value at
#      :math:`x` in the middle of the other two.
#    - *3.* A norm's shift is added behind the convolution. With other shifts than 0 the branch is not silent. In a new
#      block they are 0, so there it makes no difference; in a trained one it does.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Identity mappings in deep residual networks*, arXiv 1603.05027: table 1 is what becomes of 110
#   layers whose skips are no identities.
# - ``minires/models/broken.py``: listings one and four as blocks, to build networks of.
# - ``minires lab articles``: what the same five articles claim, sentence by sentence, each with a verdict.
