"""Chapter 16: right and typical wrong answers."""

import math

import numpy as np

from minires.learn.answers.chapter_16 import adamw_step, smoothed_cross_entropy_backward, trapezoid_lr


def softmax(logits, axis=1):
    raised = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return raised / raised.sum(axis=axis, keepdims=True)


def smoothed(make):
    def backward(logits, labels, smoothing):
        N, K = logits.shape
        return make(softmax(logits), np.eye(K, dtype=logits.dtype)[labels], smoothing, N, K)

    return backward


hard = smoothed(lambda p, one, s, N, K: (p - one) / N)
more_than_one = smoothed(lambda p, one, s, N, K: (p - one - s / K) / N)
over_the_others = smoothed(lambda p, one, s, N, K: (p - (1 - s) * one - s / (K - 1) * (1 - one)) / N)
not_a_kth = smoothed(lambda p, one, s, N, K: (p - (1 - s) * one - s) / N)
exchanged_shares = smoothed(lambda p, one, s, N, K: (p - s * one - (1 - s) / K) / N)
smoothed_p = smoothed(lambda p, one, s, N, K: ((1 - s) * p + s / K - one) / N)
scaled_p = smoothed(lambda p, one, s, N, K: ((1 - s) * p - (1 - s) * one - s / K) / N)
summed = smoothed(lambda p, one, s, N, K: p - (1 - s) * one - s / K)
nothing_even = smoothed(lambda p, one, s, N, K: (p - (1 - s) * one) / N)
wrong_sign = smoothed(lambda p, one, s, N, K: ((1 - s) * one + s / K - p) / N)


def over_images(logits, labels, smoothing):
    N, K = logits.shape
    return (softmax(logits, axis=0) - (1 - smoothing) * np.eye(K, dtype=logits.dtype)[labels] - smoothing / K) / N


def overflowing(logits, labels, smoothing):
    N, K = logits.shape
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (p - (1 - smoothing) * np.eye(K, dtype=logits.dtype)[labels] - smoothing / K) / N


def adam(in_gradient=False, decay=lambda w, step, lr, wd: lr * wd * w, c1=None, c2=None, root=np.sqrt, eps=1e-8):
    def step_of(w, grad, m, s, t, lr, weight_decay):
        g = grad + weight_decay * w if in_gradient else grad
        new_m, new_s = 0.9 * m + 0.1 * grad, 0.999 * s + 0.001 * grad**2
        inner_m, inner_s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        one = 1 - 0.9**t if c1 is None else c1(t)
        other = 1 - 0.999**t if c2 is None else c2(t)
        with np.errstate(all="ignore"):
            step = (inner_m / one) / (root(inner_s / other) + eps)
        return w - lr * step - decay(w, lr * step, lr, weight_decay), new_m, new_s

    return step_of


l2_in_place_of_decay = adam(in_gradient=True, decay=lambda w, step, lr, wd: 0 * w)
decay_twice = adam(in_gradient=True)
without_lr = adam(decay=lambda w, step, lr, wd: wd * w)
after_the_step = adam(decay=lambda w, step, lr, wd: lr * wd * (w - step))
no_decay = adam(decay=lambda w, step, lr, wd: 0 * w)
grows = adam(decay=lambda w, step, lr, wd: -lr * wd * w)
uncorrected = adam(c1=lambda t: 1, c2=lambda t: 1)
one_step_too_few = adam(c1=lambda t: 1 - 0.9 ** (t - 1) or 1, c2=lambda t: 1 - 0.999 ** (t - 1) or 1)
no_root = adam(root=lambda s: s)
no_eps = adam(eps=0)


def decay_in_the_means(w, grad, m, s, t, lr, weight_decay):
    return adamw_step(w, grad + weight_decay * w, m, s, t, lr, 0.0)


def old_means(w, grad, m, s, t, lr, weight_decay):
    _, new_m, new_s = adamw_step(w, grad, m, s, t, lr, weight_decay)
    step = (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return w - lr * step - lr * weight_decay * w, new_m, new_s


def not_squared(w, grad, m, s, t, lr, weight_decay):
    w, m, _ = adamw_step(w, grad, m, s, t, lr, weight_decay)
    return w, m, 0.999 * s + 0.001 * grad


def exchanged(w, grad, m, s, t, lr, weight_decay):
    w, _, s = adamw_step(w, grad, m, s, t, lr, weight_decay)
    return w, 0.1 * m + 0.9 * grad, s


def in_place(w, grad, m, s, t, lr, weight_decay):
    m *= 0.9
    m += 0.1 * grad
    s *= 0.999
    s += 0.001 * grad**2
    return w - lr * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8) - lr * weight_decay * w, m, s


def only_w(*arguments):
    return adamw_step(*arguments)[0]


def to_float64(w, grad, m, s, t, lr, weight_decay):
    return adamw_step(w.astype(np.float64), grad, m, s, t, lr, weight_decay)


def no_warmup(step, steps, warmup, cooldown, lr):
    return trapezoid_lr(step, steps, 0, cooldown, lr)


def no_cooldown(step, steps, warmup, cooldown, lr):
    return trapezoid_lr(step, steps, warmup, 0, lr)


def turned_round(step, steps, warmup, cooldown, lr):
    return trapezoid_lr(step, steps, cooldown, warmup, lr)


