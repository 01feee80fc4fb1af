"""Chapter 14: right and typical wrong answers."""

import numpy as np


def log10_mean(ratios):
    return float(np.mean(np.log10(ratios)))


def of_the_product(ratios):
    with np.errstate(divide="ignore"):  # where the product is 0
        return np.log10(np.prod(ratios)) / len(ratios)


def of_the_arithmetic_mean(ratios):
    return np.log10(np.mean(ratios))


def natural(ratios):
    return float(np.mean(np.log(ratios)))


def without_logarithm(ratios):
    return 10 ** log10_mean(ratios)


def summed(ratios):
    return float(np.sum(np.log10(ratios)))


def median(ratios):
    return float(np.median(np.log10(ratios)))


def blocks_backward(skip=lambda grad, mask, scale: grad, branch_share=1, relu=True, scaled=True, turn=reversed):
    def scaled_blocks_backward(grad_y, x, weights, scale):
        hs = [x]
        for weight in weights:
            hs.append(hs[-1] + scale * (np.maximum(hs[-1], 0) @ weight))
        grad = grad_y
        for h, weight in turn(list(zip(hs, weights, strict=False))):
            mask = h > 0
            branch = (grad @ weight.T) * (mask if relu else 1) * (scale if scaled else 1)
            grad = skip(grad, mask, scale) + branch_share * branch
        return grad

    return scaled_blocks_backward


def by_step(step):
    def scaled_blocks_backward(grad_y, x, weights, scale):
        hs = [x]
        for weight in weights:
            hs.append(hs[-1] + scale * (np.maximum(hs[-1], 0) @ weight))
        grad = grad_y
        for i in reversed(range(len(weights))):
            grad = step(grad, hs[i], hs[i + 1], weights[i], scale)
        return grad

    return scaled_blocks_backward


def in_place(grad_y, x, weights, scale):
    grad_y += blocks_backward()(grad_y, x, weights, scale)
    return grad_y


RIGHT = {"log10_mean": log10_mean, "scaled_blocks_backward": blocks_backward()}

WRONG = [
    ({"log10_mean": of_the_product}, "many small ratios: it gives -inf: somewhere a product became 0"),
    ({"log10_mean": of_the_arithmetic_mean}, "two ratios: this is the logarithm of the arithmetic mean"),
    ({"log10_mean": natural}, "one ratio: this is the mean of natural logarithms"),
    ({"log10_mean": without_logarithm}, "one ratio: this is the geometric mean itself"),
    ({"log10_mean": summed}, "two ratios: the logarithms are summed"),
    ({"log10_mean": median}, "three ratios: this is the median"),
    (
        {"scaled_blocks_backward": blocks_backward(skip=lambda grad, mask, scale: 0)},
        "nothing comes back through the sk",
    ),
    ({"scaled_blocks_backward": blocks_backward(branch_share=0)}, "nothing comes back through the branches"),
    ({"scaled_blocks_backward": blocks_backward(scaled=False)}, "3 blocks, scale 0.3: the scale is missing"),
    ({"scaled_blocks_backward": blocks_backward(skip=lambda grad, mask, scale: scale * grad)}, "the skip is scaled"),
    ({"scaled_blocks_backward": blocks_backward(relu=False)}, "the ReLU is left out"),
    ({"scaled_blocks_backward": blocks_backward(skip=lambda grad, mask, scale: grad * mask)}, "the mask of the ReLU"),
    ({"scaled_blocks_backward": blocks_backward(turn=list)}, "3 blocks, scale 0.3: the weights are taken in forward"),
    (
        {"scaled_blocks_backward": by_step(lambda g, h, y, w, s: g + s * ((g * (h > 0)) @ w.T))},
        "laid on before the weight's",
    ),
    (
        {"scaled_blocks_backward": by_step(lambda g, h, y, w, s: g + s * (g @ w.T) * (y > 0))},
        "that of the block's output, a later h",
    ),
    (
        {"scaled_blocks_backward": by_step(lambda g, h, y, w, s: g + s**2 * (g @ w.T) * (h > 0))},
        "the scale is there twice",
    ),
    (
        {"scaled_blocks_backward": by_step(lambda g, h, y, w, s: g + s * (g @ w) * (h > 0))},
        "the weight is taken as it stands",
    ),
    (
        {"scaled_blocks_backward": by_step(lambda g, h, y, w, s: 2 * g + s * (g @ w.T) * (h > 0))},
        "the skips is counted twice",
    ),
    ({"scaled_blocks_backward": in_place}, "writes into the gradient it was handed"),
]
