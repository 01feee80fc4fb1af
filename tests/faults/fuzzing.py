"""Sequences of calls of the public API, with arrays changed between any two of them, on NumPy's and Numba's kernels.

A sequence makes a small network, an optimizer and an average, and goes several times through forward, backward, clip,
step, evaluate, save and load. Between any two of these an array may be written into, replaced, resized or given
another dtype: images, labels, parameters, gradients, running statistics, what the optimizer, the average or an op has
kept. It depends on its number and the seed alone, so both kernel sets get the same one, and what they answer is
compared: numbers with numbers, refusals with refusals. `fuzz.py` runs many of them, in child processes.
"""

import contextlib
import random
import re

import numpy as np
from changes_to_arrays import change
from guarded import guarded

from minires import Tensor, kernels, models, nn, no_grad, ops
from minires.engine import backward_order
from minires.models.blocks import PreActBlock
from minires.nn import Module
from minires.optim import SGD, Adam, AdamW, clip_grad_norm
from minires.runs.ema import EMA

PHASES = ("forward", "backward", "clip", "step", "evaluate", "save", "load")
UNCHANGED = ("step", "average", "load")  # what refuses changes nothing
HUGE = 1e6  # beyond it, and beside what is not finite, the two sets may round to other things
ROUGH, EXACT = 0.05, 1e-6  # of the norm: with float32 a relu or a pool may choose otherwise by rounding; float64 alone

# NumPy's kernels turned float32 into float64, since one of the arrays was, and the engine saw it; Numba's did not
PROMOTED = re.compile(r"backward gave a gradient of shape (\(.*?\)), \w+ for an input of shape \1, ")


class Mixed(Module):
    """A network of every layer, with sizes that are drawn."""

    def __init__(self, draw, seed):
        C = draw.choice((1, 3, 8, 16))
        window = draw.choice((1, 3, 5, (3, 1))), draw.choice((1, 2)), 2
        self.conv = nn.Conv2d(2, C, *window, bias=draw.random() < 0.5, seed=seed)
        self.norm = draw.choice((nn.BatchNorm2d, lambda C: nn.Identity()))(C)
        self.first = draw.choice((nn.ReLU, nn.ELU, nn.SELU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU))()
        self.pool = draw.choice((nn.MaxPool2d(2), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), nn.MaxPool2d(3, 2)))
        self.second = nn.Conv2d(C, 6, 3, 1, 1, bias=False, seed=seed + 1)
        self.drop = nn.Dropout(0.2, seed=seed)
        self.head = draw.choice((nn.GlobalAvgPool2d, lambda: nn.AdaptiveAvgPool2d(1)))()
        self.flat = nn.Flatten()
        self.fc = nn.Linear(6, 10, draw.random() < 0.7, seed=seed + 2)

    def forward(self, x):
        y = self.pool(self.first(self.norm(self.conv(x))))
        y = ops.residual_add(ops.option_a(y, 6, 1), self.second(y)) if y.shape[1] <= 6 else self.second(y)
        y = self.head(self.drop(y))
        return self.fc(self.flat(y))


