"""Evaluate akamaster's four published networks on CIFAR-10 with `minires evaluate --weights`, and keep what it prints.

    python benchmarks/published_weights.py FOLDER_OF_TH_FILES --data-dir FOLDER

Writes benchmarks/results/published_weights.json, from which docs/published_weights.md has its numbers. PyTorch is
hidden from the command, so that the numbers are those of MiniRes alone.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "published_weights.json"
FILES = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet44": "resnet44-014dd654.th",
    "resnet56": "resnet56-4bfd9763.th",
}
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it is an error
from minires.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", required=True)
    args = parser.parse_args()
    printed = {}
    for model, file in FILES.items():
        command = ["evaluate", "--weights", str(args.folder / file), "--model", model, "--data", "cifar10"]
        command += ["--normalize", "imagenet", "--data-dir", args.data_dir]
        command = [sys.executable, "-c", WITHOUT_TORCH, *command]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        printed[file] = run.stdout.splitlines()[-1]
        print(printed[file])
    about = {"python": platform.python_version(), "machine": platform.machine(), "printed": printed}
    RESULTS.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
