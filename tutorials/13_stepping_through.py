r"""
13. Stepping through the backward pass
======================================

A network trains, but badly. There is no error and no NaN; in one of its backward passes a line is wrong. Which, among
the 71 operations of a ResNet-20? This chapter goes through a backward pass one operation at a time, with four tools,
and then finds three bugs that have been planted in the engine.

:Time: 25 minutes to read, 10 seconds to run
:Before it: chapters 4, 8 and 11
:Afterwards: you can find the line of a backward pass that is wrong
"""

# %%
# Three frames
# ------------
# Between ``loss.backward()`` and the arithmetic of a gradient there are three functions: the engine's loop, the
# operation's ``backward``, and a kernel. Nothing is between them, so an ordinary debugger can walk in. Kernels
# compiled by Numba can be stepped over, not into; those of NumPy can be read.

import io

import matplotlib.pyplot as plt
import numpy as np

from minires import Tensor, backward_order, debug, gradcheck, kernels, models, ops, optim
from minires.data import load_digits
from minires.debug import browser, terminal
from minires.gradient_check import GradientError
from minires.kernels import numpy_kernels
from minires.learn import quick, replaced
from minires.ops.shortcut import ResidualAdd
from minires.plots import COLOURS

kernels.use("numpy")
images, labels, _, _ = load_digits()


def loss_of(model, chosen=slice(8)):
    return ops.cross_entropy(model(Tensor(images[chosen])), labels[chosen])


def fresh():
    return models.resnet20(in_channels=1, seed=0)


model, twin = fresh(), fresh()
loss_of(model).backward()