def from_one(step, steps, warmup, cooldown, lr):
    rising = lr * min(1, (step + 1) / warmup) if warmup else lr
    return min(rising, trapezoid_lr(step, steps, 0, cooldown, lr))


def falls_from_cooldown_on(step, steps, warmup, cooldown, lr):
    rising = lr * min(1, step / warmup) if warmup else lr
    falling = lr * (steps - step) / (steps - cooldown) if step >= cooldown else lr
    return max(0.0, min(rising, falling))


def below_zero(step, steps, warmup, cooldown, lr):
    rate = trapezoid_lr(step, steps, warmup, cooldown, lr)
    return lr * (steps - step) / cooldown if cooldown and step > steps else rate


def along_a_cosine(step, steps, warmup, cooldown, lr):
    if not cooldown or step < steps - cooldown:
        return trapezoid_lr(step, steps, warmup, 0, lr)
    return lr * (1 + math.cos(math.pi * min(1, (step - steps + cooldown) / cooldown))) / 2


def share(step, steps, warmup, cooldown, lr):
    return trapezoid_lr(step, steps, warmup, cooldown, 1.0)


def divides_by_nothing(step, steps, warmup, cooldown, lr):
    return max(0.0, min(lr, lr * step / warmup, lr * (steps - step) / cooldown))


RIGHT = {
    "smoothed_cross_entropy_backward": smoothed_cross_entropy_backward,
    "adamw_step": adamw_step,
    "trapezoid_lr": trapezoid_lr,
}

WRONG = [
    ({"smoothed_cross_entropy_backward": hard}, "the labels are hard"),
    ({"smoothed_cross_entropy_backward": more_than_one}, "q sums to more than 1"),
    ({"smoothed_cross_entropy_backward": over_the_others}, "spread over the K − 1 other classes"),
    ({"smoothed_cross_entropy_backward": not_a_kth}, "each class is given `smoothing` itself"),
    ({"smoothed_cross_entropy_backward": exchanged_shares}, "and the others the rest: the two are exchanged"),
    ({"smoothed_cross_entropy_backward": smoothed_p}, "the probabilities are smoothed, and the labels are not"),
    ({"smoothed_cross_entropy_backward": scaled_p}, "p is multiplied by 1 − smoothing"),
    ({"smoothed_cross_entropy_backward": summed}, "not divided by N"),
    ({"smoothed_cross_entropy_backward": nothing_even}, "what is spread evenly, smoothing / K is missing"),
    ({"smoothed_cross_entropy_backward": wrong_sign}, "smoothing 0.3: the sign is wrong"),
    ({"smoothed_cross_entropy_backward": over_images}, "the softmax runs over the images"),
    ({"smoothed_cross_entropy_backward": overflowing}, "logits of 1000: not a finite number comes out"),
    ({"adamw_step": l2_in_place_of_decay}, "adamw_step: w: the decay is in the gradient, and so in both means"),
    ({"adamw_step": decay_twice}, "adamw_step: w: the decay is in the gradient as well as in the last line"),
    ({"adamw_step": without_lr}, "adamw_step: w: the decay is not multiplied by lr"),
    ({"adamw_step": after_the_step}, "adamw_step: w: the decay takes the w that Adam's step has moved"),
    ({"adamw_step": no_decay}, "adamw_step: w: the decay is missing"),
    ({"adamw_step": grows}, "adamw_step: w: the decay has the wrong sign"),
    ({"adamw_step": uncorrected}, "adamw_step: w: neither mean is corrected"),
    ({"adamw_step": one_step_too_few}, "adamw_step: w: the corrections count one step too few"),
    ({"adamw_step": no_root}, "adamw_step: w: it is divided by s, and not by its root"),
    ({"adamw_step": no_eps}, "the first step, .*: a number that is not finite"),
    ({"adamw_step": decay_in_the_means}, "adamw_step: m: the decay is in it"),
    ({"adamw_step": old_means}, "adamw_step: w: the last line takes the old m and s"),
    ({"adamw_step": not_squared}, "adamw_step: s: it takes grad, and not its square"),
    ({"adamw_step": exchanged}, "adamw_step: m: the shares are exchanged"),
    ({"adamw_step": in_place}, "adamw_step: m: the function writes into what it was handed"),
    ({"adamw_step": only_w}, "three arrays should come back"),
    ({"adamw_step": to_float64}, "float32 came in, and float64 goes out"),
    ({"trapezoid_lr": no_warmup}, "warm-up, plateau and cooldown .*: there is no warm-up"),
    ({"trapezoid_lr": no_cooldown}, "warm-up, plateau and cooldown .*: there is no cooldown"),
    ({"trapezoid_lr": turned_round}, "warmup and cooldown are exchanged"),
    ({"trapezoid_lr": from_one}, "the warm-up counts from 1"),
    ({"trapezoid_lr": falls_from_cooldown_on}, "the fall begins at step `cooldown`"),
    ({"trapezoid_lr": below_zero}, "it goes below 0 beyond the last step"),
    ({"trapezoid_lr": along_a_cosine}, "it falls along half a cosine"),
    ({"trapezoid_lr": share}, "the learning rate is missing"),
    ({"trapezoid_lr": divides_by_nothing}, "ZeroDivisionError"),
]
