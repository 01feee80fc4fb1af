r"""
14. With and without skips
==========================

"Skip connections solve the vanishing gradient." Everybody has read it. Thirteen chapters have built all that it takes
to ask: what *do* they do? Here is the whole comparison, with three switches kept apart, and then ten popular sentences,
each with a verdict that is computed.

:Time: 20 minutes to read, 15 seconds to run
:Before it: chapters 9 to 12
:Afterwards: you can judge a sentence about skip connections by numbers of your own
"""

# %%
# Three switches
# --------------
# A comparison of a network "with skips" and one without says nothing if something else was changed as well. Three
# things change the size of a gradient at the start: **initialization** (chapter 9), **norm** (chapters 8 to 10) and
# **skip** (chapter 11). Take everything else away: linear layers of 128 units, a batch of 128, a random gradient
# handed to the last layer. How much of it arrives at the input is a ratio of two norms, :math:`r = \lVert dL/dx
# \rVert / \lVert dL/dh_{last} \rVert`. It is 1 where nothing is lost or gained.
#
# By hand, for a residual block with a ReLU after the addition, and no norm:

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, lab, models, nn, ops
from minires.lab import mlp_twin
from minires.learn import quick
from minires.plots import COLOURS

C = mlp_twin.WIDTH


def by_hand(blocks, seed):
    rng = np.random.default_rng(seed)
    h, saved = rng.standard_normal((mlp_twin.BATCH_SIZE, C)), []
    for _ in range(blocks):
        w1, w2 = (rng.standard_normal((C, C)) * np.sqrt(2 / C) for _ in range(2))
        a = np.maximum(h @ w1, 0)
        h = np.maximum(h + a @ w2, 0)
        saved.append((a, h, w1, w2))
    grad = last = rng.standard_normal(h.shape) / mlp_twin.BATCH_SIZE
    for a, h, w1, w2 in reversed(saved):
        grad = grad * (h > 0)
        grad = grad + ((grad @ w2.T) * (a > 0)) @ w1.T
    return np.linalg.norm(grad) / np.linalg.norm(last)


# %%
# The engine agrees
# -----------------
# ``mlp_twin.measure`` does the same with the engine, for eleven kinds of block.

for blocks in (1, 5, 25):
    ratio, _ = mlp_twin.measure("residual", layers=2 * blocks, seed=0)
    np.testing.assert_allclose(ratio, by_hand(blocks, seed=0), rtol=1e-9)

# %%
# The table
# ---------
# Ratios range over forty powers of ten, so means are taken of their logarithms, over seeds. A logarithm of 0 stands for
# "as large as it set out", −2 for a hundredth, 2 for a hundred times.
#
# .. admonition:: Predict first
#
#    There are plain networks with PyTorch's default weights, with He's, and with batch norm; and residual ones
#    without a norm, with batch norm, and with batch norm and a matrix on every skip. Each has 100 layers. Which
#    gradients vanish, which explode, and which arrive within a factor of 100?

depths, seeds = ((10, 50, 100), range(3)) if not quick() else ((10, 50), range(2))
table = {(record["row"], record["layers"]): record for record in mlp_twin.measure_all(depths, seeds)}
log10_ratio = {place: record["log10_gradient_ratio"] for place, record in table.items()}
print(f"log10 of the ratio at {'':20}" + "".join(f"{depth:>8}" for depth in depths), "layers")
for row, kind in mlp_twin.ROWS.items():
    print(f"   {kind.label:39}" + "".join(f"{log10_ratio[row, depth]:8.1f}" for depth in depths))

shown = {
    "plain_pytorch": ("plain", ":", "plain, default init"),
    "plain_he": ("plain", "--", "plain, He init"),
    "plain_norm": ("plain", "-", "plain + batch norm"),
    "residual": ("residual", ":", "residual, no norm"),
    "always_projected": ("residual", "-.", "residual + norm, no identity"),
    "residual_norm": ("residual", "-", "residual + batch norm"),
    "skip_init": ("residual", "--", "residual, scaled branches"),
}
figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
for row, (colour, dash, label) in shown.items():
    axes.plot(depths, [log10_ratio[row, depth] for depth in depths], dash, color=COLOURS[colour], label=label)
