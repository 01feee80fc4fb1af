// How a block multiplies two tiles in shared memory, two ways that look alike from outside:
//
//     Multiplication product;                    the tile of sums, all zero, in the registers of the block's threads
//     product.add<DEPTH>(a, b);                  sums[row][column] += a[k][row] * b[k][column], k below DEPTH
//     product.at(r, c)                           this thread's sums, at row(r), column(c) of the tile,
//                                                r below ROWS, c below COLUMNS
//
// Every index of a register array is known to the compiler, else the array would go to memory.

// Rows of shared memory are this much longer than the tile, so that the numbers that a warp reads at once, or most of
// what it writes at once, lie in different banks.
#define SKEW 8

// One multiplication and addition at a time, in the arrays' own precision.
template <int TILE_ROWS, int TILE_COLUMNS>
struct Plain {
    static const int COLUMNS = TILE_COLUMNS < 4 ? TILE_COLUMNS : 4;
    static const int ROWS = TILE_ROWS * TILE_COLUMNS / COLUMNS / THREADS;
    real sums[ROWS][COLUMNS] = {};

    __device__ inline int row(int r) const { return threadIdx.x / (TILE_COLUMNS / COLUMNS) * ROWS + r; }
    __device__ inline int column(int c) const { return threadIdx.x % (TILE_COLUMNS / COLUMNS) * COLUMNS + c; }
    __device__ inline real at(int r, int c) const { return sums[r][c]; }
    __device__ inline real rounded(real number) const { return number; }

    template <int DEPTH>
    __device__ inline void add(const real (*a)[TILE_ROWS + SKEW], const real (*b)[TILE_COLUMNS + SKEW]) {
#pragma unroll
        for (int k = 0; k < DEPTH; k++)
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sums[r][c] += a[k][row(r)] * b[k][column(c)];
    }
};

#ifdef TENSOR_CORES

#ifndef MINIRES_CUDA_ON_CPU  // the tests that run the kernels on a CPU bring their own two functions

// float to TF32: 10 bits of the mantissa are kept, rounded to nearest.
__device__ inline float to_tf32(float number) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(number));
    return __uint_as_float(bits);
}

// 32 threads together: sums (16 x 8) += a (16 x 8) * b (8 x 8). With group = lane / 4 and member = lane % 4, a lane has
//   a[0..3]     at rows group, group + 8, group, group + 8 and columns member, member, member + 4, member + 4
//   b[0..1]     at rows member, member + 4 and column group
//   sums[0..3]  at rows group, group, group + 8, group + 8 and columns 2 member, 2 member + 1, 2 member, 2 member + 1
// (PTX ISA, matrix fragments for mma.m16n8k8 with .tf32)
__device__ inline void mma_16x8x8(float *sums, const float *a, const float *b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

#endif

// Tensor cores: inputs rounded to TF32, sums in float. The block's 8 warps lie DOWN x (8 / DOWN) on the tile, and each
// warp's part is MR x NR pieces of 16 x 8.
template <int TILE_ROWS, int TILE_COLUMNS>
struct Tf32 {
    static const int DOWN = TILE_ROWS >= 32 ? 2 : 1;
    static const int ACROSS = THREADS / 32 / DOWN;
    static const int MR = TILE_ROWS / DOWN / 16, NR = TILE_COLUMNS / ACROSS / 8;
    static const int ROWS = 2 * MR, COLUMNS = 2 * NR;
    float sums[MR][NR][4] = {};

    __device__ inline int group() const { return threadIdx.x % 32 / 4; }
    __device__ inline int member() const { return threadIdx.x % 4; }
    __device__ inline int top() const { return threadIdx.x / 32 / ACROSS * (MR * 16); }
    __device__ inline int left() const { return threadIdx.x / 32 % ACROSS * (NR * 8); }
    __device__ inline int row(int r) const { return top() + r / 2 * 16 + r % 2 * 8 + group(); }
    __device__ inline int column(int c) const { return left() + c / 2 * 8 + 2 * member() + c % 2; }
    __device__ inline float at(int r, int c) const { return sums[r / 2][c / 2][r % 2 * 2 + c % 2]; }
    __device__ inline float rounded(float number) const { return to_tf32(number); }

    template <int DEPTH>
    __device__ inline void add(const float (*a)[TILE_ROWS + SKEW], const float (*b)[TILE_COLUMNS + SKEW]) {
#pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            float a_piece[MR][4], b_piece[NR][2];
#pragma unroll
            for (int m = 0; m < MR; m++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    a_piece[m][e] = a[k + member() + e / 2 * 4][top() + m * 16 + group() + e % 2 * 8];
#pragma unroll
            for (int n = 0; n < NR; n++)
#pragma unroll
                for (int e = 0; e < 2; e++) b_piece[n][e] = b[k + member() + e * 4][left() + n * 8 + group()];
#pragma unroll
            for (int m = 0; m < MR; m++)
#pragma unroll
                for (int n = 0; n < NR; n++) mma_16x8x8(sums[m][n], a_piece[m], b_piece[n]);
        }
    }
};

#endif
