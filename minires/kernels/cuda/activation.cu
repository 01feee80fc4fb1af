// ReLU.
#include "common.cuh"

// y = max(x, 0); NaN stays NaN.
extern "C" __global__ void relu_forward(const real *x, real *y, long long size) {
    for (long long k = first_number(); k < size; k += next_number()) y[k] = x[k] <= 0 ? (real)0 : x[k];
}

// Selected, not multiplied: 0 where y <= 0, whatever grad_y is, and grad_y where y is NaN.
extern "C" __global__ void relu_backward(const real *grad_y, const real *y, real *grad_x, long long size) {
    for (long long k = first_number(); k < size; k += next_number()) grad_x[k] = y[k] <= 0 ? (real)0 : grad_y[k];
}
