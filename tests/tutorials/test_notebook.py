"""A chapter as a notebook runs from top to bottom."""

import pytest
from chapters_on_disk import CHAPTERS, environment

from minires.learn import notebooks

chosen = [path for path in CHAPTERS if path.stem == "07_convolution_backward"]


@pytest.mark.docs
@pytest.mark.parametrize("path", chosen, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, require, monkeypatch):
    require("ipykernel")
    nbclient, nbformat = require("nbclient"), require("nbformat")
    for name, value in environment(tmp_path).items():
        if name != "MPLBACKEND":  # a notebook shows its figures in the page
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(notebooks.export(int(path.name[:2]), tmp_path), as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5 and all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert any(output.output_type == "stream" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("$" in cell.source for cell in notebook.cells if cell.cell_type == "markdown")
