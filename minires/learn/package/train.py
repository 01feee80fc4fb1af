"""Train on the digits with what there is so far. `python -m my_minires.train [linear | conv | resnet20]`."""

import importlib
import sys
from pathlib import Path

import numpy as np

from .layers import Activation, CrossEntropy, Flatten, Linear, Sequential
from .optim import SGD
from .tensor import Tensor

# Chapter 5: a training
# ---------------------


def load_digits():
    """Return images (N, 1, 8, 8) and labels to train with, and those of every fifth digit to test with."""
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        images, labels = file["images"][:, None].astype(np.float32), file["labels"].astype(np.int64)
    images = (images - images.mean()) / images.std()
    in_test = np.arange(len(labels)) % 5 == 0
    return images[~in_test], labels[~in_test], images[in_test], labels[in_test]


def train(model, epochs, lr, batch_size=32, momentum=0.9, weight_decay=1e-3, seed=0, say=print):
    """Train a model, the learning rate falling to 0 along a cosine; return the loss of each step."""
    images, labels, test_images, test_labels = load_digits()
    optimizer = SGD(model.parameters(), lr, momentum, weight_decay)
    rng = np.random.default_rng(seed)
    steps, losses = epochs * (len(images) // batch_size), []
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - batch_size + 1, batch_size):
            batch = order[start : start + batch_size]
            optimizer.lr = lr * (1 + np.cos(np.pi * len(losses) / steps)) / 2
            # gap: one step: the loss of this batch, no gradients left from the last step, backward, a step downhill
            loss = CrossEntropy(labels[batch])(model(Tensor(images[batch])))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            # end of gap
            losses.append(float(loss.data))
        if say:
            right = accuracy(model, test_images, test_labels)
            say(f"epoch {epoch + 1:2}: loss {np.mean(losses[-20:]):.3f}, {right:.1%} of the test digits right")
    return losses


def accuracy(model, images, labels):
    """Return the share of the images that a model reads right."""
    model.train(False)
    guesses = model(Tensor(images)).data.argmax(axis=1)
    model.train(True)
    return np.mean(guesses == labels)


def linear(rng):
    return Sequential(Flatten(), Linear(64, 32, rng), Activation(), Linear(32, 10, rng)), 12, 0.1


def conv(rng):
    from .conv import Conv2d, Pool

    layers = [Conv2d(1, 16, 3, rng), Activation(), Conv2d(16, 32, 3, rng, stride=2), Activation(), Pool()]
    return Sequential(*layers, Linear(32, 10, rng)), 12, 0.1


def resnet20(rng):
    from .resnet import ResNet

    return ResNet(3), 10, 0.1


def deepest():
    """Name the deepest network whose files are there and can be imported."""
    for name, file in [("resnet20", "resnet"), ("conv", "conv")]:
        if Path(__file__).with_name(f"{file}.py").exists():
            module = importlib.import_module(f".{file}", __package__)
            if name != "conv" or hasattr(module, "Conv2d"):  # chapter 6 has written the first half of conv.py
                return name
    return "linear"


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else deepest()
    model, epochs, lr = {"linear": linear, "conv": conv, "resnet20": resnet20}[name](np.random.default_rng(0))
    print(f"{name}: {sum(parameter.data.size for parameter in model.parameters()):,} weights")
    train(model, epochs, lr)