axes.axhspan(-2, 2, color="0.92", zorder=0, label="within a factor of 100")
axes.set(xlabel="linear layers", ylabel="log10 r", ylim=(-20, 11), title="what arrives at the input, before training")
axes.legend(fontsize=8, loc="lower right")
plt.show()

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/14_with_and_without_skips.py
#    (Pdb) import minires.lab.mlp_twin
#    (Pdb) b minires.lab.mlp_twin.residual
#    (Pdb) c
#    > mlp_twin.py residual()
#    (Pdb) p init, h.shape
#    ('he', (128, 128))
#    (Pdb) n
#    > mlp_twin.py residual()
#    (Pdb) p f"{h.data.var():.1f} {branch.data.var():.1f}"
#    '1.0 2.1'
#
# The branch has about twice the variance of what it is added to, before anything is learned: so the variance grows.
#
# Real networks
# -------------
# The same, with convolutions, on the digits: :func:`minires.lab.compare` builds twins that share every weight at the
# start, measures the gradient at every block, trains them, measures again on the way, and computes the sentences below.

steps, moments = (50, (1, 5, 20)) if not quick() else (2, ())
report = lab.compare(depths=(20, 56), steps=steps, moments=moments, seeds=1)
print("\n".join(report["verdict"]))
rows = {row["name"]: row for row in report["summary"]}

figure, panels = plt.subplots(1, 2, figsize=(10, 4.1), layout="constrained")
for network in report["networks"]:
    run, dash = network["runs"][0], "-" if network["depth"] == 56 else "--"
    colour, profile = COLOURS["residual" if network["skip"] else "plain"], run["initial"]["log10_grad_h"]
    panels[0].plot(np.linspace(0, 1, len(profile)), profile, dash, color=colour, label=network["name"])
    panels[1].plot(run["trained"]["losses"], dash, color=colour, label=network["name"])
panels[0].set(xlabel="place: 0 the stem, 1 the last block", ylabel="log10 ‖dL/dh‖", title="before training")
panels[1].set(xlabel="step", ylabel="training loss", title="training", ylim=(0, 4))
panels[0].legend(fontsize=8)
plt.show()

# %%
# And in training? The ratio once more, the stem's gradient over the last block's, after a few steps and after many.
#
# .. admonition:: Predict first
#
#    Plain-56 has begun with an explosion, a ratio far above 1. Where is that ratio after twenty steps of training? And
#    has the network learned anything by then?


def ratios_of(network):
    run = network["runs"][0]
    measured = [{"step": 0, **run["initial"]}, *run["trained"]["moments"]]
    return {norms["step"]: norms["log10_grad_h"][0] - norms["log10_grad_h"][-1] for norms in measured}


on_the_way = {network["name"]: ratios_of(network) for network in report["networks"]}
for name, ratios in on_the_way.items():
    print(f"{name:12}" + "".join(f"  step {step}: 10^{log10:.1f}" for step, log10 in ratios.items()))
if not quick():
    assert on_the_way["plain-56"][0] > 2 > on_the_way["plain-56"][20]
    assert rows["plain-56"]["train_loss"] > 0.8 * np.log(10)

