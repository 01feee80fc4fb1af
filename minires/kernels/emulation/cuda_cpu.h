// CUDA C++ on a CPU: a kernel's source is compiled by g++ behind this header, and its blocks run one after another. A
// block's threads are fibers that run one at a time, each until it waits at a barrier or ends; first to last,
// or last to first, so that a kernel that lacks a barrier gives another result in one of the two orders. A barrier that
// only some threads reach is reported. Not played: memory speed, races between blocks, the hardware's own rounding.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

using std::exp, std::log, std::max, std::min, std::sqrt;

#define MINIRES_CUDA_ON_CPU
#define __global__
#define __device__
#define __shared__ static  // one block runs at a time
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct Index {
    unsigned x, y, z;
};
inline Index threadIdx, blockIdx, blockDim, gridDim;

// A fiber lives on after its block, to run the same thread of the next one. Contexts give each its stack, once; from
// then on _longjmp changes between them, which unlike swapcontext asks nothing of the kernel.
namespace fibers {
const size_t STACK = 1 << 16;
struct Fiber {
    jmp_buf place;
    bool begun;
};
inline std::vector<char> stacks;
inline std::vector<Fiber> fibers;
inline jmp_buf scheduler;
inline unsigned current;
inline bool ended;
inline void (*body)(void *);
inline void *body_argument;

inline void wait() {
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}

inline void entry() {
    while (true) {
        body(body_argument);
        ended = true;
        wait();
    }
}

// Let one thread run until it waits or ends.
__attribute__((noinline)) inline void resume(unsigned t) {
    if (_setjmp(scheduler)) return;
    if (fibers[t].begun) _longjmp(fibers[t].place, 1);
    fibers[t].begun = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = &stacks[t * STACK];
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
    setcontext(&context);
}

// Run one block. False when some threads end while others wait at a barrier.
inline bool run_block(unsigned threads, bool backwards) {
    if (fibers.size() < threads) {
        fibers.assign(threads, Fiber());
        stacks.resize(threads * STACK);
    }
    while (true) {  // from barrier to barrier
        unsigned ends = 0;
        for (unsigned k = 0; k < threads; k++) {
            current = backwards ? threads - 1 - k : k;
            threadIdx = {current, 0, 0};
            ended = false;
            resume(current);
            ends += ended;
        }
        if (ends == threads) return true;
        if (ends) {
            for (Fiber &fiber : fibers) fiber.begun = false;
            return false;
        }
    }
}
}  // namespace fibers

inline void __syncthreads() { fibers::wait(); }

inline float to_tf32(float number) {
    uint32_t bits;
    memcpy(&bits, &number, 4);
    if (std::isfinite(number)) bits += 0x1000;  // half of the last bit that stays
    bits &= 0xffffe000;
    memcpy(&number, &bits, 4);
    return number;
}

// The warp's product of 16x8 and 8x8, after the PTX manual's picture of who holds what. Not rounded: not TF32, so NaN.
inline void mma_16x8x8(float *sums, const float *a, const float *b) {
    static float all_a[32][32][4], all_b[32][32][2];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    memcpy(all_a[warp][lane], a, 4 * sizeof(float));
    memcpy(all_b[warp][lane], b, 2 * sizeof(float));
    __syncthreads();
    for (int e = 0; e < 4; e++) {
        const int row = lane / 4 + e / 2 * 8, column = 2 * (lane % 4) + e % 2;
        for (int k = 0; k < 8; k++) {
            const float p = all_a[warp][row % 8 * 4 + k % 4][row / 8 + k / 4 * 2];
            const float q = all_b[warp][column * 4 + k % 4][k / 4];
            sums[e] += to_tf32(p) != p || to_tf32(q) != q ? NAN : p * q;
        }
    }
    __syncthreads();
}

// What a launch hands over, as the driver does: the address of each argument.
template <class... A>
struct Launch {
    void (*kernel)(A...);
    void **arguments;
    template <size_t... I>
    void call(std::index_sequence<I...>) {
        kernel(*(A *)arguments[I]...);
    }
    static void body(void *self) { ((Launch *)self)->call(std::index_sequence_for<A...>()); }
};

template <class... A>
int launch(void (*kernel)(A...), const unsigned *grid, unsigned threads, int backwards, void **arguments) {
    Launch<A...> one{kernel, arguments};
    fibers::body = Launch<A...>::body;
    fibers::body_argument = &one;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads, 1, 1};
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t k = 0; k < blocks; k++) {
        const uint64_t b = backwards ? blocks - 1 - k : k;
        blockIdx = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]), unsigned(b / grid[0] / grid[1])};
        if (!fibers::run_block(threads, backwards)) return 1;
    }
    return 0;
}

template <class T>
const char *type_name();
#define TYPE(T, NAME)                                                 \
    template <>                                                       \
    const char *type_name<T>() { return NAME; }                       \
    template <>                                                       \
    const char *type_name<T *>() { return NAME "*"; }                 \
    template <>                                                       \
    const char *type_name<const T *>() { return NAME "*"; }
TYPE(short, "int16")
TYPE(int, "int32")
TYPE(long long, "int64")
TYPE(float, "float32")
TYPE(double, "float64")

template <class... A>
const char *signature(void (*)(A...)) {
    static std::string text;
    text.clear();
    ((text += type_name<A>(), text += ' '), ...);
    return text.c_str();
}

#define LAUNCHER(NAME)                                                                                              \
    extern "C" int launch_##NAME(const unsigned *grid, unsigned threads, int backwards, void **arguments) {         \
        return launch(NAME, grid, threads, backwards, arguments);                                                   \
    }                                                                                                               \
    extern "C" const char *signature_##NAME() { return signature(NAME); }
