// im2col and col2im: patches as columns in memory. The convolutions do without; they are here to be looked at.
#include "common.cuh"

// cols[n, c, u, v, i, j] = x[n, c, i*stride + u - padding, j*stride + v - padding], 0 outside.
extern "C" __global__ void im2col(const real *x, real *cols, long long size, int C, int H, int W, int KH, int KW, int I,
                                  int J, int stride_h, int stride_w, int padding_h, int padding_w) {
    for (long long k = first_number(); k < size; k += next_number()) {
        long long rest = k;
        const int j = rest % J;
        const int i = (rest /= J) % I;
        const int v = (rest /= I) % KW;
        const int u = (rest /= KW) % KH;
        const long long image = rest / KH;  // n*C + c
        const int h = i * stride_h + u - padding_h, w = j * stride_w + v - padding_w;
        cols[k] = h >= 0 && h < H && w >= 0 && w < W ? x[(image * H + h) * W + w] : 0;
    }
}

// x[n, c, h, w] = the sum of its copies: over taps, of the column at the one output that sees it through that tap.
extern "C" __global__ void col2im(const real *cols, real *x, long long size, int C, int H, int W, int KH, int KW, int I,
                                  int J, int stride_h, int stride_w, int padding_h, int padding_w) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int w = k % W, h = k / W % H;
        const long long image = k / W / H;
        real sum = 0;
        for (int u = 0; u < KH; u++) {
            const int down = h + padding_h - u;
            if (down < 0 || down % stride_h || down / stride_h >= I) continue;
            for (int v = 0; v < KW; v++) {
                const int across = w + padding_w - v;
                if (across < 0 || across % stride_w || across / stride_w >= J) continue;
                sum += cols[(((image * KH + u) * KW + v) * I + down / stride_h) * J + across / stride_w];
            }
        }
        x[k] = sum;
    }
}
