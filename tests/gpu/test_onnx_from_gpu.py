"""A network that lives on a GPU gives the ONNX file that it gives on the CPU."""

import numpy as np
import pytest

from minires import Tensor, interop, models, nn, ops

ROWS = np.array([2, 0, 1])
MASK = np.random.default_rng(0).random((4, 5)) > 0.5


class WithConstants(nn.Module):
    """Arrays of its own beside those of the state dict, on the images' device."""

    def __init__(self):
        self.conv = nn.Conv2d(2, 3, 3, padding=1, seed=0)

    def forward(self, x):
        y = self.conv(x)[:, ROWS]
        return ops.where(Tensor(MASK).to(x.device).data, y, y * Tensor(np.float32([2.0])).to(x.device))


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: models.network_of(models.BasicBlock, (1, 1, 1), (4, 6, 8), seed=0, fused=True), (3, 6, 5)),
        (WithConstants, (2, 4, 5)),
    ],
)
def test_the_file_is_the_same(make, shape, gpu, require, tmp_path):
    onnx = require("onnx")
    files = {}
    for device in ("cpu", "cuda"):
        model = make().to(device)
        interop.save_onnx(model, tmp_path / device, shape)
        files[device] = onnx.load(tmp_path / device)
    assert files["cuda"] == files["cpu"]
