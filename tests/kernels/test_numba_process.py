"""Threads, forks, the cache of compiled kernels, memory order: what the Numba kernels do to a process."""

import _thread
import dis
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minires import Tensor, kernels, models, ops, optim

numba = pytest.importorskip("numba")
from minires.kernels.numba_kernels import layout  # noqa: E402
from minires.kernels.numba_kernels.machine import compilation, scheduling, threads  # noqa: E402
from minires.kernels.numba_kernels.machine.processor import HAS_SIMD  # noqa: E402

IMAGES = np.random.default_rng(0).standard_normal((32, 3, 32, 32)).astype(np.float32)
LABELS = np.arange(32) % 10


@pytest.fixture(autouse=True)
def restored_threads():
    before = kernels.in_use(), threads.get_num_threads()
    kernels.use("numba")
    yield
    kernels.use(before[0])
    threads.set_num_threads(before[1])


def gradients(model):
    model.zero_grad()
    ops.cross_entropy(model(Tensor(IMAGES)), LABELS).backward()
    return [parameter.grad.tobytes() for parameter in model.parameters()]


@pytest.mark.parametrize("fused", [False, True])
def test_results_are_the_same_to_the_bit_for_any_number_of_threads(fused):
    model = models.cifar_resnet(8, seed=0, fused=fused)
    found = []
    for number in (1, 2, 5, 40, 2):
        kernels.set_num_threads(number)
        found.append(gradients(model))
    assert len(set(map(tuple, found))) == 1


def test_python_threads_may_come_at_once():
    kernels.set_num_threads(2)
    x = np.random.default_rng(0).standard_normal((64, 16, 32, 32)).astype(np.float32)
    module = kernels.kernels_for(x)
    weight, bias = np.ones(16, np.float32), np.zeros(16, np.float32)
    expected = module.batch_norm_forward(x, weight, bias, 1e-5)[0].tobytes()
    found = []

    def work():
        for _ in range(10):
            found.append(module.batch_norm_forward(x, weight, bias, 1e-5)[0].tobytes() == expected)

    together = [threading.Thread(target=work) for _ in range(4)]
    for one in together:
        one.start()
    for one in together:
        one.join(60)
    assert found == [True] * 40


def in_a_fresh_process(code, **environment):
    environment = {name: str(value) for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MINIRES_KERNELS": "", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout.strip(), done.stderr.strip(), done.returncode


RELU = """
import numpy as np
from minires import Tensor, kernels, ops
x = np.random.default_rng(0).standard_normal((64, 16, 32, 32)).astype(np.float32)
assert (ops.relu(Tensor(x)).data == np.maximum(x, 0)).all()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_threads_of_its_own():
    code = f"""{RELU}
import os
import threading
from minires.kernels.numba_kernels.machine import threads
kernels.set_num_threads(2)
ops.relu(Tensor(x))
child = os.fork()
if child == 0:
    assert (ops.relu(Tensor(x)).data == np.maximum(x, 0)).all()
    together = threading.Barrier(2)
    threads.run(lambda counter: together.wait(60), (), small=False)
    os._exit(40 + threads.running())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    out, error, status = in_a_fresh_process(code)
    assert (out, status) == ("41", 0), error


def test_the_number_of_threads_comes_from_the_environment_or_a_call():
    code = "from minires import kernels; kernels.in_use(); from minires.kernels.numba_kernels.machine import threads; "
    assert in_a_fresh_process(code + "print(threads.get_num_threads())", MINIRES_NUM_THREADS=3) == ("3", "", 0)
    _, error, status = in_a_fresh_process(code, MINIRES_NUM_THREADS="two")
    assert status == 1 and "MINIRES_NUM_THREADS must be a whole number from 1 up, got 'two'" in error
    before = threads.get_num_threads()
    for bad in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="set_num_threads: the number of threads must be a whole number from 1 up"):
            kernels.set_num_threads(bad)
    assert threads.get_num_threads() == before