# %%
# .. code-block:: text
#    :caption: Step in here
#
#    $ python -m pdb tutorials/13_stepping_through.py
#    (Pdb) import minires.ops.convolution
#    (Pdb) b minires.ops.convolution.Conv2d.backward
#    (Pdb) c
#    > convolution.py backward()
#    (Pdb) p self.module_path, self.site[2]
#    ('layer3.2.conv2', 'forward')
#    (Pdb) p grad_y.shape, self.weight.shape, self.needs_grad
#    ((8, 64, 2, 2), (64, 64, 3, 3), (True, True))
#    (Pdb) n
#    > convolution.py backward()
#    (Pdb) n
#    > convolution.py backward()
#    (Pdb) s
#    > numpy_kernels.py conv2d_grad_input()
#    (Pdb) u
#    > convolution.py backward()
#    (Pdb) u
#    > engine.py backward()
#
# The last convolution is the first to be gone back through. ``self`` holds what forward has saved, and ``self.site`` is
# the line of the model that called it. ``s`` went into the kernel; each ``u`` is one of the frames on the way out.
#
# The same in VS Code
# -------------------
# An editor's debugger shows all of that at once: the lines, the variables, the frames. The folder ``.vscode`` has it
# ready. (PyCharm is much the same; its keys are on the page *Stepping through the backward pass*.)
#
# 1. Open ``minires/ops/convolution.py``, and click beside the first line of ``Conv2d.backward``. A red dot appears, the
#    *breakpoint*.
# 2. Open this chapter's file, and in *Run and Debug* choose "Step through the open file". Press **F5**.
#
# .. admonition:: Predict first
#
#    This ResNet-20 has 19 convolutions, and each will come by. At which of them does the program stop first?
#
# .. image:: /_static/editor-1.svg
#    :class: only-light window
#    :target: ../_static/editor-1.svg
#    :alt: VS Code, stopped in convolution.py at the first line of Conv2d.backward, which is lit and has a red dot.
#       Among the variables are grad_y, an array, and self, opened: its module_path is layer3.2.conv2. The call stack
#       has three frames, backward in convolution.py, backward in engine.py, and the chapter.
#
# .. image:: /_static/editor-1-dark.svg
#    :class: only-dark window
#    :target: ../_static/editor-1-dark.svg
#    :alt: VS Code, stopped in convolution.py at the first line of Conv2d.backward, which is lit and has a red dot.
#       Among the variables are grad_y, an array, and self, opened: its module_path is layer3.2.conv2. The call stack
#       has three frames, backward in convolution.py, backward in engine.py, and the chapter.
#
# It stops at the *last* convolution, in ``layer3.2``. Under VARIABLES is what this function knows: ``grad_y``, what
# has arrived, and ``self``, the operation. Open ``self``, and there is all that ``forward`` has saved. Under CALL
# STACK are the three frames of the chapter's beginning, the innermost on top.
#
# 3. **F10** goes to the next line. Press it twice: now the line is lit that calls ``conv2d_grad_input``. **F11** steps
#    *into* that call.
#
# .. image:: /_static/editor-2.svg
#    :class: only-light window
#    :target: ../_static/editor-2.svg
#    :alt: VS Code, stopped in numpy_kernels.py in the first line of conv2d_grad_input. A few lines below stands
#       grad_cols = w.T @ dy[n], and then col2im. The variables are grad_y, padding, stride, weight and x_shape. The
#       call stack has a fourth frame on top, conv2d_grad_input.
#
# .. image:: /_static/editor-2-dark.svg
#    :class: only-dark window
#    :target: ../_static/editor-2-dark.svg
#    :alt: VS Code, stopped in numpy_kernels.py in the first line of conv2d_grad_input. A few lines below stands
#       grad_cols = w.T @ dy[n], and then col2im. The variables are grad_y, padding, stride, weight and x_shape. The
#       call stack has a fourth frame on top, conv2d_grad_input.
#
# This is the arithmetic, chapter 7's two lines: a product with the transposed weight, and ``col2im``, which adds the
# windows back. F10 goes through it line by line.
#
# 4. **Shift+F11** runs to the end of the kernel and comes back out. **F10** finishes the line that has called it.
#
# .. image:: /_static/editor-3.svg
#    :class: only-light window
#    :target: ../_static/editor-3.svg
#    :alt: VS Code, back in Conv2d.backward, one line below the call. grad_x is an array now, and opened: its dtype is
#       float32 and its shape (8, 64, 2, 2). grad_weight and grad_bias are still None.
#
# .. image:: /_static/editor-3-dark.svg
#    :class: only-dark window
#    :target: ../_static/editor-3-dark.svg
#    :alt: VS Code, back in Conv2d.backward, one line below the call. grad_x is an array now, and opened: its dtype is
#       float32 and its shape (8, 64, 2, 2). grad_weight and grad_bias are still None.
#
# ``grad_x`` is there, and has the shape of the input. The gradient of the weight is still to come.
#
# 5. Click on the second line of the call stack, ``backward`` in ``engine.py``.
#
# .. image:: /_static/editor-4.svg
#    :class: only-light window
#    :target: ../_static/editor-4.svg
#    :alt: VS Code shows engine.py, the loop of Tensor.backward. Lit in green is the line grads = op.backward(grad_y),
#       which is waiting. Among the variables are order, a list of tensors from the loss on, tensor, op, and self, the
#       loss.
#
# .. image:: /_static/editor-4-dark.svg
#    :class: only-dark window
#    :target: ../_static/editor-4-dark.svg
#    :alt: VS Code shows engine.py, the loop of Tensor.backward. Lit in green is the line grads = op.backward(grad_y),
#       which is waiting. Among the variables are order, a list of tensors from the loss on, tensor, op, and self, the
#       loss.
#
# Nothing has run; only the view has moved, to the frame that waits. This is chapter 2's loop: ``order`` is the list,
# ``tensor`` the one whose turn it is. When ``op.backward`` is done, ``deliver`` adds what has come back to the inputs'
# gradients.
#
# 6. **F5** once more, and the program runs to the next convolution on the way back, ``layer3.2.conv1``.
#
# The loop by hand
# ----------------
# A debugger stops at lines. One would rather stop at *operations*. For that, write the engine's loop oneself: it needs
# nothing that chapter 2 does not have. Whatever one wants to see goes where the ``yield`` is.


def walk(loss):
    loss.grad = np.ones_like(loss.data)
    for tensor in backward_order(loss):
        arrived = tensor.grad
        left = tensor.op.backward(arrived)
        for source, grad, needed in zip(tensor.op.inputs, left, tensor.op.needs_grad, strict=True):
            if needed:
                source.grad = grad if source.grad is None else source.grad + grad
        yield tensor.op, arrived
        tensor.grad = None


by_hand = [(type(op).__name__, np.linalg.norm(arrived)) for op, arrived in walk(loss_of(twin))]
for one, other in zip(model.parameters(), twin.parameters(), strict=True):
    np.testing.assert_allclose(other.grad, one.grad, rtol=1e-4, atol=1e-6)  # what loss.backward() gave

