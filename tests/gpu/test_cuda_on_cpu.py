"""The stand-in for a GPU sees what it is there to see: each mistake below passes on a lucky day on real hardware."""

import numpy as np
import pytest

from minires.kernels.emulation import cuda_on_cpu, fake_cupy

THREADS = 64

HEAD = """
typedef float real;
extern "C" __global__ void sum(const real *x, real *total, int n) {
    __shared__ real numbers[THREADS];
    const int t = threadIdx.x;
"""
TAIL = """
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) numbers[t] += numbers[t + half];
        __syncthreads();
    }
    if (t == 0) total[blockIdx.x] = numbers[0];
}
"""
RIGHT = HEAD + "numbers[t] = t < n ? x[t] : 0; __syncthreads();" + TAIL
NO_BARRIER = HEAD + "numbers[t] = t < n ? x[t] : 0;" + TAIL
NOT_ALL_AT_THE_BARRIER = HEAD + "if (t >= n) { return; } numbers[t] = x[t]; __syncthreads();" + TAIL


@pytest.fixture(autouse=True)
def order_restored(emulated, monkeypatch):
    monkeypatch.setattr(cuda_on_cpu, "thread_order", "forward")


def kernel(code, name="sum", threads=THREADS):
    return fake_cupy.RawModule(code=code, options=("--std=c++17", f"-DTHREADS={threads}")).get_function(name)


def summed(code, order, n=50):
    x = np.arange(n, dtype=np.float32)
    total = fake_cupy.empty(2, np.float32)
    cuda_on_cpu.thread_order = order
    kernel(code)((2,), (THREADS,), (fake_cupy.asarray(x), total, np.int32(n)))
    return total.host.tolist()


def test_a_kernel_with_its_barriers_gives_the_sum_in_both_orders():
    assert summed(RIGHT, "forward") == summed(RIGHT, "backward") == [1225, 1225]


def test_a_missing_barrier_shows_in_one_of_the_orders():
    assert [1225, 1225] not in (summed(NO_BARRIER, "forward"),)


def test_a_barrier_that_some_threads_do_not_reach_is_an_error():
    with pytest.raises(RuntimeError, match="sum: a barrier that some threads did not reach"):
        summed(NOT_ALL_AT_THE_BARRIER, "forward")


def test_every_block_of_a_grid_runs_with_its_own_place():
    code = """extern "C" __global__ void places(long long *out) {
        const long long block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        out[block * blockDim.x + threadIdx.x] = ((blockIdx.x * 10 + blockIdx.y) * 10 + blockIdx.z) * 10 + threadIdx.x;
    }"""
    out = fake_cupy.empty((4, 3, 2, 5), np.int64)
    kernel(code, "places")((2, 3, 4), (5,), (out,))
    z, y, x, t = np.indices(out.shape)
    np.testing.assert_array_equal(out.host, ((x * 10 + y) * 10 + z) * 10 + t)


def test_a_write_outside_an_array_is_an_error():
    x, total = fake_cupy.asarray(np.ones(4, np.float32)), fake_cupy.empty(1, np.float32)
    with pytest.raises(AssertionError, match="sum wrote outside argument 1"):
        kernel(RIGHT)((2,), (THREADS,), (x, total, np.int32(4)))


def test_a_number_that_no_kernel_wrote_is_nan():
    total = fake_cupy.empty(3, np.float32)
    kernel(RIGHT)((2,), (THREADS,), (fake_cupy.asarray(np.ones(4, np.float32)), total, np.int32(4)))
    np.testing.assert_array_equal(total.host, [4, 4, np.nan])


WRONG = [
    (
        (np.ones(4, np.float64), np.ones(2, np.float32), np.int32(4)),
        r"argument 0 is float64\*, its parameter float32\*",
    ),
    ((np.ones(4, np.float32), np.ones(2, np.float32), np.int64(4)), "argument 2 is int64, its parameter int32"),
    ((np.ones(4, np.float32), np.int32(4), np.ones(2, np.float32)), r"argument 1 is int32, its parameter float32\*"),
    ((np.ones(4, np.float32), np.ones(2, np.float32), 4), "argument 2 is a <class 'int'>"),
    ((np.ones(4, np.float32), np.ones(2, np.float32), 4.0), "argument 2 is float64, its parameter int32"),
    ((np.ones(8, np.float32)[::2], np.ones(2, np.float32), np.int32(4)), "argument 0 is not contiguous"),
    ((np.ones(4, np.float32), np.ones(2, np.float32)), "2 arguments"),
]