@pytest.mark.parametrize(
    "text, cores", [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", sys.maxsize)]
)
def test_a_container_may_have_less_than_the_cores_it_sees(text, cores, tmp_path):
    assert threads.quota(tmp_path / "missing") == sys.maxsize
    (tmp_path / "cpu.max").write_text(f"{text}\n", encoding="ascii")
    assert threads.quota(tmp_path / "cpu.max") == cores


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux alone")
def test_asking_for_short_slices_changes_nothing_else():
    found = []

    def in_a_thread():
        here = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, here, os.getpriority(os.PRIO_PROCESS, here) + 1)
        before = os.getpriority(os.PRIO_PROCESS, here), os.sched_getscheduler(here), os.sched_getaffinity(here)
        found.append(isinstance(scheduling.ask_for_short_slices(), bool))
        found.append((os.getpriority(os.PRIO_PROCESS, here), os.sched_getscheduler(here)) == before[:2])
        found.append(os.sched_getaffinity(here) == before[2])

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join(60)
    assert found == [True] * 3


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux alone")
@pytest.mark.parametrize("machine", ["riscv64", "x86_64"])
def test_a_system_that_knows_nothing_of_slices_is_none_the_worse(machine, monkeypatch):
    monkeypatch.setattr(scheduling.platform, "machine", lambda: machine)
    monkeypatch.setitem(scheduling.NUMBERS, "x86_64", (100_000, 100_001))  # calls that there are not
    assert scheduling.ask_for_short_slices() is False


def test_a_thread_that_waits_for_long_sees_the_chunk_that_is_done():
    counter, began = np.zeros(2, np.int64), threading.Event()
    call = threads.wait if numba.config.DISABLE_JIT else numba.njit(nogil=True)(lambda c, n: threads.wait(c, n))

    def late():
        began.set()
        time.sleep(0.1)  # far more than it takes until `wait` sleeps
        counter[1] = 3

    thread = threading.Thread(target=late)
    thread.start()
    assert began.wait(60)
    call(counter, 3)
    assert counter[1] == 3
    thread.join(60)


def on_both_threads():
    """Run a kernel of two parts, neither of which ends before the other has begun."""
    kernels.set_num_threads(2)
    together = threading.Barrier(2)
    threads.run(lambda counter: together.wait(60), (), small=False)


@pytest.fixture
def no_workers():
    """A process whose workers have gone: an error in a kernel ends them."""
    kernels.set_num_threads(2)

    def fail(counter):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.run(fail, (), small=False)
    assert threads.running() == 0


def test_an_error_in_a_worker_is_raised_and_others_come_for_the_next_kernel():
    kernels.set_num_threads(2)
    here = threading.get_ident()
    began = threading.Event()

    def fail_elsewhere(counter):
        if threading.get_ident() != here:
            began.set()
            raise ZeroDivisionError("in the worker")
        assert began.wait(60)

    for _ in range(2):
        began.clear()
        with pytest.raises(ZeroDivisionError, match="in the worker"):
            threads.run(fail_elsewhere, (), small=False)
        assert threads.running() == 0
    on_both_threads()
    assert threads.running() == 1


@pytest.mark.parametrize("fails", ["caller", "worker"])
def test_no_thread_waits_for_the_chunk_of_one_that_failed(fails):
    kernels.set_num_threads(2)
    here = threading.get_ident()
    began = threading.Event()

    def kernel(counter):
        if (threading.get_ident() == here) == (fails == "caller"):
            assert began.wait(60)
            raise MemoryError("before its chunk was done")
        began.set()
        deadline = time.monotonic() + 60
        while counter[1] < 2:  # as `wait` does
            assert time.monotonic() < deadline

    with pytest.raises(MemoryError, match="before its chunk was done"):
        threads.run(kernel, (), small=False)


