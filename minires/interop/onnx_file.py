"""Write a network as an ONNX file, for runtimes that know nothing of MiniRes: weights and graph, in evaluation mode.

    interop.save_onnx(model, "model.onnx", (3, 32, 32))

ONNX is the Open Neural Network Exchange, https://onnx.ai. The graph is what a forward pass did (`onnx_record.py`), said
in ONNX's operators (`onnx_exporters.py`). Needs the extra `onnx`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minires import __version__
from minires.interop.onnx_exporters import EXPORTERS
from minires.interop.onnx_graph import INPUT, OUTPUT, Graph
from minires.interop.onnx_record import Record, Shape, record
from minires.kernels import Array
from minires.nn import Module
from minires.runs import records
from minires.runs.ema import arrays_of

OPSET, IR_VERSION = 23, 11  # pinned: the newest that onnxruntime 1.23 reads; those of the package onnx are newer
LARGEST = 2**31 - 1  # bytes of a protobuf message
BATCH = "batch"


def save_onnx(
    model: Module,
    path: str | Path,
    input_shape: tuple[int, ...] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the model, in evaluation mode, as an ONNX file, whole or not at all.

    input_shape: of one image, (C, H, W); may be left out where the model knows its own. The file's input, "input", is
    (batch, *input_shape) for any batch, in the dtype of the parameters; its output is "output". Weights have the names
    of the state dict. metadata: text that is kept in the file, such as the classes' names.
    ValueError, and nothing written, for an op without an exporter, for what is computed outside of ops, and for more
    than 2 GB; TypeError where the model returns no Tensor; ImportError without the package onnx.
    """
    shape = model.input_shape if input_shape is None else tuple(input_shape)
    if shape is None:
        raise ValueError(
            f"save_onnx: {type(model).__name__} does not know its input's shape; pass input_shape, such as (3, 32, 32)"
        )
    try:
        import onnx
    except ImportError as error:
        message = f"save_onnx: the package onnx is missing ({error}); pip install 'minires-engine[onnx]'"
        raise ImportError(message) from error
    state = arrays_of(model)
    taken = sorted({INPUT, OUTPUT} & set(state))
    if taken:
        raise ValueError(f"save_onnx: a parameter is named {taken[0]!r}, which the file needs; give it another name")
    recorded = record(model, shape)
    parameters = model.parameters()
    dtype = parameters[0].dtype if parameters else np.dtype(np.float32)
    proto = model_proto(recorded, state, dtype, shape, type(model).__name__)
    for key, text in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=text)
    if proto.ByteSize() > LARGEST:
        raise ValueError(f"save_onnx: the file would have {proto.ByteSize()} bytes; ONNX keeps at most {LARGEST}")
    onnx.checker.check_model(proto, full_check=True)
    records.write_bytes(Path(path), proto.SerializeToString())


def model_proto(
    recorded: Record, state: Mapping[str, Array], dtype: np.dtype[Any], input_shape: tuple[int, ...], name: str
) -> Any:
    """Return the ONNX model of a record."""
    from onnx import helper, numpy_helper

    graph = Graph(state)
    names = {0: INPUT}
    for step in recorded.steps:
        graph.step = step
        exporter = EXPORTERS.get(step.kind)
        if exporter is None:
            raise ValueError(
                f"save_onnx: there is no exporter for {step}; write one: interop.ONNX_EXPORTERS[{step.kind.__name__}]"
            )
        inputs = [named(number, names, recorded, graph) for number in step.inputs]
        names[step.output] = exporter(graph, step, *inputs)
    result = named(recorded.result, names, recorded, graph)
    rename(graph, result, OUTPUT)
    element = helper.np_dtype_to_tensor_dtype(dtype)
    given = helper.make_tensor_value_info(INPUT, element, [BATCH, *input_shape])
    element = helper.np_dtype_to_tensor_dtype(recorded.steps[-1].dtype) if recorded.steps else element
    returned = helper.make_tensor_value_info(OUTPUT, element, sizes(recorded.shape))
    arrays = [numpy_helper.from_array(array, name) for name, array in graph.initializers.items()]
    made = helper.make_graph(graph.nodes, name, [given], [returned], arrays)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="minires", producer_version=__version__
    )


def named(number: int, names: dict[int, str], recorded: Record, graph: Graph) -> str:
    """Return the name of a tensor; a constant is written down where it is first used."""
    if number not in names:
        names[number] = graph.state(recorded.constants[number])
    return names[number]


def rename(graph: Graph, old: str, new: str) -> None:
    """Give the result its name; one that no node made, such as the input itself, needs a node for it."""
    from onnx import helper

    made = [node for node in graph.nodes if old in node.output]
    if not made:
        graph.nodes.append(helper.make_node("Identity", [old], [new], new))
        return
    for node in graph.nodes:
        for ends in (node.input, node.output):
            ends[:] = [new if end == old else end for end in ends]


def sizes(shape: Shape) -> list[int | str]:
    """Return a shape with the batch by its name: where it is the first axis; else a size that nobody knows."""
    return [size if size is not None else BATCH if axis == 0 else f"size_{axis}" for axis, size in enumerate(shape)]
