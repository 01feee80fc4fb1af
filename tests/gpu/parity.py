"""Draws for every kernel, and the comparison of what two kernel modules make of one draw: NumPy's is the reference.

A draw has a random shape, window, stride and padding, float32 or float64, arrays each in a memory order of its own, and
in every other one some infinities and NaN at random places. The law of `minires/kernels/numpy_kernels.py` is what is
compared: numbers to rounding; infinities and NaN in the same places, but for convolutions, where they may spread in a
tile. By hand, NumPy's against Numba's and against the CUDA sources built for the CPU, with a report:

    python tests/gpu/parity.py --draws 20000 --report benchmarks/results/parity.json
"""

import argparse
import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

TOLERANCE = {"float32": 5e-5, "float64": 1e-11}  # of the largest number, or of 1
ORDERS = ("C", "F", "reversed", "sliced", "channels-last")
IN_PLACE = {"sgd_step": (0, 2), "adam_step": (0, 2, 3), "batch_norm_track": (0, 1)}


class Drawer:
    """Random sizes and arrays of one draw."""

    def __init__(self, seed) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = str(self.rng.choice(["float32", "float64"]))
        self.spoiling = bool(self.rng.random() < 0.5)
        self.spoiled = 0

    def size(self, least, most):
        return int(self.rng.integers(least, most + 1))

    def pair(self, least, most):
        return self.size(least, most), self.size(least, most)

    def normal(self, *shape, spoil=True):
        x = np.asarray(self.rng.standard_normal(shape)).astype(self.dtype)
        return self.spoil(x) if spoil else x

    def positive(self, *shape):
        return self.rng.uniform(0.5, 2, shape).astype(self.dtype)

    def ties(self, *shape):
        return self.spoil(self.rng.integers(-2, 3, shape).astype(self.dtype))

    def spoil(self, x):
        if self.spoiling and x.size and self.rng.random() < 0.6:
            for _ in range(self.size(1, 3)):
                x.flat[self.rng.integers(x.size)] = self.rng.choice([np.inf, -np.inf, np.nan])
            self.spoiled += 1
        return x

    def images(self, make, least=1, channels=20, side=13):
        N = 0 if least and self.rng.random() < 0.04 else self.size(least, 4)
        return make(N, self.size(1, channels), self.size(max(least, 1), side), self.size(max(least, 1), side))

    # One method a kernel: its arguments.

    def convolution(self):
        x = self.images(self.normal, channels=24)
        KH, KW = (3, 3) if self.rng.random() < 0.6 else self.pair(1, 5)
        padding = (1, 1) if self.rng.random() < 0.5 else self.pair(0, 3)
        stride = (1, 1) if self.rng.random() < 0.5 else self.pair(1, 6)
        KH, KW = min(KH, x.shape[2] + 2 * padding[0]), min(KW, x.shape[3] + 2 * padding[1])
        weight = self.normal(self.size(1, 24), x.shape[1], KH, KW, spoil=self.rng.random() < 0.3)
        I = (x.shape[2] + 2 * padding[0] - KH) // stride[0] + 1
        J = (x.shape[3] + 2 * padding[1] - KW) // stride[1] + 1
        return x, weight, stride, padding, (x.shape[0], weight.shape[0], I, J)

    def conv2d_forward(self):
        x, weight, stride, padding, _ = self.convolution()
        bias = self.normal(weight.shape[0], spoil=False) if self.rng.random() < 0.5 else None
        return x, weight, bias, stride, padding

    def conv2d_grad_input(self):
        x, weight, stride, padding, y_shape = self.convolution()
        return self.normal(*y_shape), weight, x.shape, stride, padding

    def conv2d_grad_weight(self):
        x, weight, stride, padding, y_shape = self.convolution()
        return self.normal(*y_shape), x, weight.shape, stride, padding

    def grouped_convolution(self):
        groups, CG, FG = self.size(1, 5), self.size(1, 4), self.size(1, 4)
        (KH, KW), dilation, padding = self.pair(1, 3), self.pair(1, 3), self.pair(0, 3)
        stride = (1, 1) if self.rng.random() < 0.5 else self.pair(1, 6)
        sides = [
            self.size(max(1, d * (k - 1) + 1 - 2 * p), 10) for k, d, p in zip((KH, KW), dilation, padding, strict=True)
        ]
        x = self.normal(0 if self.rng.random() < 0.04 else self.size(1, 3), groups * CG, *sides)
        weight = self.normal(groups * FG, CG, KH, KW, spoil=self.rng.random() < 0.3)
        I, J = [
            (side + 2 * p - d * (k - 1) - 1) // s + 1
            for side, p, d, k, s in zip(sides, padding, dilation, (KH, KW), stride, strict=True)
        ]
        return x, weight, (stride, padding, dilation, groups), (x.shape[0], weight.shape[0], I, J)

    def grouped_conv2d_forward(self):
        x, weight, window, _ = self.grouped_convolution()
        bias = self.normal(weight.shape[0], spoil=False) if self.rng.random() < 0.5 else None
        return x, weight, bias, *window

    def grouped_conv2d_grad_input(self):
        x, weight, window, y_shape = self.grouped_convolution()
        return self.normal(*y_shape), weight, x.shape, *window

    def grouped_conv2d_grad_weight(self):
        x, weight, window, y_shape = self.grouped_convolution()
        return self.normal(*y_shape), x, weight.shape, *window

    def im2col(self):
        x, weight, stride, padding, _ = self.convolution()
        return x, weight.shape[2:], stride, padding

    def col2im(self):
        x, weight, stride, padding, (N, _, I, J) = self.convolution()
        cols = self.normal(N, x.shape[1] * weight.shape[2] * weight.shape[3], I * J)
        return cols, x.shape, weight.shape[2:], stride, padding

    def normed(self, least=1):
        x = self.images(self.normal) if least else self.images(self.normal, least=0)
        if self.rng.random() < 0.2:
            x = x[:, :, 0, 0].copy()
        C = x.shape[1]
        return x, self.normal(C), self.normal(C), self.spoil(self.normal(C)), self.positive(C)

    def batch_norm_forward(self):
        x, weight, bias, _, _ = self.normed()
        x = x if x.shape[0] > 1 else np.concatenate([x, x, 1 + x, self.normal(2, *x.shape[1:])])
        return x, weight, bias, 1e-2

    def batch_norm_backward(self):
        x, weight, _, mean, var = self.normed()
        return self.normal(*x.shape), x, weight, mean, var, 1e-2

    def batch_norm_inference(self):
        return *self.normed(), 1e-2

    batch_norm_inference_backward = batch_norm_backward

    def batch_norm_track(self):
        C = self.size(1, 30)
        return self.normal(C), self.normal(C), self.normal(C), self.normal(C), self.size(2, 99), 0.1

    def relu_forward(self):
        shape = [self.size(0, 6) for _ in range(self.size(0, 5))]
        return (self.ties(*shape),)

    def relu_backward(self):
        (y,) = self.relu_forward()
        return self.normal(*y.shape), np.asarray(np.maximum(y, 0))

    def pool(self):
        x, kernel_size = self.images(self.ties), self.pair(1, 5)
        padding = tuple([self.size(0, size // 2) for size in kernel_size])
        room = [size + 2 * around for size, around in zip(x.shape[2:], padding, strict=True)]
        kernel_size = tuple([min(size, most) for size, most in zip(kernel_size, room, strict=True)])
        padding = tuple([min(around, size // 2) for around, size in zip(padding, kernel_size, strict=True)])
        if any(k > size + 2 * p for k, size, p in zip(kernel_size, x.shape[2:], padding, strict=True)):
            kernel_size, padding = (1, 1), (0, 0)
        stride = self.pair(1, 6)
        places = [
            (size + 2 * p - k) // s + 1
            for size, k, s, p in zip(x.shape[2:], kernel_size, stride, padding, strict=True)
        ]
        return x, (kernel_size, stride, padding), (*x.shape[:2], *places)

    def max_pool2d_forward(self):
        x, window, _ = self.pool()
        return x, *window

    avg_pool2d_forward = max_pool2d_forward

    def max_pool2d_backward(self):
        x, window, y_shape = self.pool()
        winners = self.rng.integers(-1, window[0][0] * window[0][1] + 1, y_shape).astype(np.int16)  # anyone's numbers
        return self.normal(*y_shape), winners, x.shape, *window

    def avg_pool2d_backward(self):
        x, window, y_shape = self.pool()
        return self.normal(*y_shape), x.shape, *window

    def option_a_forward(self):
        x = self.images(self.normal)
        return x, x.shape[1] + self.size(0, 9), self.size(1, 4)

    def option_a_backward(self):
        x, F, stride = self.option_a_forward()
        N, _, H, W = x.shape
        return self.normal(N, F, -(-H // stride), -(-W // stride)), x.shape, stride

    def labelled(self):
        N, classes = self.size(1, 9), self.size(1, 12)
        labels = self.rng.integers(0, classes, N).astype(self.rng.choice(["uint8", "int32", "int64"]))
        ignored = int(labels[0]) if (labels != labels[0]).any() and self.rng.random() < 0.5 else -100
        return (N, classes), labels, float(self.rng.choice([0.0, 0.1, 1.0])), ignored

    def cross_entropy_forward(self):
        shape, *options = self.labelled()
        return self.spoil(8 * self.normal(*shape, spoil=False)), *options

    def cross_entropy_backward(self):
        shape, *options = self.labelled()
        exp = np.exp(self.normal(*shape, spoil=False))
        return self.normal(), self.spoil(exp / exp.sum(axis=1, keepdims=True)), *options

    def several(self, shapes, make):
        return [make(*shape) for shape in shapes]

    def updated(self):
        return [[self.size(0, 5) for _ in range(self.size(0, 4))] for _ in range(self.size(1, 4))]

    def sgd_step(self):
        shapes = self.updated()
        lists = [self.several(shapes, self.normal) for _ in range(3)]
        return *lists, 0.1, float(self.rng.choice([0.0, 0.9])), float(self.rng.choice([0, 0.1])), self.size(0, 1) == 1

    def adam_step(self):
        shapes = self.updated()
        lists = [self.several(shapes, self.normal) for _ in range(3)]
        squares = self.several(shapes, self.positive)
        decay = float(self.rng.choice([0, 0.1]))
        return *lists, squares, self.size(1, 5), 0.01, 0.9, 0.99, 1e-8, decay, self.size(0, 1) == 1


def in_order(x, order, asarray=np.asarray):
    """Return the same numbers in another memory order; asarray: what takes an array to where it is to be."""
    if order == "channels-last" and x.ndim == 4:
        return asarray(np.array(x.transpose(0, 2, 3, 1), order="C")).transpose(0, 3, 1, 2)
    if order == "F":
        return asarray(np.array(x.T, order="C")).T
    if order == "reversed" and x.ndim:
        backwards = (slice(None, None, -1),) * x.ndim
        return asarray(np.array(x[backwards], order="C"))[backwards]
    if order == "sliced" and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return asarray(wide)[..., ::2]
    return asarray(x.copy())


def placed(name, arguments, rng, asarray=np.asarray):
    """Return a draw's arguments with every array copied, in an order of its own; what is written stays contiguous."""
    made = []
    for place, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            order = str(rng.choice(ORDERS))
            argument = in_order(argument, "C" if place in IN_PLACE.get(name, ()) else order, asarray)
        elif isinstance(argument, list):
            argument = [asarray(array.copy()) for array in argument]
        made.append(argument)
    return made


def flattened(value):
    return [one for each in value for one in flattened(each)] if isinstance(value, list | tuple) else [value]


def results(module, name, arguments):
    """Call a kernel; return all arrays that it gave back or wrote into."""
    with np.errstate(all="ignore"):
        returned = getattr(module, name)(*arguments)
    if name in IN_PLACE:
        returned = [arguments[place] for place in IN_PLACE[name]]
    return flattened(returned)


def may_spread(name, arguments, expected):
    """Return where a convolution's result may be other than finite: in tiles and filters that hold such a number."""
    spread = ~np.isfinite(expected)
    if name == "conv2d_grad_weight":
        return np.broadcast_to(spread.any(axis=(2, 3), keepdims=True), spread.shape)
    for h in range(0, spread.shape[2], 4):
        for w in range(0, spread.shape[3], 4):
            tile = spread[:, :, h : h + 4, w : w + 4]
            tile |= tile.any(axis=(2, 3), keepdims=True)
    if name == "conv2d_grad_input":
        spread |= ~np.isfinite(arguments[1]).all(axis=(0, 2, 3)).reshape(1, -1, 1, 1)
    return spread


def difference(name, arguments, expected, found):
    """Say how results differ from the reference, or nothing."""
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"result {place} is {other.shape} {other.dtype}, not {one.shape} {one.dtype}"
        if one.dtype.kind != "f":
            if not np.array_equal(one, other):
                return f"result {place} differs in {(one != other).sum()} places"
            continue
        compared = np.isfinite(one) & np.isfinite(other)
        if name in ("conv2d_forward", "conv2d_grad_input", "conv2d_grad_weight"):
            lost, spread = ~np.isfinite(one) & np.isfinite(other), np.isfinite(one) & ~np.isfinite(other)
            if lost.any():
                return f"result {place}: finite in {lost.sum()} places where the reference is not"
            if (spread & ~may_spread(name, arguments, one)).any():
                return f"result {place}: not finite beyond a tile"
        elif not np.array_equal(one[~compared], other[~compared], equal_nan=True):
            return f"result {place}: infinities or NaN in other places, {one[~compared]} and {other[~compared]}"
        gap = np.abs(one[compared] - other[compared]).max(initial=0)
        size = max(1.0, np.abs(one[compared]).max(initial=0))
        if gap > TOLERANCE[one.dtype.name] * size:
            return f"result {place}: {gap} apart, of {size}"
    return ""


def compare(name, seed, reference, others):
    """Draw, compute by the reference and the others (name: module, asarray, back); return the draw and differences."""
    draw = Drawer(seed)
    arguments = getattr(draw, name)()
    expected = results(reference, name, placed(name, arguments, np.random.default_rng(seed)))
    problems = {}
    for other, (module, asarray, back) in others.items():
        found = results(module, name, placed(name, arguments, np.random.default_rng([*seed, 1]), asarray))
        problem = difference(name, arguments, expected, [back(one) for one in found])
        if problem:
            problems[other] = problem
    return draw, problems


def kernel_names(module):
    """Return the kernels that there are draws for: all but chains of them, which have tests of their own."""
    return sorted([name for name in vars(Drawer) if name[0] != "_" and hasattr(module, name)])


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    from minires.kernels import emulation, numba_kernels, numpy_kernels

    parser = argparse.ArgumentParser(description="Compare the kernel modules on random draws, and write a report.")
    parser.add_argument("--draws", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", default="benchmarks/results/parity.json")
    options = parser.parse_args()
    stack = ExitStack()
    cupy = stack.enter_context(emulation.gpu())  # until the process ends
    from minires.kernels import cupy_kernels

    others = {
        "numba": (numba_kernels, np.asarray, np.asarray),
        "CUDA on the CPU": (cupy_kernels, cupy.asarray, lambda array: array.get()),
    }
    names = kernel_names(numpy_kernels)
    began, counts, dtypes, not_finite, found = time.time(), Counter(), Counter(), 0, []
    for number in range(options.draws):
        name = names[number % len(names)]
        try:
            draw, problems = compare(name, (options.seed, number), numpy_kernels, others)
        except Exception as error:
            found.append({"kernel": name, "draw": number, "error": f"{type(error).__name__}: {error}"})
            continue
        counts[name] += 1
        dtypes[draw.dtype] += 1
        not_finite += draw.spoiled > 0
        for module, problem in problems.items():
            found.append({"kernel": name, "draw": number, "module": module, "problem": problem})
        if number % 1000 == 999 or number == options.draws - 1:
            print(f"{number + 1} draws, {len(found)} problems, {time.time() - began:.0f} s", flush=True)
            report = {
                "draws": number + 1,
                "seed": options.seed,
                "compared_with_numpy": list(others),
                "tolerance_of_the_largest_number": TOLERANCE,
                "memory_orders": list(ORDERS),
                "draws_with_infinities_or_nan": not_finite,
                "draws_by_dtype": dict(dtypes),
                "draws_by_kernel": dict(sorted(counts.items())),
                "problems": len(found),
                "first_problems": found[:50],
                "seconds": round(time.time() - began),
            }
            Path(options.report).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
