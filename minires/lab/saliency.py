"""Which pixels an answer hangs on: the gradient of a class's score at the pixels of the picture.

    score of class c  =  its logit s_c(pixels)         gradient  =  ∂s_c/∂pixel

The backward pass that trains a network, carried on for one step more: past the first layer, to the image. K. Simonyan,
A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising image classification models and saliency
maps", 2013 (arXiv 1312.6034), section 3.
"""

from collections.abc import Sequence

import numpy as np

from minires.engine import Tensor
from minires.kernels import Array
from minires.nn import Module


def pixel_gradients(
    model: Module, pixels: Array, classes: Sequence[int], mean: Sequence[float], std: Sequence[float]
) -> Array:
    """Return ∂s_c/∂pixel, (N, C, H, W): by how much a class's logit rises for a pixel that is one grey level brighter.

    pixels: images (N, C, H, W), 0 to 255. classes: of each image the class asked about. mean, std: of each channel, as
    the network was trained with: it sees (pixel − mean) / std. The model runs in evaluation, where no image changes
    another's score, and is left as it was; its parameters get no gradient.
    ValueError for another number of classes than of images, and for a class that the model does not have.
    """
    if pixels.ndim != 4 or len(classes) != len(pixels):
        raise ValueError(f"pixel_gradients: one class for each image, got {len(classes)} for pixels {pixels.shape}")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    dtype = model.parameters()[0].dtype
    shift, scale = (np.asarray(numbers, dtype).reshape(-1, 1, 1) for numbers in (mean, std))
    x = Tensor((pixels.astype(dtype) - shift) / scale, requires_grad=True)
    model.eval()
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        scores = model(x)
        K = scores.shape[1]
        if not all([0 <= k < K for k in classes]):
            raise ValueError(f"pixel_gradients: the model has classes 0 to {K - 1}, asked about {list(classes)}")
        grad_scores = np.zeros(scores.shape, dtype)
        grad_scores[np.arange(len(classes)), list(classes)] = 1  # of each image one score, and nothing of the others
        scores.backward(grad_scores)
    finally:
        for parameter in parameters:
            parameter.requires_grad = True
        model.train(was_training)
    assert x.grad is not None
    grad_pixels: Array = x.grad / scale
    return grad_pixels
