"""Chapter 19: a right answer."""


def combine(count_a, mean_a, squares_a, count_b, mean_b, squares_b):
    count = count_a + count_b
    if count == 0:
        return 0, 0.0, 0.0
    mean = (count_a * mean_a + count_b * mean_b) / count
    moved = count_a * (mean_a - mean) ** 2 + count_b * (mean_b - mean) ** 2
    return count, mean, squares_a + squares_b + moved


def max_pool_gradient(k, grad_y, winners, x_shape, kernel_size, stride, padding):
    _, C, H, W = x_shape
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    I, J = grad_y.shape[2:]
    w, h, c, n = k % W, k // W % H, k // W // H % C, k // W // H // C
    total = 0.0
    for u in range(KH):
        for v in range(KW):
            down, across = h + PH - u, w + PW - v
            if down < 0 or across < 0 or down % SH or across % SW:
                continue
            i, j = down // SH, across // SW
            if i < I and j < J and winners[n, c, i, j] == u * KW + v:
                total += float(grad_y[n, c, i, j])
    return total