# %%
# The engine agrees
# -----------------
# :func:`minires.debug.backward_steps` is that loop with a record of each operation: the module, the line that called
# it, what arrived and what left. It can ``until("layer2")``, or go ``back()``.


def steps_of(model):
    steps = debug.backward_steps(loss_of(model), model=model)
    steps.run_to_end()
    return steps


steps = steps_of(fresh())
assert [step.op_name for step in steps.records] == [name for name, _ in by_hand] and len(by_hand) == 71
np.testing.assert_allclose([step.statistics.norm for step in steps.records], [norm for _, norm in by_hand], rtol=1e-4)

# %%
# In a terminal, ``minires debug`` opens a prompt in pdb's manner between two operations, and so does
# ``debug.explore(loss, model)`` in a program. Here its commands come from a string:

terminal.Debugger(loss_of(model), model, io.StringIO("step 2\nuntil op ResidualAdd\nnext\nforks\nquit\n")).cmdloop()

# %%
# To look at all of it at leisure, write the pass into an HTML file (``minires debug --html pass.html``): the arrow keys
# walk through the operations, and Shift with them through the lines of each ``backward``.

page = browser.view(loss_of(model), model=model).html  # browser.write makes the file
assert "conv2d_grad_input" in page and "<script src" not in page  # the sources are in it; nothing is fetched

# %%
# Three sick engines
# ------------------
# Somebody has changed a backward in three ways. Do not read the functions yet: their names say where they are planted,
# and the question is what one sees from outside.
#
# .. admonition:: Predict first
#
#    A network is trained with a wrong gradient in every residual add, one with a wrong gradient in every convolution,
#    and one with a wrong gradient in every batch norm. Will their losses fall at all? Which of the three can be told
#    by the norms of the gradients on their way back?


def add_backward(self, grad_y):
    return np.zeros_like(grad_y), grad_y


def conv2d_grad_weight(*arguments, original=numpy_kernels.conv2d_grad_weight):
    return original(*arguments)[:, :, ::-1, ::-1]


def batch_norm_backward(grad_y, x, weight, mean, var, eps, original=numpy_kernels.batch_norm_backward):
    with np.errstate(divide="ignore", invalid="ignore"):  # in a program that has turned warnings off
        return original(grad_y, x, weight, mean, var, 0)


