r"""
20. Your own pictures
=====================

The digits are not what anybody came for. You have a folder of pictures, perhaps ten of each kind. Can a network learn
from ten pictures? Can it be used where there is no MiniRes? And why does it say what it says?

:Time: 25 minutes to read, 15 seconds to run
:Before it: chapters 8, 12 and 14
:Afterwards: you can teach a trained network your own classes, hand it on, and look at what it goes by
"""

# %%
# A folder of pictures
# --------------------
# MiniRes reads a folder with one folder for each class, and those in ``train`` and ``test``. Put yours there. Here a
# program draws some, so that this chapter needs nothing from elsewhere: four shapes, of any colour, place and turn, on
# a coloured ground.

import importlib.util
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

import minires
from minires import Tensor, data, interop, kernels, lab, models, no_grad, ops, optim
from minires.lab.saliency import pixel_gradients
from minires.learn import quick
from minires.plots import COLOURS
from minires.runs import finetuning

kernels.use("numpy")
CORNERS = {"circle": 40, "cross": 12, "square": 4, "triangle": 3}


def draw(name, rng, size=48):
    """Draw one picture; return it, and a mask of where the shape is."""
    ground = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(ground).resize((size, size), Image.Resampling.BICUBIC)
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(CORNERS[name]) / CORNERS[name]
    radius = np.where(np.arange(CORNERS[name]) % 3 == 0, 0.35, 1) if name == "cross" else np.ones(CORNERS[name])
    radius, (x, y) = radius * rng.uniform(0.2, 0.3) * size, rng.uniform(0.35, 0.65, 2) * size
    outline = list(zip(x + radius * np.cos(angles), y + radius * np.sin(angles), strict=True))
    mask = Image.new("L", (size, size))
    for image, fill in ((picture, tuple(rng.integers(0, 256, 3).tolist())), (mask, 255)):
        ImageDraw.Draw(image).polygon(outline, fill=fill)
    return picture, mask


room = tempfile.TemporaryDirectory()
folder = Path(room.name) / "shapes"
rng = np.random.default_rng(0)
for part, count in (("train", 10), ("test", 50 if not quick() else 3)):
    for name in CORNERS:
        (folder / part / name).mkdir(parents=True)
        for number in range(count):
            draw(name, rng)[0].save(folder / part / name / f"{number:02}.png")

pictures = data.load(folder, image_size=32)
print(pictures.classes, len(pictures.train_images), "to learn from,", len(pictures.test_images), "to test with")
assert pictures.train_images.shape == (40, 3, 32, 32) and pictures.train_images.dtype == np.uint8

figure, panels = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
for panel, number in zip(panels.flat, np.linspace(0, 39, 16).astype(int), strict=True):
    panel.imshow(pictures.train_images[number].transpose(1, 2, 0))
    panel.set_axis_off()
    panel.set_title(pictures.classes[pictures.train_labels[number]], fontsize=8)
plt.show()

# %%
# A network that comes trained
# ----------------------------
# ``resnet20-cifar10`` is in the package: a ResNet-20 that has learned CIFAR-10's airplanes, cats and trucks, and no
# shapes. What it was trained on goes with it, and one thing of that must not be forgotten: how pixels were made into
# numbers. It wants the mean and standard deviation of *its* training images.

network, about, _ = interop.load_network("resnet20-cifar10")
mean, std = (np.float32(numbers).reshape(-1, 1, 1) for numbers in (about.mean, about.std))
print(f"{about.model} knows {', '.join(about.classes)}; mean {np.round(about.mean, 1)}, std {np.round(about.std, 1)}")


def normalized(pixels):
    return (pixels.astype(np.float32) - mean) / std


def accuracy(model, prepare=normalized):
    model.eval()
    with no_grad():
        logits = model(Tensor(prepare(pictures.test_images))).data
    return np.mean(logits.argmax(axis=1) == pictures.test_labels)


# %%
# Fine-tuning
# -----------
# Its last layer, the **head**, answers with ten classes. ``replace_head`` puts a fresh one for four in its place. The
# rest has found edges, corners and colours worth knowing, and may keep them. Three ways:
#
# - **head**: everything else is frozen, no gradient is computed for it.
# - **all**: everything is trained; the head, which starts from nothing, ten times as fast as the rest.
# - **scratch**: the same architecture with fresh weights, for comparison.
#
# .. admonition:: Predict first
#
#    Ten pictures of each class, forty steps of sixteen pictures. Guessing is right in a quarter of all cases. Where
#    does each of the three get to?


def prepared(way):
    if way == "scratch":
        return models.resnet20(num_classes=4, seed=0)
    model, _, _ = interop.load_network("resnet20-cifar10")
    finetuning.replace_head(model, num_classes=4, seed=0)
    if way == "head":
        finetuning.freeze(model, "[!f]*")  # all parameters whose names do not begin with f: all but fc
    return model


