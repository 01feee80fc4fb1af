"""Starts a Python script, or the `minires` command, on several processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {**os.environ, "MINIRES_KERNELS": "numpy", "OPENBLAS_NUM_THREADS": "1"}
COMMAND = "from minires.cli.main import main; import sys; sys.exit(main())"


def start(number, *arguments, script=COMMAND):
    """Start a script on so many processes; on one without mpiexec."""
    command = [sys.executable, "-c", script, *arguments]
    if number > 1:
        beside = Path(sys.executable).with_name("mpiexec")
        command = [str(beside) if beside.exists() else shutil.which("mpiexec"), "-n", str(number), *command]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL
    )