class Sequence:
    """One sequence on one kernel set. `entries`: what each phase answered."""

    def __init__(self, seed, number, guard=False):
        self.draw, self.numbers = random.Random(f"{seed} {number}"), np.random.default_rng([seed, number])
        self.guard = guard
        self.entries, self.saved, self.loss = [], None, None
        draw = self.draw
        dtype = draw.choice(("float32", "float32", "float64"))
        self.model = self.network(draw.randrange(1000))
        self.fused = any(type(module).__module__ == "minires.models.fused" for _, module in self.model.named_modules())
        self.model.to(dtype)
        size = draw.choice(((4, 4), (6, 6), (5, 7)))
        images = self.numbers.standard_normal((draw.choice((1, 4, 7)), self.channels, *size)).astype(dtype)
        self.images, self.labels = images, self.numbers.integers(0, 10, len(images))
        self.smoothing = draw.choice((0.0, 0.1))
        if guard:
            self.wall()
        params = self.model.parameters()
        self.optimizer = draw.choice((
            lambda: SGD(params, 0.05), lambda: SGD(params, 0.05, 0.9, 1e-3, True),
            lambda: Adam(params, 0.01, eps=1e-3), lambda: AdamW(params, 0.01, eps=1e-3),  # so that noise stays noise
        ))()  # fmt: skip
        self.ema = EMA(self.model, 0.9) if draw.random() < 0.5 else None

    def network(self, seed):
        draw, self.channels = self.draw, 1
        kind = draw.randrange(5)
        if kind == 0:
            self.channels = 2
            return Mixed(draw, seed)
        if kind == 4:
            options = {"block": PreActBlock, "fused": draw.random() < 0.5, "width": draw.choice((2, 4, 16))}
            return models.cifar_resnet(8, in_channels=1, seed=seed, **options)
        width = draw.choice((1, 2, 4, 4, 16))
        options = {"shortcut": draw.choice("AB")} if kind == 1 else {}
        return models.cifar_resnet(8, in_channels=1, width=width, seed=seed, fused=kind > 1, **options)

    def wall(self):
        """Put every array that there is at a wall."""
        self.images, self.labels = guarded(self.images, self.draw.random() < 0.7), guarded(self.labels)
        for param in self.model.parameters():
            param.data = guarded(param.data, self.draw.random() < 0.7)
        for _, module in self.model.named_modules():
            for name in module.buffer_names:
                setattr(module, name, guarded(getattr(module, name)))

    def play(self):
        """Go through the phases; return the entries: (phase, "done", "refused" or "change", arrays, message)."""
        self.entries.append(("make", "done", [param.data.copy() for param in self.model.parameters()], ""))
        for _ in range(self.draw.randint(1, 3)):
            for phase in PHASES:
                if phase == "backward" and self.draw.random() < 0.5:
                    self.disturb(BEFORE_BACKWARD)
                elif self.draw.random() < 0.35:
                    self.disturb(DISTURBANCES)
                if phase in ("clip", "evaluate", "save", "load") and self.draw.random() < 0.5:
                    continue
                self.attempt(phase)
                if phase == "step" and self.ema is not None:
                    self.attempt("average")
        return self.entries

    def attempt(self, phase):
        before = self.state() if phase in UNCHANGED else None
        try:
            with np.errstate(all="ignore"):
                arrays = getattr(self, phase)()
        except Exception as error:
            after = self.state() if phase in UNCHANGED else None
            self.entries.append((phase, "refused", [], f"{type(error).__name__}: {error}"[:200]))
            if before is not None and not all(map(same_bytes, before, after)):
                self.entries.append((phase, "changed something before it refused", [], str(error)[:200]))
        else:
            self.entries.append((phase, "done", [np.array(array) for array in arrays], ""))

    # The phases

    def forward(self):
        self.loss = None
        self.model.train()
        logits = self.model(Tensor(self.images))
        self.loss = ops.cross_entropy(logits, self.labels, self.smoothing)
        return [logits.data, self.loss.data]

    def backward(self):
        if self.loss is None:
            return []
        self.model.zero_grad()
        loss, self.loss = self.loss, None
        loss.backward()
        return self.grads()

    def clip(self):
        norm = clip_grad_norm(self.model.parameters(), 1.0)
        return [np.asarray(norm, self.model.parameters()[-1].dtype), *self.grads()]

    def step(self):
        self.optimizer.step()
        return [param.data for param in self.model.parameters()]

    def average(self):
        self.ema.update()
        return list(self.ema.averages.values())

    def evaluate(self):
        model = self.model if self.ema is None else self.ema.model
        model.eval()
        with no_grad():
            return [model(Tensor(self.images)).data]

    def save(self):
        parts = [self.model, self.optimizer, *([self.ema] if self.ema is not None else [])]
        self.saved = [part.state_dict() for part in parts]
        return list(self.saved[0].values())

    def load(self):
        if self.saved is None:
            return []
        parts = [self.model, self.optimizer, *([self.ema] if self.ema is not None else [])]
        part = self.draw.randrange(len(parts))
        parts[part].load_state_dict(self.saved[part])
        return list(self.model.state_dict().values()) if part == 0 else []

    # What comes between

    def disturb(self, kinds):
        """Change one array, or something about the network.

        Between forward and backward a fused op may read a parameter again where NumPy's form of it kept what it needs:
        then numbers are no longer the same, and only refusals are compared.
        """
        if self.fused and self.loss is not None:
            self.entries.append(("what a fused op reads", "wild", [], ""))
        with contextlib.suppress(Exception), np.errstate(all="ignore"):  # what NumPy itself refuses is no finding
            getattr(self, self.draw.choice(kinds))()

    def changed(self, where, array):
        kind, new = change(self.draw, self.numbers, array)
        at_end = self.draw.random() < 0.7  # also where nothing is guarded: both kernel sets draw alike
        if self.guard and isinstance(new, np.ndarray) and new is not array:
            as_it_is = kind == "rearranged" or not new.flags.c_contiguous
            new = new if as_it_is else guarded(new, at_end)
        self.entries.append((f"{kind}: {where}", "change", [], ""))
        return new

    def change_images(self):
        self.images = self.changed("images", self.images)

    def change_labels(self):
        self.labels = self.changed("labels", self.labels)

    def change_data(self):
        param = self.draw.choice(self.model.parameters())
        param.data = self.changed("a parameter", param.data)

    def change_grad(self):
        param = self.draw.choice(self.model.parameters())
        param.grad = self.changed("a gradient", param.grad)

    def change_statistics(self):
        found = [(module, name) for _, module in self.model.named_modules() for name in module.buffer_names]
        module, name = self.draw.choice(found)
        setattr(module, name, self.changed("running statistics", getattr(module, name)))

    def change_kept_by_optimizer(self):
        params = [param for param in self.model.parameters() if param in self.optimizer.state]
        kept = self.optimizer.state[self.draw.choice(params)]
        name = self.draw.choice(sorted(kept))
        kept[name] = self.changed("what the optimizer keeps", kept[name])

    def change_average(self):
        param = self.draw.choice(self.ema.model.parameters())
        param.data = self.changed("an average", param.data)

    def change_kept_by_op(self):
        op = self.draw.choice(backward_order(self.loss)).op
        words = [name for name, value in op.saved_words().items() if isinstance(value, np.ndarray)]
        word = self.draw.choice(words)
        setattr(op, word, self.changed(f"{type(op).__name__}.{word}", getattr(op, word)))

    def change_activation(self):
        tensor = self.draw.choice(backward_order(self.loss)[1:])  # the loss decides backward's first gradient
        tensor.data = self.changed("an activation", tensor.data)

    def share_memory(self):
        one, other = self.draw.choice(self.model.parameters()), self.draw.choice(self.model.parameters())
        other.data = one.data
        self.entries.append(("shared: two parameters", "change", [], ""))

    def share_average(self):
        param, average = self.draw.choice(list(zip(self.model.parameters(), self.ema.model.parameters(), strict=True)))
        param.data = average.data
        self.entries.append(("shared: a parameter and its average", "change", [], ""))

    def new_head(self):
        self.model.fc = nn.Linear(self.draw.choice((1, 4, 6, 64)), self.draw.choice((1, 5, 10, 20)), seed=0)
        self.entries.append(("new: head", "change", [], ""))

    def convert(self):
        target = self.draw.choice(("float32", "float64"))
        self.model.to(target)
        self.entries.append((f"converted: {target}", "change", [], ""))

    def freeze(self):
        param = self.draw.choice(self.model.parameters())
        param.requires_grad = not param.requires_grad
        self.entries.append(("frozen or thawed: a parameter", "change", [], ""))

    # What is compared

    def grads(self):
        return [param.grad for param in self.model.parameters() if param.grad is not None]

    def state(self):
        """Copy all arrays that a refusal must leave as they are."""
        arrays = [param.data for param in self.model.parameters()]
        arrays += [kept for state in self.optimizer.state.values() for kept in state.values()]
        arrays += list(self.ema.averages.values()) if self.ema is not None else []
        return [np.array(array) if isinstance(array, np.ndarray) else array for array in arrays]


