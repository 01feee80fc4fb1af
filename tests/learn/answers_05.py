"""Chapter 5: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_05 import cross_entropy_backward, nesterov_step


def without_mean(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing) * len(labels)


def without_smoothing(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(grad_loss, probabilities, labels, 0)


def label_without_its_share(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] = 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def logarithm_alone(grad_loss, probabilities, labels, label_smoothing):
    q = probabilities - len(labels) * cross_entropy_backward(1, probabilities, labels, label_smoothing)
    return -grad_loss * q / probabilities / len(labels)


def sign(grad_loss, probabilities, labels, label_smoothing):
    return -cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)


def float64(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.eye(K)[labels] * (1 - label_smoothing) + label_smoothing / K
    return grad_loss * (probabilities - q) / N


def grad_loss_forgotten(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(1, probabilities, labels, label_smoothing)


def float64_of_full(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full((N, K), label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def over_K(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    return cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing) * N / K


def over_K_minus_1(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / (K - 1))
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def others_share(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / (K - 1))
    q[np.arange(N), labels] = 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def label_keeps_all(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] += 1
    return grad_loss * (probabilities - q) / N


def plus(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, -label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities + q) / N


def first_image(grad_loss, probabilities, labels, label_smoothing):
    grad = cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)
    grad[1:] = 0
    return grad


def plain_momentum(w, grad, v, lr, momentum, weight_decay):
    v = momentum * v + grad + weight_decay * w
    return w - lr * v, v


def the_next_v_is_kept(w, grad, v, lr, momentum, weight_decay):
    grad = grad + weight_decay * w
    v = momentum * (momentum * v + grad) + grad
    return w - lr * v, v


def uphill(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, -lr, momentum, weight_decay)


def written_into_v(w, grad, v, lr, momentum, weight_decay):
    grad = grad + weight_decay * w
    v *= momentum
    v += grad
    return w - lr * (momentum * v + grad), v


def v_forgotten(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, lr, momentum, weight_decay)[0], v


def one_array(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, lr, momentum, weight_decay)[0]


def v_first(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, lr, momentum, weight_decay)[::-1]


def as_adamw(w, grad, v, lr, momentum, weight_decay):
    moved, v = nesterov_step(w, grad, v, lr, momentum, 0)
    return moved - lr * weight_decay * w, v


def without_decay(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, lr, momentum, 0)


def decay_in_v_alone(w, grad, v, lr, momentum, weight_decay):
    v = momentum * v + grad + weight_decay * w
    return w - lr * (momentum * v + grad), v


def dampened(w, grad, v, lr, momentum, weight_decay):
    grad = grad + weight_decay * w
    v = momentum * v + (1 - momentum) * grad
    return w - lr * (momentum * v + grad), v


def lr_inside(w, grad, v, lr, momentum, weight_decay):
    step = lr * (grad + weight_decay * w)
    v = momentum * v + step
    return w - momentum * v - step, v


def step_in_float64(w, grad, v, lr, momentum, weight_decay):
    return nesterov_step(w, grad, v, np.float64(lr), momentum, weight_decay)


def in_another_order_of_memory(grad_loss, probabilities, labels, label_smoothing):
    return np.asfortranarray(cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing))


def as_pytorch_writes_it(w, grad, v, lr, momentum, weight_decay):
    grad = np.asfortranarray(grad + weight_decay * w)
    v = v * momentum + grad
    return [w + -lr * (grad + v * momentum), v]


RIGHT = {"cross_entropy_backward": cross_entropy_backward, "nesterov_step": nesterov_step}
ALSO_RIGHT = [{"cross_entropy_backward": in_another_order_of_memory}, {"nesterov_step": as_pytorch_writes_it}]

WRONG = [
    ({"cross_entropy_backward": without_mean}, "smoothing 0.1: the mean over the images is forgotten"),
    ({"cross_entropy_backward": without_smoothing}, "smoothing 0.1: label smoothing is ignored"),
    (
        {"cross_entropy_backward": label_without_its_share},
        "smoothing 0.1: the label keeps 1 − s, but it gets its share",
    ),
    ({"cross_entropy_backward": logarithm_alone}, "this is −q/p, the gradient of the logarithm alone"),
    ({"cross_entropy_backward": sign}, "the gradient of the loss's opposite: the sign is wrong"),
    ({"cross_entropy_backward": float64}, r"here float64 arises\n +line \d+, `q = np\.eye"),
    ({"cross_entropy_backward": float64_of_full}, r"here float64 arises\n +line \d+, `q = np\.full\("),
    ({"cross_entropy_backward": over_K}, "divided by K where it should be N"),
    ({"cross_entropy_backward": over_K_minus_1}, r"s / K, the share of every class: divided by K − 1 where"),
    ({"cross_entropy_backward": others_share}, "s is shared among the K − 1 other classes"),
    ({"cross_entropy_backward": label_keeps_all}, "the label keeps all of its 1"),
    ({"cross_entropy_backward": plus}, "the 1 − s of the label: the sign is wrong"),
    ({"cross_entropy_backward": first_image}, "only the first place along axis 0 is filled"),
    ({"cross_entropy_backward": grad_loss_forgotten}, "what arrives at the loss, grad_loss, is forgotten"),
    ({"nesterov_step": plain_momentum}, "nesterov_step: this is plain momentum"),
    ({"nesterov_step": the_next_v_is_kept}, "nesterov_step: the v that would come next is handed back"),
    ({"nesterov_step": uphill}, "nesterov_step: it goes uphill"),
    ({"nesterov_step": written_into_v}, "nesterov_step: the function writes into what it was handed"),
    ({"nesterov_step": v_forgotten}, "nesterov_step: v is handed back as it came in"),
    ({"nesterov_step": one_array}, "nesterov_step: this is a ndarray, and should be a tuple"),
    ({"nesterov_step": v_first}, "nesterov_step: the two are exchanged"),
    ({"nesterov_step": as_adamw}, "nesterov_step, with weight decay: the decay goes past v"),
    ({"nesterov_step": without_decay}, "nesterov_step, with weight decay: weight_decay is ignored"),
    ({"nesterov_step": decay_in_v_alone}, "nesterov_step, with weight decay: the decay is in v and not in"),
    ({"nesterov_step": dampened}, "nesterov_step: the gradient is multiplied by 1 − momentum"),
    ({"nesterov_step": lr_inside}, "nesterov_step: lr belongs to the step"),
    ({"nesterov_step": step_in_float64}, "nesterov_step: right, but of float32 arrays it makes float64"),
]
