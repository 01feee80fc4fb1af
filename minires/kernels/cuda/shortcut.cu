// Option A, the shortcut without parameters: every stride-th pixel, zeros for the new channels.
#include "common.cuh"

// y (N, F, I, J) has x's channels from number front on.
extern "C" __global__ void option_a_forward(const real *x, real *y, long long size, int C, int H, int W, int F, int I,
                                            int J, int front, int stride) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int j = k % J, i = k / J % I, c = k / J / I % F - front;
        const long long n = k / J / I / F;
        y[k] = c >= 0 && c < C ? x[((n * C + c) * H + i * stride) * W + j * stride] : 0;
    }
}

extern "C" __global__ void option_a_backward(const real *grad_y, real *grad_x, long long size, int C, int H, int W,
                                             int F, int I, int J, int front, int stride) {
    for (long long k = first_number(); k < size; k += next_number()) {
        const int w = k % W, h = k / W % H, c = k / W / H % C;
        const long long n = k / W / H / C;
        const bool kept = h % stride == 0 && w % stride == 0;
        grad_x[k] = kept ? grad_y[((n * F + front + c) * I + h / stride) * J + w / stride] : 0;
    }
}