DISTURBANCES = (
    "change_images", "change_labels", "change_labels", "change_data", "change_data", "change_grad",
    "change_statistics", "change_kept_by_optimizer", "change_average", "change_kept_by_op", "change_kept_by_op",
    "change_activation", "share_memory", "share_average", "new_head", "convert", "freeze",
)  # fmt: skip
BEFORE_BACKWARD = ("change_kept_by_op", "change_kept_by_op", "change_labels", "change_data", "change_activation")


def same_bytes(one, other):
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and one.tobytes() == other.tobytes()
    return one is other or type(one) is type(other) and not isinstance(one, np.ndarray) and one == other


def compare(one, other):
    """Return the first finding where the entries of two kernel sets part, None where they agree.

    Behind a number that is not finite or huge, numbers are no longer compared, since rounding decides; refusals are.
    """
    wild, planted, tolerance, history = False, False, EXACT, []
    for first, second in zip(one, other, strict=False):
        phase, outcome, arrays, message = first
        history.append(phase if outcome in ("done", "change") else f"{phase} ({outcome})")
        planted = planted or phase.startswith("one_written")
        finding = {"phase": phase, "history": history[-8:], "numpy": f"{outcome} {message}",
                   "numba": f"{second[1]} {second[3]}"}  # fmt: skip
        if "before it refused" in outcome or "before it refused" in second[1]:
            return {"kind": "a refusal that changed something", **finding}
        if phase != second[0]:
            return {"kind": "another course", **finding}
        if outcome != second[1]:
            if outcome == "done" or PROMOTED.search(message):
                return None  # not silent, or the right dtype; from here on the two are in different states
            return {"kind": "numba accepts", **finding}
        tolerance = ROUGH if any(array.dtype != np.float64 for array in arrays) else tolerance
        wild = wild or outcome == "wild" or any(is_wild(array) for array in arrays)
        wild = wild or planted and any(is_wild(array) for array in second[2])  # 0 · inf in a window's padding, or not
        if wild or outcome != "done":
            continue
        if difference := different(arrays, second[2], tolerance):
            return {"kind": "another result", "difference": difference, **finding}
    return None


def is_wild(array):
    return array.dtype.kind != "f" or not np.isfinite(array).all() or (array.size and float(abs(array).max()) > HUGE)


def different(one, other, tolerance):
    """Say how the arrays of a phase differ by more than rounding, "" where they do not."""
    if len(one) != len(other):
        return f"{len(one)} arrays, {len(other)} arrays"
    scale = max([float(np.linalg.norm(array)) for array in one], default=0.0) + 1e-3
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"array {number}: {a.shape} {a.dtype}, {b.shape} {b.dtype}"
        distance = float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))
        if not distance <= tolerance * scale:
            return f"array {number}, {a.shape} {a.dtype}: differs by {distance:.3g} at a norm of {scale:.3g}"
    return ""


def examine(seed, number, guard=False):
    """Play a sequence on both kernel sets; return a finding or None, and the numbers of phases done and refused."""
    played = []
    for name in ("numpy", "numba"):
        with kernels.use(name):
            played.append(Sequence(seed, number, guard).play())
    outcomes = [entry[1] for entry in played[0]]
    return compare(*played), outcomes.count("done"), outcomes.count("refused"), outcomes.count("change")