@pytest.mark.parametrize("arguments, message", WRONG, ids=[message for _, message in WRONG])
def test_arguments_that_do_not_fit_their_parameters_are_errors(arguments, message):
    with pytest.raises(AssertionError, match=message):
        library = cuda_on_cpu.build(RIGHT, ("-std=c++20", f"-DTHREADS={THREADS}"))
        cuda_on_cpu.Kernel(library, "sum")((2,), (THREADS,), arguments)


def test_the_compiler_is_heard():
    with pytest.raises(RuntimeError, match="unused variable"):
        cuda_on_cpu.build('extern "C" __global__ void f(float *x) { int unused; }', ("-std=c++20",))


MATRICES = """
extern "C" __global__ void product(const float *a, const float *b, float *c, int round) {
    const int lane = threadIdx.x, group = lane / 4, member = lane % 4;
    float a_piece[4], b_piece[2], sums[4] = {};
    for (int e = 0; e < 4; e++) a_piece[e] = a[(group + e % 2 * 8) * 8 + member + e / 2 * 4];
    for (int e = 0; e < 2; e++) b_piece[e] = b[(member + e * 4) * 8 + group];
    for (int e = 0; e < 4 && round; e++) a_piece[e] = to_tf32(a_piece[e]);
    for (int e = 0; e < 2 && round; e++) b_piece[e] = to_tf32(b_piece[e]);
    mma_16x8x8(sums, a_piece, b_piece);
    for (int e = 0; e < 4; e++) c[(group + e / 2 * 8) * 8 + 2 * member + e % 2] = sums[e];
}"""


def test_the_tensor_core_multiplies_matrices_and_refuses_numbers_that_are_not_rounded():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 8)).astype(np.float32), rng.standard_normal((8, 8)).astype(np.float32)
    for rounded in (1, 0):
        c = fake_cupy.empty((16, 8), np.float32)
        arrays = fake_cupy.asarray(a), fake_cupy.asarray(b), c
        kernel(MATRICES, "product")((1,), (32,), (*arrays, np.int32(rounded)))
        if rounded:
            np.testing.assert_allclose(c.host, a @ b, atol=5e-3)
            assert np.abs(c.host - a @ b).max() > 1e-5
        else:
            assert np.isnan(c.host).all()


def test_tf32_keeps_ten_bits_to_nearest():
    code = """extern "C" __global__ void rounding(const float *x, float *y) {
        y[threadIdx.x] = to_tf32(x[threadIdx.x]);
    }"""
    x = np.array([1 + 2**-10, 1 + 2**-11, 1 + 2**-12, -1 - 2**-11, np.inf, np.nan, 0], np.float32)
    y = fake_cupy.empty(x.shape, np.float32)
    kernel(code, "rounding")((1,), x.shape, (fake_cupy.asarray(x), y))
    np.testing.assert_array_equal(y.host, [1 + 2**-10, 1 + 2**-10, 1, -1 - 2**-10, np.inf, np.nan, 0])


def test_arrays_of_the_stand_in_are_as_strict_as_those_of_cupy():
    x, host = fake_cupy.asarray(np.ones(3, np.float32)), np.ones(3, np.float32)
    launched = (fake_cupy.asarray(host), np.ones(2, np.float32), np.int32(3))
    with pytest.raises(AssertionError, match="sum: an array of NumPy's on the CPU"):
        kernel(RIGHT)((2,), (THREADS,), launched)
    for mix in (lambda: x + host, lambda: host + x, lambda: fake_cupy.from_numpy("add")(x, host),
                lambda: np.asarray(x), lambda: x.__setitem__(slice(None), host)):  # fmt: skip
        with pytest.raises(TypeError):
            mix()
    assert type(x.sum()) is type(x) and x.sum().shape == ()
    fake_cupy.waits.clear()
    assert float(x.sum()) == 3 and bool((x > 0).all()) and x.get().sum() == 3
    assert fake_cupy.waits == ["float", "bool", "get"]
