// Convolution with groups and dilation: a thread per output, or per pixel of x, a block per number of the weight's
// gradient. Plain: it is there to be right. The padding is
// zeros that are multiplied too: what is not finite shows in every sum that it is in.
#include "common.cuh"

// CG, FG: channels and filters of one group.
#define GROUPED_SIZES                                                                                            \
    int N, int C, int H, int W, int F, int I, int J, int KH, int KW, int stride_h, int stride_w, int padding_h,  \
        int padding_w, int dilation_h, int dilation_w, int CG, int FG

extern "C" __global__ void grouped_conv2d_forward(const real *x, const real *weight, const real *bias, real *y,
                                                  GROUPED_SIZES) {
    for (long long k = first_number(); k < (long long)N * F * I * J; k += next_number()) {
        const int j = k % J, i = k / J % I, f = k / J / I % F;
        const long long n = k / J / I / F;
        const real *image = x + (n * C + f / FG * CG) * H * W, *filter = weight + (long long)f * CG * KH * KW;
        real sum = bias ? bias[f] : 0;
        for (int c = 0; c < CG; c++)
            for (int u = 0; u < KH; u++)
                for (int v = 0; v < KW; v++) {
                    const int h = i * stride_h + u * dilation_h - padding_h;
                    const int w = j * stride_w + v * dilation_w - padding_w;
                    const bool inside = h >= 0 && h < H && w >= 0 && w < W;
                    sum += filter[(c * KH + u) * KW + v] * (inside ? image[((long long)c * H + h) * W + w] : 0);
                }
        y[k] = sum;
    }
}

extern "C" __global__ void grouped_conv2d_grad_input(const real *grad_y, const real *weight, real *grad_x,
                                                     GROUPED_SIZES) {
    for (long long k = first_number(); k < (long long)N * C * H * W; k += next_number()) {
        const int w = k % W, h = k / W % H, c = k / W / H % C;
        const long long n = k / W / H / C;
        const int first = c / CG * FG;  // the filters that see this channel
        real sum = 0;
        for (int u = 0; u < KH; u++) {
            const int down = h + padding_h - u * dilation_h;
            if (down < 0 || down % stride_h || down / stride_h >= I) continue;
            for (int v = 0; v < KW; v++) {
                const int across = w + padding_w - v * dilation_w;
                if (across < 0 || across % stride_w || across / stride_w >= J) continue;
                for (int f = first; f < first + FG; f++)
                    sum += weight[(((long long)f * CG + c % CG) * KH + u) * KW + v] *
                           grad_y[((n * F + f) * I + down / stride_h) * J + across / stride_w];
            }
        }
        grad_x[k] = sum;
    }
}

// Block k adds up what number k of the weight, of tap (u, v), channel c and filter f, was multiplied with.
extern "C" __global__ void grouped_conv2d_grad_weight(const real *grad_y, const real *x, real *grad_weight,
                                                      GROUPED_SIZES) {
    const int k = blockIdx.x, v = k % KW, u = k / KW % KH, f = k / KW / KH / CG;
    const int c = f / FG * CG + k / KW / KH % CG;
    real sum = 0;
    for (long long place = threadIdx.x; place < (long long)N * I * J; place += THREADS) {
        const int j = place % J, i = place / J % I;
        const long long n = place / J / I;
        const int h = i * stride_h + u * dilation_h - padding_h, w = j * stride_w + v * dilation_w - padding_w;
        const bool inside = h >= 0 && h < H && w >= 0 && w < W;
        sum += grad_y[((n * F + f) * I + i) * J + j] * (inside ? x[((n * C + c) * H + h) * W + w] : 0);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) grad_weight[k] = sum;
}
