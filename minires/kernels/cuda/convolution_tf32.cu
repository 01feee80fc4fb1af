// The same convolutions on tensor cores, for GPUs of compute capability 8.0 and above and arrays of float.
#define TENSOR_CORES
#include "implicit_gemm.cuh"

ALL_CONVOLUTIONS(Tf32)
