"""Time the browser view of a network in headless Chromium: the file's size, how long it takes to open and to step.

    python benchmarks/browser_view.py                     ResNet-110 on digits
    python benchmarks/browser_view.py --model resnet20 --out benchmarks/results/browser_view.json

Opening is from the request to the second frame painted, the median of five. A step is from the key's handler to the
second frame painted, so no less than two frames of the screen's 60 a second; with all blocks closed, and all open.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
STEPS = f"""async () => {{
    const milliseconds = [];
    for (let i = 0; i < 100; i++) {{
        const start = performance.now();
        document.dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowRight" }}));
        await {PAINTED};
        milliseconds.push(performance.now() - start);
    }}
    return milliseconds;
}}"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet110")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    return parser.parse_args()


def main():
    args = arguments()
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    from cpu import machine
    from playwright.sync_api import sync_playwright

    from minires import Tensor, kernels, models, ops
    from minires.data import load_digits
    from minires.debug import browser

    kernels.use("numpy")
    images, labels, _, _ = load_digits()
    model = models.make(args.model, in_channels=1, seed=0)
    loss = ops.cross_entropy(model(Tensor(images[: args.batch_size])), labels[: args.batch_size])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        path = browser.write(loss, Path(folder) / "page.html", args.model, model)
        record = {"model": args.model, "batch_size": args.batch_size, "machine": machine(),
                  "write_s": time.perf_counter() - start, "file_bytes": path.stat().st_size}  # fmt: skip
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        record["chromium"] = chromium.version
        opening = []
        for _ in range(5):
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.evaluate(PAINTED)
            opening.append(time.perf_counter() - start)
        record["open_s"] = statistics.median(opening)
        for name, key in (("closed", "c"), ("open", "e")):
            page.keyboard.press("Home")
            page.keyboard.press(key)
            steps = page.evaluate(STEPS)
            record[f"step_ms_{name}"] = statistics.median(steps)
            record[f"step_ms_{name}_95_percent"] = statistics.quantiles(steps, n=20)[-1]
        chromium.close()

    for name, value in record.items():
        print(f"{name}: {value}")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
