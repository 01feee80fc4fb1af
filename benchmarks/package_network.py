"""Put a trained network in the package: its weights as float16, facts about them, and their card.

    python benchmarks/package_network.py RUN --data-dir FOLDER

RUN is a training of ResNet-20 on CIFAR-10; the weights are those after its last step, averaged where it kept an
average, rounded so that they take less room in the package. Accuracy and logits are measured from the written file.
"""

import argparse
import hashlib
import math
from pathlib import Path

import numpy as np
from real_training import recipe_of

NAME = "resnet20-cifar10"


def synthetic_images():
    """Return four pictures of 32×32 that need no data set: squares of colours drawn by a seed, pixels 0 to 255."""
    coarse = np.random.default_rng(7).uniform(0, 255, (4, 3, 4, 4))
    return coarse.repeat(8, axis=2).repeat(8, axis=3).round().astype(np.float32)


def round_filters(model):
    """Round filters to multiples of a power of two, a sixteenth of their standard deviation or less, in place.

    The network does not notice, and it leaves zeros at the end of each number, which the compression of a wheel takes
    out.
    """
    for parameter in model.parameters():
        if parameter.data.ndim > 1:
            step = 2.0 ** math.floor(math.log2(float(parameter.data.std(dtype=np.float64)) / 16))
            parameter.data[...] = np.round(parameter.data / step) * step


def facts_of(path, folder, data_dir):
    """Measure a file of weights, and say from which run it is."""
    from minires import Tensor, data, interop, no_grad, runs, training
    from minires.runs.building import EVALUATION_BATCH

    _, recipe, step = runs.load_model(folder, "last")
    model, about, _ = interop.load_network(path)
    dataset = data.load(about.data, data_dir=data_dir)
    mean, std = np.array(about.mean, np.float32), np.array(about.std, np.float32)
    loader = data.Loader(dataset.test_images, dataset.test_labels, EVALUATION_BATCH, False, mean=mean, std=std)
    loss, accuracy = training.evaluate(model, loader)
    with no_grad():
        logits = model(Tensor((synthetic_images() - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1))).data
    evaluations = [row for row in runs.read(folder, "metrics.jsonl") if "test_accuracy" in row]
    content = path.read_bytes()
    return {
        "model": about.model,
        "parameters": sum([parameter.size for parameter in model.parameters()]),
        "data": about.data,
        "classes": about.classes,
        "recipe": recipe_of(recipe.to_dict())[0],
        "seed": recipe.seed,
        "steps": step,
        "planned_steps": recipe.steps,
        "accuracy": accuracy,
        "loss": loss,
        "accuracy_in_the_run": evaluations[-1]["test_accuracy"] if evaluations[-1]["step"] == step else None,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "logits": np.round(logits.astype(float), 5).tolist(),
    }


def card(facts):
    """Return the model card."""
    f = facts
    planned = "" if f["steps"] == f["planned_steps"] else f", of {f['planned_steps']:,} that are planned"
    before = f["accuracy_in_the_run"]
    rows = {
        "Accuracy": f"{f['accuracy']:.2%} of 10,000 test images (error {1 - f['accuracy']:.2%}), loss {f['loss']:.4f}",
        "Measured": "from this file" + (f"; before its numbers were rounded: {before:.2%}" if before else ""),
        "Trained on": "the 50,000 training images; none was held out, and it is the last step's, not the best one's",
        "Recipe": f"`{f['recipe']}`, seed {f['seed']}, {f['steps']:,} steps{planned}, of 128 images",
        "Weights": "averaged over the last steps, with running statistics; filters rounded to a grid of a sixteenth of "
        f"their deviation, or finer; float16: {f['bytes']:,} bytes",
        "Input": "RGB, 32×32, (pixel − mean) / std; both stand in the file's head",
        "Output": f"logits of {', '.join(f['classes'])}",
        "sha256": f"`{f['sha256']}`",
    }
    table = "\n".join([f"| {name} | {text} |" for name, text in rows.items()])
    return f"""# {NAME}

ResNet-20 (He et al. 2015, section 4.2, option A), {f["parameters"]:,} parameters, trained by MiniRes on CIFAR-10.

| | |
|---|---|
{table}

To make it again, and to measure it again:

```bash
minires train --data cifar10 --recipe {f["recipe"]} --seed {f["seed"]}
python benchmarks/package_network.py RUN
minires evaluate --weights {NAME}
```

**What it is for.** To look at, to step through, to change and to cut up. It knows ten things, on small pictures that
were chosen to show one of them. Of any other picture it names one of the ten too, often with much confidence: nothing
that matters should hang on its answers.

**Licence.** The weights: MIT, as MiniRes. The data: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny
Images", technical report, 2009; for its terms see
[its publisher's page](https://www.cs.toronto.edu/~kriz/cifar.html). The package holds none of the images.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    from minires import interop, runs
    from minires.interop import trained
    from minires.runs import records

    path = trained.FOLDER / f"{NAME}.safetensors"
    model, recipe, _ = runs.load_model(args.run, "last")
    round_filters(model)
    interop.save_weights(model, path, dtype="float16", about=trained.about_recipe(recipe))
    facts = facts_of(path, args.run, args.data_dir)
    records.write_json(path.with_suffix(".json"), facts)
    path.with_suffix(".md").write_text(card(facts), encoding="utf-8")
    print(card(facts))


if __name__ == "__main__":
    main()
