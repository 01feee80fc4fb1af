"""The processes that `mpiexec` started, and what they do together: add arrays up, agree on an error, give up.

One collective operation is enough for all of it, the sum over all processes (`Allreduce`). A number of each process is
told to all by an array with a place for each, zero but for one's own. Nothing is pickled: arrays go as they are.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minires.kernels import Array, kernels_for

T = TypeVar("T")

# Where launchers write how many processes they started: MPICH and Intel MPI, Open MPI, MVAPICH.
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def started_by_mpiexec() -> bool:
    """Whether a launcher started this process together with others."""
    return any(os.environ.get(name, "1") not in ("", "1") for name in COUNTS)


class Processes:
    """Those of an MPI communicator: `rank` of `size`, `local_rank` of `local_size` on this machine."""

    def __init__(self, communicator: Any, local: Any) -> None:
        self.communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self.local_rank, self.local_size = local.rank, local.size
        self.nccl: Any = None
        self.nccl_was_tried = False

    def share(self, N: int) -> slice:
        """Return this process's part of N things: they are cut into `size` parts that differ by one at most."""
        return slice(self.rank * N // self.size, (self.rank + 1) * N // self.size)

    def sum(self, array: Array) -> None:
        """Replace the array, C-contiguous, by the sum of all processes' arrays, the same bits in each.

        From GPU to GPU through NCCL, where each process has one to itself; else through the CPU's memory.
        """
        if isinstance(array, np.ndarray):
            self.sum_on_cpu(array)
        elif self.has_nccl():
            self.nccl.all_reduce(array, array, op="sum")
        else:
            numbers = array.get()
            self.sum_on_cpu(numbers)
            array[...] = kernels_for(array).xp.asarray(numbers)

    def sum_on_cpu(self, array: Array) -> None:
        from mpi4py import MPI

        self.communicator.Allreduce(MPI.IN_PLACE, array)

    def has_nccl(self) -> bool:
        """Connect the GPUs at the first call, where NCCL is installed and no two processes share one, in all alike."""
        if not self.nccl_was_tried:
            self.nccl_was_tried = True
            import cupy

            able = bool(cupy.cuda.nccl.available) and cupy.cuda.runtime.getDeviceCount() >= self.local_size
            if all(self.told_to_all(able)):
                from cupyx.distributed import init_process_group

                self.nccl = init_process_group(self.size, self.rank, backend="nccl", use_mpi=True)
        return self.nccl is not None

    def told_to_all(self, number: int) -> list[int]:
        """Return the number that each process gave, in the order of their ranks."""
        numbers = np.zeros(self.size, np.int64)
        numbers[self.rank] = number
        self.sum_on_cpu(numbers)
        return [int(one) for one in numbers]

    def text_of(self, rank: int, text: str, length: int = 4000) -> str:
        """Return the text that one process gave, the same in all."""
        code = text.encode()[:length] if self.rank == rank else b""
        numbers = np.zeros(length, np.int64)
        numbers[: len(code)] = list(code)
        self.sum_on_cpu(numbers)
        return bytes(numbers.tolist()).rstrip(b"\0").decode(errors="replace")

    def together(self, work: Callable[[], T]) -> T:
        """Do what every process does, and fail in all of them if it fails in one.

        The first that failed raises its error, the others SystemExit: a message is wanted once.
        """
        error: BaseException | None = None
        try:
            done = work()
        except Exception as raised:
            error = raised
        failed = self.told_to_all(error is not None)
        if 1 not in failed:
            return done
        if error is not None and failed.index(1) == self.rank:
            raise error
        raise SystemExit(2)

    def abort(self, code: int) -> None:
        """End all processes, wherever they are, with this exit code: some would wait for this one for ever."""
        self.communicator.Abort(code)


def all_processes() -> Processes:
    """Return the processes that this one was started with. ImportError, with the cure, where mpi4py is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # without mpi4py, without an MPI library
        raise ImportError(
            f"mpiexec started several processes, but they cannot talk ({error}); pip install 'minires-engine[mpi]', "
            "and take the mpiexec that this installs"
        ) from error
    world = MPI.COMM_WORLD
    if world.size == 1:
        raise RuntimeError(
            "mpiexec started several processes, but mpi4py sees one alone: the two are of different MPIs; take the "
            "mpiexec that stands beside this Python"
        )
    return Processes(world, world.Split_type(MPI.COMM_TYPE_SHARED))


def share_cores(processes: Processes) -> None:
    """Give each process of this machine its part of the threads; numbers that the environment sets are left alone."""
    import threadpoolctl

    from minires import kernels

    if kernels.in_use() == "numba" and not os.environ.get("MINIRES_NUM_THREADS"):
        from minires.kernels.numba_kernels.machine import threads

        threads.set_num_threads(max(1, threads.get_num_threads() // processes.local_size))
    if not os.environ.get("OPENBLAS_NUM_THREADS") and not os.environ.get("OMP_NUM_THREADS"):
        cores = os.cpu_count() or 1
        threadpoolctl.threadpool_limits(max(1, cores // processes.local_size))
