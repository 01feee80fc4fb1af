// What all kernels share. The compiler's options give REAL, float or double, and THREADS, the threads of every block.
//
// Letters as in the NumPy kernels: N images; C channels in, F channels out; H x W input, KH x KW filter, I x J output.
// Arrays are (N, C, H, W) in C order. No kernel adds with atomics: sums go in a fixed order and have the same bits
// in every run.

typedef REAL real;

// The first number that this thread handles, and how far it is to its next: all threads of all blocks side by side.
__device__ inline long long first_number() { return (long long)blockIdx.x * THREADS + threadIdx.x; }
__device__ inline long long next_number() { return (long long)gridDim.x * THREADS; }

// Add up one number per thread of the block, pairwise. Every thread must come; every thread gets the sum.
__device__ inline real block_sum(real number) {
    __shared__ real numbers[THREADS];
    const int t = threadIdx.x;
    __syncthreads();  // someone may still be reading the sum before this one
    numbers[t] = number;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) numbers[t] += numbers[t + half];
        __syncthreads();
    }
    return numbers[0];
}

// The largest of one number per thread; NaN if there is one.
__device__ inline real block_max(real number) {
    __shared__ real numbers[THREADS];
    const int t = threadIdx.x;
    __syncthreads();
    numbers[t] = number;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half && !(numbers[t] >= numbers[t + half]) && numbers[t] == numbers[t]) numbers[t] = numbers[t + half];
        __syncthreads();
    }
    return numbers[0];
}
