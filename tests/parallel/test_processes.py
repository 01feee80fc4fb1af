"""What needs no MPI to be tested: shares, the way of arrays from GPUs, and what is said where MPI is missing."""

import sys
import types

import numpy as np
import pytest

from minires.cli.main import main
from minires.parallel import processes
from minires.parallel.processes import Processes, share_cores, started_by_mpiexec


class Communicator:
    """An MPI communicator of one process that says it is one of several, whose numbers are all the same."""

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size

    def Allreduce(self, _, array):
        assert type(array) is np.ndarray and array.flags.c_contiguous
        array *= self.size


class OnGPU:
    """What stands for an array of CuPy's."""

    def __init__(self, numbers):
        self.numbers = numbers

    def get(self):
        return self.numbers.copy()

    def __setitem__(self, index, value):
        self.numbers[index] = value


@pytest.fixture(autouse=True)
def mpi(monkeypatch):
    module = types.ModuleType("mpi4py")
    module.MPI = types.SimpleNamespace(IN_PLACE=None)
    monkeypatch.setitem(sys.modules, "mpi4py", module)
    return module


def several(rank=0, size=3, local_size=3):
    return Processes(Communicator(rank, size), Communicator(rank, local_size))


@pytest.mark.parametrize("N", [0, 1, 5, 64, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_all_of_it_once_and_differ_by_one_at_most(N, size):
    shares = [several(rank, size).share(N) for rank in range(size)]
    assert [i for share in shares for i in range(N)[share]] == list(range(N))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_arrays_of_a_gpu_go_through_the_cpu_where_there_is_no_nccl(monkeypatch):
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 2)  # of three processes on this machine
    cupy = types.SimpleNamespace(
        cuda=types.SimpleNamespace(nccl=types.SimpleNamespace(available=True), runtime=runtime)
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(processes, "kernels_for", lambda array: types.SimpleNamespace(xp=np))
    array = OnGPU(np.arange(4.0))
    several().sum(array)
    np.testing.assert_array_equal(array.numbers, [0, 3, 6, 9])


def test_arrays_of_a_gpu_go_through_nccl_where_each_process_has_its_own(monkeypatch):
    """With stand-ins for CuPy and NCCL: that the call is the one CuPy documents, no more."""
    calls = []

    class Connection:
        def all_reduce(self, given, result, op):
            assert given is result and op == "sum"
            calls.append(given)

    def init_process_group(n_devices, rank, *, backend, use_mpi):
        assert (n_devices, rank, backend, use_mpi) == (3, 1, "nccl", True)
        return Connection()

    runtime = types.SimpleNamespace(getDeviceCount=lambda: 3)
    cuda = types.SimpleNamespace(nccl=types.SimpleNamespace(available=True), runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda))
    distributed = types.SimpleNamespace(init_process_group=init_process_group)
    monkeypatch.setitem(sys.modules, "cupyx", types.SimpleNamespace(distributed=distributed))
    monkeypatch.setitem(sys.modules, "cupyx.distributed", distributed)
    together, array = several(rank=1), OnGPU(np.ones(2))
    monkeypatch.setattr(together, "told_to_all", lambda number: [number] * 3)
    together.sum(array)
    together.sum(array)
    assert calls == [array, array]


@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_a_launcher_is_known_by_what_it_writes_into_the_environment(name, monkeypatch):
    for other in processes.COUNTS:
        monkeypatch.delenv(other, raising=False)
    assert not started_by_mpiexec()
    monkeypatch.setenv(name, "1")
    assert not started_by_mpiexec()
    monkeypatch.setenv(name, "4")
    assert started_by_mpiexec()


def test_without_mpi4py_the_command_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert main(["train", "--out", str(tmp_path)]) == 2
    assert "pip install 'minires-engine[mpi]'" in capsys.readouterr().err


def test_an_mpiexec_of_another_mpi_is_named(monkeypatch, tmp_path, mpi, capsys):
    monkeypatch.setenv("PMI_SIZE", "2")
    mpi.MPI.COMM_WORLD = Communicator()
    assert main(["train", "--out", str(tmp_path)]) == 2
    assert "the two are of different MPIs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_threads_of_a_machine_are_shared_unless_the_environment_says_how_many(monkeypatch):
    threads = pytest.importorskip("minires.kernels.numba_kernels.machine.threads")
    from minires import kernels

    for name in ("MINIRES_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = threads.get_num_threads()
    try:
        with kernels.use("numba"):
            threads.set_num_threads(6)
            share_cores(several(size=4, local_size=2))
            assert threads.get_num_threads() == 3
            share_cores(several(size=8, local_size=8))
            assert threads.get_num_threads() == 1
            monkeypatch.setenv("MINIRES_NUM_THREADS", "5")
            threads.set_num_threads(5)
            share_cores(several())
            assert threads.get_num_threads() == 5
    finally:
        threads.set_num_threads(before)