def train(model, steps):
    optimizer, batches = optim.SGD(model.parameters(), lr=0.05, momentum=0.9), np.random.default_rng(0)
    for _ in range(steps):
        loss = loss_of(model, batches.integers(0, len(images), 32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


figure, panels = plt.subplots(1, 2, figsize=(10, 4.1), layout="constrained")
engines = {
    "healthy": (numpy_kernels, {}, COLOURS["residual"], "-"),
    "A": (ResidualAdd, {"backward": add_backward}, "#E69F00", "-"),
    "B": (numpy_kernels, {"conv2d_grad_weight": conv2d_grad_weight}, "#CC79A7", "--"),
    "C": (numpy_kernels, {"batch_norm_backward": batch_norm_backward}, "#000000", ":"),
}
walks, window = {}, np.ones(8) / 8
for name, (place, bug, colour, dash) in engines.items():
    with replaced(place, **bug):
        losses, walks[name] = list(train(fresh(), 60 if not quick() else 8)), steps_of(fresh())
    panels[0].plot(np.convolve(losses, window, "valid"), dash, color=colour, label=name)
    panels[1].semilogy([step.statistics.norm for step in walks[name].records], dash, color=colour)
    print(f"{name:8} loss {np.mean(losses[-8:]):.2f} over the last 8 steps")
panels[0].set(xlabel="step", ylabel="training loss, mean of 8 steps", title="they all learn something")
panels[1].set(xlabel="operation, from the loss back", ylabel="norm of what arrives", title="one backward pass")
panels[0].legend()
plt.show()
norms = {name: [step.statistics.norm for step in steps.records] for name, steps in walks.items()}
np.testing.assert_allclose(norms["B"], norms["healthy"], rtol=1e-4)  # B cannot be seen there

# %%
# A: look at the forks
# --------------------
# A's gradients are smaller, and on the shortcuts of option A they are 0. Where does it begin?
# :func:`minires.debug.forks` finds every residual add and the tensor where its two paths began, and says how much came
# through each (chapter 11).

for name in ("healthy", "A"):
    print(name, *debug.forks(walks[name])[:3], sep="\n   ")
assert all(fork.skip_share > 0.1 for fork in debug.forks(walks["healthy"]))
assert all(fork.skip_share == 0 for fork in debug.forks(walks["A"]))

# %%
# **Found**: nothing comes through the skip, in any block. The gradient is that of a plain network, though the forward
# pass is residual.
#
# B: ask each operation for a proof
# ---------------------------------
# B's norms are the healthy ones to rounding, along the whole walk, and the loss falls. What is wrong can only be inside
# the arrays. So run chapter 4's comparison on single operations, with the arrays that they really had: a step of the
# walk still holds them. (At the prompt, ``check`` does it for the operation where the walk stands.)
#
# .. admonition:: Predict first
#
#    What can be done to a gradient that leaves its norm as it was? Name three such things. Which of them could happen
#    to the gradient of a filter by mistake?

inputs = {step.module_path: [one.tensor.data for one in step.inputs] for step in walks["B"].records}
with replaced(numpy_kernels, conv2d_grad_weight=conv2d_grad_weight):
    print(gradcheck(ops.batch_norm, *inputs["layer1.0.bn1"]))
    try:
        x, weight = inputs["layer1.0.conv1"]
        gradcheck(lambda x, weight: ops.conv2d(x, weight, padding=1), x, weight, max_elements=2500)
    except GradientError as error:
        print(error)
        assert "flipped along axes 2 and 3" in str(error) and "right with respect to: argument 0" in str(error)

# %%
# **Found**: the batch norm is right, the convolution's gradient for its filters is turned by 180°. That keeps norms.
#
# C: wait until it happens
# ------------------------
# C seems healthy, too. But after a night of training, everything is NaN. The last network that was saved shows a filter
# that has died: all its weights are 0. In its backward pass a NaN is born in one operation, and infects all after it.
# :class:`minires.debug.watch` looks at every result, and stops at the first guilty one. By itself it opens pdb there,
# at the first line of that ``backward``; here it raises an error, so that the chapter goes on.

dying = fresh()
dying.layer2[1].conv2.weight.data[3] = 0
try:
    with replaced(numpy_kernels, batch_norm_backward=batch_norm_backward), debug.watch(nan=True, action="raise"):
        loss_of(dying).backward()
except debug.WatchError as error:
    found = error.finding
print(f"{found.op} in {found.module_path}, {found.phase}: {found.reason}")
assert (found.op, found.module_path, found.phase) == ("BatchNorm", "layer2.1.bn2", "backward")

# %%
# **Found**: the batch norm behind the dead filter. Its input is the same number everywhere, the variance is 0, and
# somebody has forgotten the :math:`\varepsilon` in :math:`1 / \sqrt{\sigma^2 + \varepsilon}`. On healthy channels that
# hardly matters.
#
# Three bugs, three kinds of evidence: a *share* that cannot be, a *proof* that fails, the *first* bad number.
#
# In five lines
# -------------
# - Between ``loss.backward()`` and the arithmetic there are three frames, all of them readable.
# - A walk stops between operations, and says what arrived, what left and where it goes.
# - A *share* that cannot be, at a fork, shows a path that is cut.
# - A *proof* that fails, on one operation, shows a gradient that is wrong and has the right size.
# - The *first* bad number, where a NaN is born, shows the guilty operation.
#
# Exercises
# ---------
# 1. C is found by :func:`minires.gradcheck` on a batch norm, too, even without a dead filter. With which numbers for
#    :math:`x` is it seen best, and with which does it pass?
# 2. Plant ``return grad_y, 0.5 * grad_y`` in the addition. Which of the tools show it, and how?
# 3. **In code**, with an examiner: ``minires learn 13``. Write what ``debug.watch`` does here: a walk that finds where
#    the first bad number is born. Beside that gap are three functions with a bug planted in each. ``minires check 13``
#    says what is still wrong. Your own engine gets nothing new; ``pdb`` steps through it as it does through MiniRes.
#
# Read next
# ---------
# - The page *Stepping through the backward pass* of this site: all commands, PyCharm, and a fourth bug.
# - ``minires/observe/stepper.py``: the walk of this chapter, complete.
# - The Python library reference, *pdb*: ``condition``, ``commands`` and ``display`` are worth their time.
