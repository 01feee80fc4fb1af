// Convolution as a matrix product whose second matrix is never written to memory.
//
//                    pixels n,i,j                    A block of threads computes a tile of ROWS x PIXELS outputs. It goes
//                 +-------------------+              through the products' common index, DEPTH numbers at a time:
//    inner x taps |  patches of the   |
//                 |  source, gathered |              weights[DEPTH][ROWS]    -+
//                 +-------------------+                                       +- in shared memory, where each number
//   +-----------+ +-------------------+              patches[DEPTH][PIXELS]  -+  is read by many threads
//   |  weights  | |  out[n,row,i,j]   | rows
//   +-----------+ +-------------------+              The numbers of the next step are fetched while this one's multiply.
//
// The common index runs over taps (u, v) and, inside a tap, over input channels: a thread then finds its pixel in the
// source once per tap, and only steps from channel to channel.
//
//   forward          rows = F, inner = C, source = x
//   input gradient   rows = C, inner = F, source = dy, filter transposed and flipped
//   weight gradient  rows = F, and columns c,u,v take the place of the pixels, which become the common index

#include "common.cuh"
#include "product.cuh"

// One of the two directions of an image, height or width.
struct Axis {
    int out;                 // how many pixels are computed along it
    int source;              // size of the source
    int taps;                // how many taps of the filter are used
    int step, first, sign;   // tap u of pixel i sees source pixel i*step + first + sign*u
    int tap, tap_step;       // and is the filter's tap number tap + u*tap_step
    int place, place_step;   // pixel i lands at place + i*place_step
    int size;                // of an output image of size numbers
};

__device__ inline Axis forward_axis(int out, int source, int kernel, int stride, int padding) {
    return {out, source, kernel, stride, -padding, 1, 0, 1, 0, 1, out};
}

// dx[h] is the sum of w[u] dy[i] over i*stride + u - padding = h. Pixels h = lane + stride*i use the same taps,
// u = (lane + padding) % stride + stride*u', so each of the stride lanes is a convolution of its own with step 1.
__device__ inline Axis backward_axis(int size, int source, int kernel, int stride, int padding, int lane) {
    const int tap = (lane + padding) % stride;
    const int taps = tap < kernel ? (kernel - tap + stride - 1) / stride : 0;
    const int out = lane < size ? (size - lane + stride - 1) / stride : 0;
    return {out, source, taps, 1, (lane + padding) / stride, -1, tap, stride, lane, stride, size};
}

// weight_row and weight_inner: how far it is in `weight` from one row, or inner channel, to the next.
template <class Multiplication, int ROWS, int PIXELS>
__device__ inline void convolve(const real *weight, const real *source, const real *bias, real *out, int images,
                                int rows, int inner, int weight_row, int weight_inner, int kernel_w, Axis h, Axis w) {
    const int DEPTH = 8;
    const int WEIGHTS = (ROWS * DEPTH + THREADS - 1) / THREADS;  // numbers that a thread fetches per step
    const int PATCHES = PIXELS * DEPTH / THREADS;
    __shared__ __align__(16) real weights[DEPTH][ROWS + SKEW], patches[DEPTH][PIXELS + SKEW];
    real next_weights[WEIGHTS], next_patches[PATCHES];

    const int t = threadIdx.x;
    const int pixels = images * h.out * w.out;
    const int first_pixel = blockIdx.x * PIXELS, first_row = blockIdx.y * ROWS;
    if (first_pixel >= pixels) return;  // the whole block

    // The pixel that this thread gathers for, the first tap's place in the source, and the weights it fetches.
    const int pixel = first_pixel + t % PIXELS;
    const bool inside = pixel < pixels;
    const int n = pixel / (h.out * w.out), i = pixel / w.out % h.out, j = pixel % w.out;
    const int source_size = h.source * w.source;
    const real *image = source + (long long)(inside ? n : 0) * inner * source_size;
    const int first_y = i * h.step + h.first, first_x = j * w.step + w.first;

    int u = 0, v = 0, channel = 0;  // of the numbers fetched next
    Multiplication product;
    const int steps = h.taps * w.taps * ((inner + DEPTH - 1) / DEPTH);
    for (int step = -1; step < steps; step++) {
        if (step >= 0) {
            __syncthreads();  // the step before has been multiplied
#pragma unroll
            for (int l = 0; l < WEIGHTS; l++) {
                const int number = t + l * THREADS;
                if (number < ROWS * DEPTH) weights[number % DEPTH][number / DEPTH] = product.rounded(next_weights[l]);
            }
#pragma unroll
            for (int l = 0; l < PATCHES; l++)
                patches[t / PIXELS + l * (THREADS / PIXELS)][t % PIXELS] = product.rounded(next_patches[l]);
            __syncthreads();
        }
        if (step + 1 < steps) {
            const int y = first_y + h.sign * u, x = first_x + w.sign * v;
            const bool seen = inside && y >= 0 && y < h.source && x >= 0 && x < w.source;
            const int tap = (h.tap + u * h.tap_step) * kernel_w + w.tap + v * w.tap_step;
#pragma unroll
            for (int l = 0; l < WEIGHTS; l++) {
                const int number = t + l * THREADS;
                const int k = channel + number % DEPTH, row = first_row + number / DEPTH;
                const bool used = number < ROWS * DEPTH && k < inner && row < rows;
                next_weights[l] = used ? weight[(long long)row * weight_row + (long long)k * weight_inner + tap] : 0;
            }
#pragma unroll
            for (int l = 0; l < PATCHES; l++) {
                const int k = channel + t / PIXELS + l * (THREADS / PIXELS);
                next_patches[l] = seen && k < inner ? image[(long long)k * source_size + y * w.source + x] : 0;
            }
            channel += DEPTH;
            if (channel >= inner) {
                channel = 0;
                if (++v == w.taps) v = 0, u++;
            }
        }
        if (step >= 0) product.template add<DEPTH>(weights, patches);
    }

#pragma unroll
    for (int p = 0; p < Multiplication::COLUMNS; p++) {
        const int pixel = first_pixel + product.column(p);
        if (pixel >= pixels) continue;
        const int n = pixel / (h.out * w.out), i = pixel / w.out % h.out, j = pixel % w.out;
        const int y = h.place + i * h.place_step, x = w.place + j * w.place_step;
#pragma unroll
        for (int r = 0; r < Multiplication::ROWS; r++) {
            const int row = first_row + product.row(r);
            if (row < rows)
                out[(((long long)n * rows + row) * h.size + y) * w.size + x] =
                    product.at(r, p) + (bias ? bias[row] : (real)0);
        }
    }
}

