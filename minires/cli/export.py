"""`minires export`: write a trained network as an ONNX file, for runtimes that know nothing of MiniRes, or its weights
as a safetensors file, for PyTorch and for `--weights`.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minires.cli.as_json import add_json, print_json

if TYPE_CHECKING:
    from minires.interop import About

EXAMPLES = [
    ("minires export runs/20260102-030405-train-resnet20 model.onnx", "for other programs"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN|NAME|FILE",
                        help="a run's folder, a name of minires pretrained list, a file of weights")
    parser.add_argument("path", metavar="FILE", help="the file to write: model.onnx, or weights.safetensors")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="of the run: best, last or a step (best)")
    parser.add_argument("--model", metavar="NAME", help="of a file that does not say it: resnet18, resnet50, …")
    parser.add_argument("--dtype", metavar="NAME", help="of weights: float16, float32 or float64 (as they are)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images (those of the training)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="of a file of weights, what its arrays do not say: model.stride_on=1x1")
    add_json(parser, "print what the file holds as JSON")


def run(args: argparse.Namespace) -> int:
    from minires import interop
    from minires.cli.finetune import read_source
    from minires.interop.onnx_file import OPSET

    path = Path(args.path)
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} into")
    as_weights = path.suffix == ".safetensors"
    if as_weights and args.size is not None:
        raise ValueError("--size is of an ONNX file's images; a file of weights takes any")
    if args.dtype is not None and not as_weights:
        raise ValueError("--dtype is of a file of weights, which ends in .safetensors")
    model, about = read_source(args)
    name, parameters = about.model, sum([parameter.size for parameter in model.parameters()])
    if as_weights:
        interop.save_weights(model, path, dtype=args.dtype, about=about)
        facts = facts_of(path, about, parameters)
        if args.json:
            print_json(facts)
        else:
            print(f"{path}: {name}, {parameters:,} parameters, {facts['bytes']:,} bytes")
        return 0
    channels, *size = about.shape
    shape = (channels, *(args.size or size))
    metadata = {"model": name}
    if about.classes:
        metadata["classes"] = json.dumps(about.classes, ensure_ascii=False)
    if about.mean:  # the graph takes normalized images; how to normalize goes along
        metadata |= {"mean": json.dumps(about.mean), "std": json.dumps(about.std)}
    interop.save_onnx(model, path, shape, metadata)
    facts = {**facts_of(path, about, parameters), "opset": OPSET, "input": ["batch", *shape]}
    if args.json:
        print_json(facts)
        return 0
    print(f"{path}: {name}, {parameters:,} parameters, opset {OPSET}, {facts['bytes']:,} bytes")
    print(f"input (batch, {', '.join(map(str, shape))}) float32, of (pixel − mean) / std; {written(metadata)}")
    return 0


def facts_of(path: Path, about: "About", parameters: int) -> dict[str, Any]:
    """Return what is in the file; `mean` and `std` are of pixels from 0 to 255, empty where they are not known."""
    known = {name: getattr(about, name) for name in ("model", "classes", "mean", "std")}
    return {"path": str(path), **known, "parameters": parameters, "bytes": path.stat().st_size}


def written(metadata: dict[str, str]) -> str:
    """Say what a reader of the file finds out about its images."""
    if "mean" in metadata:
        return "mean, std and classes stand in the file's metadata"
    return "which mean and std, the file of weights did not say"
