// Convolution in the arrays' own precision.
#include "implicit_gemm.cuh"

ALL_CONVOLUTIONS(Plain)

// total[k] = the sum of part[0..parts][k], the parts in their order.
extern "C" __global__ void add_parts(const real *part, real *total, int parts, long long size) {
    for (long long k = first_number(); k < size; k += next_number()) {
        real sum = 0;
        for (int p = 0; p < parts; p++) sum += part[p * size + k];
        total[k] = sum;
    }
}