template <class Multiplication, int ROWS, int PIXELS>
__device__ inline void convolve_forward(const real *x, const real *weight, const real *bias, real *y, int N, int C,
                                        int H, int W, int F, int KH, int KW, int I, int J, int stride_h, int stride_w,
                                        int padding_h, int padding_w) {
    convolve<Multiplication, ROWS, PIXELS>(weight, x, bias, y, N, F, C, C * KH * KW, KH * KW, KW,
                                           forward_axis(I, H, KH, stride_h, padding_h),
                                           forward_axis(J, W, KW, stride_w, padding_w));
}

// blockIdx.z is the lane, one of stride_h * stride_w.
template <class Multiplication, int ROWS, int PIXELS>
__device__ inline void convolve_backward(const real *grad_y, const real *weight, real *grad_x, int N, int C, int H,
                                         int W, int F, int KH, int KW, int I, int J, int stride_h, int stride_w,
                                         int padding_h, int padding_w) {
    const int lane_h = blockIdx.z / stride_w, lane_w = blockIdx.z % stride_w;
    convolve<Multiplication, ROWS, PIXELS>(weight, grad_y, (const real *)0, grad_x, N, C, F, KH * KW, C * KH * KW, KW,
                                           backward_axis(H, I, KH, stride_h, padding_h, lane_h),
                                           backward_axis(W, J, KW, stride_w, padding_w, lane_w));
}

