"""The terminal debugger: a prompt, in pdb's manner, that stands between two ops of a backward pass.

`minires debug` opens it on a network of the family, `debug.explore(loss, model)` on any loss. Commands come from the
keyboard, with completion and history, or from a file or a pipe.
"""

import bdb
import re
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from minires.debug import screen, writing
from minires.debug.arguments import module_and_op, number, read_watch
from minires.debug.drawing import draw
from minires.debug.plotting import plot
from minires.debug.prompt import Prompt
from minires.debug.proof import gradients_by_formula, prove, prove_all
from minires.engine import Tensor
from minires.gradient_check import GradientError
from minires.kernels import Array
from minires.nn import Module
from minires.observe.fork_meter import forks
from minires.observe.pdb_prompt import step_into
from minires.observe.step import Step
from minires.observe.stepper import backward_steps, fits
from minires.observe.watching import watch

ALIASES = {"s": "step", "n": "next", "b": "break", "u": "until", "c": "continue", "w": "where", "p": "print",
           "l": "list", "q": "quit", "h": "help", "?": "help", "EOF": "quit", "cl": "clear"}  # fmt: skip
GROUPS = {
    "walk": ("step", "next", "until", "continue", "back"),
    "stop": ("break", "clear", "watch"),
    "look": ("where", "stats", "print", "hist", "forks", "tree", "list"),
    "prove": ("into", "check"),
    "keep": ("plot", "draw"),
    "": ("help", "quit"),
}


def explore(loss: Tensor, model: Module | None = None) -> None:
    """Open the terminal debugger on the backward pass of `loss`; leaving it walks on to the end.

    model: gives the parameters their names. The gradients are those of `loss.backward()`; the graph is kept.
    """
    debugger = Debugger(loss, model)
    debugger.cmdloop()
    debugger.steps.run_to_end()


