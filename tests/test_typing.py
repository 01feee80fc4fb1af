"""The package is typed for those who use it: a program of theirs is checked with the types that MiniRes brings."""

import subprocess
import sys

RIGHT = """
import numpy as np
from minires import Tensor, models, nn, ops, optim
from minires.models import BasicBlock
from minires.nn import Linear

model: models.ResNet = models.resnet20(in_channels=1, seed=0)
layers: nn.Sequential = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), BasicBlock(4, 4), Linear(4, 2))
nn.initialize(layers, "he", seed=0)
models.initialize(models.preact_resnet18(10, "cifar"), "he")
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss = ops.cross_entropy(model(Tensor(np.zeros((2, 1, 8, 8), np.float32))), np.zeros(2, np.int64))
loss.backward()
value: float = loss.item()
optimizer.step()
"""
WRONG = """
from minires import Tensor, ops

y: int = ops.relu(Tensor([1.0]))
ops.conv2d(Tensor([1.0]))
"""


def test_a_users_program_is_checked(require, tmp_path):
    require("mypy")
    (tmp_path / "right.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--strict", "right.py", "wrong.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 2, result.stdout
    assert errors[0].startswith("wrong.py:4: ") and errors[0].endswith("[assignment]")
    assert errors[1].startswith("wrong.py:5: ") and errors[1].endswith("[call-arg]")