def test_after_an_interrupt_a_kernel_waits_for_its_threads_as_before(default_interrupt):
    kernels.set_num_threads(2)
    here = threading.get_ident()
    began, may_end = threading.Event(), threading.Event()
    done = []

    def kernel(counter):
        if threading.get_ident() == here:
            assert began.wait(60)
        else:
            began.set()
            assert may_end.wait(60)
            done.append(True)

    def interrupt():
        signal.pthread_kill(here, signal.SIGINT)  # in the wait for the worker, or just before it
        time.sleep(0.2)
        may_end.set()

    threading.Timer(0.2, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        threads.run(kernel, (), small=False)
    assert done == [True]  # nothing writes into arrays any more
    for number in (2, 3):
        began.clear()
        may_end.clear()
        threading.Timer(0.1, may_end.set).start()
        threads.run(kernel, (), small=False)
        assert done == [True] * number


def behind_calls(code):
    """Return the places in a function where Python answers a signal: the instructions behind its calls."""
    instructions = list(dis.get_instructions(code))
    return {after.offset for call, after in itertools.pairwise(instructions) if call.opname.startswith("CALL")}


def interrupted_at(number):
    """Return a tracer that raises KeyboardInterrupt at one of the places in threads.py where Python answers signals."""
    places = itertools.count()

    def trace(frame, event, argument):
        frame.f_trace_opcodes = frame.f_code.co_filename == threads.__file__
        if event == "opcode" and frame.f_lasti in behind_calls(frame.f_code) and next(places) == number:
            raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_leaves_the_workers_to_the_next_kernel_wherever_it_comes():
    """Also where they are taken, and it is not yet known that they are."""
    before, ended = sys.gettrace(), 0
    for number in range(200):
        on_both_threads()
        sys.settrace(interrupted_at(number))
        try:
            threads.run(lambda counter: None, (), small=False)
            ended += 1
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        if ended:
            break
    assert ended and number > 8
    on_both_threads()


def test_where_the_system_has_no_thread_left_the_caller_does_the_work(no_workers, monkeypatch):
    def no_more(function, arguments):
        raise RuntimeError("can't start new thread")

    kernels.set_num_threads(3)
    x = np.random.default_rng(0).standard_normal((64, 16, 32, 32)).astype(np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_more)
        np.testing.assert_array_equal(ops.relu(Tensor(x)).data, np.maximum(x, 0))
        assert threads.running() == 0
    on_both_threads()


def test_a_worker_that_has_not_begun_is_not_waited_for(no_workers, monkeypatch):
    late, ran_on = [], []
    caller = threading.Thread(
        target=threads.run, args=(lambda counter: ran_on.append(threading.get_ident()), (), False), daemon=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", lambda *thread: late.append(thread))  # the system is busy elsewhere
        caller.start()
        caller.join(60)
    assert ran_on == [caller.ident] and not caller.is_alive()
    [thread] = late
    _thread.start_new_thread(*thread)  # it comes after all, and finds that there is nothing left to do
    on_both_threads()
    assert ran_on == [caller.ident] and threads.running() == 1


def test_several_threads_may_use_a_kernel_for_the_first_time(tmp_path):
    code = """
import threading
import numpy as np
from minires import Tensor, ops
x, found, barrier = np.ones((4, 8, 2, 2), np.float32), [], threading.Barrier(4)
def work():
    barrier.wait()
    found.append(ops.relu(Tensor(x)).data.sum())
together = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in together], [one.join() for one in together]
print(found == [128] * 4)
"""
    for _ in range(2):  # compiling, and loading what was compiled
        out, error, status = in_a_fresh_process(code, MINIRES_CACHE=tmp_path)
        assert (out, status) == ("True", 0), error


def test_kernels_compile_on_first_use_once_and_say_so(tmp_path):
    out, error, status = in_a_fresh_process(
        "from minires import kernels; print(kernels.in_use())", MINIRES_CACHE=tmp_path
    )
    assert (out, error, status) == ("numba", "", 0)
    assert not list(tmp_path.rglob("*.nbc"))  # loading the module compiled nothing
    out, error, status = in_a_fresh_process(RELU, MINIRES_CACHE=tmp_path)
    assert (error, status) == ("minires: compiling kernels, once", 0)
    (folder,) = (tmp_path / "kernels").iterdir()
    assert folder.name == compilation.sources_hash()
    compiled = sorted(folder.rglob("*.nbc"))
    assert len(compiled) == 1  # relu forward, and nothing else
    assert in_a_fresh_process(RELU, MINIRES_CACHE=tmp_path) == ("", "", 0)
    assert sorted(folder.rglob("*.nbc")) == compiled


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_at_a_terminal_the_kernels_are_counted(tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    code = f"""{RELU}
assert kernels.compile_seconds() > 0
before = kernels.compile_seconds()
ops.relu(Tensor(x))
assert kernels.compile_seconds() == before
"""
    environment = {**os.environ, "MINIRES_KERNELS": "numba", "MINIRES_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=theirs, timeout=300)
    os.close(theirs)
    shown = b""
    while b"once" not in shown or not shown.endswith(b"\033[K"):
        shown += os.read(ours, 1000)
    os.close(ours)
    assert done.returncode == 0
    assert shown.endswith(b" kernels, once\r\033[K") and b"\r\033[Kcompiling 1 of " in shown


def test_nothing_is_compiled_ahead_for_kernels_that_are_not_in_use(monkeypatch):
    from minires.kernels.numba_kernels.machine import ahead

    expected = []
    monkeypatch.setattr(ahead, "expect", expected.append)
    with kernels.use("numpy"):
        kernels.compile_ahead(fused=True)
    assert expected == []
    kernels.compile_ahead(fused=True)
    kernels.compile_ahead(fused=False)
    assert expected == [ahead.FUSED, ahead.UNFUSED]
    names = {kernel.name for kernel in compilation.all_kernels if "float32" in kernel.signatures}
    assert names.issuperset(ahead.FUSED) and names.issuperset(ahead.UNFUSED)


AHEAD = """
import os
import numpy as np
from minires.kernels import numba_kernels
from minires.kernels.numba_kernels.machine import ahead, compilation, threads
from minires.kernels.numba_kernels import normalization_passes
names = "finish_statistics", "finish_gradients"
threads.initial_number = lambda: NUMBER
os.chdir(FOLDER)
ahead.expect(names)
started = len(ahead.helpers)
if KILLED:
    ahead.helpers[0].kill()
sums, shift, mean, var = np.ones(2 * 16 * 8, "f"), np.zeros(8, "f"), np.empty(8, "f"), np.empty(8, "f")
normalization_passes.finish_statistics(sums, shift, mean, var, 4)
ahead.expect(names)
assert len(ahead.helpers) == started
loaded = sum(normalization_passes.finish_statistics.compiled.stats.cache_hits.values())
print(started, loaded, mean.tolist() == [4] * 8, "finish_statistics" in ahead.expected)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_second_process_compiles_what_will_be_called(tmp_path):
    (tmp_path / "minires").mkdir()
    (tmp_path / "minires" / "__init__.py").write_text("raise SystemExit('another copy, of the folder it runs in')")
    two = f"NUMBER, KILLED, FOLDER = 2, False, {str(tmp_path)!r}{AHEAD}"
    said = "minires: compiling kernels, once"  # by the process that waits: the other compiled, and it loaded
    assert in_a_fresh_process(two, MINIRES_CACHE=tmp_path / "a") == ("1 1 True False", said, 0)
    assert in_a_fresh_process(two, MINIRES_CACHE=tmp_path / "a")[0] == "0 1 True False"  # nothing was missing
    killed, one = two.replace("2, False", "2, True", 1), two.replace("2, False", "1, False", 1)
    for code, started in ((killed, 1), (one, 0)):  # then it is compiled here
        out, error, status = in_a_fresh_process(code, MINIRES_CACHE=tmp_path / str(started))
        assert (out, error, status) == (f"{started} 0 True False", said, 0)


@pytest.fixture
def default_interrupt():
    """Ctrl-C as Python has it: a debugger that ran in this process may have left its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_compiling_comes_when_that_has_ended(default_interrupt):
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with compilation.InterruptLater():
            signal.raise_signal(signal.SIGINT)
            steps.append("compiled to the end")
        steps.append("never")
    assert steps == ["compiled to the end"]
    with pytest.raises(KeyboardInterrupt):
        with compilation.InterruptLater():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            steps.append("never")
    assert steps == ["compiled to the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    before = signal.signal(signal.SIGINT, lambda number, frame: steps.append("who has a handler is not asked"))
    try:
        with compilation.InterruptLater():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps[1:] == ["who has a handler is not asked"]


AN_ALARM_WHILE_COMPILING = """
import signal, sys, threading
import numpy as np
from minires.kernels import numba_kernels
from minires.kernels.numba_kernels.machine import compilation

class Alarm(Exception):
    pass

def ring(*_):
    raise Alarm

signal.signal(signal.SIGALRM, ring)
x, rung = np.array([-1, 2], np.float32), 0
compile_version = compilation.Kernel.compile_version

def compile_and_be_rung(kernel, dtype):
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    compile_version(kernel, dtype)

compilation.Kernel.compile_version = compile_and_be_rung
for _ in range(20):
    try:
        assert numba_kernels.relu_forward(x).tolist() == [0, 2]
        assert numba_kernels.relu_backward(x, x).tolist() == [0, 2]
        signal.setitimer(signal.ITIMER_REAL, 0)
        break
    except Alarm:
        rung += 1
print("rung" if rung else "not rung")
"""


def test_an_exception_of_a_signal_handler_while_compiling_leaves_the_kernel_usable(tmp_path):
    """Helpers too, which are compiled before their kernel."""
    for after in ("0.02", "0.1"):
        environment = {**os.environ, "MINIRES_CACHE": str(tmp_path / after)}
        done = subprocess.run(
            [sys.executable, "-c", AN_ALARM_WHILE_COMPILING, after], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, "rung\n"), done.stderr


def test_a_change_in_any_source_makes_a_new_cache(tmp_path):
    (tmp_path / "helper.py").write_text("x = 1")
    before = compilation.sources_hash(tmp_path)
    (tmp_path / "helper.py").write_text("x = 2")
    assert compilation.sources_hash(tmp_path) != before


def test_the_cache_folder_is_the_platforms_unless_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIRES_CACHE", str(tmp_path))
    assert compilation.cache_root() == tmp_path
    monkeypatch.delenv("MINIRES_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert compilation.cache_root() == tmp_path / "xdg" / "minires"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert compilation.cache_root().parts[-3:] == ("Library", "Caches", "minires")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert compilation.cache_root() == tmp_path / "minires" / "Cache"


def test_without_a_cache_the_numpy_kernels_do(tmp_path):
    (tmp_path / "file").write_text("")
    out, error, _ = in_a_fresh_process(f"{RELU}\nprint(kernels.in_use())", MINIRES_CACHE=tmp_path / "file")
    assert out == "numpy" and len(error.splitlines()) == 1
    assert "using the NumPy kernels" in error and "cannot be written" in error and "MINIRES_CACHE" in error
    _, error, status = in_a_fresh_process(
        "import minires; minires.kernels.use('numba')", MINIRES_CACHE=tmp_path / "file"
    )
    assert status == 1 and "ImportError" in error


def test_without_numba_the_numpy_kernels_do():
    code = f"import sys; sys.modules['numba'] = None\n{RELU}\nprint(kernels.in_use())"
    out, error, status = in_a_fresh_process(code)
    assert (out, status) == ("numpy", 0)
    assert error.startswith("minires: using the NumPy kernels, since Numba's could not be loaded (")
    assert len(error.splitlines()) == 1


def test_the_option_of_the_numba_kernels_is_restored():
    from minires.kernels.numba_kernels import convolution

    before = convolution.use_winograd
    with kernels.use("numba", winograd=not before):
        assert convolution.use_winograd is not before
    assert convolution.use_winograd is before
    with pytest.raises(ValueError, match="the numba kernels have the option winograd, got tiles"):
        kernels.use("numba", tiles=3)


@pytest.mark.skipif(not HAS_SIMD, reason="this processor's convolutions are NumPy's")
@pytest.mark.parametrize("fused", [False, True])
def test_nothing_is_copied_between_ops(fused):
    """Images come in another memory order, and are converted in forward and for the weight gradient; nothing else."""
    model = models.resnet20(seed=0, fused=fused)
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = layout.copies
    loss = ops.cross_entropy(model(Tensor(IMAGES)), LABELS)
    assert layout.copies - before == 1
    loss.backward()
    sgd.step()
    assert layout.copies - before == 2
    in_order = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    ops.cross_entropy(model(Tensor(in_order)), LABELS).backward()
    assert layout.copies - before == 2
    for array in model.state_dict().values():
        assert array.flags.c_contiguous


def test_kernels_run_without_jit():
    """As ordinary Python, where coverage and a debugger see them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/kernels/test_numba_kernels.py"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    )
    assert done.returncode == 0, done.stdout[-3000:]
