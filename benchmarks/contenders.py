"""What the benchmarks compare: one training step or one inference of the same network, by each engine.

A contender is a function without arguments that does one step and returns the loss, or the logits' sum. All start from
the same weights and see the same images, so their first losses agree; `cpu.py` checks it. DeZero, whose layers cannot
take these weights in its own names, is given them one by one.
"""

import importlib.util
import os

import numpy as np


def images_and_labels(batch_size, size, classes):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch_size, 3, size, size), dtype=np.float32)
    return images, rng.integers(0, classes, batch_size)


def channels_last(images):
    """Return the images (N, C, H, W) with the channels last in memory."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def weights(name, **options):
    from minires import models

    return models.make(name, seed=0, **options).state_dict()


def minires_step(work, kernels):
    """work: a dict of model, options, batch_size, size, training. kernels: "numpy", or "numba", which is fused too."""
    from minires import Tensor, models, no_grad, ops, optim
    from minires import kernels as kernel_choice

    model = models.make(work["model"], seed=0, fused=kernels == "numba", **work["options"])
    images, labels = images_and_labels(work["batch_size"], work["size"], model.fc.weight.shape[0])
    if kernels == "numba":  # in the order that its kernels have, as PyTorch's images are below
        images = channels_last(images)
    sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def train():
        with kernel_choice.use(kernels):
            loss = ops.cross_entropy(model(Tensor(images)), labels)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            return loss.item()

    def infer():
        with kernel_choice.use(kernels), no_grad():
            return float(model(Tensor(images)).data.sum())

    if work["training"]:
        return train
    model = models.folded(model) if kernels == "numba" else model.eval()
    return infer


def torch_step(work, memory_format):
    """memory_format: "contiguous", "channels_last" or "compile", which is channels_last through torch.compile."""
    import torch
    import torch_models

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = torch_models.make(work["model"], **work["options"])
    torch_models.load(model, weights(work["model"], **work["options"]))
    images, labels = images_and_labels(work["batch_size"], work["size"], model.fc.weight.shape[0])
    layout = torch.contiguous_format if memory_format == "contiguous" else torch.channels_last
    model = model.to(memory_format=layout)
    images, labels = torch.from_numpy(images).to(memory_format=layout), torch.from_numpy(labels)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    if memory_format == "compile":
        model = torch.compile(model)

    def train():
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return loss.item()

    def infer():
        with torch.no_grad():
            return float(model(images).sum())

    if work["training"]:
        return train
    model.eval()
    return infer


def dezero_step(work):
    """ResNet of basic blocks with option A, in DeZero's layers; a training step only."""
    import dezero_models

    model = dezero_models.make(work["model"], weights(work["model"], **work["options"]))
    images, labels = images_and_labels(work["batch_size"], work["size"], 10)
    return dezero_models.training_step(model, images, labels, lr=0.01, momentum=0.9, weight_decay=1e-4)


def make(name, work):
    """Return the step of a contender by its name, such as "minires numpy" or "torch channels_last"."""
    engine, _, how = name.partition(" ")
    if engine == "dezero":
        return dezero_step(work)
    return minires_step(work, how) if engine == "minires" else torch_step(work, how)


def available():
    """List the contenders that this installation can run."""
    names = ["minires numpy"]
    if importlib.util.find_spec("numba"):
        names.append("minires numba")
    if importlib.util.find_spec("torch"):
        names += ["torch contiguous", "torch channels_last", "torch compile"]
    if importlib.util.find_spec("dezero"):
        names.append("dezero")
    return names
