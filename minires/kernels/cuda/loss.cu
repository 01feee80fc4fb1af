// Cross-entropy of softmax, a block per image. q is the label's one-hot, smoothed: (1 - s)*onehot + s/classes.
// A label that is no class makes the loss NaN, and its row of the gradient: to look at the labels here would make the CPU wait for the GPU.
#include "common.cuh"

// probabilities = softmax(logits) (N, classes); losses (N,), 0 for the ignored.
extern "C" __global__ void cross_entropy_rows(const real *logits, const long long *labels, real *probabilities,
                                              real *losses, int classes, double label_smoothing,
                                              long long ignore_index) {
    const long long n = blockIdx.x;
    const real *row = logits + n * classes;
    real largest = row[0];
    for (int k = threadIdx.x; k < classes; k += THREADS)
        if (!(row[k] <= largest)) largest = row[k];
    largest = block_max(largest);
    real exps = 0, shifts = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        const real shifted = row[k] - largest;  // softmax does not change, and exp cannot overflow
        const real e = exp(shifted);
        probabilities[n * classes + k] = e;
        exps += e;
        shifts += shifted;
    }
    exps = block_sum(exps);
    shifts = block_sum(shifts);
    for (int k = threadIdx.x; k < classes; k += THREADS) probabilities[n * classes + k] /= exps;
    if (threadIdx.x > 0) return;
    const long long label = labels[n];
    const real s = label_smoothing, log_exps = log(exps);
    if (label == ignore_index)
        losses[n] = 0;
    else if (label < 0 || label >= classes)
        losses[n] = (real)0 / (largest - largest);
    else  // -sum of q*log p, with log p = shifted - log(exps), and 0*log 0 = 0
        losses[n] = log_exps - (s < 1 ? (1 - s) * (row[label] - largest) : (real)0)
                             - (s > 0 ? s / classes * shifts : (real)0);
}

__device__ inline real labelled(const long long *labels, int N, long long ignore_index) {
    real kept = 0;
    for (int n = threadIdx.x; n < N; n += THREADS) kept += labels[n] != ignore_index;
    return block_sum(kept);
}

// One block: the mean of losses over the labelled images.
extern "C" __global__ void cross_entropy_mean(const real *losses, const long long *labels, real *loss, int N,
                                              long long ignore_index) {
    real sum = 0;
    for (int n = threadIdx.x; n < N; n += THREADS) sum += losses[n];
    sum = block_sum(sum);
    const real kept = labelled(labels, N, ignore_index);
    if (threadIdx.x == 0) *loss = sum / kept;
}

extern "C" __global__ void cross_entropy_backward(const real *grad_loss, const real *probabilities,
                                                  const long long *labels, real *grad_logits, int N, int classes,
                                                  double label_smoothing, long long ignore_index) {
    const real kept = labelled(labels, N, ignore_index);
    const long long n = blockIdx.x, label = labels[n];
    const bool is_class = label >= 0 && label < classes;
    const real scale = is_class ? *grad_loss / kept : (real)0 / (kept - kept), s = label_smoothing;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        const real q = s / classes + (k == label ? 1 - s : (real)0);
        grad_logits[n * classes + k] = label == ignore_index ? (real)0 : (probabilities[n * classes + k] - q) * scale;
    }
}
