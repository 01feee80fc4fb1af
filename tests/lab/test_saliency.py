"""The gradient at the pixels is what finite differences of the score are, and the figure shows it."""

import numpy as np
import pytest
from matplotlib.image import imread

from minires import Tensor, models, no_grad, plots
from minires.lab.saliency import pixel_gradients

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 70.0, 80.0]


def network(**options):
    model = models.resnet20(width=4, num_classes=3, seed=2, **options)
    rng = np.random.default_rng(1)
    for name, buffer in model.named_buffers():
        buffer[...] = rng.uniform(0.5, 2, buffer.shape) if name.endswith("var") else rng.standard_normal(buffer.shape)
    return model.to("float64")


def scores(model, pixels):
    shift, scale = (np.array(numbers).reshape(3, 1, 1) for numbers in (MEAN, STD))
    with no_grad():
        return model.eval()(Tensor((pixels - shift) / scale)).data


@pytest.mark.parametrize("fused", [False, True])
def test_finite_differences(fused):
    model = network(fused=fused)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 12, 10)).astype(np.uint8)
    classes = [2, 0]
    gradients = pixel_gradients(model, pixels, classes, MEAN, STD)
    assert gradients.shape == pixels.shape and gradients.dtype == np.float64
    step = 1e-4  # grey levels: no relu changes sides
    for _ in range(12):
        place = tuple(int(rng.integers(size)) for size in pixels.shape)
        moved = np.repeat(pixels[np.newaxis].astype(np.float64), 2, axis=0)
        moved[0][place] += step
        moved[1][place] -= step
        n = place[0]
        above, below = (scores(model, some)[n, classes[n]] for some in moved)
        assert gradients[place] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-10)


def test_nothing_else_changes():
    model = network().train()
    frozen = model.conv1.weight
    frozen.requires_grad = False
    before = model.state_dict()
    pixel_gradients(model, np.zeros((1, 3, 8, 8), np.uint8), [1], MEAN, STD)
    assert model.training and not frozen.requires_grad and model.fc.weight.requires_grad
    assert all([parameter.grad is None for parameter in model.parameters()])
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_picture_does_not_depend_on_its_neighbours():
    model = network()
    pixels = np.random.default_rng(3).integers(0, 256, (3, 3, 8, 8)).astype(np.uint8)
    together = pixel_gradients(model, pixels, [0, 1, 2], MEAN, STD)
    for n in range(3):
        np.testing.assert_allclose(pixel_gradients(model, pixels[n : n + 1], [n], MEAN, STD)[0], together[n], rtol=1e-9)


@pytest.mark.parametrize(
    ("classes", "message"), [([0], "one class for each image, got 1"), ([0, 3], "classes 0 to 2, asked about"),
                             ([0, -1], "classes 0 to 2, asked about")]
)  # fmt: skip
def test_bad_input(classes, message):
    model = network()
    with pytest.raises(ValueError, match=message):
        pixel_gradients(model, np.zeros((2, 3, 8, 8), np.uint8), classes, MEAN, STD)
    assert all([parameter.requires_grad for parameter in model.parameters()])


@pytest.mark.parametrize("channels", [1, 3])
def test_figure(tmp_path, channels):
    """Bright is where the gradient is large: in the right half of the only picture, in its upper left pixel."""
    pixels = np.full((1, channels, 4, 4), 255, np.uint8)
    gradients = np.zeros((1, channels, 4, 4))
    gradients[0, 0, 0, 0] = -3
    path = plots.saliency(pixels, gradients, ["a.png"], ["cat, 97 %"], tmp_path / "f.png")
    image = imread(path)[..., :3]
    assert image.shape[0] > 300 and image.shape[1] > 700
    brightest = np.abs(image - np.array([252, 255, 164]) / 255).max(axis=-1) < 0.02  # inferno's last colour
    black = np.abs(image - np.array([0, 0, 4]) / 255).max(axis=-1) < 0.02  # its first
    assert 8 < black.sum() / brightest.sum() < 20  # 15 pixels and 1, and the ends of the scale


def test_many_pictures(tmp_path):
    count = plots.MOST_PICTURES + 3
    pixels = np.zeros((count, 1, 4, 4), np.uint8)
    path = plots.saliency(pixels, np.ones(pixels.shape), ["a" * 80] * count, ["b" * 80] * count, tmp_path / "f.png")
    assert path.exists()
    with pytest.raises(ValueError, match="must be of the same images"):
        plots.saliency(pixels, np.ones((1, 1, 4, 4)), [], [], tmp_path / "g.png")
    with pytest.raises(ValueError, match="must be of the same images"):
        plots.saliency(pixels[:0], pixels[:0], [], [], tmp_path / "g.png")
