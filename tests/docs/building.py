"""Runs Sphinx as the site's makers do, quickly."""

import os
import subprocess
import sys


def sphinx(folder, *arguments):
    """Run Sphinx in a copy of the repository, with warnings as errors; fail with what it says."""
    environment = {
        **os.environ,
        "MINIRES_QUICK": "1",
        "MINIRES_KERNELS": "numpy",
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=540,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout[-2000:]}\n{result.stderr[-5000:]}"
