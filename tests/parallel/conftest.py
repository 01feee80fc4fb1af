"""`mpiexec`, the fixture that runs a Python script on several processes."""

import pytest
from several_processes import COMMAND, start


@pytest.fixture
def mpiexec(require):
    """Run a script, or the `minires` command, on so many processes; return its exit code and what it printed."""
    require("mpi4py")

    def run(number, *arguments, script=COMMAND, timeout=240):
        process = start(number, *arguments, script=script)
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.terminate()  # reaches all of them
        return process.returncode, output, errors

    return run
