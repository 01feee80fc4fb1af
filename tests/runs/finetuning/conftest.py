"""A run of a few steps on eight of the digits."""

import pytest

from minires.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    settings = ["steps=4", "evaluate_every=2", "model.width=4", 'data.classes=["0","1","2","3","4","5","6","7"]']
    assert main(["train", "--out", str(out), "--set", *settings]) == 0
    (folder,) = out.iterdir()
    return folder
