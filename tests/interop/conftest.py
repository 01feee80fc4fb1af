"""The PyTorch twins of the benchmarks, with weights that are random everywhere: also running statistics and biases."""

import importlib.util
from pathlib import Path

import pytest

TWINS = Path(__file__).parents[2] / "benchmarks" / "torch_models.py"


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a work waits for its threads longer than it computes
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def twins(torch):
    spec = importlib.util.spec_from_file_location("torch_twins", TWINS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def randomize(torch):
    """Give a network random weights, norms away from 0 and 1, and running statistics of what it makes of noise."""

    def draw(model, size=32):
        generator = torch.Generator().manual_seed(0)
        for name, array in model.named_parameters():
            if array.ndim > 1:
                torch.nn.init.normal_(array, 0, (2 / array[0].numel()) ** 0.5, generator=generator)
            elif array.ndim == 1 and name.endswith("weight"):
                torch.nn.init.uniform_(array, 0.5, 1.5, generator=generator)
            elif array.ndim == 1:
                torch.nn.init.normal_(array, 0, 0.2, generator=generator)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            model.train()(torch.randn(16, 3, size, size, generator=generator))
        for norm in norms:
            norm.momentum = 0.1
        return model.eval()

    return draw
