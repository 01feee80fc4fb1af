"""What PyTorch itself saves, in both layouts, comes out as PyTorch itself loads it."""

import argparse
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from minires import interop

ZIP, ROWS = True, False


def save(torch, path, content, layout):
    torch.save(content, path, _use_new_zipfile_serialization=layout)
    return path


@pytest.mark.parametrize("layout", [ZIP, ROWS], ids=["zip", "rows"])
def test_every_kind_of_tensor(torch, tmp_path, layout):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(4, 3, 5, 6, generator=generator)
    state = OrderedDict(
        plain=base,
        half=base.half(),
        double=base.double(),
        bfloat16=base.bfloat16(),
        channels_last=base.to(memory_format=torch.channels_last),
        turned=base.transpose(0, 3),
        cut=base[1:3, :, 2:, ::2],
        shared=base.view(-1)[7:],
        scalar=torch.tensor(3.5),
        count=torch.tensor(64000),
        empty=torch.empty(0, 3),
        bools=base > 0,
        bytes=(base * 100).to(torch.uint8),
        ints=(base * 100).int(),
        shorts=(base * 100).short(),
        chars=(base * 10).to(torch.int8),
        parameter=torch.nn.Parameter(base.clone()),
        frozen=torch.nn.Parameter(base.clone(), requires_grad=False),
        strange=torch.nn.Parameter(base.clone()),
        unsigned=torch.arange(5).to(torch.uint16),
    )
    state["strange"].note = "an attribute of its own"
    path = save(torch, tmp_path / "all.pt", {"state_dict": state, "note": "x"}, layout)
    read = interop.read_weights(path)
    assert list(read) == list(state)
    for name, tensor in state.items():
        wanted = tensor.detach()
        wanted = (wanted.float() if wanted.dtype == torch.bfloat16 else wanted).numpy()
        assert read[name].dtype == wanted.dtype and read[name].shape == wanted.shape, name
        np.testing.assert_array_equal(read[name], wanted, err_msg=name)


@pytest.mark.parametrize("layout", [ZIP, ROWS], ids=["zip", "rows"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_whole_training_state(torch, tmp_path, layout, protocol):
    net = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    net(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "args": argparse.Namespace(lr=0.1, depth=20),
        "acc": np.float64(93.5),
        "rng": torch.get_rng_state(),
        "epoch": 199,
    }
    path = tmp_path / "ckpt.pth"
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=layout)
    read = interop.read_weights(path)
    assert set(read) == set(net.state_dict())
    for name, array in read.items():
        np.testing.assert_array_equal(array, net.state_dict()[name].numpy())


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickle_dump(torch, tmp_path, protocol):
    """Tensors under `pickle.dump` carry files of their own."""
    state = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": state}, protocol))
    read = interop.read_weights(tmp_path / "w.pkl")
    for name, tensor in state.items():
        np.testing.assert_array_equal(read[name], tensor.numpy())


def test_a_whole_model_is_refused_with_the_way_out(torch, tmp_path):
    path = save(torch, tmp_path / "model.pt", torch.nn.Linear(2, 3), ZIP)
    with pytest.raises(ValueError, match="a whole model, not its weights alone. .*state_dict"):
        interop.read_weights(path)


def test_tensors_that_numpy_has_not(torch, tmp_path):
    for tensor in (torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64)):
        path = save(torch, tmp_path / "w.pt", {"w": tensor}, ZIP)
        with pytest.raises(ValueError, match="a kind of tensor that MiniRes has not|needs torch"):
            interop.read_weights(path)


@pytest.mark.parametrize("layout", [ZIP, ROWS], ids=["zip", "rows"])
def test_bfloat16_network_in_safetensors_and_here(torch, tmp_path, layout):
    from safetensors.torch import save_file

    state = {"w": torch.randn(5, 7).bfloat16(), "v": torch.randn(3)}
    save_file(state, tmp_path / "w.safetensors")
    path = save(torch, tmp_path / "w.pt", state, layout)
    for read in (interop.read_weights(tmp_path / "w.safetensors"), interop.read_weights(path)):
        np.testing.assert_array_equal(read["w"], state["w"].float().numpy())
        np.testing.assert_array_equal(read["v"], state["v"].numpy())