# %%
# Within twenty steps the explosion in plain-56 is gone, and **nothing is learned all the same**. Where its gradient
# goes then, up or down, is another thing with another seed or a smaller learning rate (``minires lab gradient-flow``):
# one seed is no rule. In those first steps an exploding gradient has moved the early layers. What that has done to them
# is what ``minires lab aftermath`` looks into. How large a gradient is and whether a network learns are two questions.
#
# Ten sentences and their verdicts
# --------------------------------
# For each, a case where the sentence is true (``holds``) and one where it is not (``fails``) are looked for in the
# numbers. If there are both, it is *half* right: it holds under a condition that it does not name.
#
# .. admonition:: Predict first
#
#    Give each a verdict of your own, right, half or wrong, before you read on: 1. In deep networks without skips
#    gradients vanish. 2. With skips the gradient is stable. 3. Through the skips the gradient flows back in a straight
#    line. 4. Batch norm keeps signals and gradients in bounds. 5. Inside residual networks gradients still vanish, so
#    use ELU or SELU. 6. Residual networks have fewer parameters. 7. They need less computation. 8. The skip makes a
#    network non-linear. 9. What goes wrong in deep plain networks is overfitting. 10. With skips deeper networks can be
#    trained.


def judge(claim, holds, fails, because):
    verdict = {(True, False): "right", (True, True): "half", (False, True): "wrong"}[bool(holds), bool(fails)]
    print(f"{claim}\n       {because}")
    assert claim.startswith(verdict)


deep, bound = depths[-1], 2  # within a factor of 100 it has neither vanished nor exploded
at = {row: log10_ratio[row, deep] for row in mlp_twin.ROWS}
power = {row: f"10^{value:.1f}" for row, value in at.items()}
judge(
    "half: In deep networks without skips gradients vanish.",
    at["plain_pytorch"] < -10,
    abs(at["plain_he"]) < bound and at["plain_norm"] > 3 and rows["plain-56"]["log10_ratio_initial"] > 2,
    f"default init {power['plain_pytorch']}, He init {power['plain_he']}; batch norm {power['plain_norm']}: explodes",
)
judge(
    "half: With skips the gradient is stable.",
    max(at["residual_norm"], at["skip_init"], rows["residual-56"]["log10_ratio_initial"]) < bound,
    at["residual"] > 3 and at["pre_activation"] > 3,
    f"batch norm {power['residual_norm']}, scaled branches {power['skip_init']}; with neither {power['residual']}",
)
judge(
    "half: Through the skips the gradient flows back in a straight line.",
    abs(at["residual_norm"]) < bound,
    at["always_projected"] > 2.5,
    f"only where they are identities: with a matrix on each, {power['always_projected']}",
)
judge(
    "half: Batch norm keeps signals and gradients in bounds.",
    abs(table["plain_norm", deep]["log10_variance_ratio"]) < bound,
    at["plain_norm"] > 3,
    f"the signal, yes; the gradient of a plain network, no: {power['plain_norm']}",
)

# %%
# Other activations, with batch norm, with skips and without:


def ratio_with(activation, init, skip):
    rng, ones, zeros = np.random.default_rng(0), Tensor(np.ones(C)), Tensor(np.zeros(C))
    h = x = Tensor(rng.standard_normal((C, C)), requires_grad=True)
    for i in range(deep):
        y, _, _ = ops.batch_norm(h @ Tensor(rng.standard_normal((C, C)) * mlp_twin.STD[init]), ones, zeros)
        if i % 2 == 0:
            block_input = h
        elif skip:
            y = ops.residual_add(block_input, y)
        h = activation(y)
    grad = rng.standard_normal(h.shape)
    h.backward(grad)
    return np.log10(np.linalg.norm(x.grad) / np.linalg.norm(grad))


choices = {"relu": (ops.relu, "he"), "elu": (ops.elu, "lecun"), "selu": (ops.selu, "lecun")}
plain, residual = ({name: ratio_with(*choices[name], skip) for name in choices} for skip in (False, True))
judge(
    "wrong: Inside residual networks gradients still vanish, so use ELU or SELU.",
    residual["relu"] < -2,
    abs(residual["relu"]) < bound and plain["relu"] - plain["elu"] > 1.5 > abs(residual["relu"] - residual["elu"]),
    "with skips " + ", ".join(f"{name} 10^{value:.1f}" for name, value in residual.items())
    + "; without, where it matters, " + ", ".join(f"{name} 10^{value:.1f}" for name, value in plain.items()),
)  # fmt: skip

