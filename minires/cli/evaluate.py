"""`minires evaluate`: the accuracy of a trained run on the images it was not trained with."""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a run's folder, such as runs/20260102-030405-train-resnet20")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best, last, or a step's number (best)")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the data set's files are (where they were)")
    parser.add_argument("--kernels", metavar="NAME", help="numpy or numba (numba where it can be had)")


def run(args: argparse.Namespace) -> int:
    from minires import kernels

    with kernels.use(args.kernels) if args.kernels else contextlib.nullcontext():
        return evaluate_run(args)


def evaluate_run(args: argparse.Namespace) -> int:
    """Evaluate on the test images; print the result, write it and every image's prediction into the run's folder."""
    from minires import runs, training
    from minires.engine import Tensor
    from minires.ops import cross_entropy, softmax
    from minires.runs import records
    from minires.runs.building import evaluation_loader, load_data
    from minires.runs.folder import as_configured

    folder = Path(args.run_folder)
    model, recipe, step = runs.load_model(folder, args.checkpoint)
    if args.data_dir:
        recipe.data.dir = args.data_dir
    with as_configured(folder):
        dataset = load_data(replace(recipe, validation=0))
        model.to(recipe.device)
    if dataset.classes != recipe.dataset.classes:
        raise ValueError(f"the data set {dataset.name} has other classes than the one {folder} was trained on")
    logits, labels = training.predict(model, evaluation_loader(dataset.to(recipe.device), recipe))
    loss = cross_entropy(Tensor(logits), labels).item()
    probabilities = softmax(Tensor(logits)).numpy()
    labels = Tensor(labels).numpy()
    predicted = probabilities.argmax(axis=1)
    classes = dataset.classes
    result = {
        "data": dataset.name,
        "part": "test",
        "images": len(labels),
        "step": step,
        "checkpoint": args.checkpoint,
        "loss": loss,
        "accuracy": float((predicted == labels).mean()),
        "classes": classes,
        "class_accuracy": {
            name: float((predicted[labels == k] == k).mean()) for k, name in enumerate(classes) if (labels == k).any()
        },
    }
    rows = [
        {"image": i, "label": classes[labels[i]], "prediction": classes[predicted[i]], "probability": probability}
        for i, probability in enumerate(probabilities.max(axis=1).tolist())
    ]
    records.write_json(folder / "evaluation.json", result)
    records.write_csv(folder / "predictions.csv", rows)
    width = max([len(name) for name in [*classes, "class"]])
    print(f"{'class':{width}}  accuracy")
    for name, accuracy in result["class_accuracy"].items():
        print(f"{name:{width}}  {accuracy:8.2%}")
    print(f"test accuracy {result['accuracy']:.2%}, test loss {loss:.4f} on {len(labels)} images, after {step} steps")
    print(f"{folder}: evaluation.json, predictions.csv")
    return 0
