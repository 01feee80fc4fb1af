// Batch norm over the M = N*HW numbers of each channel: x^ = (x - mean) / sqrt(var + eps), y = weight*x^ + bias.
//
// Two launches each way. The first cuts every channel into parts and reduces each part; the second combines the parts,
// each block for itself, and writes the result. Grid (parts, C). A part's mean comes first and its squares are taken
// around that mean, so that numbers far from zero lose no digits (Chan, Golub, LeVeque 1983, for the combination).
#include "common.cuh"

// The numbers of one part of channel c, spread over the threads: index in the array, without a division per number.
struct Walk {
    int left, s, HW, images, rest;
    long long index, step, image;

    __device__ inline Walk(int M, int C, int HW) : HW(HW) {
        const int part = (M + gridDim.x - 1) / gridDim.x, first = blockIdx.x * part + threadIdx.x;
        const int end = min(M, (int)(blockIdx.x * part + part));
        left = end - first;
        s = first % HW;
        image = (long long)C * HW;
        index = first / HW * image + (long long)blockIdx.y * HW + s;
        images = THREADS / HW;
        rest = THREADS % HW;
        step = images * image + rest;
    }
    __device__ inline bool more() const { return left > 0; }
    __device__ inline void next() {
        left -= THREADS;
        index += step;
        s += rest;
        if (s >= HW) s -= HW, index += image - HW;
    }
};

__device__ inline int count_of_part(int M, int part_number) {
    const int part = (M + gridDim.x - 1) / gridDim.x;
    return max(0, min(M, (part_number + 1) * part) - part_number * part);
}

// partial[c, part] = the part's mean, and the sum of squares around it.
extern "C" __global__ void batch_norm_statistics(const real *x, real *partial, int M, int C, int HW) {
    const int count = count_of_part(M, blockIdx.x);
    real sum = 0;
    for (Walk walk(M, C, HW); walk.more(); walk.next()) sum += x[walk.index];
    const real mean = count ? block_sum(sum) / count : (real)0;
    real squares = 0;
    for (Walk walk(M, C, HW); walk.more(); walk.next()) squares += (x[walk.index] - mean) * (x[walk.index] - mean);
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        real *mine = partial + 2 * ((long long)blockIdx.y * gridDim.x + blockIdx.x);
        mine[0] = mean;
        mine[1] = squares;
    }
}

// y from x and the channel's mean and var: plus `shortcut` where there is one, and without its negatives for relu.
__device__ inline void normalize(const real *x, const real *weight, const real *bias, const real *shortcut, real *y,
                                 real mean, real var, real eps, int relu, int M, int C, int HW) {
    const int c = blockIdx.y;
    const real scale = weight[c] / sqrt(var + eps), offset = bias[c];
    for (Walk walk(M, C, HW); walk.more(); walk.next()) {
        real number = (x[walk.index] - mean) * scale + offset;
        if (shortcut) number += shortcut[walk.index];
        y[walk.index] = relu && number <= 0 ? (real)0 : number;
    }
}

// Combine the parts, write mean and var, and normalize. At most THREADS parts.
extern "C" __global__ void batch_norm_normalize(const real *x, const real *partial, const real *weight,
                                                const real *bias, const real *shortcut, real *y, real *mean, real *var,
                                                double eps, int relu, int M, int C, int HW) {
    const int c = blockIdx.y, parts = gridDim.x, t = threadIdx.x;
    const real *mine = partial + 2 * ((long long)c * parts + t);
    const real count = t < parts ? count_of_part(M, t) : 0;
    const real part_mean = t < parts ? mine[0] : (real)0;
    const real whole_mean = block_sum(count * part_mean) / M;
    const real apart = part_mean - whole_mean;
    const real whole_var = block_sum((t < parts ? mine[1] : (real)0) + count * apart * apart) / M;
    if (blockIdx.x == 0 && t == 0) {
        mean[c] = whole_mean;
        var[c] = whole_var;
    }
    normalize(x, weight, bias, shortcut, y, whole_mean, whole_var, eps, relu, M, C, HW);
}

extern "C" __global__ void batch_norm_inference(const real *x, const real *weight, const real *bias,
                                                const real *shortcut, const real *mean, const real *var, real *y,
                                                double eps, int relu, int M, int C, int HW) {
    normalize(x, weight, bias, shortcut, y, mean[blockIdx.y], var[blockIdx.y], eps, relu, M, C, HW);
}

// partial[c, part] = the part's sums of dy and of dy*x^. With y given, dy counts as 0 where y <= 0 (relu).
extern "C" __global__ void batch_norm_gradient_sums(const real *grad_y, const real *x, const real *y, const real *mean,
                                                    const real *var, real *partial, double eps, int M, int C, int HW) {
    const int c = blockIdx.y;
    const real centre = mean[c], inv_std = 1 / sqrt(var[c] + (real)eps);
    real sum = 0, product = 0;
    for (Walk walk(M, C, HW); walk.more(); walk.next()) {
        const real dy = y && y[walk.index] <= 0 ? (real)0 : grad_y[walk.index];
        sum += dy;
        product += dy * ((x[walk.index] - centre) * inv_std);
    }
    sum = block_sum(sum);
    product = block_sum(product);
    if (threadIdx.x == 0) {
        real *mine = partial + 2 * ((long long)c * gridDim.x + blockIdx.x);
        mine[0] = sum;
        mine[1] = product;
    }
}

// Combine the parts into dL/dbias and dL/dweight; dL/dx = weight/std * (dy - sum(dy)/M - x^ * sum(dy*x^)/M), without the
// two sums where mean and var are constants; dL/dshortcut = dy, where asked for.
extern "C" __global__ void batch_norm_gradients(const real *grad_y, const real *x, const real *y, const real *weight,
                                                const real *mean, const real *var, const real *partial, real *grad_x,
                                                real *grad_weight, real *grad_bias, real *grad_shortcut, double eps,
                                                int constants, int M, int C, int HW) {
    const int c = blockIdx.y, parts = gridDim.x, t = threadIdx.x;
    const real *mine = partial + 2 * ((long long)c * parts + t);
    const real sum = block_sum(t < parts ? mine[0] : (real)0);
    const real product = block_sum(t < parts ? mine[1] : (real)0);
    if (blockIdx.x == 0 && t == 0) {
        grad_bias[c] = sum;
        grad_weight[c] = product;
    }
    const real centre = mean[c], inv_std = 1 / sqrt(var[c] + (real)eps), scale = weight[c] * inv_std;
    const real mean_dy = sum / M, mean_product = product / M;
    for (Walk walk(M, C, HW); walk.more(); walk.next()) {
        const real dy = y && y[walk.index] <= 0 ? (real)0 : grad_y[walk.index];
        const real x_hat = (x[walk.index] - centre) * inv_std;
        grad_x[walk.index] = (constants ? dy : dy - mean_dy - x_hat * mean_product) * scale;
        if (grad_shortcut) grad_shortcut[walk.index] = dy;
    }
}

// running = keep*running + momentum*batch, the variance times correction.
extern "C" __global__ void batch_norm_track(real *running_mean, real *running_var, const real *mean, const real *var,
                                            double keep, double momentum, double correction, int C) {
    for (long long c = first_number(); c < C; c += next_number()) {
        running_mean[c] = (real)keep * running_mean[c] + (real)momentum * mean[c];
        running_var[c] = (real)keep * running_var[c] + (real)(momentum * correction) * var[c];
    }
}
