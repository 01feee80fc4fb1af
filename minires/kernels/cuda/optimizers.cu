// One launch updates all parameters. A block looks up which parameter it belongs to, and updates CHUNK of its numbers.
//
// table, (1 + arrays) * parameters + 1 numbers: for each parameter the addresses of w, of its gradient and of what the
// method keeps for it, then the sizes, then the first block of each parameter, and the number of blocks.
#include "common.cuh"

#define CHUNK 4096

struct Piece {
    int parameter;
    long long begin, end;
};

__device__ inline Piece piece_of_block(const long long *sizes, const long long *first_block, int parameters) {
    int low = 0, high = parameters - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (first_block[middle] <= blockIdx.x) low = middle;
        else high = middle - 1;
    }
    const long long begin = (blockIdx.x - first_block[low]) * CHUNK;
    return {low, begin, min(sizes[low], begin + CHUNK)};
}

// g = grad + decay*w; v = momentum*v + g; w = w - lr*v, or w - lr*(g + momentum*v) for Nesterov's.
extern "C" __global__ void sgd_step(const long long *table, int parameters, double lr, double momentum,
                                    double weight_decay, int nesterov) {
    const long long *sizes = table + 3 * parameters;
    const Piece piece = piece_of_block(sizes, sizes + parameters, parameters);
    real *w = (real *)table[piece.parameter];
    const real *grad = (const real *)table[parameters + piece.parameter];
    real *velocity = (real *)table[2 * parameters + piece.parameter];
    const real rate = lr, keep = momentum, decay = weight_decay;
    for (long long k = piece.begin + threadIdx.x; k < piece.end; k += THREADS) {
        const real g = decay != 0 ? grad[k] + decay * w[k] : grad[k];
        const real v = keep * velocity[k] + g;
        velocity[k] = v;
        w[k] -= rate * (nesterov ? g + keep * v : v);
    }
}

// m = b1*m + (1-b1)*g; s = b2*s + (1-b2)*g*g; w = w - rate * m / (sqrt(s)/correction2 + eps), rate = lr/correction1.
// g = grad + decay*w; decoupled, w shrinks by 1 - lr*decay instead.
extern "C" __global__ void adam_step(const long long *table, int parameters, double rate, double correction2,
                                     double beta1, double beta2, double eps, double weight_decay, double shrink) {
    const long long *sizes = table + 4 * parameters;
    const Piece piece = piece_of_block(sizes, sizes + parameters, parameters);
    real *w = (real *)table[piece.parameter];
    const real *grad = (const real *)table[parameters + piece.parameter];
    real *mean = (real *)table[2 * parameters + piece.parameter];
    real *square = (real *)table[3 * parameters + piece.parameter];
    const real b1 = beta1, rest1 = 1 - beta1, b2 = beta2, rest2 = 1 - beta2, decay = weight_decay;
    for (long long k = piece.begin + threadIdx.x; k < piece.end; k += THREADS) {
        const real kept = w[k] * (real)shrink;
        const real g = decay != 0 ? grad[k] + decay * kept : grad[k];
        const real m = b1 * mean[k] + rest1 * g, s = b2 * square[k] + rest2 * g * g;
        mean[k] = m;
        square[k] = s;
        w[k] = kept - (real)rate * m / (sqrt(s) / (real)correction2 + (real)eps);
    }
}