def train(model, steps, batch_size=16):
    optimizer = optim.SGD(finetuning.parameter_groups(model, lr=0.01), lr=0.01, momentum=0.9)
    batches, reached = np.random.default_rng(0), {}
    for step in range(1, steps + 1):
        model.train()
        chosen = batches.integers(0, len(pictures.train_images), batch_size)
        logits = model(Tensor(normalized(pictures.train_images[chosen])))
        loss = ops.cross_entropy(logits, pictures.train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0 or step == steps:
            reached[step] = accuracy(model)
    return reached


steps = 40 if not quick() else 1
tuned = {way: prepared(way) for way in ("all", "head", "scratch")}
reached = {way: train(model, steps) for way, model in tuned.items()}
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for (way, values), style in zip(reached.items(), ("-o", "--s", ":D"), strict=True):
    colour = COLOURS["plain" if way == "scratch" else "residual"]
    axes.plot(list(values), list(values.values()), style, color=colour, label=way)
    print(f"{way:8} {values[steps]:.0%} of the test pictures after {steps} steps")
axes.axhline(0.25, color="0.6", linewidth=1, label="guessing")
axes.set(xlabel="step", ylabel="accuracy on the test pictures", ylim=(0, 1), title="ten pictures of each class")
axes.legend(fontsize=8)
plt.show()
assert quick() or reached["all"][steps] > reached["scratch"][steps] + 0.1

# %%
# Filters that were found on other pictures are worth more than ten pictures of one's own. That is one seed and one set
# of pictures. ``minires finetune`` does the same from the command line, for any run or file of weights.
#
# .. admonition:: Predict first
#
#    What is the accuracy of the same network, if pixels are handed to it as numbers from 0 to 1? And as they come, from
#    0 to 255?

model = tuned["all"]
by_range = {
    "normalized as in its training": accuracy(model),
    "from 0 to 1": accuracy(model, lambda pixels: pixels / np.float32(255)),
    "from 0 to 255": accuracy(model, lambda pixels: pixels.astype(np.float32)),
}
for how, right in by_range.items():
    print(f"{how:30} {right:.0%}")

# %%
# No error, no warning: shapes and types fit. And the damage may be small enough to pass for bad luck, which makes it
# hard to notice. Whoever hands on weights has to hand on the normalization.
#
# Weights that others have published
# ----------------------------------
# Arrays are named as torchvision names them. Other repositories have other names, and a prefix in front; what can be
# mapped is mapped, and said. Here a file with the names of the CIFAR repositories, read back:

path = Path(room.name) / "theirs.safetensors"
interop.save_weights(network, path, naming="cifar")
again = models.resnet20(seed=1)
loaded = interop.load_weights(again, path, verbose=False)  # what it would print is in what it returns
print("under another name in the file:", [name for name, own in loaded.names.items() if name != own])
x = Tensor(normalized(pictures.test_images[:4]))
np.testing.assert_array_equal(again.eval()(x).data, network(x).data)

record = Path(minires.__file__).parents[1] / "benchmarks" / "results" / "published_weights.json"  # in a checkout
if record.exists():
    print("\nfour published networks, as minires evaluate found them:")
    print("\n".join(json.loads(record.read_text(encoding="utf-8"))["printed"].values()))

# %%
# Files of PyTorch are pickles, and reading a pickle can run what is in it. MiniRes reads their opcodes and runs
# nothing.
#
# To other engines
# ----------------
# **ONNX** is a file format for networks that many engines run, in a browser or on a telephone. The file holds the
# network in evaluation, and needs no MiniRes.

model.eval()
if importlib.util.find_spec("onnx"):
    onnx_path = Path(room.name) / "shapes.onnx"
    interop.save_onnx(model, onnx_path, (3, 32, 32))
    print(f"written: {onnx_path.stat().st_size // 1024} KiB")
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(onnx_path))
        (logits,) = session.run(None, {"input": x.data})
        np.testing.assert_allclose(logits, model(x).data, atol=1e-4 * np.abs(logits).max())
        print("onnxruntime gives the same logits")
else:
    print("onnx is not installed: pip install -e '.[onnx]'")

# %%
# Why does it say that?
# ---------------------
# A backward pass ends at the first layer's weights, since nobody trains the picture. Let it go one step further, and it
# says of each *pixel* by how much the score of a class changes with it (K. Simonyan, A. Vedaldi, A. Zisserman). Only
# ``requires_grad`` is needed, and the gradient of the score is 1 for one class and 0 for the others.


def gradient_at_the_pixels(model, pixels, chosen):
    x = Tensor(normalized(pixels), requires_grad=True)
    scores = model(x)
    grad_scores = np.zeros_like(scores.data)
    grad_scores[np.arange(len(chosen)), chosen] = 1
    scores.backward(grad_scores)
    return x.grad / std  # by the pixel's own unit, a grey level


pairs = [draw(name, np.random.default_rng(seed)) for seed, name in enumerate(CORNERS, 100)]
pixels = np.stack([np.asarray(picture.resize((32, 32))) for picture, _ in pairs]).transpose(0, 3, 1, 2)
masks = np.stack([np.asarray(mask.resize((32, 32))) > 127 for _, mask in pairs])
with no_grad():
    answers = model(Tensor(normalized(pixels))).data.argmax(axis=1)
