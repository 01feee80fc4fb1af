"""`minires export`: write a trained network as an ONNX file, for runtimes that know nothing of MiniRes."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN|FILE", help="a run's folder, or a .safetensors file of weights")
    parser.add_argument("path", metavar="ONNX", help="the file to write, such as model.onnx")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="of the run: best, last or a step (best)")
    parser.add_argument("--model", metavar="NAME", help="of a file of weights: resnet18, resnet50, resnet20, …")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images (those of the training)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="of a file of weights, what its arrays do not say: model.stride_on=1x1")


def run(args: argparse.Namespace) -> int:
    from minires import interop
    from minires.cli.finetune import read_source
    from minires.interop.onnx_file import OPSET

    path = Path(args.path)
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} into")
    model, name, _, images = read_source(args)
    channels, *size = images.shape
    shape = (channels, *(args.size or size))
    metadata = {"model": name}
    if images.classes:
        metadata["classes"] = json.dumps(images.classes, ensure_ascii=False)
    if images.mean:  # the graph takes normalized images; how to normalize goes along
        metadata |= {"mean": json.dumps(images.mean), "std": json.dumps(images.std)}
    interop.save_onnx(model, path, shape, metadata)
    parameters = sum([parameter.size for parameter in model.parameters()])
    print(f"{path}: {name}, {parameters:,} parameters, opset {OPSET}, {path.stat().st_size:,} bytes")
    print(f"input (batch, {', '.join(map(str, shape))}) float32, of (pixel − mean) / std; {written(metadata)}")
    return 0


def written(metadata: dict[str, str]) -> str:
    """Say what a reader of the file finds out about its images."""
    if "mean" in metadata:
        return "mean, std and classes stand in the file's metadata"
    return "which mean and std, the file of weights did not say"
