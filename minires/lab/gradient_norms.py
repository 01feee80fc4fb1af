"""The gradients of one batch, layer by layer: their norms at the outputs of the blocks, and at every weight."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.kernels.norms import norm
from minires.models.schemes import residual_blocks
from minires.nn import Module
from minires.ops import cross_entropy
from minires.runs import records

Norms = dict[str, Any]  # of one network's gradients: its keys are in `measure`
Find = Callable[[Module, Tensor], dict[str, Tensor]]


def measure(model: Module, images: Array, labels: Array, find: Find | None = None) -> Norms:
    """Return the norms of one batch's gradients, layer by layer from the input on; the model stays as it is.

    In float64, on a copy of the network in training mode: float32 ends near 1e-38. loss: the batch's; grad_h: ‖dL/dh‖
    at the `outputs` of the stem and of each block; grad_w and relative_grad_w: ‖dL/dW‖ and ‖dL/dW‖ / ‖W‖ of the
    `weights`; with log10_ before it each of them as its logarithm, None for 0 and for what is not finite.
    find: finds other outputs, as `block_outputs` does.
    """
    model = copy.deepcopy(model).to("float64").train()
    logits = model(Tensor(images.astype(np.float64)))
    loss = cross_entropy(logits, labels)
    outputs = (find or block_outputs)(model, loss)
    loss.backward(keep_grads=True)
    weights = {name: weight for name, weight in model.named_parameters() if weight.ndim >= 2 and is_used(weight)}
    grad_h = np.array([grad_norm(h) for h in outputs.values()])
    grad_w = np.array([grad_norm(weight) for weight in weights.values()])
    norm_w = np.array([norm(weight.data) for weight in weights.values()])
    with np.errstate(divide="ignore", invalid="ignore"):  # a gradient of 0, a layer that starts at 0
        norms = {
            "loss": loss.item(), "classes": logits.shape[-1],
            "outputs": list(outputs), "grad_h": grad_h, "log10_grad_h": np.log10(grad_h),
            "weights": list(weights), "grad_w": grad_w, "log10_grad_w": np.log10(grad_w),
            "relative_grad_w": grad_w / norm_w, "log10_relative_grad_w": np.log10(grad_w / norm_w),
        }
    return records.finite(norms)


def grad_norm(tensor: Tensor) -> float:
    assert tensor.grad is not None
    return norm(tensor.grad)


def is_used(weight: Tensor) -> bool:
    """Whether the loss depends on a weight: not on those of a plain twin's shortcuts."""
    return weight.grad is not None


def block_outputs(model: Module, loss: Tensor) -> dict[str, Tensor]:
    """Find the outputs of the stem and of every residual block in the graph of `loss`, from the input on.

    backward_order lists a tensor after all that was computed from it. So the first tensor listed that was made inside
    a block is the block's output, and the first one after all blocks is the stem's.
    """
    blocks = {name for name, _ in residual_blocks(model)}
    found: dict[str, Tensor] = {}
    for tensor in backward_order(loss):
        assert tensor.op is not None
        block = block_of(tensor.op.module_path, blocks)
        if block:
            found.setdefault(block, tensor)
        elif len(found) == len(blocks):
            found.setdefault("stem", tensor)
    return dict(reversed(found.items()))


def block_of(path: str, blocks: set[str]) -> str:
    """Return the block that a module is in: "layer1.0" for "layer1.0.conv1", "" for one in none."""
    while path and path not in blocks:
        path = path.rpartition(".")[0]
    return path


def log10_ratio(norms: Norms) -> float | None:
    """Return log10 of the first output's gradient over the last one's; None where one of them is 0 or not finite."""
    first, last = norms["log10_grad_h"][0], norms["log10_grad_h"][-1]
    return None if first is None or last is None else first - last