# %%
# Parameters, cost, and what a block can be: if the branch is affine, :math:`F(x) = x W + b`, then so is
# :math:`x + F(x) = x (I + W) + b`.

cost = {kind: nn.totals(models.resnet20(shortcut=kind, init=None)) for kind in ("A", "B")}
twin = nn.totals(models.resnet20(skip=False, init=None))
judge(
    "wrong: Residual networks have fewer parameters.",
    cost["A"].parameters < twin.parameters,
    cost["A"].parameters == twin.parameters < cost["B"].parameters,
    f"as many as the plain twin, {twin.parameters}; option B {cost['B'].parameters - twin.parameters} more",
)
judge(
    "wrong: They need less computation.",
    cost["A"].multiply_adds < twin.multiply_adds,
    cost["A"].multiply_adds == twin.multiply_adds,
    f"as much as the plain twin: {twin.multiply_adds} multiply-adds for an image",
)
x, weight, bias = np.random.default_rng(0).standard_normal((3, 4, 4))
block = ops.residual_add(Tensor(x), Tensor(x) @ Tensor(weight) + Tensor(bias)).data
affine = np.allclose(block, x @ (np.eye(4) + weight) + bias)
judge("wrong: The skip makes a network non-linear.", not affine, affine, "the ReLU does")

loss = {name: row["train_loss"] for name, row in rows.items()}
if not quick():  # the networks trained above
    judge(
        "wrong: What goes wrong in deep plain networks is overfitting.",
        loss["plain-56"] < loss["plain-20"],
        loss["plain-56"] > 3 * loss["plain-20"],
        f"the *training* loss is worse: {loss['plain-56']:.2f}, with 20 layers {loss['plain-20']:.2f}",
    )
    judge(
        "right: With skips deeper networks can be trained.",
        loss["residual-56"] < loss["plain-56"] / 3,
        loss["residual-56"] > loss["plain-56"] / 3,
        f"56 layers: {loss['residual-56']:.2f}, plain {loss['plain-56']:.2f} (20 layers: {loss['residual-20']:.2f})",
    )

# %%
# So what do skips do? They let a deep network *train* that otherwise does not. At the start they make the size of the
# gradient depend less on depth. They do so **provided** that something keeps the branches quiet, and that the skip is
# an identity. And they do not do it by curing a vanishing gradient: with batch norm it explodes in the plain twin
# before training, and when that is over the twin still learns nothing. (All of this is of narrow networks, small
# images and short trainings. And gradients at the start do not decide alone what trains.)
#
# In five lines
# -------------
# - Initialization, norm and skip are three switches; a comparison changes one at a time.
# - In plain networks gradients vanish, stay, or explode: it depends on the other two switches.
# - With skips the size depends less on depth, where branches are quiet and skips are identities.
# - Skips cost no parameters, save no computation, and make nothing non-linear.
# - What they do is let a deep network *train*; they do not do it by curing a vanishing gradient.
#
# Exercises
# ---------
# 1. Give :func:`minires.lab.compare` ``norm="none"`` and both ``init="pytorch"`` and ``init="he"``. Which verdicts
#    change? The convolutional plain network with He's init does not behave as the one of linear layers: what does the
#    zero padding do to the fan of a pixel at the border, if an image has 2×2 pixels?
# 2. Find a sentence about residual networks in a text that you like. Which numbers would decide it? Judge it.
# 3. **In code**, with an examiner: ``minires learn 14`` asks for a mean of such ratios, and for the gradient of a
#    network with scaled branches. Your own engine is complete since chapter 12.
#
# Read next
# ---------
# - He, Zhang, Ren, Sun, *Deep residual learning for image recognition*, arXiv 1512.03385, section 4.1.
# - He, Zhang, Ren, Sun, *Identity mappings in deep residual networks*, arXiv 1603.05027.
# - De, Smith, *Batch normalization biases residual blocks towards the identity function in deep networks*, arXiv
#   2002.10444: why batch norm keeps branches quiet, and how to do without.