class Debugger(Prompt):
    """The prompt, and the walk that it stands in."""

    prompt = "(minires) "
    groups = GROUPS
    aliases = ALIASES

    def __init__(self, loss: Tensor, model: Module | None = None, commands: IO[str] | None = None) -> None:
        super().__init__(commands)
        self.steps = backward_steps(loss, keep_graph=True, model=model)
        self.loss = loss
        self.breaks: list[tuple[str, str]] = []  # module and op, either of which may be "*"
        self.watch: watch | None = None
        self.healthy: dict[Tensor, Array] | None = None  # the gradients by the formulas, once `tree` has asked
        value = f"{loss.item():.6g}" if loss.size == 1 else str(loss.shape)
        self.greeting: tuple[str, ...] = (
            f"The backward pass of {loss!r}, loss {value}: {len(self.steps)} ops.",
            "Each `step` runs one op's backward; `help` lists the commands.",
        )

    def preloop(self) -> None:
        """Greet, when the prompt appears for the first time."""
        self.say(*self.greeting)
        self.greeting = ()

    # Walking

    def do_step(self, arg: str) -> None:
        """step [N]: the backward of the next op, or of the next N."""
        for _ in range(number(arg, 1)):
            if not self.advance() or self.stopped_by_watch():
                break
        self.show()

    def do_next(self, arg: str) -> None:
        """next: on to the first op after this block, or, outside of blocks, one op."""
        block = self.block_of(self.steps.current) if self.steps.current else ""
        while self.advance() and not self.stopped_by_watch():
            if not block or self.block_of(self.here) != block:
                break
        self.show()

    def do_until(self, arg: str) -> None:
        """until MODULE | op NAME: on to a module, as in `until layer2.0.conv1`, or an op, as in `until op BatchNorm`.

        A name means the module or anything in it; patterns with * and ? do as well.
        """
        module, op = module_and_op("until", arg)
        if not any([fits(tensor.op, module, op) for tensor in self.steps.ahead]):
            try:
                self.steps.until(module, op)  # raises, and says what is ahead
            except ValueError as error:
                raise ValueError(f"{error}{self.place_meant('until', module, op)}") from None
        while self.advance() and not self.stopped_by_watch():
            if fits(self.here.op, module, op):
                break
        self.show()

    def do_continue(self, arg: str) -> None:
        """continue: on to the next break or watch, or to the end."""
        while self.advance() and not self.stopped_by_watch():
            hit = [f"{self.breaks.index(pair) + 1}" for pair in self.breaks if fits(self.here.op, *pair)]
            if hit:
                self.say(f"break {', '.join(hit)}")
                break
        self.show()

    def do_back(self, arg: str) -> None:
        """back [N]: to the step before, or N steps; walking on from there shows the records again."""
        self.steps.back(number(arg, 1))
        if self.watch is not None:
            self.watch.forget()
        self.show()

    def advance(self) -> bool:
        """Walk one step; say so where the pass is complete."""
        if not self.steps.ahead:
            self.say(f"The pass is complete: {len(self.steps)} ops.")
            return False
        next(self.steps)
        return True

    def stopped_by_watch(self) -> bool:
        """Let the watch look at the step; show what it finds."""
        step = self.here
        grads = tuple([one.grad for one in step.inputs])
        finding = self.watch.examine(step.op, step.grad_y, grads) if self.watch is not None else None
        if finding is not None:
            self.say(str(finding), paint=writing.wrong)
        return finding is not None

    def show(self) -> None:
        if self.steps.current is None:
            self.say(f"Before the first step: {self.loss!r}")
            return
        first, *rest = screen.step_lines(self.steps.current)
        self.say(first, paint=writing.strong)
        self.say_rows(rest)

    def say_rows(self, rows: Sequence[str]) -> None:
        """Print rows of numbers; on a terminal with colour for what is wrong in them."""
        for row in rows:
            self.say(row, paint=writing.paint_of(row))

    @property
    def here(self) -> Step:
        if self.steps.current is None:
            raise ValueError("no step was taken yet; `step` takes the first")
        return self.steps.current

    def block_of(self, step: Step) -> str:
        """Return the innermost module with parts that an op is in."""
        path = step.module_path
        has_parts = any([fits(tensor.op, f"{path}.*") for tensor in self.steps.order])
        return path if has_parts else path.rpartition(".")[0]

    # Stopping

    def do_break(self, arg: str) -> None:
        """break [MODULE | op NAME]: `continue` stops there; without an argument, list the breaks."""
        if arg:
            pair = module_and_op("break", arg)
            if not any([fits(tensor.op, *pair) for tensor in self.steps.order]):
                meant = self.place_meant("break", *pair) or ";"
                raise ValueError(f"break: no op of this pass fits {arg!r}{meant} see `tree 9` and `list`")
            self.breaks.append(pair)
        for i, (module, op) in enumerate(self.breaks, start=1):
            self.say(f"break {i}: {module if op == '*' else f'op {op}'}")
        if not self.breaks:
            self.say("no breaks")

    def do_clear(self, arg: str) -> None:
        """clear [N]: forget break N, or all breaks."""
        if arg:
            which = number(arg, 1)
            if which > len(self.breaks):
                raise ValueError(f"clear: there is no break {which}")
            del self.breaks[which - 1]
        else:
            self.breaks.clear()

    def do_watch(self, arg: str) -> None:
        """watch CONDITION … | off: stop where a gradient is not as it should be.

        Conditions: nan, norm<X, norm>X, ratio>X, in MODULE; as in `watch nan norm<1e-8 ratio>1e3 in layer3.*`. norm: of
        any gradient that an op's backward gives; ratio: that norm, of an input that is no parameter, divided by the
        norm of what arrived.
        """
        self.watch = read_watch(arg)

    # Looking

    def do_where(self, arg: str) -> None:
        """where: the line that called the op, and the source of its backward."""
        for line in screen.where_lines(self.here):
            self.say(line, paint=writing.code if writing.NUMBERED.match(line) else None)

    def do_stats(self, arg: str) -> None:
        """stats: norm, mean, maximum, zeros, NaN and infinities of the step's arrays."""
        self.say_rows(screen.stats_lines(self.here))

    def do_print(self, arg: str) -> None:
        """print grad [NAME] | CODE: the gradient that arrived, or left for an input; or what any Python gives.

        Names: step, op, grad_y, y, the inputs (x, weight, …), their gradients (grad_x, …), loss, model, np.
        """
        name = arg or "grad_y"
        if re.fullmatch(r"grad(\s+\w+)?", name):
            name = "grad_" + (name[4:].strip() or "y")
        names = self.names()
        if name.startswith("grad_") and name.isidentifier() and name not in names:
            raise ValueError(f"print: there is no {name} here; arrays: {', '.join(self.arrays())}")
        try:
            value = eval(name, {"np": np}, names)
        except Exception as error:  # whatever the reader's own expression raises
            raise ValueError(f"print: {type(error).__name__}: {error}") from None
        if isinstance(value, np.ndarray) and value.ndim:
            print(f"{name} {value.shape} {value.dtype}")
            width = min(110, writing.columns() or 110)
            with np.printoptions(precision=4, threshold=64, edgeitems=3 if value.ndim < 3 else 1, linewidth=width):
                print(value)
        else:
            print(value)

    def do_hist(self, arg: str) -> None:
        """hist [NAME] [log]: how an array's numbers are distributed; log: their sizes, on a logarithmic scale."""
        words = arg.split()
        name = next((word for word in words if word != "log"), "grad_y")
        self.say(*screen.histogram_lines(name, self.array("hist", name), "log" in words))

    def do_forks(self, arg: str) -> None:
        """forks: how much of the gradient comes through skip and branch, at every block passed."""
        found = forks(self.steps.records[: self.steps.position])
        self.say(*(screen.fork_lines(found) if found else ["no fork is complete yet: walk past a whole block"]))

    def do_tree(self, arg: str) -> None:
        """tree [DEPTH]: the modules, the gradient that arrived at each, and what the formulas say should.

        The last column is computed apart from the kernels, once; X marks what is off by more than a hundredth.
        """
        if self.healthy is None:
            self.healthy = gradients_by_formula(self.steps.order)
        self.say_rows(screen.tree_lines(self.steps, number(arg, 2), self.healthy))

    def do_list(self, arg: str) -> None:
        """list [N]: the ops that come next."""
        self.say(*screen.ahead_lines(self.steps, number(arg, 10)))

    def place_meant(self, command: str, module: str, op: str) -> str:
        """Suggest a module or an op for a name that fits none."""
        ops = sorted({type(tensor.op).__name__ for tensor in self.steps.order})
        modules = sorted({name for tensor in self.steps.order for name in screen.modules_of(tensor)})
        if op != "*":
            return writing.suggestion(op, ops, f"{command} op ")
        return writing.suggestion(module, modules, f"{command} ") or writing.suggestion(module, ops, f"{command} op ")

    def arrays(self) -> dict[str, Any]:
        """The step's arrays by name."""
        step = self.here
        found = {"grad_y": step.grad_y, "y": step.tensor.data}
        for one in step.inputs:
            found[one.name] = one.tensor.data
            if one.grad is not None:
                found[f"grad_{one.name}"] = one.grad
        return found

    def array(self, command: str, name: str) -> Any:
        found = self.arrays()
        if name not in found:
            raise ValueError(f"{command}: there is no array {name!r} here; arrays: {', '.join(found)}")
        return found[name]

    def names(self) -> dict[str, Any]:
        """What `print` knows."""
        names = {"loss": self.loss, "steps": self.steps, "model": self.steps.model}
        if self.steps.current is not None:
            names |= {"step": self.here, "op": self.here.op, **self.arrays()}
        return names

    # Proving

    def do_into(self, arg: str) -> None:
        """into: this op's backward once more, under pdb; pdb's `continue` comes back."""
        try:
            step_into(self.here.op.backward, self.here.grad_y, commands=None if self.is_typed else self.stdin)
        except bdb.BdbQuit:  # pdb's quit means leaving pdb, not this debugger
            pass

    def do_check(self, arg: str) -> None:
        """check [all]: this op's backward, or each kind of op's, against finite differences in float64.

        At the inputs it had. Where the op's formulas are known, a mistake is named by them: it gives what backward gave
        on inputs drawn anew.
        """
        if arg not in ("", "all"):
            raise ValueError(f"check: {arg!r} is neither `all` nor nothing")
        if arg == "all":
            rows, wrong = prove_all(self.steps.order)
            kinds = len(rows) - 1
            verdict = f"{wrong} WRONG" if wrong else "none is wrong"
            self.say_rows([*screen.aligned(rows), f"{len(self.steps)} ops of {kinds} kinds and shapes: {verdict}."])
            return
        op = self.here.op
        try:
            report = prove(op, [one.name for one in self.here.inputs])
        except GradientError as error:
            self.say(f"WRONG. {error}", paint=writing.wrong)
        else:
            if report.ok:
                self.say(f"Right: {report.checked} comparisons, worst relative error {report.relative_error:.1e}.")
            else:
                self.say(str(report))  # which says what could not be decided

    # Keeping

    def do_plot(self, arg: str) -> None:
        """plot [FILE.png]: the step's gradients as a picture, and the norms of the whole walk."""
        path = arg or f"step-{self.here.index + 1}.png"
        plot(self.here, self.steps.records[: self.steps.position], path)
        self.say(path)

    def do_draw(self, arg: str) -> None:
        """draw [FILE.svg]: the graph of the whole pass as a picture, repeated blocks folded."""
        self.say(str(draw(self.loss, arg or "graph.svg")))

    # Completion

    def complete_until(self, text: str, *ignored: Any) -> list[str]:
        words = {"op"}
        for tensor in self.steps.order:
            words |= {*screen.modules_of(tensor), type(tensor.op).__name__}
        return sorted([word for word in words if word.startswith(text)])

    complete_break = complete_watch = complete_until

    def complete_print(self, text: str, *ignored: Any) -> list[str]:
        return sorted([word for word in [*self.names(), "grad"] if word.startswith(text)])

    complete_hist = complete_plot = complete_print

