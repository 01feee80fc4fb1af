// Pooling: forward, a thread per output looks at its window; backward, a thread per input at the windows that hold it,
// so that no two threads add to one number.
#include "common.cuh"

#define POOL_SIZES                                                                                               \
    long long size, int H, int W, int I, int J, int KH, int KW, int stride_h, int stride_w, int padding_h,       \
        int padding_w

// The largest number of each window, and the tap u*KW + v it came from: the first of equals, the last of NaNs.
extern "C" __global__ void max_pool2d_forward(const real *x, real *y, short *winners, POOL_SIZES) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int j = k % J, i = k / J % I;
        const real *image = x + k / J / I * H * W;
        real best = 0;
        int winner = -1;
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                const int h = i * stride_h + u - padding_h, w = j * stride_w + v - padding_w;
                if (h < 0 || h >= H || w < 0 || w >= W) continue;
                const real seen = image[h * W + w];
                if (winner < 0 || seen > best || seen != seen) best = seen, winner = u * KW + v;
            }
        y[k] = best;
        winners[k] = winner;
    }
}

extern "C" __global__ void max_pool2d_backward(const real *grad_y, const short *winners, real *grad_x, POOL_SIZES) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int w = k % W, h = k / W % H;
        const long long image = k / W / H * I * J;
        real sum = 0;
        for (int u = 0; u < KH; u++) {
            const int down = h + padding_h - u;
            if (down < 0 || down % stride_h || down / stride_h >= I) continue;
            for (int v = 0; v < KW; v++) {
                const int across = w + padding_w - v;
                if (across < 0 || across % stride_w || across / stride_w >= J) continue;
                const long long place = image + (long long)(down / stride_h) * J + across / stride_w;
                if (winners[place] == u * KW + v) sum += grad_y[place];
            }
        }
        grad_x[k] = sum;
    }
}

// The mean of each window; the padding counts as zeros.
extern "C" __global__ void avg_pool2d_forward(const real *x, real *y, POOL_SIZES) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int j = k % J, i = k / J % I;
        const real *image = x + k / J / I * H * W;
        real sum = 0;
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                const int h = i * stride_h + u - padding_h, w = j * stride_w + v - padding_w;
                if (h >= 0 && h < H && w >= 0 && w < W) sum += image[h * W + w];
            }
        y[k] = sum / (KH * KW);
    }
}

extern "C" __global__ void avg_pool2d_backward(const real *grad_y, real *grad_x, POOL_SIZES) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int w = k % W, h = k / W % H;
        const long long image = k / W / H * I * J;
        real sum = 0;
        for (int u = 0; u < KH; u++) {
            const int down = h + padding_h - u;
            if (down < 0 || down % stride_h || down / stride_h >= I) continue;
            for (int v = 0; v < KW; v++) {
                const int across = w + padding_w - v;
                if (across < 0 || across % stride_w || across / stride_w >= J) continue;
                sum += grad_y[image + (long long)(down / stride_h) * J + across / stride_w];
            }
        }
        grad_x[k] = sum / (KH * KW);
    }
}