// Block z adds up the pixels [z*pixels_per_part, (z+1)*pixels_per_part) into partial[z] (F, C*KH*KW).
template <class Multiplication, int ROWS, int COLUMNS>
__device__ inline void weight_gradient(const real *grad_y, const real *x, real *partial, int pixels_per_part, int N,
                                       int C, int H, int W, int F, int KH, int KW, int I, int J, int stride_h,
                                       int stride_w, int padding_h, int padding_w) {
    const int DEPTH = 16;
    const int GRADS = ROWS * DEPTH / THREADS, PATCHES = COLUMNS * DEPTH / THREADS;
    __shared__ __align__(16) real grads[DEPTH][ROWS + SKEW], patches[DEPTH][COLUMNS + SKEW];
    real next_grads[GRADS], next_patches[PATCHES];

    const int t = threadIdx.x;
    const int first_row = blockIdx.y * ROWS, first_column = blockIdx.x * COLUMNS;
    const int columns = C * KH * KW, pixels = N * I * J;
    const int begin = blockIdx.z * pixels_per_part, end = min(pixels, begin + pixels_per_part);

    // This thread fetches pixel t % DEPTH of each step, for these columns: a channel's place in an image, and the tap.
    int place[PATCHES], u[PATCHES], v[PATCHES];
#pragma unroll
    for (int l = 0; l < PATCHES; l++) {
        const int column = first_column + t / DEPTH + l * (THREADS / DEPTH);
        place[l] = column < columns ? column / (KH * KW) * H * W : -1;
        u[l] = column / KW % KH - padding_h;
        v[l] = column % KW - padding_w;
    }

    Multiplication product;
    const int steps = (end - begin + DEPTH - 1) / DEPTH;
    for (int step = -1; step < steps; step++) {
        if (step >= 0) {
            __syncthreads();
#pragma unroll
            for (int l = 0; l < GRADS; l++)
                grads[t % DEPTH][t / DEPTH + l * (THREADS / DEPTH)] = product.rounded(next_grads[l]);
#pragma unroll
            for (int l = 0; l < PATCHES; l++)
                patches[t % DEPTH][t / DEPTH + l * (THREADS / DEPTH)] = product.rounded(next_patches[l]);
            __syncthreads();
        }
        if (step + 1 < steps) {
            const int pixel = begin + (step + 1) * DEPTH + t % DEPTH;
            const bool inside = pixel < end;
            const int n = inside ? pixel / (I * J) : 0, i = pixel / J % I, j = pixel % J;
            const real *grad = grad_y + (long long)n * F * I * J + i * J + j;
            const real *image = x + (long long)n * C * H * W;
#pragma unroll
            for (int l = 0; l < GRADS; l++) {
                const int row = first_row + t / DEPTH + l * (THREADS / DEPTH);
                next_grads[l] = inside && row < F ? grad[(long long)row * I * J] : 0;
            }
#pragma unroll
            for (int l = 0; l < PATCHES; l++) {
                const int h = i * stride_h + u[l], w = j * stride_w + v[l];
                const bool seen = inside && place[l] >= 0 && h >= 0 && h < H && w >= 0 && w < W;
                next_patches[l] = seen ? image[place[l] + h * W + w] : 0;
            }
        }
        if (step >= 0) product.template add<DEPTH>(grads, patches);
    }

#pragma unroll
    for (int c = 0; c < Multiplication::COLUMNS; c++) {
        const int column = first_column + product.column(c);
#pragma unroll
        for (int r = 0; r < Multiplication::ROWS; r++) {
            const int row = first_row + product.row(r);
            if (row < F && column < columns)
                partial[((long long)blockIdx.z * F + row) * columns + column] = product.at(r, c);
        }
    }
}

// The kernels, for a Multiplication and the tiles that the Python side chooses from.
#define CONVOLUTION_SIZES                                                                                         \
    int N, int C, int H, int W, int F, int KH, int KW, int I, int J, int stride_h, int stride_w, int padding_h,   \
        int padding_w
#define SIZES N, C, H, W, F, KH, KW, I, J, stride_h, stride_w, padding_h, padding_w

#define CONVOLUTION(MULTIPLICATION, ROWS, PIXELS)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS) conv2d_forward_##ROWS##x##PIXELS(                       \
        const real *x, const real *weight, const real *bias, real *y, CONVOLUTION_SIZES) {                        \
        convolve_forward<MULTIPLICATION<ROWS, PIXELS>, ROWS, PIXELS>(x, weight, bias, y, SIZES);                  \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) conv2d_grad_input_##ROWS##x##PIXELS(                    \
        const real *grad_y, const real *weight, real *grad_x, CONVOLUTION_SIZES) {                                \
        convolve_backward<MULTIPLICATION<ROWS, PIXELS>, ROWS, PIXELS>(grad_y, weight, grad_x, SIZES);             \
    }

#define WEIGHT_GRADIENT(MULTIPLICATION, ROWS, COLUMNS)                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS) conv2d_grad_weight_##ROWS##x##COLUMNS(                  \
        const real *grad_y, const real *x, real *partial, int pixels_per_part, CONVOLUTION_SIZES) {               \
        weight_gradient<MULTIPLICATION<ROWS, COLUMNS>, ROWS, COLUMNS>(grad_y, x, partial, pixels_per_part, SIZES); \
    }

#define ALL_CONVOLUTIONS(MULTIPLICATION)     \
    CONVOLUTION(MULTIPLICATION, 64, 128)     \
    CONVOLUTION(MULTIPLICATION, 64, 64)      \
    CONVOLUTION(MULTIPLICATION, 32, 128)     \
    CONVOLUTION(MULTIPLICATION, 16, 256)     \
    WEIGHT_GRADIENT(MULTIPLICATION, 64, 64)  \
    WEIGHT_GRADIENT(MULTIPLICATION, 32, 64)  \
    WEIGHT_GRADIENT(MULTIPLICATION, 16, 64)