gradients = gradient_at_the_pixels(model, pixels, answers)
np.testing.assert_allclose(
    gradients, pixel_gradients(model, pixels, answers, about.mean, about.std), atol=1e-5 * np.abs(gradients).max()
)

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/20_your_own_pictures.py
#    (Pdb) import minires.lab.saliency
#    (Pdb) b minires.lab.saliency.pixel_gradients
#    (Pdb) c
#    > saliency.py pixel_gradients()
#    (Pdb) p pixels.shape, len(classes)
#    ((4, 3, 32, 32), 4)
#    (Pdb) import minires.engine
#    (Pdb) b minires.engine.Tensor.backward
#    (Pdb) c
#    > engine.py backward()
#    (Pdb) u
#    > saliency.py pixel_gradients()
#    (Pdb) p grad_scores.sum(axis=1).tolist()
#    [1.0, 1.0, 1.0, 1.0]
#
# ``minires predict photo.jpg --explain`` draws this for any picture. How much of it lies on the shape, compared with
# how much of the picture the shape covers? And, as a caution, what does the same picture look like for a network with
# random weights, which knows nothing?

random = models.resnet20(num_classes=4, seed=0).eval()
maps = {"trained": gradients, "random weights": gradient_at_the_pixels(random, pixels, answers)}
figure, panels = plt.subplots(3, 4, figsize=(7.5, 5.8), layout="constrained")
for n in range(4):
    panels[0, n].imshow(pixels[n].transpose(1, 2, 0))
    panels[0, n].set_title(f"taken for a {pictures.classes[answers[n]]}", fontsize=9)
    for row, (name, values) in enumerate(maps.items(), 1):
        panels[row, n].imshow(np.abs(values[n]).max(axis=0), cmap="inferno")
        panels[row, n].set_title(name, fontsize=9)
for panel in panels.flat:
    panel.set_axis_off()
plt.show()
for name, values in maps.items():
    squares = (values**2).sum(axis=1)
    print(f"{name:15} {(squares * masks).sum() / squares.sum():.0%} of the gradient's squares lie on the shapes")
print(f"which cover {masks.mean():.0%} of the pictures")

# %%
# A map like this shows what would change the score, in a small neighbourhood of this picture. It does not show how the
# network "thinks", and a map that looks sensible proves little: compare it with that of random weights (J. Adebayo and
# others).
#
# What MiniRes does not do
# ------------------------
# **Second derivatives through operations.** ``.grad`` is a plain array. It does not know how it was computed, so it
# cannot be differentiated again. It could, if each ``backward`` were written in operations and not in arithmetic; but
# then what one steps into would be the engine once more, and not the formula. What is needed of second derivatives is
# had by differences of gradients: :func:`minires.lab.hvp` is a Hessian times a vector. For :math:`\sum x^4 / 12` the
# Hessian has :math:`x^2` on its diagonal:

x, v = Tensor(np.array([1.0, -2, 3]), requires_grad=True), np.array([1.0, 1, -1])
(product,) = lab.hvp(lambda: (x * x * x * x).sum() / 12, [x], [v])
np.testing.assert_allclose(product, x.data**2 * v, rtol=1e-6)

# %%
# There are no layers for text or sound either, no training in half precision, and no compiler that sees the whole
# network. Your own operation can be added: ``CONTRIBUTING.md`` says how, in four places. And all that has been learned
# here has the same names in PyTorch. It goes on from here, on larger machines, with nothing in it any more that you
# could not have written.
#
# In five lines
# -------------
# - A trained network with a fresh head learns new classes from few pictures.
# - With weights goes the normalization that they were trained with; nothing warns of another.
# - Names of published weights are mapped, and files are read without running them.
# - ONNX carries a network to where there is no MiniRes.
# - The gradient at the pixels shows what would change the answer here, and no more.
#
# Exercises
# ---------
# 1. On paper: with everything frozen but the head, what reaches the head is the same in each step for one picture (in
#    evaluation). How could forty steps be made much cheaper?
# 2. On paper: a batch norm is frozen with its running statistics. Which of the three terms of its gradient remain?
# 3. Put ten pictures of your own kinds into a folder, and give it to ``minires finetune resnet20-cifar10 --data
#    FOLDER``.
# 4. **In code**, with an examiner: ``minires learn 20``: the backward pass of a frozen batch norm, and *integrated
#    gradients*, an explanation that adds up to the score.
#
# .. admonition:: Answers to the exercises on paper
#    :collapsible: closed
#
#    - *1.* Compute the head's inputs once for all pictures, keep them, and train the head alone: a linear layer.
#    - *2.* The direct one. Mean and variance are constants, so nothing comes back through them.
#
# Read next
# ---------
# - Yosinski, Clune, Bengio, Lipson, *How transferable are features in deep neural networks?*, arXiv 1411.1792.
# - Simonyan, Vedaldi, Zisserman, *Deep inside convolutional networks*, arXiv 1312.6034, section 3.
# - Adebayo and others, *Sanity checks for saliency maps*, arXiv 1810.03292.
# - The pages *Fine-tuning*, *Published weights* and *ONNX*; and ``minires lab list``, for questions of your own.
